"""loadtests/scenes.py, all_items.py, watched_gateway.py: what clients ask for, and what is refused."""

from itertools import islice
from pathlib import Path

import orjson
import pytest

from loadtests.all_items import Amounts, Follower
from loadtests.decoder import Frame
from loadtests.list_backend import an_order
from loadtests.measure import LossError
from loadtests.scenes import busting, parts
from loadtests.watched_gateway import Hold, longest

AMOUNTS = Amounts(items=2, size=200, streams=1, rounds=2)


def listed(*numbers: int) -> bytes:
    return orjson.dumps({"docs": [an_order(number, 3, 200) for number in numbers]})


def told(number: int, past: int) -> Frame:
    """The event of an order that changes after so many rounds."""
    before = an_order(number, 1, AMOUNTS.size) | {"round": past}
    event = {
        "eventType": "order_updated",
        "entityId": before["orderID"],
        "data": before | {"round": past + 1},
        "previous": before,
    }
    return Frame("order_updated", orjson.dumps(event).decode(), "", 0)


def test_an_order_is_about_as_large_as_was_asked() -> None:
    assert len(orjson.dumps(an_order(7, 1, 1000))) == 1000


def test_no_two_requests_against_caches_are_alike() -> None:
    assert len(set(islice(busting("/orders?status=s1"), 100))) == 100


def test_the_clients_of_the_last_query_alone_ask_against_caches() -> None:
    scene = parts(9, 3)

    asked = [next(scene.paths(client, "/orders")) for client in range(6)]

    assert ["&_=" in path for path in asked] == [False, False, True] * 2
    assert [path.partition("&")[0][-2:] for path in asked] == ["s0", "s1", "s2"] * 2


def test_a_query_is_answered_with_its_own_orders() -> None:
    parts(9, 3).refuse(4, listed(1, 4, 7))


@pytest.mark.parametrize("numbers", [(0, 3, 6), (1, 4), (1, 4, 7, 7), tuple(range(9))])
def test_another_answer_to_a_query_is_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(LossError):
        parts(9, 3).refuse(4, listed(*numbers))


def test_a_follower_takes_every_event_of_every_round_in_order() -> None:
    follower = Follower(AMOUNTS)

    for past in range(2):
        for number in range(2):
            follower.take(told(number, past))

    assert follower.heard == 4


@pytest.mark.parametrize("frame", [told(0, 0), told(1, 1)], ids=["again", "from later"])
def test_a_follower_refuses_another_event(frame: Frame) -> None:
    follower = Follower(AMOUNTS)
    follower.take(told(0, 0))

    with pytest.raises(LossError):
        follower.take(frame)


def test_the_longest_hold_is_of_the_time_that_is_asked_for(tmp_path: Path) -> None:
    holds = tmp_path / "holds"
    holds.write_text(
        "1000000000 9000000 9000000\n2000000000 4000000 1000000\n"
        "2500000000 3000000 2000000\n4000000000 9000000 9000000\n"
    )

    assert longest(holds, 1.5, 3.0) == Hold(4.0, 2.0)
    assert longest(holds, 5.0, 6.0) == Hold(0.0, 0.0)
