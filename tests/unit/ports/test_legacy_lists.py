"""Which list of a route a request is about."""

from typing import Any
from urllib.parse import quote

import pytest

from gateway.ports.legacy_lists import BASE, ListName, list_named, raw_values, route_of, value_of, variant_of
from gateway.ports.legacy_route import LegacyRoute
from tests.support.legacy import PATH, legacy_route

CUSTOMERS = "/api/v1/customers/{customer}/orders"


def varying(**settings: Any) -> LegacyRoute:
    return legacy_route(**({"vary_query": ("status", "page"), "ignore_query": ("_",)} | settings))


def of_customers(**settings: Any) -> LegacyRoute:
    return legacy_route(path=CUSTOMERS, upstream="http://127.0.0.1:9000/c/{customer}/orders", **settings)


@pytest.mark.parametrize(
    ("query", "variant"),
    [
        ("", ""),
        ("_=1732700000", ""),
        ("&", ""),
        ("status=open", "status=open"),
        ("status=open&_=1", "status=open"),
        ("status=open&page=2", "page=2&status=open"),
        ("page=2&status=open", "page=2&status=open"),
        ("status=b&page=1&status=a", "page=1&status=b&status=a"),
        ("st%61tus=%6fpen", "status=open"),
        ("status=a%2fb", "status=a%2Fb"),
        ("status=a%2Bb+c", "status=a%2Bb+c"),
        ("status=[x]", "status=%5Bx%5D"),
        ("status", "status"),
        ("status=", "status="),
        ("status=a=b", "status=a=b"),
        ("status=%C3%A9", "status=%C3%A9"),
    ],
)
def test_a_query_of_known_parameters_names_a_list_in_one_spelling(query: str, variant: str) -> None:
    assert variant_of(varying(), query) == variant
    assert variant_of(varying(), variant) == variant


@pytest.mark.parametrize(
    "query",
    [
        "other=1",
        "status=open&other=1",
        "Status=open",
        "status=%zz",
        "status=é",
        "status=a b",
        "=1",
        "status=" + "x" * 1100,
    ],
)
def test_any_other_query_is_for_the_upstream_to_answer(query: str) -> None:
    assert variant_of(varying(), query) is None


def test_without_parameters_that_vary_no_query_names_a_list() -> None:
    assert variant_of(legacy_route(), "status=open") is None
    assert variant_of(legacy_route(), "&") is None
    assert list_named(legacy_route(), PATH, "") is BASE


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("7", "7"),
        ("a%20b", "a b"),
        ("%C3%A9", "é"),
        ("a%2541", "a%41"),
        ("x" * 256, "x" * 256),
        ("%7Bcustomer%7D", "{customer}"),
        ("a%3Bv", "a;v"),
    ],
)
def test_a_step_of_a_path_is_decoded_once(raw: str, value: str) -> None:
    assert value_of(raw) == value
    assert list_named(of_customers(), f"/api/v1/customers/{raw}/orders", "") == ListName((value,))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        ".",
        "..",
        "%2e%2E",
        "%252e%252e",
        "a%2Fb",
        "a%252fb",
        "..%5Ca",
        "a%00",
        "a%2500",
        "%0A",
        "%7F",
        "a;v=1",
        "%zz",
        "%FF",
        "\udcff",
        "x" * 257,
    ],
)
def test_a_step_that_may_be_taken_for_another_names_no_list(raw: str) -> None:
    assert value_of(raw) is None
    assert list_named(of_customers(), f"/api/v1/customers/{raw}/orders", "") is None


def test_the_list_of_a_path_is_a_route_of_its_own() -> None:
    route = of_customers(also=("/c/{customer}/closed",))
    of = route_of(route, ListName(("a/b é".replace("/", "-"),)))
    written = quote("a-b é", safe="")
    assert of.path == of.name == f"/api/v1/customers/{written}/orders"
    assert of.upstream == f"http://127.0.0.1:9000/c/{written}/orders"
    assert of.also == (f"/c/{written}/closed",)
    assert of.members == {"customer": "a-b é"}
    assert of.events == "poll"


def test_a_value_that_looks_like_a_parameter_is_not_filled_in_again() -> None:
    route = legacy_route(path="/a/{x}/b/{y}", upstream="http://u/{x}/{y}")
    of = route_of(route, ListName(("{y}", "7")))
    assert of.upstream == "http://u/%7By%7D/7"


def test_the_list_of_a_query_makes_no_events_and_asks_for_what_the_caller_did() -> None:
    of = route_of(varying(query="limit=500"), ListName((), "page=2&status=open"))
    assert of.query == "limit=500&page=2&status=open"
    assert (of.variant, of.events) == ("page=2&status=open", "none")
    assert of.name == f"{PATH}?page=2&status=open"


def test_a_callers_parameter_takes_the_place_of_the_polls_own() -> None:
    route = varying(query="status=open&limit=500", upstream="http://u/orders?page=1&tenant=3")
    of = route_of(route, ListName((), "page=2&status=closed"))
    assert of.query == "limit=500&page=2&status=closed"
    assert of.upstream == "http://u/orders?tenant=3"


def test_the_base_list_is_the_route_itself() -> None:
    route = varying(query="limit=500")
    assert route_of(route, BASE) is route


def test_what_stands_in_place_of_the_parameters_is_given_as_it_came() -> None:
    assert raw_values(of_customers(), "/api/v1/customers/%2e%2E/orders/17") == ("%2e%2E",)
    assert raw_values(legacy_route(), PATH) == ()


def test_keys_of_long_names_are_bounded_and_differ() -> None:
    one, other = (route_of(of_customers(), ListName(("é" * 250 + end,))) for end in "ab")
    assert one.key_name != other.key_name
    assert max(len(one.key_name), len(other.key_name)) < 350
    assert route_of(of_customers(), ListName(("7",))).key_name == "/api/v1/customers/7/orders"
