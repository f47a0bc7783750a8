"""Whatever happens in whatever order: who begins with the state ends with what the source has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.hints import HintTiming
from gateway.delivery.group import DeliveryOptions
from tests.property.log_world import LogWorld, TrimLog, Turn
from tests.property.operations import (
    Bye,
    Clog,
    Disconnect,
    FailWrites,
    Move,
    Read,
    Reconnect,
    Step,
    StopReading,
    Wait,
)
from tests.property.state_world import (
    Change,
    Entities,
    OpenWithState,
    Page,
    ReadState,
    TellState,
    a_world,
    a_world_with_log,
)
from tests.property.world import Choice, Pace

CHOICES = (
    Choice(entities=("order",)),
    Choice(entities=("order",)),
    Choice(entities=("order:1", "job")),
    Choice(entities=("order",), n=1),
    Choice(entities=("job", "order")),
)
ENTITIES = ("order:1", "order:2", "order:3", "job:1")

_which = st.integers(0, 5)
_openings = st.builds(
    OpenWithState,
    st.sampled_from(CHOICES),
    st.builds(
        lambda named, hints, chunked, gzip: DeliveryOptions(
            named, "with" if hints else "off", HintTiming(50, 100) if hints else None, chunked, gzip
        ),
        *(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    ),
)
_paces = st.builds(
    Pace,
    writes_a_turn=st.integers(1, 3),
    entries_a_flush=st.integers(1, 4),
    bytes_a_flush=st.sampled_from((1, 65_536)),
    bytes_a_payload=st.just(65_536),
    catch_up_entries=st.integers(1, 3),
    catch_up_bytes=st.sampled_from((1, 65_536)),
    max_events=st.sampled_from((2, 5, 1000)),
    max_age_seconds=st.just(1000.0),
    high_water=st.sampled_from((0, 64, 1000)),
    write_seconds=st.sampled_from((0.0, 0.0011)),
)


def _operations(*, moves: bool = False, log: bool = False):
    weighted = (
        (6, st.builds(Change, st.sampled_from(ENTITIES), st.sampled_from((None, 0, 1, 2)))),
        (5, st.builds(Step, st.integers(1, 4))),
        (4, st.builds(ReadState, _which)),
        (4, st.builds(TellState, _which, st.sampled_from((True, True, True, False)))),
        (3, st.builds(Wait, st.sampled_from((1, 5, 40, 120, 1100)), st.booleans())),
        (3, st.builds(StopReading, _which) | st.builds(Clog, _which)),
        (4, st.builds(Read, _which, st.none() | st.integers(1, 300))),
        (2, _openings),
        (2, st.builds(Reconnect, _which)),
        (1, st.builds(Disconnect, _which, st.integers(0, 400))),
        (1, st.builds(Bye, _which) | st.builds(FailWrites, _which)),
        (3 if log else 0, st.builds(Turn, st.integers(1, 4))),
        (1 if log else 0, st.builds(TrimLog, st.integers(1, 4))),
        (2 if moves else 0, st.builds(Move, _which, st.sampled_from(CHOICES), st.just(False))),
        (1 if moves else 0, st.builds(Move, _which, st.sampled_from(CHOICES), st.just(True))),
    )
    one = st.sampled_from([each for weight, each in weighted for _ in range(weight)]).flatmap(
        lambda each: each
    )
    return st.integers(0, 40).flatmap(lambda least: st.lists(one, min_size=least, max_size=60))


def _run(entities: Entities, openings, operations) -> None:
    for operation in [*openings, *operations]:
        if hasattr(operation, "on"):
            operation.on(entities)
        else:
            operation.apply(entities.world)
    entities.finish()
    last = len(entities.states) - 1
    for client in entities.world.clients:
        page = Page(entities, client).show_all()
        assert page.is_whole
        assert page.shown == entities.of(client.choice, last)
    assert not entities.world.hub.state_readers.waiting
    assert not entities.world.hub.failures.counts


_few = st.lists(_openings, min_size=1, max_size=3)
_part_bytes = st.sampled_from((1, 300, 65_536))


@settings(max_examples=3 * settings.default.max_examples)
@given(pace=_paces, part_bytes=_part_bytes, openings=_few, operations=_operations())
def test_every_client_ends_with_what_the_source_has(pace, part_bytes, openings, operations):
    _run(a_world(pace, part_bytes), openings, operations)


@settings(max_examples=2 * settings.default.max_examples)
@given(pace=_paces, part_bytes=_part_bytes, openings=_few, operations=_operations(moves=True))
def test_so_does_one_that_is_moved(pace, part_bytes, openings, operations):
    _run(a_world(pace, part_bytes), openings, operations)


@settings(max_examples=2 * settings.default.max_examples)
@given(
    pace=_paces.map(lambda pace: pace._replace(max_events=2)),
    part_bytes=_part_bytes,
    openings=_few,
    operations=_operations(moves=True, log=True),
)
def test_so_does_one_whose_events_are_read_from_the_log(pace, part_bytes, openings, operations):
    entities = a_world_with_log(pace, part_bytes)
    try:
        _run(entities, openings, operations)
    finally:
        assert isinstance(entities.world, LogWorld)
        entities.world.close()
