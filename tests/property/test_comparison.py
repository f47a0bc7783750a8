"""Whatever two answers hold, the events between them are those of exactly what changed."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from adapters.upstream.comparison import same
from adapters.upstream.failures import BadAnswer
from adapters.upstream.items import Items
from tests.support.comparing import compare, extract
from tests.support.legacy import legacy_route, listed, order

NOW_MS = 1_732_098_600_123

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["orderStage", "paymentStatus", "note", "total", "previousStage"]), VALUES, max_size=4
)
ANSWERS = st.dictionaries(st.sampled_from("ABCDEFGH"), MEMBERS, max_size=8)


def items(answer: dict[str, Any]) -> Items:
    return extract(listed(*(order(key, **members) for key, members in answer.items())), legacy_route())


@given(ANSWERS, ANSWERS)
def test_folding_the_events_over_the_old_answer_gives_the_new_one(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = items(before), items(after)
    state = {key: orjson.loads(item) for key, item in old.items()}

    for event in compare(old, new, legacy_route(), NOW_MS).events:
        assert event.entity_id is not None
        if event.action == "delete":
            assert same(state.pop(event.entity_id), event.previous)
        elif event.action == "insert":
            assert event.entity_id not in state
            state[event.entity_id] = event.data
        else:
            assert same(event.previous, orjson.loads(old[event.entity_id]))
            state[event.entity_id] = orjson.loads(new[event.entity_id])

    assert same(state, {key: orjson.loads(item) for key, item in new.items()})


@given(ANSWERS, ANSWERS)
def test_only_what_changed_is_told_and_once_for_each_rule(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = items(before), items(after)

    told = [(event.event_type, event.entity_id) for event in compare(old, new, legacy_route(), NOW_MS).events]

    assert len(told) == len(set(told))
    for kind, key in told:
        assert key is not None
        if kind == "stage_change":
            one, other = before[key], after[key]
            absent = object()
            assert not same(one.get("orderStage", absent), other.get("orderStage", absent))
    changed = {
        key
        for key in old.keys() | new.keys()
        if key not in old or key not in new or not same(orjson.loads(old[key]), orjson.loads(new[key]))
    }
    assert {key for _, key in told} == changed


@given(ANSWERS)
def test_an_answer_beside_itself_gives_nothing(answer: dict[str, Any]) -> None:
    assert compare(items(answer), items(answer), legacy_route(), NOW_MS).events == ()


@given(VALUES, VALUES)
def test_values_that_are_the_same_are_the_same_either_way_round(one: Any, other: Any) -> None:
    assert same(one, other) == same(other, one)
    assert same(one, one)


@given(st.binary(max_size=64) | VALUES.map(orjson.dumps))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for pointer in ("", "/docs"):
        try:
            found = extract(raw, legacy_route(items=pointer))
        except BadAnswer:
            continue
        assert all(orjson.loads(item)["orderID"] is not None for item in found.values())
