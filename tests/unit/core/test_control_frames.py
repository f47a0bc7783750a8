"""The frames of control events, as PROTOCOL's table of section 4 has them."""

import orjson
import pytest

from gateway.core import control_frames
from tests.support.streams import Frame, frames_of

CURSOR = "k3f9x2.1732125600123-0"


def only_frame(raw: bytes) -> Frame:
    (frame,) = frames_of(raw)
    return frame


def connected(**changed: object) -> bytes:
    given: dict[str, object] = {
        "client_id": "c1",
        "timestamp": "2026-11-20T10:30:00.123Z",
        "cursor": CURSOR,
        "recovered": True,
        "heartbeat_seconds": 15.0,
        "modes": orjson.dumps({"orders": "streaming"}).decode(),
        "retry_ms": 2000,
    }
    return control_frames.connected(**(given | changed))  # type: ignore[arg-type]


def test_connected_holds_the_reconnection_time_as_the_protocol_writes_it() -> None:
    assert connected() == (
        b"retry: 2000\n"
        b"event: connected\n"
        b"id: k3f9x2.1732125600123-0\n"
        b'data: {"clientId":"c1","timestamp":"2026-11-20T10:30:00.123Z","cursor":"k3f9x2.1732125600123-0",'
        b'"recovered":true,"heartbeatSeconds":15,"modes":{"orders":"streaming"}}\n\n'
    )


def test_recovered_is_absent_where_no_cursor_was_given() -> None:
    assert "recovered" not in only_frame(connected(recovered=None)).data


@pytest.mark.parametrize("recovered", [True, False])
def test_recovered_says_whether_the_stream_continues(recovered: bool) -> None:
    assert only_frame(connected(recovered=recovered)).data["recovered"] is recovered


def test_a_fraction_of_a_second_between_heartbeats_stays_one() -> None:
    assert only_frame(connected(heartbeat_seconds=0.5)).data["heartbeatSeconds"] == 0.5


@pytest.mark.parametrize("reason", ["trimmed", "epoch", "unknown"])
def test_a_reset_carries_its_cursor_as_id_and_as_data(reason: control_frames.ResetReason) -> None:
    frame = only_frame(control_frames.reset(reason, CURSOR, 120))
    assert (frame.event, frame.id) == ("reset", CURSOR)
    assert frame.data == {"reason": reason, "cursor": CURSOR, "jitterMs": 120}


def test_a_heartbeat_moves_the_cursor() -> None:
    frame = only_frame(control_frames.heartbeat("2026-11-20T10:30:00.123Z", CURSOR))
    assert (frame.event, frame.id) == ("heartbeat", CURSOR)
    assert frame.data == {"timestamp": "2026-11-20T10:30:00.123Z"}


def refresh(entity_id: str | None) -> Frame:
    return only_frame(
        control_frames.refresh(
            entity_type="order",
            entity_id=entity_id,
            event_types=("a", "b"),
            count=7,
            cursor=CURSOR,
            jitter_ms=120,
        )
    )


def test_a_refresh_names_its_entity() -> None:
    frame = refresh("ORDER-001")
    assert (frame.event, frame.id) == ("refresh", CURSOR)
    assert frame.data == {
        "entityType": "order",
        "entityId": "ORDER-001",
        "eventTypes": ["a", "b"],
        "count": 7,
        "cursor": CURSOR,
        "jitterMs": 120,
    }


def test_a_refresh_for_a_whole_type_has_no_entity_id() -> None:
    assert "entityId" not in refresh(None).data


@pytest.mark.parametrize("entity_id", ["a\u2028b", "\U0001f600", 'a"b\\c', "é"])
def test_a_refresh_carries_any_entity_id(entity_id: str) -> None:
    assert refresh(entity_id).data["entityId"] == entity_id


def test_bye_repeats_its_delay_as_reconnection_time_and_has_no_id() -> None:
    raw = control_frames.bye("drain", 1500)
    assert raw.startswith(b"retry: 1500\nevent: bye\n")
    frame = only_frame(raw)
    assert frame.id is None
    assert frame.data == {"reason": "drain", "reconnect": True, "retryMs": 1500}


def test_a_bye_for_good_says_so() -> None:
    assert only_frame(control_frames.bye("disconnected", 0, reconnect=False)).data["reconnect"] is False


def test_who_is_sent_off_for_good_and_comes_back_all_the_same_waits_half_a_minute_at_least() -> None:
    raw = control_frames.bye("disconnected", 1500, reconnect=False)
    assert raw.startswith(b"retry: 31500\nevent: bye\n")
    assert only_frame(raw).data == {"reason": "disconnected", "reconnect": False, "retryMs": 31500}


@pytest.mark.parametrize(
    ("readers", "spread"), [(0, 0), (1, 1), (30_000, 30_000), (10**6, control_frames.MAX_SPREAD_MS)]
)
def test_clients_spread_over_a_millisecond_each_within_reason(readers: int, spread: int) -> None:
    assert control_frames.spread_ms(readers) == spread


def test_presence_has_no_id_and_of_each_user_its_meta() -> None:
    users = [control_frames.present("ana", b'{"n":1}'), control_frames.present('b"\n', b"{}")]
    assert control_frames.presence("portal", "join", users) == (
        b"event: presence\n"
        b'data: {"channel":"portal","type":"join","users":{"ana":{"meta":{"n":1}},"b\\"\\n":{"meta":{}}}}\n\n'
    )
    assert only_frame(control_frames.presence("portal", "sync", [])).data["users"] == {}


def test_a_broadcast_has_no_id_and_says_who_says_it() -> None:
    assert control_frames.broadcast("chat", "typing", {"on": True}, "ana") == (
        b'event: broadcast\ndata: {"channel":"chat","event":"typing","payload":{"on":true},"from":"ana"}\n\n'
    )
