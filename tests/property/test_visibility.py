"""Whatever callers are granted: each transport gives what they ask for and may see, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple, Protocol

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.access_errors import InsufficientScope
from gateway.core.events import Event
from gateway.core.hints import HintTiming
from gateway.core.selectors import Match
from gateway.delivery.group import DeliveryOptions
from tests.property.visibility import Caller, Comparison, Granted, Wish, is_refused, shown
from tests.property.visibility_world import Held, Reader, VisibilityWorld
from tests.property.world import Pace
from tests.support.events import an_event

_CASES = settings.default.max_examples * (4 if settings.default.derandomize else 10)
"""Ten thousand in `make test-thorough`, some seconds in `make test`."""
_MISSING = object()
_VALUES: dict[str, tuple[Any, ...]] = {
    "n": (1, 1, 1, 2, 2, "1", True, None, _MISSING),
    "m": ("x", "x", "y", _MISSING),
    "o": ({"k": 1}, {"k": 2, "l": "x"}, _MISSING),
}
STATES = tuple(
    {name: value for name, value in zip(_VALUES, values, strict=True) if value is not _MISSING}
    for values in product(*_VALUES.values())
)
_CHANGES = ({}, {"n": 1}, {"n": 2}, {"n": None}, {"m": "x"}, {"m": "y"}, {"o": {"k": 1}}, {"n": 2, "m": "y"})
"""Old states of which only the changed members are told, if any."""
_COMMON = (
    *(Comparison("n", "eq", (value,)) for value in (1, 1, 2)),
    Comparison("n", "in", (1, 2)),
    *(Comparison("m", operator, ("x",)) for operator in ("eq", "eq", "neq")),
    *(Comparison("o.k", operator, (1,)) for operator in ("eq", "neq")),
)
COMPARISONS = (
    *_COMMON,
    *_COMMON,
    *(Comparison("n", "eq", (value,)) for value in (None, True, "1")),
    Comparison("n", "in", (1, "1")),
    Comparison("n", "is", (None,)),
    *(Comparison("n", operator, (1,)) for operator in ("neq", "gt")),
    Comparison("n", "lt", (2,)),
    Comparison("m", "gt", ("x",)),
    Comparison("o.k", "gt", (1,)),
    Comparison("o.l", "is", (None,)),
)
_states = st.sampled_from(STATES)
_events = st.builds(
    an_event,
    st.sampled_from(("order:1", "order:1", "order:1", "order:2", "job:1", "global:1", None)),
    st.sampled_from(("a", "a", "b")),
    action=st.sampled_from(("insert", "update", "update", "update", "delete", "delete", "signal")),
    data=st.sampled_from((None, *STATES)),
    previous=st.sampled_from((None, *STATES, *_CHANGES * 10)),
)
_comparison = st.sampled_from(COMPARISONS)
_where = st.one_of(
    st.just(()),
    st.tuples(_comparison),
    st.tuples(_comparison),
    st.lists(_comparison, min_size=2, max_size=2, unique=True).map(
        lambda comparisons: tuple(sorted(comparisons, key=lambda one: one.text))
    ),
)
_members = st.sampled_from(
    (None, None, None, *map(frozenset[str], ((), ("n",), ("m",), ("n", "m"), ("m", "o"), ("n", "o"))))
)
_grants = st.one_of(
    st.builds(
        lambda about, where, members: Granted(about, None, where, members),
        st.sampled_from((*["order"] * 5, "job", "*", "*", "global")),
        _where,
        _members,
    ),
    st.sampled_from(("order:1", "order:1", "order:2", "job:1")).map(lambda about: Granted(*about.split(":"))),
)
_callers = st.lists(_grants, min_size=1, max_size=3, unique=True).map(tuple)
_wishes = st.builds(
    Wish,
    st.sampled_from(
        (*[()] * 5, *[("order",)] * 3, ("order:1",), ("order:2", "job"), ("job:1",), ("order:1", "global"))
    ),
    st.sampled_from((*[()] * 4, ("a",), ("a", "b"))),
    st.one_of(st.just(()), _where, _where, st.just((Comparison("n", "is", (True,)),))),
)
_pair = st.lists(_comparison, min_size=2, max_size=2, unique=True).map(tuple)
_hiding = st.lists(
    st.builds(
        lambda where, members: Granted("order", None, where, frozenset(members)),
        st.tuples(_comparison),
        st.sampled_from(("n", "m", "nm", "o")),
    ),
    min_size=2,
    max_size=2,
    unique=True,
).map(tuple)
"""Callers who see one member of some rows, and another one of others."""
_deliveries = st.sampled_from(
    tuple(
        DeliveryOptions(named, hints, None if hints == "off" else timing, chunked, gzip)
        for hints, (named, chunked, gzip) in product(
            ("off", "off", "with", "only"), ((True, False, False), (False, True, False), (True, True, True))
        )
        for timing in (HintTiming(50, 100), HintTiming(100, 300))
    )
)

_fields = st.sampled_from(
    (None, None, None, *map(frozenset[str], (("data", "previous"), ("id", "data", "action"), ("entityId",))))
)


class Step(Protocol):
    """One thing that happens."""

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None: ...


def _held(world: VisibilityWorld, which: int | None) -> Held | None:
    """A cursor that somebody was given, whoever that was."""
    return world.held[which % len(world.held)] if which is not None and world.held else None


class Append(NamedTuple):
    """Events come out of the log."""

    events: list[Event]

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None:
        world.append(self.events)


class Rest(NamedTuple):
    """Time passes."""

    seconds: float

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None:
        world.run_for(self.seconds)


class Open(NamedTuple):
    """Somebody opens a stream."""

    who: int
    delivery: DeliveryOptions
    which: int | None

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None:
        world.open(readers[self.who % len(readers)], self.delivery, _held(world, self.which))


class Poll(NamedTuple):
    """Somebody polls; with `waits` until there is something."""

    who: int
    which: int | None
    limit: int
    waits: bool

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None:
        poll = world.wait if self.waits else world.poll
        poll(readers[self.who % len(readers)], _held(world, self.which), self.limit)


class LookBack(NamedTuple):
    """Somebody asks for the history."""

    who: int
    limit: int

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None:
        world.look_back(readers[self.who % len(readers)], self.limit)


class Sleep(NamedTuple):
    """A stream's client stops reading, or reads again."""

    which: int

    def take(self, world: VisibilityWorld, readers: list[Reader]) -> None:
        if world.streams:
            stream = world.streams[self.which % len(world.streams)]
            stream.has_slept = True
            if stream.transport.is_reading:
                stream.transport.stop_reading()
            else:
                stream.transport.start_reading()


