"""What a caller gets of what it asks for, and when it is told that there is nothing."""

import pytest
from multidict import MultiDict

from gateway.access.principal import OPEN, Principal
from gateway.access.selection import granted
from gateway.core.errors import Forbidden
from gateway.core.filters import parse_filters
from gateway.core.grants import EVERY, Grant, Scope
from gateway.core.selectors import Selector, parse_selector
from tests.support.effort import calls_of
from tests.unit.core.test_grants import a_grant


def asked(query: str) -> Selector:
    pairs = [tuple(pair.split("=", 1)) for pair in query.split("&") if pair]
    return parse_selector(MultiDict([(name, value) for name, value in pairs]), {})


def of(*grants: Grant) -> Principal:
    return Principal(scope=Scope.of(grants))


OWN = a_grant("order", "branch=eq.7", members={"branch", "stage"})


def test_without_authentication_everything_is_given_that_was_asked_for() -> None:
    selector = asked("entity=order")
    assert granted(selector, OPEN) is selector


@pytest.mark.parametrize(
    "query",
    [
        "",
        "entity=order",
        "entity=order:1",
        "entity=order,invoice",
        "eventTypes=changed",
        "filter=branch=eq.7",
        "filter=branch=in.(6,7)",
        "filter=branch=gt.9",
        "filter=stage=eq.new",
        "entity=order&filter=branch=neq.7",
    ],
)
def test_what_is_left_of_a_request_is_served(query: str) -> None:
    selector = granted(asked(query), of(OWN))
    assert selector.scope == Scope.of([OWN])
    assert selector.entities == asked(query).entities


@pytest.mark.parametrize(
    "query",
    [
        "entity=invoice",
        "entity=global",
        "filter=branch=eq.8",
        "filter=branch=in.(8,9)",
        'filter=branch=eq."7"',
        "filter=branch=is.null",
    ],
)
def test_a_request_that_no_grant_can_match_is_refused(query: str) -> None:
    with pytest.raises(Forbidden):
        granted(asked(query), of(OWN))


def test_whoever_is_granted_nothing_is_refused() -> None:
    with pytest.raises(Forbidden):
        granted(asked(""), Principal())


def test_another_id_than_the_granted_one_is_refused() -> None:
    assert granted(asked("entity=order:1"), of(a_grant("order", of="1")))
    with pytest.raises(Forbidden):
        granted(asked("entity=order:2"), of(a_grant("order", of="1")))


def test_a_filter_on_a_member_that_is_not_shown_is_refused_as_one_that_is_not_there() -> None:
    # The grant's own filter names the hidden one: neither a right guess nor a wrong one may tell.
    principal = of(a_grant("order", "secret=eq.5", members={"branch"}))
    said = set()
    for query in ("filter=secret=eq.5", "filter=secret=eq.6", "filter=nothing=eq.5", "entity=invoice"):
        with pytest.raises(Forbidden) as refusal:
            granted(asked(query), principal)
        said.add((refusal.value.detail, str(refusal.value.headers), str(refusal.value.errors)))
    assert len(said) == 1


def test_a_grant_of_every_type_shows_what_it_says() -> None:
    filters = tuple(parse_filters("branch=eq.7"))
    assert granted(asked("entity=anything&filter=stage=eq.new"), of(Grant(EVERY, None, filters)))
    with pytest.raises(Forbidden):
        granted(asked("filter=stage=eq.new"), of(Grant(EVERY, None, filters, frozenset({"branch"}))))


MANY = 500
"""Of grants, and of what is asked for: both may be a thousand."""


@pytest.mark.parametrize(
    ("query", "grants"),
    [
        (f"entity={','.join(f'b:{n}' for n in range(MANY))}", [Grant("b", f"-{n}") for n in range(MANY)]),
        (f"entity={','.join(f'b{n}' for n in range(MANY))}", [Grant(f"c{n}") for n in range(MANY)]),
        (
            f"filter=b=in.({','.join(map(str, range(MANY)))})",
            [a_grant("order", f"b=eq.-{n}") for n in range(1, MANY)],
        ),
        (
            f"filter=b=in.({','.join(map(str, range(MANY)))})",
            [a_grant("order", f"b=in.({','.join(str(-n) for n in range(1, MANY))})")],
        ),
    ],
    ids=["ids", "types", "a filter to many", "a filter to one"],
)
def test_many_grants_and_many_wishes_are_not_each_compared_with_each(query: str, grants: list[Grant]) -> None:
    selector, caller = asked(query), of(*grants)

    def ask() -> None:
        with pytest.raises(Forbidden):
            granted(selector, caller)

    assert calls_of(ask) < 50 * MANY


def test_the_types_of_many_grants_are_found_without_comparing_each_with_each() -> None:
    types = [f"t{number}" for number in range(MANY)]
    selector = granted(asked(f"entity={','.join(types)}"), of(*map(Grant, types)))
    assert selector.types == {*types}
    assert calls_of(lambda: selector.types) < 50 * MANY
