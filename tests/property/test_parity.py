"""Parity against a naive model: a right push is never counted against, a wrong one is always found."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from flags.parity.report import AGREEMENTS, Outcome
from tests.property.pushing import World, worlds

AGAINST = set(Outcome) - AGREEMENTS - {Outcome.INCOMPARABLE}
BEGINNINGS = st.integers(0, 80).map(lambda ticks: ticks / 4)


@given(worlds(), BEGINNINGS)
def test_a_right_push_is_never_counted_against_whatever_the_lag(world: World, begins_at: float) -> None:
    world.begins_at = begins_at
    parity = world.parity()

    world.settled(4)
    world.run(parity)

    report = parity.report()
    assert not AGAINST & {outcome for outcome, count in report.outcomes.items() if count}
    assert report.consistency in (1.0, None)
    assert report.broken_chains == 0
    assert (report.pending, report.standing) == (0, 0)


@given(worlds(), BEGINNINGS)
def test_every_change_that_push_told_is_an_agreement_sooner_or_later(world: World, begins_at: float) -> None:
    world.begins_at = begins_at
    parity = world.parity()

    world.settled(4)
    world.run(parity)

    touched = {told.entity_id for at, told in world.pushed if at > world.begins_at}
    assert parity.report().comparable >= len(touched)


def standing(world: World) -> int:
    """How many entities stand as wrong in the end."""
    parity = world.parity()
    world.settled(6)
    world.run(parity)
    report = parity.report()
    assert report.pending == 0
    assert bool(report.standing) <= bool(AGAINST & set(report.outcomes))
    return report.standing


def wrong(world: World) -> int:
    """How many entities a client that was told all this would hold wrongly."""
    told, truth = world.told(), world.truth(float("inf"))
    return sum(told.get(key) != truth.get(key) for key in told.keys() | truth.keys())


@given(worlds(), st.data())
def test_a_lost_event_is_found_where_it_left_a_wrong_state(world: World, data: st.DataObject) -> None:
    assume(world.pushed)
    del world.pushed[data.draw(st.integers(0, len(world.pushed) - 1))]

    assert standing(world) == wrong(world)


@given(worlds(), st.data())
def test_an_altered_event_is_found_where_it_left_a_wrong_state(world: World, data: st.DataObject) -> None:
    told = [index for index, (_, event) in enumerate(world.pushed) if event.action != "delete"]
    assume(told)
    index = data.draw(st.sampled_from(told))
    arrived, event = world.pushed[index]
    world.pushed[index] = (arrived, replace(event, data={"stage": 9}))

    assert standing(world) == wrong(world)


@given(worlds(), st.data())
def test_events_that_changed_places_are_found_where_they_left_a_wrong_state(
    world: World, data: st.DataObject
) -> None:
    indexes = st.integers(0, len(world.pushed) - 1)
    assume(world.pushed)
    one, other = data.draw(indexes), data.draw(indexes)
    (at, first), (later, second) = world.pushed[one], world.pushed[other]
    world.pushed[one] = (at, replace(second, position=first.position))
    world.pushed[other] = (later, replace(first, position=second.position))

    assert standing(world) == wrong(world)


@given(worlds(), st.data())
def test_an_event_that_is_told_again_is_found_whether_or_not_it_did_harm(
    world: World, data: st.DataObject
) -> None:
    assume(world.pushed)
    first = data.draw(st.integers(0, len(world.pushed) - 1))
    again = data.draw(st.integers(first, len(world.pushed) - 1))
    arrived, _ = world.pushed[again]
    world.pushed.insert(again + 1, (arrived, world.pushed[first][1]))
    world.renumber()
    key = world.pushed[first][1].entity_id
    between = {event.entity_id for _, event in world.pushed[first + 1 : again + 1]}
    parity = world.parity()

    world.settled(6)
    world.run(parity)

    report = parity.report()
    assert report.standing == wrong(world)
    if key not in between:
        assert report.outcomes[Outcome.DUPLICATE] >= 1


@given(worlds(), st.data())
def test_push_that_falls_silent_is_found_in_every_entity_that_changed(
    world: World, data: st.DataObject
) -> None:
    del world.pushed[data.draw(st.integers(0, len(world.pushed))) :]

    assert standing(world) == wrong(world)