_who = st.integers(0, 5)
_which = st.one_of(st.none(), *[st.integers(0, 99)] * 3)
_appends = st.builds(Append, st.lists(_events, min_size=2, max_size=5))
_opens = st.builds(Open, _who, _deliveries, _which)
_asks: st.SearchStrategy[Step] = st.one_of(
    _opens,
    _opens,
    st.builds(Poll, _who, _which, st.integers(1, 3), st.just(False)),
    st.builds(Poll, _who, _which, st.integers(1, 3), st.just(True)),
    st.builds(LookBack, _who, st.integers(1, 5)),
    st.builds(Sleep, _who),
    st.builds(Rest, st.sampled_from((0.01, 0.12))),
)


@st.composite
def _steps(draw: st.DrawFn) -> list[Step]:
    """Events, and between them whoever asks for them."""
    steps: list[Step] = []
    for _ in range(draw(st.integers(2, 4))):
        steps += draw(st.lists(_asks, min_size=1, max_size=5))
        steps += draw(st.tuples(_appends, st.builds(Rest, st.sampled_from((0.0, 0.01, 0.01)))))
    return steps


_paces = st.builds(
    Pace,
    writes_a_turn=st.sampled_from((1, 64)),
    entries_a_flush=st.sampled_from((1, 64)),
    bytes_a_flush=st.just(65_536),
    bytes_a_payload=st.sampled_from((1, 65_536)),
    catch_up_entries=st.sampled_from((1, 64)),
    catch_up_bytes=st.just(65_536),
    max_events=st.sampled_from((2, 2, 1000)),
    max_age_seconds=st.just(1000.0),
    high_water=st.just(64),
    write_seconds=st.just(0.0),
)


