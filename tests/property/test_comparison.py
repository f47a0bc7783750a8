"""Whatever two answers hold, the events between them are those of exactly what changed."""

from typing import Any, Literal

import orjson
from hypothesis import given
from hypothesis import strategies as st

from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.comparison import same
from adapters.upstream.reading.items import Items
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


def without(item: Any, patterns: list[list[str]]) -> Any:
    """The item less what is at the patterns, by the plainest reading."""
    if isinstance(item, dict):
        named = {name: [one[1:] for one in patterns if one[0] in ("*", name)] for name in item}
        return {name: without(item[name], below) for name, below in named.items() if [] not in below}
    if isinstance(item, list):
        return ["a list", without({str(index): element for index, element in enumerate(item)}, patterns)]
    return item


def is_marked(item: dict[str, Any]) -> bool:
    return item.get("gone") not in (None, False, 0, "")


NAMES = st.sampled_from(["id", "note", "gone", "x"])
SMALL = st.recursive(
    st.sampled_from([None, True, False, 0, 1, "", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
KEYED = st.dictionaries(
    st.tuples(st.sampled_from(["a", "a:b", "%"]), st.sampled_from(["b", "", ":"])),
    st.dictionaries(NAMES, SMALL, max_size=3),
    max_size=5,
)
IGNORED = st.lists(
    st.lists(st.sampled_from(["id", "note", "x", "*", "0"]), min_size=1, max_size=3), max_size=2
)


@given(KEYED, KEYED, IGNORED, st.sampled_from(["list", "map"]))
def test_of_any_shape_what_is_told_is_what_a_plain_reading_tells(
    before: dict[tuple[str, str], Any],
    after: dict[tuple[str, str], Any],
    ignored: list[list[str]],
    shape: Literal["list", "map"],
) -> None:
    pointers = tuple("/" + "/".join(one) for one in ignored)
    # Of a rule the members that it adds would be in the way here.
    settings: dict[str, Any] = {"ignore": pointers, "deleted": "/gone", "changes": {}, "shape": shape}
    route = legacy_route(key=("one", "/more/other"), **settings)

    def parts(key: tuple[str, str]) -> str:
        return ":".join(part.replace("%", "%25").replace(":", "%3A") for part in key)

    def read(answer: dict[tuple[str, str], Any]) -> tuple[Items, dict[str, Any]]:
        if shape == "map":
            there = {parts(key): item for key, item in answer.items()}
            return extract(orjson.dumps({"docs": there}), route), there
        whole = {key: item | {"one": key[0], "more": {"other": key[1]}} for key, item in answer.items()}
        return extract(listed(*whole.values()), route), {parts(key): item for key, item in whole.items()}

    (old, was), (new, now) = read(before), read(after)
    was, now = ({key: one for key, one in all_.items() if not is_marked(one)} for all_ in (was, now))
    told = compare(old, new, route, NOW_MS).events

    assert {one.entity_id for one in told if one.action == "delete"} == was.keys() - now.keys()
    assert {one.entity_id for one in told if one.action == "insert"} == now.keys() - was.keys()
    assert {one.entity_id for one in told if one.action == "update"} == {
        key
        for key in was.keys() & now.keys()
        if not same(without(was[key], ignored), without(now[key], ignored))
    }
    assert len(told) == len({one.entity_id for one in told})


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
