"""gateway/demo/outbox.py: events wait in order, and not without bound."""

import asyncio

import pytest

from gateway.demo.outbox import Outbox, OutboxFull
from tests.support.loop import let_others_run


async def test_events_come_out_in_the_order_in_which_they_came_and_stay_until_dropped():
    outbox = Outbox()
    outbox.put([{"n": 1}, {"n": 2}])
    outbox.put([{"n": 3}])

    assert await outbox.first(2) == [{"n": 1}, {"n": 2}]
    assert await outbox.first(2) == [{"n": 1}, {"n": 2}]
    outbox.drop(2)
    assert await outbox.first(2) == [{"n": 3}]
    assert (len(outbox), outbox.dropped) == (1, 2)


async def test_who_takes_from_an_empty_outbox_waits_for_the_next_event():
    outbox = Outbox()
    outbox.put([{"n": 1}])
    outbox.drop(1)
    taken = asyncio.ensure_future(outbox.first(1))
    await let_others_run()
    assert not taken.done()

    outbox.put([])
    await let_others_run()
    assert not taken.done()

    outbox.put([{"n": 2}])
    assert await taken == [{"n": 2}]


async def test_a_full_outbox_takes_all_of_a_change_or_nothing():
    outbox = Outbox(max_events=2)
    outbox.put([{"n": 1}])
    with pytest.raises(OutboxFull, match="1 events are still to be published"):
        outbox.put([{"n": 2}, {"n": 3}])
    outbox.put([{"n": 2}])

    assert await outbox.first(10) == [{"n": 1}, {"n": 2}]
