"""Whatever members are wanted, an event has those of the whole one, in its order and with its bytes."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event_fields import MemberTexts
from gateway.core.events import EVENT_MEMBERS, ORIGIN, Event
from gateway.core.grants import Grant, Scope
from gateway.core.history import History
from gateway.core.selectors import Match, Selector
from tests.support.events import a_record, an_event
from tests.support.streams import frames_of

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(("n", "m", *EVENT_MEMBERS, "orderID")) | _text
"""Of members within a state: some have the names of an event's own."""
_objects = st.none() | st.dictionaries(_names, _json, max_size=4)
_events = st.builds(
    lambda entity, members: an_event(entity, **members),
    st.sampled_from((None, "order:1", 'order:"a,\\"b', "job:1")),
    st.fixed_dictionaries(
        {
            "data": _objects,
            "previous": _objects,
            "source": st.none() | _text.filter(bool),
            "actor": _objects,
            "metadata": _objects,
        }
    ),
)
_fields = st.frozensets(st.sampled_from((*EVENT_MEMBERS, "orderID")))
_selectors = st.sampled_from(
    (
        Selector(),
        Selector(scope=Scope.of([Grant("*")])),
        Selector(scope=Scope.of([Grant("*", members=frozenset({"n", "id", "data"}))])),
    )
)
_ways = st.lists(
    st.tuples(_fields, _selectors, st.sampled_from((Match.DELIVER, Match.LEAVE)), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(_events, _ways)
def test_the_event_is_the_whole_one_less_what_is_not_wanted(
    event: Event, ways: list[tuple[frozenset[str], Selector, Match, bool]]
) -> None:
    history = History(
        max_events=9, max_age_seconds=9.0, max_bytes=10**9, id_aliases={"order": "orderID", "job": "jobID"}
    )
    history.open("e", ORIGIN)
    history.append(a_record(1, event), 0.0)
    (entry,) = history.latest(1)
    for fields, selector, match, named in ways:
        whole = history.json_of(entry, match, selector)
        members = [(name, value) for name, value in orjson.loads(whole).items() if name in fields]
        cut = history.json_of(entry, match, selector, fields)
        assert cut == orjson.dumps(dict(members))
        (frame,) = frames_of(history.frame_of(entry, match, selector, named=named, fields=fields))
        (uncut,) = frames_of(history.frame_of(entry, match, selector, named=named))
        assert (frame.event, frame.id) == (uncut.event, uncut.id)
        assert list(frame.data.items()) == [
            (name, value) for name, value in uncut.data.items() if name in fields
        ]


@given(_events, st.lists(_fields, min_size=2, max_size=5))
def test_what_others_want_of_an_event_makes_no_difference(event: Event, wanted: list[frozenset[str]]) -> None:
    shared = MemberTexts(event, {})
    for fields in wanted:
        assert shared.json(b"e.1-0", fields) == MemberTexts(event, {}).json(b"e.1-0", fields)
