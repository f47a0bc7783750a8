"""gateway/migration/shared_reports.py: reports that reached another node than their stream."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.decide.modes import Mode
from flags.guard.reporters import Reporters
from flags.guard.telemetry import ClientReport, Fallback
from flags.guard.who import Who
from gateway.migration.shared_reports import (
    MAX_BYTES,
    MOST_NAMES,
    NAMES_EVERY_SECONDS,
    NAMES_KEPT,
    NAMES_RATE,
    ReportsIn,
    ReportsOut,
    tell_of,
)
from tests.support.clock import ManualClock


class Wire:
    """A topic whose messages are heard at once by one node."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sent: list[bytes] = []
        self.told_of: list[tuple[ClientReport, float]] = []
        self.reporters = Reporters()
        self.reports_in = ReportsIn(self, self.reporters, self.clock)
        self.out = ReportsOut(self, self.clock)

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.reports_in.heard(message)

    def told(self, report: ClientReport, now: float) -> None:
        self.told_of.append((report, now))


def a_report(**members: Any) -> ClientReport:
    given: dict[str, Any] = {"client": "192.0.2.1", "client_id": "s1", "component": "orders"}
    given |= {"mode": Mode.STREAMING, "client_version": "2.1.0", "who": Who("a:192.0.2.1", "192.0.2.1")}
    return ClientReport(**(given | members))


@pytest.mark.parametrize(
    "members",
    [
        {"first_event_ms": 80.5},
        {"fallback": Fallback.MUTE, "mode": Mode.POLLING},
        {"client_id": None, "attempt": "a_1", "fallback": Fallback.SHORT, "first_event_ms": 1.0},
        {"fallback": Fallback.ERROR, "proven": Who("s:ana").proven},
        {"client_id": "ж" * 256, "client_version": "ж" * 256, "attempt": "a" * 64, "first_event_ms": 1.0},
    ],
)
def test_a_report_is_told_as_it_came_but_for_who_sent_it(members: dict[str, Any]) -> None:
    wire = Wire()
    report = a_report(**members)

    wire.out.forward(report)

    assert wire.told_of == [
        (a_report(**members, client=None, who=Who("")), wire.clock.monotonic()),
    ]
    assert b"192.0.2.1" not in wire.sent[0]


def test_software_that_reports_is_told_of_every_ten_seconds_at_most() -> None:
    wire = Wire()
    own = Reporters()
    reported = tell_of(own, wire.out)

    for _ in range(10):
        reported(("2.1.0", "shop/2.1.0"), "here")
    wire.clock.advance(NAMES_EVERY_SECONDS)
    reported(("2.1.0",), "here")

    assert len(wire.sent) == 2
    assert own.knows(["shop/2.1.0"], "here")
    assert wire.reporters.knows(["shop/2.1.0"], "here")
    assert not wire.reporters.knows(["other"], "here")


def test_without_other_nodes_software_that_reports_is_known_all_the_same() -> None:
    own = Reporters()
    tell_of(own, None)(("2.1.0",), "here")
    assert own.knows(["2.1.0"], "here")


def test_names_that_are_made_up_make_few_messages_and_one_that_was_left_out_comes_later() -> None:
    wire = Wire()
    for number in range(5 * NAMES_KEPT):
        wire.out.reported([f"made-up {number}"], "here")
    assert len(wire.sent) == NAMES_RATE.burst

    wire.out.reported(["real"], "here")
    wire.clock.advance(1)
    wire.out.reported(["real"], "here")
    assert wire.reporters.knows(["real"], "here")


def good(**members: Any) -> dict[str, Any]:
    report = {"clientId": "s1", "component": "orders", "mode": "streaming", "clientVersion": "2.1.0"}
    return {"v": 1, "report": report | members}


GARBAGE = [
    b"",
    b"\xff",
    b"[]",
    b"{}",
    b"null",
    b'{"v":1}',
    b"[" * 5000,
    b'{"v":2,"names":["a"]}',
    b'{"v":1,"names":"a"}',
    b'{"v":1,"names":[1]}',
    b'{"v":1,"names":["a\\u0000"]}',
    orjson.dumps({"v": 1, "names": ["a"] * (MOST_NAMES + 1)}),
    orjson.dumps({"v": 1, "names": ["a" * 257]}),
    orjson.dumps(good(colour="green")),
    orjson.dumps(good(mode="pigeon")),
    orjson.dumps(good(firstEventMs=-1)),
    orjson.dumps(good(firstEventMs="1")),
    orjson.dumps(good(component="or ders")),
    orjson.dumps(good() | {"names": ["a"]}),
    orjson.dumps(good(clientVersion="a")).replace(b'"a"', b'"' + b"a" * MAX_BYTES + b'"'),
]


@pytest.mark.parametrize("raw", GARBAGE)
def test_what_is_no_message_of_this_version_is_counted_and_ignored(raw: bytes) -> None:
    wire = Wire()

    wire.reports_in.heard(raw)

    assert (wire.reports_in.ignored, wire.told_of) == (1, [])
    assert not wire.reporters.knows(["a"], "here")


@given(st.binary(max_size=300))
def test_no_bytes_do_any_harm(raw: bytes) -> None:
    wire = Wire()
    wire.reports_in.heard(raw)
    assert wire.told_of == []
