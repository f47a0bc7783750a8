"""Selections: one meaning however they are written, and an index that never overlooks a group."""

import random
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from gateway.core.errors import BadParameter
from gateway.core.events import Event
from gateway.core.filters import Filter
from gateway.core.index import SelectorIndex
from gateway.core.selectors import Match, Selector, event_keys, parse_selector
from gateway.migration.links import stream_url
from tests.support.events import an_event

ALIASES = {"order": "orderID"}
PATHS = ("n", "m", "a", "a.b")
SCALARS = (
    "0",
    "1",
    "1.0",
    "10e-1",
    "7",
    "-0",
    "true",
    "false",
    "null",
    "x",
    "",
    "01",
    "é",
    "9007199254740993",
)
OPERANDS = (*SCALARS, "18446744073709551617", '"7"', '"x"', '"a,b"', r'"\"\\"')

_entities = st.sampled_from(("order", "order:1", 'order:"1"', 'order:"a,b"', "order:2", "job", "job:1"))
_types = st.sampled_from(("a", "b", "c"))
_lists = st.lists(st.sampled_from([operand for operand in OPERANDS if operand]), min_size=1, max_size=3)
_comparisons = st.one_of(
    st.builds("{}.{}".format, st.sampled_from(("eq", "neq")), st.sampled_from(OPERANDS)),
    st.builds(
        "{}.{}".format, st.sampled_from(("gt", "gte", "lt", "lte")), st.sampled_from(("0", "1.0", "7", "x"))
    ),
    st.builds(lambda values: f"in.({','.join(values)})", _lists),
    st.sampled_from(("is.null", "is.true", "is.false")),
)
_filters = st.builds("{}={}".format, st.sampled_from(PATHS), _comparisons)
_queries = st.lists(
    st.one_of(
        st.tuples(st.just("entity"), _entities),
        st.tuples(st.just("orderID"), st.sampled_from(("1", "2"))),
        st.tuples(st.sampled_from(("eventTypes", "event_type", "types")), _types),
        st.tuples(st.just("filter"), _filters),
    ),
    max_size=6,
)

_values = st.sampled_from(
    (
        *(None, True, False, 0, 1, 1.0, 7, -0.0, 2**53 + 1, float(2**64)),
        *("1", "7", "x", "", "true", "é", "a,b", '"\\', [1], {"b": 1}, {"b": True}),
    )
)
_states = st.none() | st.dictionaries(st.sampled_from(("n", "m", "a")), _values, max_size=3)
_events = st.builds(
    an_event,
    st.sampled_from((None, "order:1", "order:2", "job:1")),
    _types,
    action=st.sampled_from(("insert", "update", "update", "delete", "signal")),
    data=_states,
    previous=_states,
)

Query = list[tuple[str, str]]


def parse(query: Query) -> Selector:
    return parse_selector(MultiDict(query), ALIASES)


def written_otherwise(query: Query, chance: random.Random) -> Query:
    """The same selection: in another order, joined, repeated, through aliases."""
    aliases = ("types", "eventTypes", "event_type")
    pairs = [(chance.choice(aliases) if name in aliases else name, value) for name, value in query]
    pairs = [
        ("orderID", value.removeprefix("order:"))
        if name == "entity" and value.startswith("order:") and chance.random() < 0.5
        else (name, value)
        for name, value in pairs
    ]
    pairs += chance.sample(pairs, chance.randint(0, len(pairs)))
    chance.shuffle(pairs)
    joined: Query = []
    for name, value in pairs:
        if joined and joined[-1][0] == name and chance.random() < 0.7:
            joined[-1] = (name, f"{joined[-1][1]},{value}")
        else:
            joined.append((name, value))
    return joined


@given(_queries, st.randoms(use_true_random=False))
def test_a_selection_is_the_same_however_it_is_written(query: Query, chance: random.Random) -> None:
    selector = parse(query)
    again = parse(written_otherwise(query, chance))
    assert again == selector
    assert hash(again) == hash(selector)
    assert parse(selector.query()) == selector


@given(_queries, _events)
def test_an_event_that_a_selector_matches_has_one_of_its_keys(query: Query, event: Event) -> None:
    selector = parse(query)
    paths = {key[1] for key in selector.index_keys() if key[0] == "member"}
    if selector.match(event) is not Match.SKIP:
        assert set(event_keys(event, paths)) & set(selector.index_keys())


