"""gateway/delivery/state/question.py: which state goes with a selection."""

from dataclasses import replace

from multidict import MultiDict

from gateway.core.grants import Grant, Scope
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.state.question import question_of

OWNED = frozenset({"order", "job"})


def selector(*query: tuple[str, str]) -> Selector:
    return parse_selector(MultiDict(query), {})


def test_a_selection_of_no_type_has_no_state():
    assert question_of(Selector()) is None
    assert question_of(selector(("filter", "n=eq.1"))) is None


def test_the_types_that_are_named_count_and_else_those_of_the_components():
    asked = question_of(selector(("entity", "order,bill:7")), OWNED)
    assert asked is not None
    assert asked.entity_types == ("bill", "order")
    owned = question_of(Selector(), OWNED)
    assert owned is not None
    assert owned.entity_types == ("job", "order")
    assert owned.selector.entities == {("job", None), ("order", None)}


def test_who_asks_for_other_event_types_asks_for_the_same_state():
    one = question_of(selector(("entity", "order"), ("eventTypes", "a"), ("filter", "n=eq.1")))
    assert one == question_of(selector(("entity", "order"), ("filter", "n=eq.1")))
    assert one is not None
    assert one.selector.filters


def test_a_type_that_is_withheld_or_not_granted_is_left_out():
    asked = selector(("entity", "order,job"))
    one = question_of(replace(asked, withheld=frozenset({"job"})))
    assert one is not None
    assert one == question_of(selector(("entity", "order")))
    assert question_of(replace(asked, withheld=OWNED)) is None
    granted = question_of(replace(asked, scope=Scope.of([Grant("job")])))
    assert granted is not None
    assert granted.entity_types == ("job",)
    assert granted.selector.scope is not None


def test_a_selection_without_event_types_is_shared_with_its_state() -> None:
    asked = selector(("entity", "order:7"))
    question = question_of(asked)
    assert question is not None
    assert question.selector is asked
