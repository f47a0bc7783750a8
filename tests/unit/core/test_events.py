"""Events at the border, and cursors."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest

from gateway.core.errors import BodyTooLarge, InvalidEvents
from gateway.core.events import (
    EVENT_MEMBERS,
    MAX_ERRORS,
    RESERVED_EVENT_TYPES,
    Cursor,
    Event,
    Position,
    escape_pointer,
    event_json,
    has_control_characters,
    json_rest,
    json_size,
    parsing_events,
)
from gateway.core.log_payload import from_payload, to_payload
from tests.support.events import a_record, an_event
from tests.support.steps import finish
from tests.support.vectors import TIMES_KEPT, TIMES_REFUSED

NOW_MS = 1_732_125_600_123
NOW = "2024-11-20T18:00:00.123Z"
U64 = 2**64 - 1


def parse(*raw: Any, batch: bool = True, max_event_bytes: int = 65_536) -> list[Event]:
    events: list[Event] = []
    finish(parsing_events(raw, events, now_ms=NOW_MS, max_event_bytes=max_event_bytes, batch=batch))
    return events


def parse_one(**members: Any) -> Event:
    (event,) = parse({"eventType": "x"} | members)
    return event


def refusal(*raw: Any, batch: bool = True) -> list[str]:
    """The pointers of the places that are refused."""
    with pytest.raises(InvalidEvents) as refused:
        parse(*raw, batch=batch)
    assert refused.value.status == 422
    assert all(error["detail"] for error in refused.value.errors)
    return [error["pointer"] for error in refused.value.errors]


def test_an_event_needs_only_a_type() -> None:
    event = parse_one()
    assert event == Event("x", None, None, "signal", NOW)


def test_an_event_of_an_entity_is_an_update_unless_it_says_otherwise() -> None:
    assert parse_one(entityType="order", entityId="1").action == "update"
    assert parse_one(entityType="order", entityId="1", action="delete").action == "delete"


def test_every_member_is_kept() -> None:
    given = {
        "eventType": "stage_change",
        "entityType": "order",
        "entityId": "ORDER-001",
        "action": "insert",
        "data": {"a": [1, None, {"b": "c"}]},
        "previous": {},
        "timestamp": "2026-11-20T10:30:00.123Z",
        "source": "poll:orders",
        "actor": {"app": "partner"},
        "metadata": {"k": 1.5},
    }
    (event,) = parse(given)
    written = json.loads(event_json(event, "e.1-0", {"order": "orderID"}))
    assert written == given | {"id": "e.1-0", "orderID": "ORDER-001"}
    assert given.keys() | {"id"} == set(EVENT_MEMBERS), "a new one has to be written, and kept, as these are"
    assert json.loads(to_payload(event)) == given
    assert from_payload(to_payload(event)) == event


ALL = {
    "data": {"a": [1, None, {"b": "c"}]},
    "previous": {"a": []},
    "source": "poll:orders",
    "actor": {"app": "partner"},
    "metadata": {"k": 1.5},
}


@pytest.mark.parametrize("members", [{}, ALL, *({name: value} for name, value in ALL.items())])
@pytest.mark.parametrize("entity", [None, "order:1", 'order:",\\"é\u2028}', "job:1"])
@pytest.mark.parametrize("leave", [False, True])
def test_the_json_has_its_members_in_one_order(
    entity: str | None, members: dict[str, Any], leave: bool
) -> None:
    name = '","entityId":"'
    event = an_event(entity, name, **members)
    expected: dict[str, Any] = {"id": "e.1-0", "eventType": name}
    if entity is not None:
        expected |= {"entityType": event.entity_type, "entityId": event.entity_id}
    if event.entity_type == "order":
        expected["orderID"] = event.entity_id
    expected["action"] = "leave" if leave else event.action
    expected |= {} if leave else {name: members[name] for name in ("data", "previous") if name in members}
    expected["timestamp"] = event.timestamp
    expected |= {name: members[name] for name in ("source", "actor", "metadata") if name in members}
    for _ in range(2):
        assert event_json(event, "e.1-0", {"order": "orderID"}, leave=leave) == orjson.dumps(expected)


def test_the_size_is_that_of_the_json_with_an_empty_id() -> None:
    event = an_event(**ALL)
    assert json_size(event) == len(event_json(event, "", {}))


def test_an_event_s_json_is_made_once_and_no_part_of_it() -> None:
    event = an_event("order:1", data={"a": 1})
    made = json_rest(event)
    assert json_rest(event) is made
    assert event == an_event("order:1", data={"a": 1})
    assert "rest" not in repr(event)

    other = replace(event, data={"a": 2})
    assert event_json(other, "e.1-0", {}) == event_json(an_event("order:1", data={"a": 2}), "e.1-0", {})


def test_an_event_that_was_taken_brings_its_json_along() -> None:
    event = parse_one(data={"a": 1})
    assert event.rest is not None
    assert b"{" + event.rest == orjson.dumps(
        {"eventType": "x", "action": "signal", "data": {"a": 1}, "timestamp": NOW}
    )


def test_an_id_alias_is_for_its_own_entity_type_only() -> None:
    written = json.loads(event_json(an_event("job:1"), "e.1-0", {"order": "orderID"}))
    assert "orderID" not in written


def test_what_is_absent_stays_absent() -> None:
    written = json.loads(event_json(an_event(None), "e.1-0", {"order": "orderID"}))
    assert set(written) == {"id", "eventType", "action", "timestamp"}


def test_a_leave_carries_neither_state() -> None:
    event = an_event(data={"a": 1}, previous={"a": 2}, source="s", metadata={"m": 1})
    written = json.loads(event_json(event, "e.1-0", {}, leave=True))
    assert written["action"] == "leave"
    assert set(written) == {
        *("id", "eventType", "entityType", "entityId", "action", "timestamp", "source", "metadata")
    }


@pytest.mark.parametrize("event_type", ["a", "A-Z_0.9", "x" * 64, "..", "-"])
def test_an_event_type_of_the_alphabet_is_taken(event_type: str) -> None:
    assert parse_one(eventType=event_type).event_type == event_type


@pytest.mark.parametrize("event_type", ["", "x" * 65, "a b", "a\n", "é", "a/b", "a:b", 7, True, ["a"], {}])
def test_any_other_event_type_is_refused(event_type: Any) -> None:
    assert refusal({"eventType": event_type}) == ["/0/eventType"]


@pytest.mark.parametrize("event_type", sorted(RESERVED_EVENT_TYPES))
def test_the_name_of_a_control_event_is_refused(event_type: str) -> None:
    assert refusal({"eventType": event_type}) == ["/0/eventType"]


def test_the_reserved_names_are_those_of_the_protocol() -> None:
    assert {
        *("connected", "reset", "state", "heartbeat", "refresh", "fetch-mode", "token-expiring"),
        *("presence", "broadcast", "bye", "error", "open", "tidegate.revocation"),
    } == RESERVED_EVENT_TYPES


@pytest.mark.parametrize("missing", ["entityType", "entityId"])
def test_entity_type_and_id_come_together(missing: str) -> None:
    given = {"eventType": "x", "entityType": "order", "entityId": "1"}
    del given[missing]
    assert refusal(given) == ["/0"]


@pytest.mark.parametrize("entity_id", ["a", "x" * 256, "ORDER/1:2, (3)", "\u2028", "\U0001f600", " "])
def test_an_entity_id_is_any_printable_text(entity_id: str) -> None:
    assert parse_one(entityType="order", entityId=entity_id).entity_id == entity_id


@pytest.mark.parametrize("entity_id", ["", "x" * 257, "a\nb", "\0", "\x7f", "\x85", "\ud800", 7, None])
def test_any_other_entity_id_is_refused(entity_id: Any) -> None:
    places = refusal({"eventType": "x", "entityType": "order", "entityId": entity_id})
    assert places == (["/0"] if entity_id is None else ["/0/entityId"])


@pytest.mark.parametrize("action", ["leave", "Update", "", 1])
def test_an_action_that_is_not_the_publishers_is_refused(action: Any) -> None:
    assert refusal({"eventType": "x", "action": action}) == ["/0/action"]


@pytest.mark.parametrize("name", ["data", "previous", "actor", "metadata"])
@pytest.mark.parametrize("value", [[], "{}", 1, True])
def test_states_are_objects(name: str, value: Any) -> None:
    assert refusal({"eventType": "x", name: value}) == [f"/0/{name}"]


@pytest.mark.parametrize("name", ["data", "entityId", "timestamp", "source", "unheard"])
def test_null_is_not_the_same_as_absent(name: str) -> None:
    assert refusal({"eventType": "x", name: None}) == ["/0"]


@pytest.mark.parametrize("name", ["id", "sequence", "a/b~c"])
def test_a_member_that_no_event_has_is_refused(name: str) -> None:
    assert refusal({"eventType": "x", name: 1}) == ["/0/" + name.replace("~", "~0").replace("/", "~1")]


@pytest.mark.parametrize("raw", [5, "x", None, [], True])
def test_what_is_not_an_object_is_refused(raw: Any) -> None:
    assert refusal(raw) == ["/0"]


def test_one_bad_event_refuses_the_whole_batch_and_is_pointed_at() -> None:
    assert refusal({"eventType": "x"}, {"eventType": ""}, {"eventType": "y", "data": 1}) == [
        "/1/eventType",
        "/2/data",
    ]


def test_a_single_event_is_pointed_into_directly() -> None:
    assert refusal({"eventType": ""}, batch=False) == ["/eventType"]


def test_a_batch_of_broken_events_names_only_the_first() -> None:
    assert len(refusal(*[{}] * 1000)) == MAX_ERRORS


@pytest.mark.parametrize(("given", "kept"), TIMES_KEPT)
def test_a_timestamp_is_kept_in_utc_with_milliseconds(given: str, kept: str) -> None:
    assert parse_one(timestamp=given).timestamp == kept


@pytest.mark.parametrize("timestamp", [*TIMES_REFUSED, 1_732_125_600])
def test_a_timestamp_that_is_not_rfc_3339_is_refused(timestamp: Any) -> None:
    assert refusal({"eventType": "x", "timestamp": timestamp}) == ["/0/timestamp"]


@pytest.mark.parametrize("where", ["data", "previous", "actor", "metadata"])
@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_is_refused_wherever_it_is(where: str, bad: str) -> None:
    assert refusal({"eventType": "x", where: {"a": [bad]}}) == ["/0"]
    assert refusal({"eventType": "x", where: {bad: 1}}) in (["/0"], [f"/0/{where}"])


def test_data_nested_too_deep_to_be_written_is_refused() -> None:
    nested: dict[str, Any] = {}
    for _ in range(300):
        nested = {"a": nested}
    assert refusal({"eventType": "x", "data": nested}, batch=False) == [""]


def test_an_event_of_just_the_size_is_taken_and_one_byte_more_is_not() -> None:
    size = len(event_json(parse_one(data={"a": ""}), "", {}))
    raw = {"eventType": "x", "data": {"a": "é" * 50}}
    assert parse(raw, max_event_bytes=size + 100)
    with pytest.raises(BodyTooLarge) as refused:
        parse({"eventType": "x"}, raw, max_event_bytes=size + 99)
    assert refused.value.status == 413
    assert refused.value.errors[0]["pointer"] == "/1"


@pytest.mark.parametrize("text", ["\0", "a\tb", "\r", "\n", "\x1f", "\x7f", "\x80", "\x85", "\x9f"])
def test_control_characters_are_those_of_category_cc(text: str) -> None:
    assert has_control_characters(text)


@pytest.mark.parametrize("text", ["", " ", "\xa0", "\u2028", "\ufeff", "\U0001f600", "é"])
def test_other_characters_are_not_control_characters(text: str) -> None:
    assert not has_control_characters(text)


@pytest.mark.parametrize(("step", "escaped"), [("a", "a"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01")])
def test_a_pointers_step_is_escaped(step: str, escaped: str) -> None:
    assert escape_pointer(step) == escaped


@pytest.mark.parametrize("text", ["k3f9x2.1732125600123-0", "a.0-0", f"{'z' * 64}.{U64}-{U64}"])
def test_a_cursor_is_read_back_as_it_was_written(text: str) -> None:
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "a",
            "a.",
            "a.1",
            "a.1-",
            "a.-1",
            "a.1-0-0",
            ".1-0",
            "a.b-c",
            "a.+1-0",
            "a.1--1",
            "a.1_0-0",
        ),
        *(
            "a.01-0",
            "a.1-00",
            " a.1-0",
            "a.1-0 ",
            "a.1-0\n",
            "A.1-0",
            "a:1-0",
            "a.1-0.c2NvcGU",
            "é.1-0",
            "a.\uff11-0",
            "a.1-0\0",
        ),
        *(f"a.{U64 + 1}-0", f"a.0-{U64 + 1}", "a." + "9" * 5000 + "-0", "z" * 65 + ".1-0", "a.0x1-0"),
    ],
)
def test_what_is_not_a_cursor_is_none(text: str) -> None:
    assert Cursor.parse(text) is None


def test_cursors_order_as_integers_and_not_as_text() -> None:
    texts = ["e.9-0", "e.10-0", "e.10-9", "e.10-10", "e.100-2", f"e.{U64}-0"]
    cursors = [cursor for text in texts if (cursor := Cursor.parse(text)) is not None]
    assert len(cursors) == len(texts)
    assert all(earlier < later for earlier, later in pairwise(cursors))
    assert texts != sorted(texts)


def test_records_are_equal_whenever_their_logs_got_them() -> None:
    assert a_record(7, recorded_ms=1.0) == a_record(7, recorded_ms=2.0)
    assert a_record(7) != a_record(8)
    assert a_record(7) != a_record(7, an_event("order:2"))


def test_a_position_is_written_as_its_two_numbers() -> None:
    assert str(Position(10, 9)) == "10-9"
