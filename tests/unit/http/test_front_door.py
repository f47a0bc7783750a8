"""gateway/http/front_door.py: whose turn it is, and who may wait; tests/integration has the rest."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from gateway.core.header_fields import HeadLimits
from gateway.http.door_connection import DoorConnection
from gateway.http.front_door import TURN_SECONDS, FrontDoor
from gateway.http.marks import Marks
from gateway.runtime.refusals import Refusals
from tests.support.clock import BusyClock, ManualClock
from tests.support.loop import in_time, let_others_run

NEVER_SECONDS = 3600.0


class Wire:
    """A transport of which is seen how it ends, and whether it is read."""

    def __init__(self) -> None:
        self.is_aborted = self.is_closed = False
        self.is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_aborted or self.is_closed


class Visitor:
    """A connection that something came on; answering it may fail."""

    def __init__(self, answered: list[Any], error: Exception | None = None) -> None:
        self.transport = Wire()
        self._answered = answered
        self._error = error

    def answer(self) -> None:
        self._answered.append(self)
        if self._error is not None:
            raise self._error


def make_door(clock: ManualClock, refusals: Refusals | None = None, **options: Any) -> FrontDoor:
    """A door that hands nothing over; nobody is looked for that has waited too long."""
    anything: Any = SimpleNamespace(now=clock.monotonic)
    parts = (anything, Marks(), refusals or Refusals(), anything, anything)
    door = FrontDoor(web.UrlDispatcher(), {}, *parts, HeadLimits(), **options)
    door.attend(lambda transport, data, has_ended: None, NEVER_SECONDS)
    return door


async def test_a_turn_ends_where_others_have_waited_long_enough() -> None:
    clock = BusyClock(TURN_SECONDS / 4)
    door = make_door(clock)
    answered: list[Any] = []
    began = clock.now
    for _ in range(40):
        door.arrived(Visitor(answered))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert 1 <= len(answered) <= 4
    assert clock.now - began < 3 * TURN_SECONDS
    await let_others_run(40)
    assert len(answered) == 40


async def test_each_turn_answers_one_though_the_time_is_up_at_once() -> None:
    door = make_door(BusyClock(10 * TURN_SECONDS))
    answered: list[Any] = []
    visitors = [Visitor(answered) for _ in range(5)]
    for visitor in visitors:
        door.arrived(visitor)  # type: ignore[arg-type]
    await in_time(lambda: len(answered) == 5, "all are answered")
    assert answered == visitors


async def test_one_that_fails_is_ended_and_the_others_are_answered() -> None:
    refusals, answered = Refusals(), []
    door = make_door(ManualClock(), refusals)
    visitors = [Visitor(answered), Visitor(answered, RuntimeError("a test")), Visitor(answered)]
    for visitor in visitors:
        door.arrived(visitor)  # type: ignore[arg-type]
    await let_others_run()
    assert answered == visitors
    assert [visitor.transport.is_aborted for visitor in visitors] == [False, True, False]
    assert refusals.counts["internal"] == 1
    door.arrived(visitors[0])  # type: ignore[arg-type]
    await let_others_run()
    assert len(answered) == 4


async def test_who_says_nothing_makes_room_for_those_who_come() -> None:
    door = make_door(ManualClock(), most_silent=3)
    wires = [Wire() for _ in range(10)]
    for wire in wires:
        # All of them in one turn: none hears of its end before the next one comes.
        DoorConnection(door).connection_made(wire)  # type: ignore[arg-type]
        assert len(door.silent) <= 3
    assert [wire.is_aborted for wire in wires] == [True] * 7 + [False] * 3
    door.close_idle()
    assert all(wire.is_closing() for wire in wires)


@pytest.mark.parametrize("said", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_who_has_said_something_is_not_ended_for_saying_nothing(said: bytes) -> None:
    door = make_door(ManualClock(), most_silent=1)
    wire = Wire()
    connection = DoorConnection(door)
    connection.connection_made(wire)  # type: ignore[arg-type]
    connection.data_received(said)
    DoorConnection(door).connection_made(Wire())  # type: ignore[arg-type]
    assert not wire.is_closing()


async def test_who_sends_on_before_its_turn_is_read_no_further_and_nothing_of_it_is_lost() -> None:
    door, handed_over = make_door(ManualClock()), []
    door.attend(lambda transport, data, has_ended: handed_over.append(data), NEVER_SECONDS)
    wire, connection = Wire(), DoorConnection(door)
    connection.connection_made(wire)  # type: ignore[arg-type]
    said = [b"GET / HTTP/1.1\r\nHost: a\r\n", b"x: " + 70_000 * b"y", b"\r\n\r\n"]
    connection.data_received(said[0])
    assert wire.is_read
    connection.data_received(said[1])
    assert not wire.is_read
    connection.data_received(said[2])
    await in_time(lambda: handed_over, "it has had its turn")
    assert handed_over == [b"".join(said)]
    assert wire.is_read
