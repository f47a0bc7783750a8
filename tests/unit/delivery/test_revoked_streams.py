"""Revoked streams get exactly what was published before, and are told so."""

import asyncio

import pytest

from gateway.core.credentials import Credentials
from gateway.core.events import Event
from gateway.core.hints import HintTiming
from gateway.core.revocations import Revocation
from gateway.core.selectors import Selector
from gateway.delivery.group import Group
from gateway.delivery.long_poll import LongPoll
from gateway.delivery.pace import Pace
from gateway.delivery.subscriber import State
from tests.support.events import TIMESTAMP, an_event
from tests.support.loop import let_others_run, until
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler

ANA = Credentials(subject="ana", token_id="a1", issued_at=100.0)
ANA_LATER = Credentials(subject="ana", token_id="a2", issued_at=200.0)
BO = Credentials(subject="bo", token_id="b1", issued_at=100.0)


def revocation(issued_before: float = 150.0) -> Event:
    return Revocation("subject", "ana", issued_before, "left").event(TIMESTAMP)


def goodbyes(reader: Reader) -> list[tuple[str, bool]]:
    return [(frame.data["reason"], frame.data["reconnect"]) for frame in reader.frames("bye")]


ORDERS = Selector(frozenset({("order", None)}))
REVOKED = [("revoked", False)]


def test_live_streams_that_it_covers_get_what_is_before_it_and_the_others_everything(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler)
    ana, later, bo, nobody = (
        node.connect(credentials=credentials) for credentials in (ANA, ANA_LATER, BO, None)
    )
    node.publish(an_event(), an_event(), revocation(), an_event(), an_event())
    scheduler.run_for(0.1)
    assert (ana.numbers(), goodbyes(ana)) == ([1, 2], REVOKED)
    assert ana.frames()[-1].event == "bye"
    for reader in (later, bo, nobody):
        assert (reader.numbers(), goodbyes(reader)) == ([1, 2, 4, 5], [])
    assert node.hub.counters.byes == {"revoked": 1}


def test_it_is_no_event_for_anybody(scheduler: ManualScheduler) -> None:
    node = Node(scheduler)
    live = node.connect()
    by_type = node.connect("eventTypes=tidegate.revocation")
    hints = node.connect(hints="only", timing=HintTiming(50, 100))
    node.publish(revocation())
    scheduler.run_for(1.0)
    resumed = node.connect(cursor="e.0-0")
    for reader in (live, by_type, hints, resumed):
        assert [frame.event for frame in reader.frames() if frame.event != "heartbeat"] == ["connected"]


def test_a_retry_comes_no_sooner_than_for_any_stream_that_ends_for_good(scheduler: ManualScheduler) -> None:
    node = Node(scheduler)
    ana = node.connect(credentials=ANA)
    node.publish(revocation())
    (bye,) = ana.frames("bye")
    assert bye.data["retryMs"] >= 30_000
    assert bye.id is None


def test_while_the_covered_ones_are_looked_for_nothing_is_flushed(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=1))
    readers = [node.connect(credentials=ANA) for _ in range(5)]
    others = [node.connect(credentials=BO) for _ in range(5)]
    node.append(an_event(), revocation(), an_event())
    while any(reader.subscriber.state is not State.CLOSED for reader in readers):
        assert scheduler.step()
        assert all(2 not in other.numbers() and 3 not in other.numbers() for other in others)
    scheduler.run_for(0.1)
    assert [reader.numbers() for reader in readers] == [[1]] * 5
    assert [other.numbers() for other in others] == [[1, 3]] * 5


def test_however_many_come_at_once_the_others_have_one_flush(scheduler: ManualScheduler) -> None:
    node = Node(scheduler)
    readers = {
        name: node.connect(credentials=Credentials(subject=name, issued_at=100.0)) for name in "abcdefgh"
    }
    bo = node.connect(credentials=BO)
    before = node.hub.counters.flushes
    for name in readers:
        node.append(an_event(), Revocation("subject", name, 150.0, "left").event(TIMESTAMP))
    scheduler.run_for(0.1)
    assert node.hub.counters.flushes == before + 1
    assert bo.numbers() == [1, 3, 5, 7, 9, 11, 13, 15]
    for count, reader in enumerate(readers.values(), 1):
        assert (reader.numbers(), goodbyes(reader)) == ([1, 3, 5, 7, 9, 11, 13, 15][:count], REVOKED)


