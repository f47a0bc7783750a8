"""Whatever happens in whatever order: every matching event exactly once and in order, or a reset."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.hints import HintTiming
from gateway.delivery.group import DeliveryOptions, HintsMode
from tests.property.faults import Fault, failing
from tests.property.log_world import LogWorld, TrimLog, Turn
from tests.property.operations import (
    Append,
    Bye,
    Clog,
    Disconnect,
    FailWrites,
    Move,
    Open,
    OpenAs,
    Operation,
    Read,
    Reconnect,
    Revoke,
    Step,
    StopReading,
    Wait,
)
from tests.property.oracle import (
    check_complete,
    check_count,
    check_hints,
    check_nothing_after_revocation,
    check_order,
    check_resumption,
    check_revoked,
)
from tests.property.world import Choice, Pace, World
from tests.support.events import an_event

CHOICES = (
    Choice(),
    Choice(),
    Choice(),
    Choice(entities=("order",)),
    Choice(entities=("order:1",)),
    Choice(entities=("order:1", "job")),
    Choice(event_types=("a",)),
    Choice(n=1),
    Choice(entities=("order",), n=1),
    Choice(entities=("order:2",), event_types=("a",), n=0),
)
SUBJECTS = ("ana", "bo")
TIMINGS = (HintTiming(50, 100), HintTiming(200, 100), HintTiming(100, 300))

STATES = (None, {"n": 0}, {"n": 1})
EVENTS = tuple(
    an_event(entity, event_type, action=action, data=data, previous=previous)
    for entity in ("order:1", "order:2", "order:3", "job:1", None)
    for event_type in ("a", "b")
    for action, data, previous in [
        *(("update", data, previous) for data in STATES for previous in STATES),
        *(("insert", data, None) for data in STATES),
        *(("delete", None, previous) for previous in STATES),
    ]
)
_event = st.sampled_from(EVENTS)
_which = st.integers(0, 5)


def _weighted(*weighted: tuple[int, st.SearchStrategy[Operation]]) -> st.SearchStrategy[Operation]:
    """Draws from each strategy as often as its weight says; `one_of` would flatten what is nested."""
    return st.sampled_from([one for weight, one in weighted for _ in range(weight)]).flatmap(lambda one: one)


@st.composite
def _operations(
    draw: st.DrawFn,
    hints: tuple[HintsMode, ...],
    *,
    clogs: bool = False,
    moves: bool = False,
    log: bool = False,
    faults: bool = False,
    revocations: bool = False,
) -> list[Operation]:
    """A few kinds of clients, so that some share a group, and what happens to them."""
    kinds: list[Operation] = [*draw(st.lists(_kinds(hints), min_size=1, max_size=3))]
    if revocations:
        kinds += [OpenAs(*kind, subject) for kind in kinds if isinstance(kind, Open) for subject in SUBJECTS]
    one = _weighted(
        (6, st.builds(Append, st.lists(_event, min_size=1, max_size=4))),
        (6, st.builds(Step, st.integers(1, 4))),
        (3, st.builds(Wait, st.sampled_from((1, 5, 5, 40, 120, 1100)), st.booleans())),
        (3, st.builds(StopReading, _which)),
        (3, st.builds(Read, _which, st.none() | st.integers(1, 300))),
        (2, st.sampled_from(kinds)),
        (2, st.builds(Reconnect, _which)),
        (1, st.builds(Disconnect, _which, st.integers(0, 400))),
        (1, st.builds(Bye, _which) | st.builds(FailWrites, _which)),
        (1 if clogs else 0, st.builds(Clog, _which)),
        (6 if log else 0, st.builds(Turn, st.integers(1, 4))),
        (1 if log else 0, st.builds(TrimLog, st.integers(1, 4))),
        (6 if faults else 0, st.builds(Fault, st.integers(1, 30))),
        (
            3 if revocations else 0,
            st.builds(
                Revoke, st.sampled_from(SUBJECTS), st.lists(_event, max_size=3), st.lists(_event, max_size=3)
            ),
        ),
        (
            3 if moves else 0,
            st.builds(Move, _which, st.sampled_from(CHOICES), st.sampled_from((False, False, True))),
        ),
    )
    # On its own a list strategy draws five elements or so: too few for anything to interleave.
    least = draw(st.integers(0, 40))
    return [*kinds, *kinds[: draw(st.integers(0, 3))], *draw(st.lists(one, min_size=least, max_size=60))]


@st.composite
def _kinds(draw: st.DrawFn, hints: tuple[HintsMode, ...]) -> Open:
    mode = draw(st.sampled_from(hints))
    timing = None if mode == "off" else draw(st.sampled_from(TIMINGS))
    delivery = DeliveryOptions(draw(st.booleans()), mode, timing, draw(st.booleans()), draw(st.booleans()))
    return Open(draw(st.sampled_from(CHOICES)), delivery)


_paces = st.builds(
    Pace,
    writes_a_turn=st.integers(1, 3),
    entries_a_flush=st.integers(1, 4) | st.just(64),
    bytes_a_flush=st.sampled_from((1, 300, 65_536)),
    bytes_a_payload=st.sampled_from((1, 300, 65_536)),
    catch_up_entries=st.integers(1, 3),
    catch_up_bytes=st.sampled_from((1, 300, 65_536)),
    max_events=st.sampled_from((3, 8, 1000)),
    max_age_seconds=st.sampled_from((1.0, 1000.0)),
    high_water=st.sampled_from((0, 64, 1000)),
    write_seconds=st.sampled_from((0.0, 0.0011)),
)


_short_paces = _paces.map(lambda pace: pace._replace(max_events=3))


@contextmanager
def _paced_with_log(pace: Pace) -> Iterator[LogWorld]:
    """A world with a log that holds more than the history."""
    world = LogWorld(pace)
    try:
        yield world
    finally:
        world.close()


def _run(world: World, operations: list[Operation]) -> None:
    for operation in operations:
        operation.apply(world)
    world.finish()


_WITH_HINTS = Open(
    Choice(entities=("order:1", "job")),
    DeliveryOptions(named=False, hints="with", timing=HintTiming(50, 100), chunked=False),
)
_JOINED_WHILE_HINTS_ARE_DUE: list[Operation] = [
    Open(Choice(), DeliveryOptions(named=False, chunked=False)),
    Open(Choice(), DeliveryOptions(named=False, chunked=False)),
    _WITH_HINTS,
    Append([an_event("order:1", "a"), an_event("job:1", "a")]),
    Wait(120, True),
    Append([an_event("order:2", "a")]),
    _WITH_HINTS,
]
"""A reader joins a group at the head, before a flush that brings the others less far than hints are due."""


@settings(max_examples=3 * settings.default.max_examples)
@given(pace=_paces, operations=_operations(("off", "off", "with", "only"), clogs=True))
@example(
    pace=Pace(
        writes_a_turn=1,
        entries_a_flush=64,
        bytes_a_flush=300,
        bytes_a_payload=1,
        catch_up_entries=1,
        catch_up_bytes=1,
        max_events=3,
        max_age_seconds=1.0,
        high_water=0,
        write_seconds=0.0,
    ),
    operations=_JOINED_WHILE_HINTS_ARE_DUE,
)
def test_every_client_sees_each_matching_event_once_and_in_order_or_a_reset_and_can_resume_anywhere(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    _run(world, operations)
    for client in world.clients:
        check_order(world, client)
        check_complete(world, client)
        check_resumption(world, client, hints=False)


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_paces, operations=_operations(("off", "off", "with", "only"), moves=True))
def test_a_client_that_is_moved_goes_on_at_the_cursor_it_was_told_without_loss_or_double(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    _run(world, operations)
    for client in world.clients:
        check_order(world, client)
        check_complete(world, client)


@settings(max_examples=3 * settings.default.max_examples)
@given(pace=_paces, operations=_operations(("with", "with", "only", "only", "off")))
def test_every_change_is_followed_by_a_hint_wherever_a_client_of_hints_is_cut_off(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    _run(world, operations)
    for client in world.clients:
        if client.delivery.hints != "off":
            check_hints(world, client)
            check_resumption(world, client, hints=True)


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_short_paces, operations=_operations(("off", "off", "with", "only"), clogs=True, log=True))
def test_with_a_log_that_holds_more_nobody_is_reset_for_what_it_still_holds(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced_with_log(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            check_complete(world, client)
            check_resumption(world, client, hints=False)


@given(pace=_short_paces, operations=_operations(("off", "off", "with", "only"), moves=True, log=True))
def test_a_client_that_is_moved_while_it_reads_the_log_misses_nothing(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced_with_log(pace) as world:
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            check_complete(world, client)


_CHASED_THEN_TRIMMED: list[Operation] = [
    Open(Choice(), DeliveryOptions(named=False, hints="only", timing=HintTiming(50, 100), chunked=False)),
    Append([an_event("order:1"), an_event("order:2"), an_event(None)]),
    Bye(0),
    Wait(5, False),
    Append([an_event("order:1")] * 3),
    Append([an_event("order:1")] * 2),
]
"""A reader of hints alone comes back; the history trims what it caught up with before it has the hints."""


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_short_paces, operations=_operations(("with", "only", "only", "off"), log=True))
@example(
    pace=Pace(
        writes_a_turn=1,
        entries_a_flush=3,
        bytes_a_flush=65_536,
        bytes_a_payload=65_536,
        catch_up_entries=1,
        catch_up_bytes=1,
        max_events=3,
        max_age_seconds=1.0,
        high_water=0,
        write_seconds=0.0,
    ),
    operations=_CHASED_THEN_TRIMMED,
)
def test_every_change_that_came_out_of_the_log_is_followed_by_a_hint(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced_with_log(pace) as world:
        _run(world, operations)
        for client in world.clients:
            if client.delivery.hints == "only":
                check_hints(world, client)
                check_resumption(world, client, hints=True)


@settings(max_examples=4 * settings.default.max_examples)
@given(
    pace=_paces,
    operations=_operations(("off", "off", "with", "only"), clogs=True, moves=True, faults=True),
)
def test_wherever_the_work_fails_every_reader_is_whole_or_told_and_the_failure_is_seen(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    with failing(world):
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            check_complete(world, client)
        check_count(world)
        assert world.hub.failures.counts.total() >= world.failures


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_paces, operations=_operations(("with", "only"), faults=True))
def test_wherever_the_work_fails_every_change_is_followed_by_a_hint(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    with failing(world):
        _run(world, operations)
        for client in world.clients:
            check_hints(world, client)


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_short_paces, operations=_operations(("off", "off", "with", "only"), log=True, faults=True))
def test_wherever_a_replay_fails_its_reader_is_whole_or_told(pace: Pace, operations: list[Operation]) -> None:
    with _paced_with_log(pace) as world, failing(world):
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            check_complete(world, client)
        assert world.hub.failures.counts.total() >= world.failures


def _check_revocations(world: World) -> None:
    for client in world.clients:
        check_order(world, client)
        if world.revoked_at(client) is None:
            check_complete(world, client)
        else:
            check_revoked(world, client)


@settings(max_examples=3 * settings.default.max_examples)
@given(
    pace=_paces,
    operations=_operations(("off", "off", "with", "only"), clogs=True, moves=True, revocations=True),
)
def test_who_is_revoked_gets_exactly_what_was_before_that_and_the_others_everything(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    _run(world, operations)
    _check_revocations(world)


@settings(max_examples=2 * settings.default.max_examples)
@given(
    pace=_short_paces,
    operations=_operations(("off", "off", "with", "only"), clogs=True, log=True, revocations=True),
)
def test_who_is_revoked_while_it_reads_the_log_gets_exactly_what_was_before_that(
    pace: Pace, operations: list[Operation]
) -> None:
    with _paced_with_log(pace) as world:
        _run(world, operations)
        _check_revocations(world)


@settings(max_examples=2 * settings.default.max_examples)
@given(
    pace=_paces,
    operations=_operations(
        ("off", "off", "with", "only"), clogs=True, moves=True, faults=True, revocations=True
    ),
)
def test_wherever_the_work_fails_the_revoked_get_nothing_that_came_after_that(
    pace: Pace, operations: list[Operation]
) -> None:
    world = World(pace)
    with failing(world):
        _run(world, operations)
        for client in world.clients:
            check_order(world, client)
            if world.revoked_at(client) is not None:
                check_nothing_after_revocation(world, client)
            else:
                check_complete(world, client)
