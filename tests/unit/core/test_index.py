"""Which groups an event may concern."""

import pytest
from multidict import MultiDict

from gateway.core.events import Event
from gateway.core.index import SelectorIndex
from gateway.core.revocations import Revocation
from gateway.core.selectors import Selector, parse_selector
from tests.support.events import an_event


class Filed:
    """Something with a selector."""

    def __init__(self, **query: str) -> None:
        self.selector: Selector = parse_selector(MultiDict(query), {})


def index_of(*groups: Filed) -> SelectorIndex[Filed]:
    index: SelectorIndex[Filed] = SelectorIndex()
    for group in groups:
        index.add(group)
    return index


def candidates(index: SelectorIndex[Filed], event: Event) -> set[Filed]:
    return set(index.candidates(event))


def test_an_event_finds_the_groups_of_its_entity_its_type_its_members_and_of_everything() -> None:
    everything, by_type, by_id, by_member = (
        Filed(),
        Filed(entity="order"),
        Filed(entity="order:1"),
        Filed(filter="n=eq.7"),
    )
    index = index_of(everything, by_type, by_id, by_member, Filed(entity="job"), Filed(filter="n=eq.8"))
    found = candidates(index, an_event("order:1", data={"n": 7}))
    assert found == {everything, by_type, by_id, by_member}


def test_a_global_event_finds_only_those_who_asked_for_no_entity() -> None:
    everything, by_member = Filed(), Filed(filter="n=eq.7")
    index = index_of(everything, by_member, Filed(entity="order"))
    assert candidates(index, an_event(None, data={"n": 7})) == {everything, by_member}


def test_a_revocation_finds_nobody() -> None:
    index = index_of(Filed(), Filed(filter="subject=eq.ana"), Filed(eventTypes="tidegate.revocation"))
    revocation = Revocation("subject", "ana", 7.0, "left").event("2026-11-20T10:30:00.123Z")
    assert candidates(index, revocation) == set()


def test_the_old_state_finds_those_who_see_the_entity_leave() -> None:
    leaving = Filed(filter="n=eq.7")
    assert candidates(index_of(leaving), an_event(data={"n": 8}, previous={"n": 7})) == {leaving}


def test_a_group_that_an_event_finds_by_its_old_state_and_by_its_new_one_is_named_once() -> None:
    either = Filed(filter="n=in.(7,8)")
    index = index_of(either)
    assert list(index.candidates(an_event(data={"n": 8}, previous={"n": 7}))) == [either]


def test_an_event_of_one_entity_does_not_look_at_the_groups_of_others() -> None:
    groups = [Filed(entity=f"order:{number}") for number in range(1000)]
    index = index_of(*groups)
    assert list(index.candidates(an_event("order:7"))) == [groups[7]]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"entity": "order"},
        {"entity": "order:1,order:2,job"},
        {"filter": "n=eq.7"},
        {"filter": "n=in.(7,8)"},
        {"filter": "n=in.(7,7)"},
        {"filter": "n=in.(7,7.0)"},
        {"filter": "a.b=is.true"},
    ],
)
def test_a_group_that_was_removed_is_no_candidate_any_more(query: dict[str, str]) -> None:
    group, other = Filed(**query), Filed(**query)
    index = index_of(group, other)
    index.remove(group)
    event = an_event("order:1", data={"n": 7, "a": {"b": True}})
    assert candidates(index, event) == {other}
    index.remove(other)
    assert candidates(index, event) == set()


def test_an_index_does_not_keep_what_was_asked_for_once() -> None:
    index = index_of()
    for number in range(100):
        group = Filed(entity=f"type{number}:1,other{number}", filter=f"m{number}=eq.{number}")
        index.add(group)
        index.remove(group)
    kept = {name: len(held) for name, held in vars(index).items()}
    assert set(kept.values()) == {0}, kept


def test_removing_a_group_that_was_not_added_raises() -> None:
    with pytest.raises(KeyError):
        index_of().remove(Filed(entity="order"))


def test_it_knows_which_entity_types_somebody_wants() -> None:
    by_type, by_id = Filed(entity="order"), Filed(entity="job:1")
    index = index_of(by_type, by_id)
    assert index.wants("order")
    assert index.wants("job")
    assert not index.wants("task")
    index.remove(by_id)
    assert not index.wants("job")


def test_somebody_who_names_no_entity_wants_every_type() -> None:
    anything = Filed(filter="n=eq.7")
    index = index_of(anything)
    assert index.wants("order")
    index.remove(anything)
    assert not index.wants("order")
