"""Whether an address that an upstream gives is of its own origin."""

import pytest
from yarl import URL

from adapters.upstream.asking.addresses import same_origin, upstream_address, written
from tests.support.legacy import legacy_route

BASE = URL("http://Backend.test:9000/api/orders?page=1")
UPSTREAM = "http://backend.test:9000/orders"


@pytest.mark.parametrize(
    ("given", "leads_to"),
    [
        ("http://backend.test:9000/x?page=2", "http://backend.test:9000/x?page=2"),
        ("//BACKEND.test:9000/x", "http://backend.test:9000/x"),
        ("/x?q=%2F+a", "http://backend.test:9000/x?q=%2F+a"),
        ("?page=2#part", "http://backend.test:9000/api/orders?page=2"),
        ("closed", "http://backend.test:9000/api/closed"),
        ("/a b?c=d e", "http://backend.test:9000/a%20b?c=d%20e"),
        ("/ä", "http://backend.test:9000/%C3%A4"),
    ],
)
def test_an_address_of_the_same_origin_is_taken(given: str, leads_to: str) -> None:
    assert str(same_origin(BASE, given)) == leads_to


@pytest.mark.parametrize(
    "given",
    [
        "https://backend.test:9000/x",
        "http://backend.test/x",
        "http://backend.test.evil.test:9000/x",
        "//evil.test/x",
        "http://backend.test:9000@evil.test/x",
        "http://user:password@backend.test:9000/x",
        "http://backend.test:999999/x",
        "http://[::1",
        "mailto:somebody",
    ],
)
def test_an_address_of_another_origin_is_none(given: str) -> None:
    assert same_origin(BASE, given) is None
    assert (
        upstream_address(legacy_route(upstream=UPSTREAM, public_url="https://api.test"), BASE, given) is None
    )


def test_a_port_that_is_the_schemes_own_is_the_same_as_none() -> None:
    assert str(same_origin(URL("http://backend.test/x"), "http://backend.test:80/y")).endswith("/y")


@pytest.mark.parametrize(
    ("given", "leads_to"),
    [
        ("https://api.test/orders?page=2", "http://backend.test:9000/orders?page=2"),
        ("http://api.test:80/orders?page=2", "http://backend.test:9000/orders?page=2"),
        ("https://api.test/api/v1/orders?page=2", "http://backend.test:9000/orders?page=2"),
        ("https://api.test/api/v1/orders/more", "http://backend.test:9000/orders/more"),
        ("https://api.test/api/v1/orders2", "http://backend.test:9000/api/v1/orders2"),
        ("http://backend.test:9000/orders?page=2", "http://backend.test:9000/orders?page=2"),
        ("/orders?page=2", "http://backend.test:9000/orders?page=2"),
    ],
)
def test_what_the_upstream_makes_of_its_public_url_is_its_own_again(given: str, leads_to: str) -> None:
    route = legacy_route(upstream=UPSTREAM, public_url="https://api.test")

    assert str(upstream_address(route, BASE, given)) == leads_to


def test_the_public_url_is_another_origin_where_it_is_not_set() -> None:
    assert upstream_address(legacy_route(upstream=UPSTREAM), BASE, "https://api.test/orders") is None


def test_what_can_stand_in_an_address_stays_as_it_was_written() -> None:
    text = "/a%2Fb;c=1,2?d=e+f&g=[0]&h=~'()*!$@:/?"

    assert written(text) == text