@pytest.mark.parametrize("covered", [True, False])
def test_one_that_comes_back_gets_what_was_before_it(scheduler: ManualScheduler, covered: bool) -> None:
    node = Node(scheduler, pace=Pace(catch_up_entries=2))
    node.publish(*[an_event()] * 5, revocation(), *[an_event()] * 3)
    reader = node.connect(cursor="e.0-0", credentials=ANA if covered else BO)
    scheduler.run_for(0.1)
    assert reader.numbers() == ([1, 2, 3, 4, 5] if covered else [1, 2, 3, 4, 5, 7, 8, 9])
    assert goodbyes(reader) == (REVOKED if covered else [])


@pytest.mark.parametrize("cursor", [None, "e.3-0", "e.2-0"])
def test_one_that_starts_at_it_or_behind_it_is_ended_at_once(
    scheduler: ManualScheduler, cursor: str | None
) -> None:
    node = Node(scheduler)
    node.publish(an_event(), revocation(), an_event())
    reader = node.connect(cursor=cursor, credentials=ANA)
    node.publish(an_event())
    assert (reader.numbers(), goodbyes(reader)) == ([], REVOKED)


def test_one_that_does_not_read_gets_what_was_before_it_when_it_reads_again(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler)
    ana = node.connect(credentials=ANA)
    ana.transport.clog()
    assert ana.subscriber.state is State.LAGGING
    node.publish(an_event(), an_event(), revocation(), an_event())
    scheduler.run_for(0.1)
    assert (ana.numbers(), goodbyes(ana)) == ([], [])
    ana.transport.start_reading()
    scheduler.run_for(0.1)
    assert (ana.numbers(), goodbyes(ana)) == ([1, 2], REVOKED)


def test_one_that_clogs_with_the_last_event_before_it_is_told_when_it_reads_again(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler)
    ana = node.connect(credentials=ANA)
    ana.transport.stop_reading()
    node.publish(an_event(), revocation(), an_event())
    scheduler.run_for(0.1)
    assert ana.subscriber.state is State.LAGGING
    ana.transport.start_reading()
    scheduler.run_for(0.1)
    assert (ana.numbers(), goodbyes(ana)) == ([1], REVOKED)


@pytest.mark.parametrize("hints", ["with", "only"])
def test_the_hints_of_what_was_before_it_come_before_the_bye(scheduler: ManualScheduler, hints: str) -> None:
    node = Node(scheduler)
    ana = node.connect(hints=hints, timing=HintTiming(500, 2000), credentials=ANA)
    node.publish(an_event("order:1"), an_event("order:2"), revocation(), an_event("order:3"))
    scheduler.run_for(5.0)
    told = [frame.data["entityId"] for frame in ana.frames("refresh")]
    assert told == ["1", "2"]
    assert [frame.event for frame in ana.frames()][-3:] == ["refresh", "refresh", "bye"]
    assert ana.numbers() == ([1, 2] if hints == "with" else [])


def test_a_gap_that_cant_be_filled_leads_behind_it_no_more_than_anything_else(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, max_events=600)
    ana = node.connect(credentials=ANA)
    ana.transport.clog()
    node.publish(revocation())
    for _ in range(1200):
        node.publish(an_event())
    scheduler.run_for(0.1)
    assert ana.subscriber.number < node.history.floor
    ana.transport.start_reading()
    scheduler.run_for(0.1)
    assert (ana.numbers(), ana.frames("reset"), goodbyes(ana)) == ([], [], REVOKED)


def test_a_flush_that_fails_takes_nobody_past_it(
    scheduler: ManualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(scheduler)
    ana, bo = node.connect(credentials=ANA), node.connect(credentials=BO)
    calls = []
    framed = Group.framed

    def framed_later(group: Group, payload: bytes) -> bytes:
        calls.append(payload)
        # The first is what Ana is given by herself.
        if len(calls) == 2:
            raise ValueError("not this time")
        return framed(group, payload)

    monkeypatch.setattr(Group, "framed", framed_later)
    node.publish(an_event(), revocation(), an_event())
    scheduler.run_for(0.1)
    assert node.hub.failures.counts == {"flush": 1}
    assert (ana.numbers(), goodbyes(ana)) == ([1], REVOKED)
    assert bo.numbers() == [1, 3]


async def test_a_long_poll_that_it_covers_wakes_and_others_sleep_on(scheduler: ManualScheduler) -> None:
    node = Node(scheduler)
    with (
        LongPoll(node.hub.groups, ORDERS, ANA) as hers,
        LongPoll(node.hub.groups, ORDERS, BO) as his,
        LongPoll(node.hub.groups, ORDERS) as nobodys,
    ):
        assert len(node.hub.groups.long_polls) == 2
        waits = [asyncio.create_task(one.wait(60)) for one in (hers, his, nobodys)]
        await let_others_run()
        node.publish(revocation())
        await until(waits[0].done, "the long poll never woke")
        assert [wait.done() for wait in waits] == [True, False, False]
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    assert not node.hub.groups.long_polls