class Filed:
    """What an index holds."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector


@given(st.lists(_queries, max_size=6), st.lists(_events, min_size=1, max_size=3), st.data())
def test_the_index_finds_every_group_that_an_event_concerns_also_after_others_went(
    queries: list[Query], events: list[Event], data: st.DataObject
) -> None:
    index: SelectorIndex[Filed] = SelectorIndex()
    groups = [Filed(parse(query)) for query in queries]
    for group in groups:
        index.add(group)
    for gone in data.draw(st.lists(st.sampled_from(groups), unique=True)) if groups else []:
        index.remove(gone)
        groups.remove(gone)
    for event in events:
        concerned = {group for group in groups if group.selector.match(event) is not Match.SKIP}
        assert concerned <= set(index.candidates(event)) <= set(groups)
        if event.entity_type is not None and concerned:
            assert index.wants(event.entity_type)


@given(_queries, _events)
def test_what_a_selector_matches_is_of_a_type_that_it_may_receive(query: Query, event: Event) -> None:
    selector = parse(query)
    if event.entity_type is not None and selector.match(event) is not Match.SKIP:
        assert selector.may_receive(event.entity_type)


_texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20) | st.text(
    ',"\\\\()=.:17', max_size=8
)


@given(st.lists(_texts.filter(bool), min_size=1, max_size=3), st.sampled_from(("eq", "in")), st.booleans())
def test_any_text_can_be_said_and_the_addresses_that_are_built_of_it_select_the_same(
    texts: list[str], operator: str, by_alias: bool
) -> None:
    said = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
    entities = ",".join(said) if by_alias else ",".join(f"order:{text}" for text in said)
    comparison = f"({','.join(said)})" if operator == "in" else said[0]
    query = [("orderID" if by_alias else "entity", entities), ("filter", f"n={operator}.{comparison},m=eq.1")]
    selector = parse(query)

    assert selector.entities == {("order", text) for text in texts}
    for text in texts if operator == "in" else texts[:1]:
        event = replace(an_event("order:1", data={"n": text, "m": 1}), entity_id=texts[0])
        assert selector.match(event) is Match.DELIVER
    link = urlsplit(stream_url(selector, ()))
    assert parse(parse_qsl(link.query, keep_blank_values=True)) == selector


def only_filter(text: str) -> Filter:
    (given_filter,) = parse([("filter", text)]).filters
    return given_filter


@given(st.sampled_from(PATHS), _lists, _states.filter(lambda state: state is not None))
def test_the_operators_agree_with_one_another(path: str, operands: list[str], state: dict[str, Any]) -> None:
    def holds(comparison: str) -> bool:
        return only_filter(f"{path}={comparison}").matches(state)

    is_there = holds("neq.no such value") or holds("eq.no such value")
    equals = [holds(f"eq.{operand}") for operand in operands]
    assert holds(f"in.({','.join(operands)})") is any(equals)
    assert holds(f"neq.{operands[0]}") is (is_there and not equals[0])
    assert holds("is.null") is (holds("eq.null") or not is_there)
    assert holds("is.true") is holds("eq.true")
    for operand in ("0", "1.0", "x"):
        above, below, equal = (holds(f"{name}.{operand}") for name in ("gt", "lt", "eq"))
        assert above + below + equal <= 1
        assert holds(f"gte.{operand}") is (above or equal)
        assert holds(f"lte.{operand}") is (below or equal)


def json_type(value: Any) -> str:
    """`value`'s type, as JSON has them."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}
    return names.get(type(value), "neither")


@given(st.lists(st.sampled_from(SCALARS[:-1]), min_size=1, max_size=5), _values)
def test_equal_are_scalars_of_one_json_type_with_one_value(texts: list[str], value: Any) -> None:
    words = {"true": True, "false": False, "null": None}
    numbers = {"0": 0, "1": 1, "1.0": 1.0, "10e-1": 1.0, "7": 7, "-0": 0}
    operands = [(words | numbers).get(text, text) for text in texts if text]
    expected = [
        json_type(value) == json_type(operand) and value == operand and not isinstance(value, list | dict)
        for operand in operands
    ]
    if operands:
        assert only_filter(f"n=in.({','.join(filter(None, texts))})").matches({"n": value}) is any(expected)
        assert only_filter(f"n=eq.{next(filter(None, texts))}").matches({"n": value}) is expected[0]


@given(_queries, _events)
def test_what_previous_leaves_out_is_as_it_is_in_data(query: Query, event: Event) -> None:
    selector = parse(query)
    data, previous = event.data or {}, event.previous
    now = replace(event, action="insert", previous=None)
    before = replace(now, data={**data, **(previous or {})})
    if event.action == "delete":
        assert selector.match(event) is selector.match(before)
    elif selector.match(before) is Match.DELIVER and previous is not None and event.action == "update":
        assert selector.match(event) is not Match.SKIP


def parse_or_refuse(query: Query) -> Selector | BadParameter:
    try:
        return parse(query)
    except BadParameter as refused:
        return refused


@given(st.sampled_from(("entity", "orderID", "eventTypes", "types", "filter")), st.text(max_size=40))
def test_any_value_is_a_selection_or_a_400_that_names_the_parameter(name: str, value: str) -> None:
    selector = parse_or_refuse([(name, value)])
    if isinstance(selector, BadParameter):
        assert selector.errors[0]["parameter"] == name
    else:
        assert parse(selector.query()) == selector


_likely_filters = st.text("nab.=(),eqinsultrg170-+\0 ", max_size=20)


@given(_likely_filters, _events)
def test_anything_like_a_filter_is_one_or_is_refused(text: str, event: Event) -> None:
    selector = parse_or_refuse([("filter", text)])
    if isinstance(selector, BadParameter):
        assert selector.errors[0]["parameter"] == "filter"
    else:
        assert selector.match(event) in Match
