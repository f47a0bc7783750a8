"""Whatever happens in whatever order: every matching event exactly once and in order, or a reset."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import hub as hub_module
from gateway.events import Event
from gateway.group import Delivery, HintsMode
from gateway.hints import HintTiming
from tests.property.operations import (
    Append,
    Bye,
    Disconnect,
    FailWrites,
    Move,
    Open,
    Operation,
    Read,
    Reconnect,
    Step,
    StopReading,
    Wait,
)
from tests.property.oracle import check_complete, check_hints, check_order, check_resumption
from tests.property.world import Choice, Pace, World
from tests.support.events import an_event

ENTITIES = ("order:1", "order:2", "order:3", "job:1")
CHOICES = (
    Choice(),
    Choice(entities=("order",)),
    Choice(entities=("order:1",)),
    Choice(entities=("order:1", "job")),
    Choice(event_types=("a",)),
    Choice(n=1),
    Choice(entities=("order",), n=1),
    Choice(entities=("order:2",), event_types=("a",), n=0),
)
TIMINGS = (HintTiming(50, 100), HintTiming(200, 100), HintTiming(100, 300))

_state = st.none() | st.fixed_dictionaries({"n": st.integers(0, 1)})
_event: st.SearchStrategy[Event] = st.builds(
    an_event,
    st.sampled_from((*ENTITIES, None)),
    st.sampled_from(("a", "b")),
    action=st.sampled_from(("update", "update", "insert", "delete")),
    data=_state,
    previous=_state,
)
_which = st.integers(0, 5)
_STALLS = (1, 5, 120, 1100)
_SHORT_STALLS = (1, 5)
"""How long the loop is held up, in milliseconds. A client that resumes with an id of an event is given the
hints that it may lack by the times of the events before: those are only as good as the loop is punctual."""


def _weighted(*weighted: tuple[int, st.SearchStrategy[Operation]]) -> st.SearchStrategy[Operation]:
    """Draws from each strategy as often as its weight says; `one_of` would flatten what is nested."""
    return st.sampled_from([one for weight, one in weighted for _ in range(weight)]).flatmap(lambda one: one)


@st.composite
def _operations(
    draw: st.DrawFn, hints: tuple[HintsMode, ...], stalls: tuple[int, ...] = _STALLS, *, moves: bool = False
) -> list[Operation]:
    """A few kinds of clients, so that some share a group, and what happens to them."""
    kinds = draw(st.lists(_kinds(hints), min_size=1, max_size=3))
    one = _weighted(
        (6, st.builds(Append, st.lists(_event, min_size=1, max_size=4))),
        (5, st.builds(Step, st.integers(1, 6))),
        (3, st.builds(Wait, st.sampled_from((1, 5, 40, 120, 1100)), st.just(False))),
        (1, st.builds(Wait, st.sampled_from(stalls), st.just(True))),
        (3, st.builds(StopReading, _which)),
        (3, st.builds(Read, _which, st.none() | st.integers(1, 300))),
        (2, st.sampled_from(kinds)),
        (2, st.builds(Reconnect, _which)),
        (1, st.builds(Disconnect, _which, st.integers(0, 400))),
        (1, st.builds(Bye, _which) | st.builds(FailWrites, _which)),
        (
            3 if moves else 0,
            st.builds(Move, _which, st.sampled_from(CHOICES), st.sampled_from((False, False, True))),
        ),
    )
    # On its own a list strategy draws five elements or so: too few for anything to interleave.
    least = draw(st.integers(0, 40))
    return [*kinds, *draw(st.lists(one, min_size=least, max_size=60))]


@st.composite
def _kinds(draw: st.DrawFn, hints: tuple[HintsMode, ...]) -> Open:
    mode = draw(st.sampled_from(hints))
    timing = None if mode == "off" else draw(st.sampled_from(TIMINGS))
    delivery = Delivery(draw(st.booleans()), mode, timing, draw(st.booleans()))
    return Open(draw(st.sampled_from(CHOICES)), delivery)


_paces = st.builds(
    Pace,
    writes_a_turn=st.integers(1, 3),
    entries_a_flush=st.integers(1, 4),
    chase_entries=st.integers(1, 3),
    chase_bytes=st.sampled_from((1, 300, 65_536)),
    max_events=st.sampled_from((3, 8, 1000)),
    max_age_seconds=st.sampled_from((1.0, 1000.0)),
    write_seconds=st.sampled_from((0.0, 0.0011)),
)


@contextmanager
def _paced(pace: Pace) -> Iterator[World]:
    """A world whose hub interrupts its work as often as `pace` says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "WRITES_A_TURN", pace.writes_a_turn)
        patch.setattr(hub_module, "ENTRIES_A_FLUSH", pace.entries_a_flush)
        patch.setattr(hub_module, "CHASE_ENTRIES", pace.chase_entries)
        patch.setattr(hub_module, "CHASE_BYTES", pace.chase_bytes)
        yield World(pace)


def _run(world: World, operations: list[Operation]) -> None:
    for operation in operations:
        operation.apply(world)
    world.finish()


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_paces, operations=_operations(("off", "off", "with", "only")))
def test_every_client_sees_each_matching_event_once_and_in_order_or_a_reset(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            check_complete(world, client)


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_paces, operations=_operations(("off", "off", "with", "only"), moves=True))
def test_a_client_that_is_moved_goes_on_at_the_cursor_it_was_told_without_loss_or_double(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            check_complete(world, client)


@given(pace=_paces, operations=_operations(("off",)))
def test_whoever_resumes_after_any_frame_gets_the_rest_exactly_once(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_resumption(world, client, hints=False)


@given(pace=_paces, operations=_operations(("only",)))
def test_every_change_is_followed_by_a_hint_for_a_client_of_hints_only(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_hints(world, client)
            check_resumption(world, client, hints=True)


@given(pace=_paces, operations=_operations(("with",), _SHORT_STALLS))
def test_every_change_is_followed_by_a_hint_for_a_client_of_events_and_hints(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_hints(world, client)
            check_resumption(world, client, hints=True)
