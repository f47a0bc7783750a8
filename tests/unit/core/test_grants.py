"""What a scope covers and shows, through the selections that readers have of it."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.events import Event
from gateway.core.filters import parse_filters
from gateway.core.grants import EVERY, GLOBAL, Grant, Scope
from gateway.core.selectors import Match, Selector, event_keys
from tests.support.events import an_event


def a_grant(
    entity: str, written: str = "", *, of: str | None = None, members: set[str] | None = None
) -> Grant:
    filters = tuple(parse_filters(written)) if written else ()
    return Grant(entity, of, filters, None if members is None else frozenset(members))


def selecting(*grants: Grant, filters: str = "", **asked: Any) -> Selector:
    """What a caller of these grants gets of what it asks for."""
    return Selector(filters=tuple(parse_filters(filters)) if filters else (), scope=Scope.of(grants), **asked)


OWN = a_grant("order", "branch=eq.7")
ORDERS = frozenset({("order", None)})


def update(data: dict[str, Any], previous: dict[str, Any] | None = None, action: str = "update") -> Event:
    return an_event("order:1", action=action, data=data, previous=previous)


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (update({"branch": 7}), Match.DELIVER),
        (update({"branch": 8}), Match.SKIP),
        (update({}), Match.SKIP),
        (update({"branch": 8}, {"branch": 7}), Match.LEAVE),
        (update({"branch": 7}, {"branch": 8}), Match.DELIVER),
        (update({"branch": 8}, {"stage": "new"}), Match.SKIP),
        (update({"branch": 8}, {"branch": 7}, "delete"), Match.DELIVER),
        (update({"branch": 7}, {"branch": 8}, "delete"), Match.SKIP),
        (update({"branch": 7}, None, "delete"), Match.DELIVER),
        (update({"branch": 8}, {"branch": 7}, "insert"), Match.SKIP),
        (an_event("invoice:1", data={"branch": 7}), Match.SKIP),
        (an_event(None, data={"branch": 7}), Match.SKIP),
    ],
)
def test_a_row_is_seen_where_a_grant_covers_it_and_its_leaving_where_one_did(
    event: Event, match: Match
) -> None:
    for selector in (selecting(OWN), selecting(OWN, entities=ORDERS)):
        assert selector.match(event) is match


def test_whether_a_row_was_inside_is_decided_over_the_whole_old_state() -> None:
    grant = a_grant("order", "branch=eq.7,hidden=is.null")
    # In `previous` alone there is nothing hidden, and in the old state there was.
    event = update({"branch": 8, "hidden": 1}, {"branch": 7})
    assert selecting(grant).match(event) is Match.SKIP


@pytest.mark.parametrize(
    ("grants", "event", "is_seen"),
    [
        ([a_grant(EVERY)], an_event(None), True),
        ([a_grant(EVERY)], an_event("order:1"), True),
        ([a_grant(GLOBAL)], an_event(None), True),
        ([a_grant(GLOBAL)], an_event("order:1"), False),
        ([a_grant(GLOBAL)], an_event("global:1"), False),
        ([a_grant("order")], an_event(None), False),
        ([a_grant("order", of="1")], an_event("order:1"), True),
        ([a_grant("order", of="1")], an_event("order:2"), False),
        ([], an_event("order:1"), False),
    ],
)
def test_a_grant_is_about_what_it_names(grants: list[Grant], event: Event, is_seen: bool) -> None:
    assert (selecting(*grants).match(event) is Match.DELIVER) is is_seen


def test_an_event_shows_the_members_of_all_grants_that_match_it() -> None:
    grants = (
        a_grant("order", "branch=eq.7", members={"branch", "stage"}),
        a_grant("order", "owner=eq.ann", members={"price"}),
        a_grant("order", "owner=eq.bob", members={"margin"}),
    )
    event = update({"branch": 7, "stage": "new", "price": 1, "margin": 2, "owner": "ann"})
    shown = selecting(*grants).shown(event)
    assert shown.data == {"branch": 7, "stage": "new", "price": 1}
    assert event.data is not None
    assert "margin" in event.data


def test_an_event_that_is_shown_whole_is_the_same_object() -> None:
    event = update({"branch": 7}, {"branch": 7})
    assert selecting(OWN).shown(event) is event


def test_the_old_state_is_shown_only_where_a_grant_covers_it() -> None:
    assert selecting(OWN).shown(update({"branch": 7}, {"branch": 8, "price": 1})).previous is None
    kept = update({"branch": 7}, {"price": 1})
    assert selecting(OWN).shown(kept).previous == {"price": 1}


def test_each_state_shows_the_members_of_the_grants_that_cover_it() -> None:
    grants = (
        a_grant("order", "stage=eq.new", members={"stage", "price"}),
        a_grant("order", "stage=eq.paid", members={"stage"}),
    )
    shown = selecting(*grants).shown(update({"stage": "paid", "price": 2}, {"stage": "new", "price": 1}))
    assert (shown.data, shown.previous) == ({"stage": "paid"}, {"stage": "new", "price": 1})


def test_a_deleted_row_shows_what_the_grants_covered_of_what_it_was_last() -> None:
    grant = a_grant("order", "branch=eq.7", members={"branch"})
    shown = selecting(grant).shown(update({"id": 1, "branch": 8}, {"branch": 7, "price": 1}, "delete"))
    assert (shown.data, shown.previous) == ({"branch": 8}, {"branch": 7})


@pytest.mark.parametrize("written", ["price=gt.5", "price=is.null", "price=neq.1", "price=lt.5"])
@pytest.mark.parametrize("data", [{"branch": 7, "price": 9}, {"branch": 7}])
def test_a_filter_on_a_member_that_no_covering_grant_shows_matches_nothing(
    written: str, data: dict[str, Any]
) -> None:
    grants = (
        a_grant("order", "branch=eq.7", members={"branch"}),
        a_grant("order", "branch=eq.8", members={"branch", "price"}),
    )
    selector = selecting(*grants, filters=written)
    assert selector.match(update(data)) is Match.SKIP
    assert selector.match(update({**data, "branch": 9}, {"branch": 7})) is Match.SKIP
    assert selector.match(update(data, None, "delete")) is Match.SKIP


@pytest.mark.parametrize(
    "selector",
    [
        selecting(OWN),
        selecting(OWN, entities=ORDERS),
        selecting(OWN, a_grant("invoice", of="1"), a_grant("menu")),
        selecting(a_grant(EVERY, "branch=in.(7,8)")),
        selecting(a_grant(GLOBAL), OWN),
        selecting(a_grant("order", "branch=gt.6"), filters="branch=eq.7"),
    ],
)
def test_an_event_that_matches_is_found_under_a_key_of_the_selection(selector: Selector) -> None:
    paths = [key[1] for key in selector.index_keys() if key[0] == "member"]
    for event in (
        update({"branch": 7}),
        update({"branch": 8}, {"branch": 7}),
        update({}, {"branch": 7}, "delete"),
        an_event("invoice:1"),
        an_event("menu:1"),
        an_event(None),
    ):
        if selector.match(event) is not Match.SKIP:
            assert set(selector.index_keys()) & set(event_keys(event, paths))


def test_rows_of_one_subject_are_found_by_the_grant_s_member_alone() -> None:
    assert selecting(OWN, entities=ORDERS).index_keys() == (("member", ("branch",), "number", 7),)


def test_equal_grants_make_equal_scopes_in_whatever_order() -> None:
    invoice = a_grant("invoice", "a=eq.1,b=eq.2")
    turned = a_grant("invoice", "b=eq.2,a=eq.1")
    one, other = Scope.of([OWN, invoice, OWN]), Scope.of([turned, OWN])
    assert one == other
    assert one.text == other.text
    assert hash(one) == hash(other)
    assert len(one.text) == 11
    assert selecting(OWN, invoice) == selecting(turned, OWN)


@pytest.mark.parametrize(
    "other",
    [
        a_grant("order"),
        a_grant("order", "branch=eq.8"),
        a_grant("order", 'branch=eq."7"'),
        a_grant("order", "branch=eq.7", members={"branch"}),
        a_grant("order", "branch=eq.7", of="1"),
        a_grant("invoice", "branch=eq.7"),
    ],
)
def test_other_grants_make_other_scopes(other: Grant) -> None:
    assert Scope.of([OWN]).text != Scope.of([other]).text
    assert selecting(OWN) != selecting(other)


def test_scopes_of_one_text_are_equal_only_where_their_grants_are() -> None:
    # The text is a digest cut short: whoever could make grants of a text that others have would be in their
    # group, and be sent their frames.
    one, other = Scope.of([OWN]), Scope.of([a_grant("order")])
    assert replace(other, text=one.text) != one


def test_a_whole_type_is_covered_by_a_grant_without_conditions_alone() -> None:
    for grant in (a_grant("order"), a_grant(EVERY)):
        assert Scope.of([grant]).covers_type("order")
    for grant in (OWN, a_grant("order", of="1"), a_grant("order", members={"a"}), a_grant(GLOBAL)):
        assert not Scope.of([grant]).covers_type("order")


def test_what_a_selection_costs_to_keep_counts_its_grants() -> None:
    asked = Selector(entities=ORDERS)
    grant = a_grant("order", "branch=in.(7,8)", members={"branch", "stage"})
    assert selecting(OWN, grant, entities=ORDERS).size == asked.size + (1 + 1) + (1 + 2 + 2)


@pytest.mark.parametrize("types", [set(), {"order"}, {"order", "invoice"}])
def test_what_a_component_leaves_of_a_selection_is_of_the_same_grants(types: set[str]) -> None:
    for whole in (selecting(OWN), selecting(OWN, entities=ORDERS), selecting(OWN, filters="branch=gt.1")):
        narrowed = whole.narrowed(frozenset(types))
        assert narrowed.scope == whole.scope
        assert narrowed.match(update({"branch": 7})) is Match.DELIVER
        assert narrowed.match(update({"branch": 8})) is Match.SKIP
        assert narrowed.match(an_event("invoice:1", data={"branch": 7})) is Match.SKIP


def test_a_selection_is_of_the_types_that_are_granted() -> None:
    selector = selecting(OWN, a_grant(GLOBAL))
    assert selector.types == {"order"}
    assert selector.may_receive("order")
    assert not selector.may_receive("invoice")
    assert selecting(a_grant(EVERY)).types == {None}
    assert selecting(OWN, entities=frozenset({("invoice", None), ("order", None)})).types == {"order"}
