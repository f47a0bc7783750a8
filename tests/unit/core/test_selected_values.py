"""Which values a selection asks members to have."""

from dataclasses import replace

import pytest
from multidict import MultiDict

from gateway.core.filters import filter_of
from gateway.core.grants import Grant, Scope
from gateway.core.selected_values import MAX_ROWS, selected_values
from gateway.core.selectors import Selector, parse_selector


def of(*filters: str, entity: str = "order") -> Selector:
    query = MultiDict([("entity", entity), *(("filter", given) for given in filters)])
    return parse_selector(query, {}, {"customer", "year"})


def granted(*filters: tuple[tuple[str, str], ...], asked: Selector) -> Selector:
    grants = (
        Grant("order", filters=tuple(filter_of((name,), "eq", [value]) for name, value in given))
        for given in filters
    )
    return replace(asked, scope=Scope.of(grants))


def customers(selector: Selector) -> list[str]:
    return [value for (value,) in selected_values(selector, "order", ("customer",))]


@pytest.mark.parametrize(
    ("filters", "values"),
    [
        (["customer=eq.7"], ["7"]),
        (['customer=eq."7"'], ["7"]),
        (["customer=eq.007"], ["007"]),
        (["customer=eq.99999999999999999999999"], ["99999999999999999999999"]),
        (["customer=eq.1e3"], ["1e3"]),
        (["customer=is.true"], []),
        (["customer=in.(7,x)"], ["x", "7"]),
        (["customer=in.(7,8)", "customer=in.(8,9)"], ["8"]),
        (["customer=eq.7", "total=gt.5"], ["7"]),
        (["customer=neq.7"], []),
        (["customer=gt.7"], []),
        (["customer.id=eq.7"], []),
        ([], []),
    ],
)
def test_a_filter_says_the_values(filters: list[str], values: list[str]) -> None:
    assert customers(of(*filters)) == values


def test_a_selection_of_another_type_wants_none() -> None:
    assert customers(of("customer=eq.7", entity="job")) == []
    assert customers(replace(of("customer=eq.7"), withheld=frozenset({"order"}))) == []
    assert customers(parse_selector(MultiDict({"filter": "customer=eq.7"}), {}, {"customer"})) == ["7"]


def test_several_members_have_each_pair_of_values() -> None:
    rows = selected_values(of("customer=in.(a,b)", "year=eq.2026"), "order", ("customer", "year"))
    assert list(rows) == [("a", "2026"), ("b", "2026")]
    assert list(selected_values(of("customer=eq.a"), "order", ("customer", "year"))) == []


def test_there_are_never_more_than_a_thousand() -> None:
    many = ",".join(f"x{number}" for number in range(400))
    rows = selected_values(of(f"customer=in.({many})", f"year=in.({many})"), "order", ("customer", "year"))
    assert len(list(rows)) == MAX_ROWS


def test_where_no_filter_says_it_the_grants_do() -> None:
    assert customers(granted((("customer", "7"),), (("customer", "8"),), asked=of())) == ["7", "8"]
    assert customers(granted((("customer", "7"),), asked=of("customer=eq.9"))) == ["9"]
    assert customers(granted((("customer", "7"),), (), asked=of())) == []
