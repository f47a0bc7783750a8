"""What the gateway's own poll says."""

import pytest

from adapters.upstream.asking.request import request_fields, requests_of
from tests.support.legacy import legacy_route

UPSTREAM = "http://backend.test:9000/orders"


def test_by_default_it_asks_for_json_that_may_be_compressed() -> None:
    (request,) = requests_of(legacy_route(upstream=UPSTREAM))

    assert (request.method, str(request.url), request.body) == ("GET", UPSTREAM, None)
    assert request_fields(legacy_route()) == {
        "accept": "*/*",
        "accept-encoding": "gzip",
        "user-agent": "tidegate",
    }


def test_the_routes_header_fields_are_added_and_take_the_place_of_the_default_ones() -> None:
    fields = request_fields(
        legacy_route(headers={"Authorization": "Bearer s", "accept": "text/csv", "HOST": "shop.test"})
    )

    assert fields["accept"] == "text/csv"
    assert fields["authorization"] == "Bearer s"
    assert fields["host"] == "shop.test"
    assert fields["user-agent"] == "tidegate"


def test_a_body_is_sent_with_its_content_type() -> None:
    route = legacy_route(method="POST", body='{"query":"ä"}', content_type="application/graphql")

    (request,) = requests_of(route)

    assert (request.method, request.body) == ("POST", '{"query":"ä"}'.encode())
    assert request.headers["Content-Type"] == "application/graphql"


@pytest.mark.parametrize(
    ("url", "host", "scheme"),
    [
        ("https://api.shop.example", "api.shop.example", "https"),
        ("https://api.shop.example:443/", "api.shop.example", "https"),
        ("http://api.shop.example:8080", "api.shop.example:8080", "http"),
        ("http://[::1]:8080", "[::1]:8080", "http"),
    ],
)
def test_the_public_url_is_what_the_upstream_makes_links_of(url: str, host: str, scheme: str) -> None:
    fields = request_fields(legacy_route(public_url=url))

    assert (fields["host"], fields["x-forwarded-host"], fields["x-forwarded-proto"]) == (host, host, scheme)


@pytest.mark.parametrize(
    ("own", "query", "asked"),
    [
        ("", "limit=500&status=open", "?limit=500&status=open"),
        ("?a=1", "limit=500", "?a=1&limit=500"),
        ("?a=1", "", "?a=1"),
        ("?a=%2F+b", "key=x/y+z%20", "?a=%2F+b&key=x/y+z%20"),
        ("", "name=a b#c\u00e4", "?name=a%20b%23c%C3%A4"),
        ("", "", ""),
    ],
)
def test_the_routes_query_comes_behind_that_of_the_address(own: str, query: str, asked: str) -> None:
    (request,) = requests_of(legacy_route(upstream=UPSTREAM + own, query=query))

    assert str(request.url) == UPSTREAM + asked


def test_further_requests_are_relative_to_the_upstream_and_have_the_routes_query_too() -> None:
    route = legacy_route(
        upstream=UPSTREAM + "?state=open",
        query="limit=5",
        also=["?state=closed", "/archive", UPSTREAM + "/old"],
    )

    assert [str(request.url) for request in requests_of(route)] == [
        UPSTREAM + "?state=open&limit=5",
        UPSTREAM + "?state=closed&limit=5",
        "http://backend.test:9000/archive?limit=5",
        UPSTREAM + "/old?limit=5",
    ]


@pytest.mark.parametrize("given", ["https://backend.test:9000/x", "//evil.test/x", "http://backend.test/x"])
def test_a_further_request_to_another_origin_is_an_error(given: str) -> None:
    with pytest.raises(ValueError, match="also: must be addresses of the upstream's"):
        requests_of(legacy_route(upstream=UPSTREAM, also=[given]))


def test_nothing_of_a_request_is_shown() -> None:
    secrets = {"headers": {"X-Key": "hush"}, "query": "key=hush", "body": "hush"}
    route = legacy_route(upstream=UPSTREAM + "?key=hush", method="POST", **secrets)

    assert "hush" not in repr(requests_of(route)) + repr(route)
