"""gateway/cli/tail.py without a network: what is shown, what is kept, and when it is over."""

import json
from typing import Any

import pytest

from gateway.cli.tail import FIRST_SILENCE_SECONDS, StreamTail, Wanted, event_line, hint_line
from gateway.core.backoff import Backoff
from gateway.core.eventstream import ServerSentEvent

EVENT = {
    "id": "e.1-0",
    "eventType": "stage_change",
    "entityType": "order",
    "entityId": "O-1",
    "action": "update",
    "data": {"orderStage": "paid"},
    "timestamp": "2026-11-20T10:30:00.123Z",
}


def follower(*, limit: int | None = None, as_json: bool = True, jitter: float = 0.0) -> StreamTail:
    wanted = Wanted("http://gateway.test", cursor="e.0-0", limit=limit, as_json=as_json)
    return StreamTail(wanted, Backoff(1.0, 30.0, draw=lambda low, high: jitter * high))


def sse(name: str, data: Any, cursor: str = "") -> ServerSentEvent:
    return ServerSentEvent(name, json.dumps(data), cursor)


def test_an_event_moves_the_cursor_and_is_printed_as_it_came(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    tail = follower()
    assert tail.take(ServerSentEvent("stage_change", '{"n":1.0,\n"s":"\\ud800é"}', "e.1-0")) is None
    assert tail.cursor == "e.1-0"
    assert capsysbinary.readouterr().out == '{"n":1.0, "s":"\\ud800é"}\n'.encode()


def test_an_event_without_an_id_leaves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    tail = follower()
    tail.take(sse("stage_change", EVENT))
    assert tail.cursor == "e.0-0"


def test_a_heartbeat_moves_the_cursor_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tail = follower()
    tail.take(sse("heartbeat", {"timestamp": "2026-11-20T10:30:00.123Z"}, "e.7-0"))
    assert tail.cursor == "e.7-0"
    assert capsys.readouterr() == ("", "")


def test_the_limit_counts_events_and_hints_only(capsys: pytest.CaptureFixture[str]) -> None:
    tail = follower(limit=2)
    assert tail.take(sse("connected", {})) is None
    assert tail.take(sse("stage_change", EVENT)) is None
    assert tail.take(sse("heartbeat", {})) is None
    assert tail.take(sse("refresh", {"entityType": "order"})) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_a_reset_is_told_and_the_stream_goes_on_from_its_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    tail = follower()
    assert tail.take(sse("reset", {"reason": "trimmed", "cursor": "e.9-0", "jitterMs": 0}, "e.9-0")) is None
    assert tail.cursor == "e.9-0"
    out, err = capsys.readouterr()
    assert out == ""
    assert "reset (trimmed)" in err


def test_a_bye_is_resumed_unless_it_is_for_good(capsys: pytest.CaptureFixture[str]) -> None:
    tail = follower()
    assert tail.take(sse("bye", {"reason": "drain", "reconnect": True, "retryMs": 5})) is None
    assert tail.take(sse("bye", {"reason": "disconnected", "reconnect": False})) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "(drain)" in err
    assert "for good (disconnected)" in err


@pytest.mark.parametrize("data", ["", "{", "[]", "1", "[" * 100_000])
def test_data_that_is_no_object_is_skipped_aloud(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    tail = follower()
    assert tail.take(ServerSentEvent("x\x1b", data, "e.1-0")) is None
    out, err = capsys.readouterr()
    assert out == ""
    assert r'skipped: the data of "x\x1b" is no JSON object' in err


def test_the_gateway_s_heartbeat_sets_how_long_it_may_be_silent() -> None:
    tail = follower()
    assert tail.silence_seconds == FIRST_SILENCE_SECONDS
    tail.take(sse("connected", {"heartbeatSeconds": 20}))
    assert tail.silence_seconds == 60.0


@pytest.mark.parametrize("seconds", [None, "15", 0, -1])
def test_a_heartbeat_that_is_no_time_is_not_believed(seconds: object) -> None:
    tail = follower()
    tail.take(sse("connected", {"heartbeatSeconds": seconds}))
    assert tail.silence_seconds == FIRST_SILENCE_SECONDS


def test_the_delay_is_what_the_gateway_asked_for_and_jitter_that_grows() -> None:
    tail = follower(jitter=1.0)
    tail.retry_ms = 1500
    assert [tail.delay_seconds() for _ in range(7)] == [2.5, 3.5, 5.5, 9.5, 17.5, 31.5, 31.5]
    tail.take(sse("connected", {}))
    assert tail.delay_seconds() == 2.5


def test_an_event_is_a_line_for_people() -> None:
    plain = event_line(EVENT)
    for word in ("2026-11-20T10:30:00.123Z", "stage_change", "order:O-1", "update", '{"orderStage":"paid"}'):
        assert word in plain


def test_a_line_for_people_holds_no_control_character_of_an_event() -> None:
    hostile = {"eventType": "\x1b]0;x\x07", "data": {"\x9b": "\x1b"}, "entityType": "\n", "entityId": 7}
    line = event_line(hostile)
    assert "\n" not in line
    assert "\x07" not in line
    assert "\x9b" not in line


def test_a_hint_is_a_line_for_people() -> None:
    hint = {"entityType": "order", "entityId": "O-1", "eventTypes": ["a", "b"], "count": 7}
    line = hint_line(hint)
    for word in ("refresh", "order:O-1", "7 events", "a, b"):
        assert word in line
    assert "order:" not in hint_line({"entityType": "order", "eventTypes": [], "count": 60})
