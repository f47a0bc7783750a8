"""Which members a reader asks for, and the JSON that has those alone."""

import json

import pytest
from multidict import MultiDict

from gateway.core.errors import BadParameter
from gateway.core.event_fields import MemberTexts, parse_fields
from gateway.core.events import EVENT_MEMBERS, event_json
from tests.support.events import an_event

ALIASES = {"order": "orderID"}
EVENT = an_event(
    "order:1",
    data={"a": 1},
    previous={"a": 0},
    source="shop",
    actor={"app": "partner"},
    metadata={"m": 1},
)


def parsed(*values: str) -> frozenset[str] | None:
    return parse_fields(MultiDict([("fields", value) for value in values]), ALIASES)


def test_nobody_who_does_not_ask_gets_less() -> None:
    assert parsed() is None


@pytest.mark.parametrize("values", [("data,id",), ("id,data",), ("id", "data"), ("data,id,data", "id")])
def test_the_same_members_are_equal_however_they_are_asked_for(values: tuple[str, ...]) -> None:
    assert parsed(*values) == frozenset({"id", "data"})


def test_who_wants_the_same_shares_one_object_for_it() -> None:
    assert parsed("action,previous") is parsed("previous,action")


def test_every_member_that_an_event_can_have_can_be_asked_for() -> None:
    members = frozenset(json.loads(event_json(EVENT, "e.1-0", ALIASES)))
    assert parsed(",".join(members)) == members == {*EVENT_MEMBERS, "orderID"}


@pytest.mark.parametrize(
    "value",
    ["", ",", "data,", ",data", "data,,id", "Data", " data", "data id", '"data"', "data.n", "jobID", "*"],
)
def test_anything_else_is_refused_with_the_names_that_there_are(value: str) -> None:
    with pytest.raises(BadParameter) as refused:
        parsed("id", value)
    (error,) = refused.value.errors
    assert error["parameter"] == "fields"
    assert ", ".join((*EVENT_MEMBERS, "orderID")) in error["detail"]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"id"}, '{"id":"e.1-0"}'),
        ({"data"}, '{"data":{"a":1}}'),
        ({"metadata", "data", "id"}, '{"id":"e.1-0","data":{"a":1},"metadata":{"m":1}}'),
        ({"orderID", "action"}, '{"orderID":"1","action":"update"}'),
        (set(), "{}"),
    ],
)
def test_the_json_has_what_is_wanted_in_the_order_of_the_whole(wanted: set[str], text: str) -> None:
    assert MemberTexts(EVENT, ALIASES).json(b"e.1-0", frozenset(wanted)).decode() == text


def test_whoever_wants_all_gets_the_bytes_of_who_does_not_ask() -> None:
    everything = frozenset({*EVENT_MEMBERS, "orderID"})
    for leave in (False, True):
        whole = event_json(EVENT, "e.1-0", ALIASES, leave=leave)
        assert MemberTexts(EVENT, ALIASES, leave=leave).json(b"e.1-0", everything) == whole


def test_a_leave_has_no_state_whatever_is_wanted() -> None:
    texts = MemberTexts(EVENT, ALIASES, leave=True)
    assert texts.json(b"e.1-0", frozenset({"action", "data", "previous"})) == b'{"action":"leave"}'


def test_what_an_event_does_not_have_is_left_out_and_not_null() -> None:
    texts = MemberTexts(an_event(None), ALIASES)
    assert texts.json(b"e.1-0", frozenset({"entityId", "orderID", "data", "previous"})) == b"{}"
    assert texts.json(b"e.1-0", frozenset({"entityId", "action"})) == b'{"action":"signal"}'


def test_a_member_is_encoded_once_whatever_it_is_wanted_beside() -> None:
    data = {"a": 1}
    texts = MemberTexts(an_event(data=data), ALIASES)
    texts.json(b"e.1-0", frozenset({"data"}))
    # Nobody changes an event: here it tells whether it is looked at again.
    data["a"] = 2
    assert texts.json(b"e.1-0", frozenset({"id", "data"})) == b'{"id":"e.1-0","data":{"a":1}}'