@st.composite
def _readers(draw: st.DrawFn) -> list[Reader]:
    """Some callers, of which several have the same grants in another order, and what they ask for."""
    callers: list[Caller] = draw(st.lists(_callers, min_size=1, max_size=3))
    wishes = draw(st.lists(_wishes, min_size=1, max_size=2))
    readers = []
    for _ in range(draw(st.integers(2, 5))):
        caller, wish = draw(st.sampled_from(callers)), draw(st.sampled_from(wishes))
        turned = draw(st.sampled_from((caller, caller[::-1], caller + caller[:1])))
        asked = Wish() if is_refused(caller, wish) else wish
        readers.append(Reader(turned, asked, draw(st.booleans()), draw(_fields)))
    return readers


@contextmanager
def _world(pace: Pace) -> Iterator[VisibilityWorld]:
    world = VisibilityWorld(pace)
    try:
        yield world
    finally:
        world.close()


@settings(max_examples=_CASES)
@given(pace=_paces, readers=_readers(), before=_appends, steps=_steps())
def test_every_transport_gives_a_caller_what_it_may_see_and_nothing_else(
    pace: Pace, readers: list[Reader], before: Append, steps: list[Step]
) -> None:
    with _world(pace) as world:
        for step in (before, Rest(0.01), *steps):
            step.take(world, readers)
        world.check()


@settings(max_examples=5 * settings.default.max_examples)
@given(
    st.one_of(_callers, _hiding),
    st.one_of(_wishes, st.builds(Wish, st.just(()), st.just(()), _pair)),
    st.booleans(),
    st.lists(_events, max_size=3),
)
def test_a_request_is_refused_where_no_grant_can_match_it_and_nowhere_else(
    caller: Caller, wish: Wish, by_rule: bool, events: list[Event]
) -> None:
    reader = Reader(caller, wish, by_rule)
    if is_refused(caller, wish):
        with pytest.raises(InsufficientScope):
            reader.selector()
        assert not any(shown(caller, wish, event) for event in events)
    else:
        assert reader.selector()


class Seen(NamedTuple):
    """What a caller gets of an event: whether it comes, and where it shows something."""

    rank: int
    members: frozenset[tuple[str, str]]


def _seen(caller: Caller, wish: Wish, event: Event) -> Seen:
    """What the gateway's own selection gives of it; nothing where the request is refused."""
    try:
        selector = Reader(caller, wish).selector()
    except InsufficientScope:
        return Seen(0, frozenset())
    match = selector.match(event)
    if match is not Match.DELIVER:
        return Seen(1 if match is Match.LEAVE else 0, frozenset())
    told = selector.shown(event)
    parts = {"data": told.data, "previous": told.previous}
    # That there is a state counts, be it without members.
    members = {(part, name) for part, state in parts.items() if state is not None for name in (*state, "")}
    return Seen(2, frozenset(members))


@settings(max_examples=2 * settings.default.max_examples)
@given(_callers, _grants, _wishes, _events)
def test_another_grant_never_hides_anything(caller: Caller, other: Granted, wish: Wish, event: Event) -> None:
    before, after = _seen(caller, wish, event), _seen((*caller, other), wish, event)
    assert before.rank <= after.rank
    assert before.members <= after.members


@settings(max_examples=2 * settings.default.max_examples)
@given(_callers, _where, _members, _wishes, _events)
def test_a_grant_of_another_type_changes_nothing(
    caller: Caller, where: tuple[Comparison, ...], members: frozenset[str] | None, wish: Wish, event: Event
) -> None:
    assume(not is_refused(caller, wish))
    unrelated = Granted("invoice", None, where, members)
    assert _seen((unrelated, *caller), wish, event) == _seen(caller, wish, event)


@settings(max_examples=2 * settings.default.max_examples)
@given(_callers, st.lists(st.sampled_from("nmo"), unique=True), _wishes, _events)
def test_fewer_members_never_show_more(caller: Caller, dropped: list[str], wish: Wish, event: Event) -> None:
    # A grant of one id has no members to say.
    less = tuple(
        grant
        if grant.entity_id is not None
        else grant._replace(
            members=(frozenset("nmo") if grant.members is None else grant.members) - {*dropped}
        )
        for grant in caller
    )
    before, after = _seen(caller, wish, event), _seen(less, wish, event)
    assert after.rank <= before.rank
    assert after.members <= before.members
    if all(grant.entity_id is None for grant in caller):
        assert not {name for _, name in after.members} & {*dropped}
