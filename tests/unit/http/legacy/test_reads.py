"""gateway/http/legacy/reads.py: what is no write."""

import pytest

from gateway.http.legacy.reads import Reads

READS = Reads(["POST /api/v1/orders/search", "POST /api/v1/orders/*/quote", "REPLACE /x y"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            (method, "/api/v1/orders")
            for method in ("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH")
        ),
        ("POST", "/api/v1/orders/search"),
        ("POST", "/api/v1/orders/s%65arch"),
        ("POST", "/api/v1/orders/7/quote"),
        ("POST", "/api/v1/orders/a%2Fb/quote"),
        ("REPLACE", "/x%20y"),
    ],
)
def test_what_changes_nothing(method: str, path: str) -> None:
    assert READS.cover(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/orders"),
        ("POST", "/api/v1/orders/search/"),
        ("POST", "/api/v1/orders/search/more"),
        ("POST", "/api/v1/orders//quote"),
        ("POST", "/api/v1/orders/7/8/quote"),
        ("POST", "/api/v1/orders%2Fsearch"),
        ("PUT", "/api/v1/orders/search"),
        ("post", "/api/v1/orders/search"),
        ("get", "/api/v1/orders"),
        ("MKCOL", "/api/v1/orders"),
    ],
)
def test_what_may_change_something(method: str, path: str) -> None:
    assert not READS.cover(method, path)


def test_a_route_without_reads_has_the_safe_methods() -> None:
    assert Reads(()).cover("GET", "/")
    assert not Reads(()).cover("POST", "/")
