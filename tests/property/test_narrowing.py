"""Candidates alone give what all items do, whatever is asked for, granted and there."""

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from gateway.core.events import Event
from gateway.core.filters import filter_of
from gateway.core.grants import EVERY, Grant, Scope
from gateway.core.narrowing import choices_of
from gateway.core.selectors import Match, Selector, parse_selector
from gateway.delivery.state.indexed import IndexedItems, indexed_of
from gateway.ports.state import StateItem

MEMBERS = ("n", "m", "a", "b", "c", "a.b")
VALUES = (None, True, False, 0, 1, 1.0, 7, -0.0, 2**53 + 1, float(2**53), "1", "7", "x", "", "true", "null")
OPERANDS = ("0", "1", "1.0", "10e-1", "7", "-0", "true", "null", "x", "9007199254740993", '"7"', '"1"')

_lists = st.lists(st.sampled_from(OPERANDS), min_size=1, max_size=3)
_comparisons = st.one_of(
    st.builds("eq.{}".format, st.sampled_from(OPERANDS)),
    st.builds("{}.{}".format, st.sampled_from(("neq", "gt", "lte")), st.sampled_from(("1", "7", "x"))),
    st.builds(lambda values: f"in.({','.join(values)})", _lists),
    st.sampled_from(("is.null", "is.true", "is.false")),
)
_filters = st.lists(st.builds("{}={}".format, st.sampled_from(MEMBERS), _comparisons), max_size=3)
_entities = st.sampled_from(
    (("order",), ("order",), ("order:1",), ("order:1", "order:3"), ("order:1", "order"))
)
_rules = st.one_of(
    st.builds(
        lambda member, value: filter_of(tuple(member.split(".")), "eq", [value]),
        st.sampled_from(MEMBERS),
        st.sampled_from(VALUES),
    ),
    st.builds(
        lambda member, values: filter_of((member,), "in", values),
        st.sampled_from(MEMBERS[:5]),
        st.lists(st.sampled_from(VALUES), min_size=2, max_size=4),
    ),
    st.builds(lambda member: filter_of((member,), "gt", [1]), st.sampled_from(MEMBERS[:5])),
)
_grants = st.builds(
    Grant,
    st.sampled_from(("order", "order", "order", EVERY, "job")),
    st.sampled_from((None, None, None, "1", "2")),
    st.lists(_rules, max_size=2).map(tuple),
    st.none() | st.frozensets(st.sampled_from(MEMBERS[:5])),
)
_scopes = st.none() | st.lists(_grants, max_size=4).map(Scope.of)
_data = st.dictionaries(
    st.sampled_from(MEMBERS[:5]),
    st.sampled_from((*VALUES, [1], {"b": 1}, {"b": "7"}, {"b": None})),
)
_items = st.lists(_data, max_size=8)
_wishes = st.tuples(_entities, _filters, st.booleans(), _scopes)


def _selector(wish: tuple) -> Selector:
    entities, filters, is_text, scope = wish
    query = MultiDict([*(("entity", each) for each in entities), *(("filter", each) for each in filters)])
    return replace(parse_selector(query, {}, MEMBERS if is_text else ()), scope=scope)


def _matches(selector: Selector, item: StateItem) -> bool:
    event = Event("", "order", item.entity_id, "update", "", data=orjson.loads(item.data))
    return selector.match(event) is Match.DELIVER


@given(_items, st.lists(_wishes, min_size=1, max_size=4))
def test_what_matches_is_among_the_candidates_once_and_in_order(data, wishes):
    items = [StateItem(str(number), orjson.dumps(each)) for number, each in enumerate(data)]
    indexed = IndexedItems()
    indexed.extend(items)
    for selector in map(_selector, wishes):
        choices, paths = indexed_of(choices_of(selector, "order"))
        indexes = indexed.known(paths)
        for _ in indexed.indexing(missing := paths - indexes.keys()):
            pass
        candidates = list(indexed.candidates(choices, indexes | indexed.known(missing)))
        assert candidates == [item for item in items if item in candidates]
        matching = [item for item in items if _matches(selector, item)]
        assert [item for item in candidates if _matches(selector, item)] == matching
