"""What pages of other origins are told (tests/integration/test_cors.py has the rest)."""

import re
from pathlib import Path

import pytest
from aiohttp import web

from gateway.http.cors import EXPOSED_FIELDS, REQUEST_FIELDS, Cors, origin_in

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
APP = "https://app.example"


@pytest.mark.parametrize(
    ("given", "vary"),
    [
        ([], "Origin"),
        (["Accept-Encoding"], "Accept-Encoding, Origin"),
        (["Accept-Encoding, ORIGIN"], "Accept-Encoding, ORIGIN"),
        (["Accept", "Accept-Encoding"], "Accept, Accept-Encoding, Origin"),
        (["*"], "*"),
        ([""], "Origin"),
    ],
)
def test_an_answer_varies_by_origin_beside_what_it_varies_by(given: list[str], vary: str) -> None:
    response = web.Response(headers=[("Vary", line) for line in given])
    cors = Cors([APP])
    cors.mark(response, APP)
    cors.mark(response, APP)
    assert response.headers.getall("Vary") == [vary]
    assert response.headers.getall("Access-Control-Allow-Origin") == [APP]


@pytest.mark.parametrize("origin", [None, "null", "", "https://other.example", "https://app.example:8443"])
def test_nobody_else_may_read(origin: str | None) -> None:
    response = web.Response()
    Cors([APP]).mark(response, origin)
    assert response.headers["Vary"] == "Origin"
    assert not [name for name in response.headers if name.startswith("Access-Control")]


def test_the_contract_lists_the_fields_of_pages_and_no_others() -> None:
    section = (
        PROTOCOL.read_text().partition("**Pages of other origins.**")[2].partition("**Behind proxies.**")[0]
    )
    exposed = section.partition("with the fields that this page names: ")[2].partition(". So it is")[0]
    allowed = section.partition("Allowed are ")[2].partition("; on a legacy route")[0]
    assert tuple(re.findall(r"`([\w-]+)`", exposed)) == EXPOSED_FIELDS
    assert tuple(re.findall(r"`([\w-]+)`", allowed)) == REQUEST_FIELDS


@pytest.mark.parametrize(
    ("head", "origin"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nORIGIN:  https://app.example\r\nX: y", APP),
        (
            b"GET / HTTP/1.1\nOrigin: https://old.example\n\nGET / HTTP/1.1\nOrigin: https://app.example\n",
            APP,
        ),
        (b"GET / HTTP/1.1\r\nX-Origin: https://app.example\r\n", None),
        (b"GET / HTTP/1.1\r\nOrigin: a b\r\n", None),
        (b"GET / HTTP/1.1\r\nOrigin: \xff\r\n", None),
        (b"", None),
    ],
)
def test_an_origin_is_found_in_what_can_not_be_read(head: bytes, origin: str | None) -> None:
    assert origin_in(head) == origin


def test_where_only_one_page_could_ask_it_may_read_what_is_wrong() -> None:
    one, two = web.Response(), web.Response()
    Cors([APP]).mark_unread(one, b"GET / HTTP/1.1\r\n")
    Cors([APP, "https://b.example"]).mark_unread(two, b"GET / HTTP/1.1\r\n")
    assert one.headers["Access-Control-Allow-Origin"] == APP
    assert "Access-Control-Allow-Origin" not in two.headers
