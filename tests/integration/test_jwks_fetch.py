"""gateway/access/jwks_fetch.py against servers that answer as they should, and as they should not."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from gateway.access.jwks import FetchFailed
from gateway.access.jwks_fetch import MAX_BYTES, MAX_REDIRECTS, fetch_jwks
from gateway.access.token_keys import keys_of_jwks
from tests.support.issuer import PUBLIC, jwk
from tests.support.ports import own_port
from tests.support.upstream import plain, raw_upstream, upstream

DOCUMENT = {"keys": [jwk(algorithm, kid=algorithm) for algorithm in PUBLIC]}
BODY = json.dumps(DOCUMENT).encode()
OK = b"HTTP/1.1 200 OK\r\n"


async def failure(url: str, seconds: float = 60.0) -> str:
    with pytest.raises(FetchFailed) as failed:
        await fetch_jwks(url, seconds)
    return failed.value.kind


async def test_the_keys_of_an_address_are_fetched() -> None:
    async with upstream() as issuer:
        issuer.says(BODY)
        fetched = await fetch_jwks(issuer.url)
    assert fetched == (keys_of_jwks(DOCUMENT), None)
    asked = issuer.asked[0]
    assert asked.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in asked.headers
    assert "Cookie" not in asked.headers


@pytest.mark.parametrize(
    ("cache_control", "max_age"),
    [
        ("max-age=60", 60.0),
        ("public, Max-Age = 60, must-revalidate", 60.0),
        ('max-age="60"', 60.0),
        ("s-maxage=60", None),
        ("no-store", None),
        ("max-age=-1", None),
        ("max-age=soon", None),
        ("max-age=99999999999", None),
        ("", None),
    ],
)
async def test_an_answer_says_how_long_it_is_fresh(cache_control: str, max_age: float | None) -> None:
    async with upstream() as issuer:
        issuer.says(BODY, Cache_Control=cache_control)
        assert (await fetch_jwks(issuer.url)).max_age_seconds == max_age


async def test_the_media_type_does_not_count() -> None:
    async with upstream() as issuer:
        issuer.says(BODY, Content_Type="text/plain")
        assert (await fetch_jwks(issuer.url)).keys == keys_of_jwks(DOCUMENT)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!doctype html><title>Sign in</title>", "not_json"),
        (b"", "not_json"),
        (BODY[:-1], "not_json"),
        (b"[]", "no_jwks"),
        (b"{}", "no_jwks"),
        (b'{"keys": {}}', "no_jwks"),
        (json.dumps({"keys": [{}] * 101}).encode(), "no_jwks"),
        (b" " * (MAX_BYTES + 1), "too_large"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_what_is_no_jwks_gives_no_keys(body: bytes, kind: str) -> None:
    async with upstream() as issuer:
        issuer.says(body)
        assert await failure(issuer.url) == kind


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 403, 404, 429, 500, 502, 503])
async def test_an_answer_with_another_status_gives_no_keys(status: int) -> None:
    async with upstream() as issuer:
        issuer.says(b"" if status in (204, 304) else BODY, status=status)
        assert await failure(issuer.url) == "status"


async def test_a_coded_answer_gives_no_keys() -> None:
    async with upstream() as issuer:
        issuer.says(gzip.compress(BODY), Content_Encoding="gzip")
        assert await failure(issuer.url) == "encoding"


async def test_a_gigabyte_is_not_read() -> None:
    head = OK + b"Content-Length: 1000000000\r\n\r\n"
    async with raw_upstream(head + b"{", silent=True) as (url, _):
        assert await failure(url) == "too_large"


async def test_a_body_without_end_is_read_no_further_than_allowed() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65_536)
            sent += 65_536

    async with upstream() as issuer:
        issuer.answering = endless
        assert await failure(issuer.url) == "too_large"
    # What buffers on the way hold beside it is some megabytes.
    assert sent < 64 * MAX_BYTES


@pytest.mark.parametrize("sent", [b"", OK, OK + b"Content-Length: 9\r\n\r\n{"])
async def test_silence_is_waited_for_no_longer_than_told(sent: bytes) -> None:
    async with raw_upstream(sent, silent=True) as (url, _):
        assert await failure(url, 0.2) == "timeout"


async def test_an_answer_in_drops_is_waited_for_no_longer_than_told() -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.01)

    async with upstream() as issuer:
        issuer.answering = dripping
        assert await failure(issuer.url, 0.2) == "timeout"


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", OK + b"Content-Length: 9\r\n\r\n{", OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n"],
)
async def test_what_is_no_whole_answer_gives_no_keys(answer: bytes) -> None:
    async with raw_upstream(answer) as (url, _):
        assert await failure(url) == "unreachable"


async def test_where_nobody_listens_there_are_no_keys() -> None:
    with own_port() as port:
        assert await failure(f"http://127.0.0.1:{port}/jwks.json") == "unreachable"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_origin_is_followed(status: int) -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        if request.path == "/orders":
            return web.Response(status=status, headers={"Location": "/keys"})
        return await plain(BODY)(request)

    async with upstream() as issuer:
        issuer.answering = answering
        assert (await fetch_jwks(issuer.url)).keys == keys_of_jwks(DOCUMENT)
        assert [asked.target for asked in issuer.asked] == ["/orders", "/keys"]


async def test_a_redirect_to_another_origin_is_not_followed() -> None:
    async with upstream() as other, upstream() as issuer:
        other.says(BODY)
        issuer.says(b"", status=302, Location=other.url)
        assert await failure(issuer.url) == "redirect"
        assert other.asked == []


@pytest.mark.parametrize(
    "location", ["", "http://[", "//", "https://127.0.0.1/", "file:///etc/passwd", "data:,x"]
)
async def test_a_redirect_to_nowhere_is_not_followed(location: str) -> None:
    async with upstream() as issuer:
        issuer.says(b"", status=302, Location=location)
        assert await failure(issuer.url) == "redirect"


async def test_a_circle_of_redirects_ends() -> None:
    async with upstream() as issuer:
        issuer.says(b"", status=302, Location="/orders")
        assert await failure(issuer.url) == "redirect"
        assert len(issuer.asked) == MAX_REDIRECTS + 1


async def test_a_redirect_s_own_body_is_not_read() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /keys\r\nContent-Length: 1000000000\r\n\r\n"
    good = OK + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    async with raw_upstream(head, good) as (url, heads):
        assert (await fetch_jwks(url)).keys == keys_of_jwks(DOCUMENT)
    assert len(heads) == 2
