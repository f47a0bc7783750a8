"""Content negotiation (RFC 9110, sections 12.5.1 and 12.5.3)."""

import pytest

from gateway.http.accept import accepts, accepts_coding


@pytest.mark.parametrize(
    "header",
    ["", "text/event-stream", "*/*", "text/*;q=0.1", "text/html, TEXT/Event-Stream;q=1", "*/*;q=0.5"],
)
def test_a_range_that_covers_a_type_admits_it(header: str) -> None:
    assert accepts(header, "text/event-stream")


@pytest.mark.parametrize("header", ["text/html", "text/event-stream;q=0, */*", "image/*", "*/*;q=0"])
def test_no_range_or_the_most_specific_one_may_exclude_it(header: str) -> None:
    assert not accepts(header, "text/event-stream")


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "x-gzip",
        "GZip",
        "gzip, deflate, br, zstd",
        "deflate,gzip;q=0.1",
        "br;q=1.0 , gzip ; q=0.8 , *;q=0",
        "*",
        "identity;q=0.5, *;q=0.5",
        "identity;q=0, gzip;q=0.001",
        "identity, gzip",
        ", gzip",
    ],
)
def test_a_coding_that_is_named_or_covered_is_accepted(header: str) -> None:
    assert accepts_coding(header, "gzip")


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "identity",
        "br, deflate",
        "gzip;q=0",
        "gzip;q=0.000, *",
        "x-gzip;q=0, *",
        "gzip, x-gzip;q=0",
        "*;q=0",
        "gzip;q=",
        "gzip;q=much",
        "gzip;q=nan",
        "gzipped",
        "identity, gzip;q=0.5",
    ],
)
def test_one_that_is_not_named_is_excluded_or_liked_less_than_none_is_not(header: str) -> None:
    assert not accepts_coding(header, "gzip")
