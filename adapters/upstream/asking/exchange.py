"""One request of a poll and its answer, bounded in time and size, with redirects within the origin."""

import asyncio
import ssl
from dataclasses import replace
from typing import NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from adapters.upstream.asking.addresses import upstream_address
from adapters.upstream.asking.request import PollRequest
from adapters.upstream.failures import BadAnswer, check_head, no_answer
from adapters.upstream.long_bodies import joined
from gateway.core.errors import UpstreamTimeout
from gateway.core.header_fields import MAX_FIELDS, MAX_HEAD_BYTES
from gateway.core.unpacking import CODINGS, Broken, TooLong, unpack
from gateway.ports.legacy_route import LegacyRoute

MAX_REDIRECTS = 5
MAX_GIVEN_BYTES = 65_536
"""How much of an answer that is no list is kept for callers."""

_AS_IT_WAS = frozenset({307, 308})
_REDIRECTS = frozenset({301, 302, 303}) | _AS_IT_WAS


class Exchanged(NamedTuple):
    """An answer, its body as it came; None where that was over the limit. `url` is where it came from."""

    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes | None

    @property
    def coding(self) -> str:
        """The content coding of the body, in lower case; "" where there is none."""
        given = ",".join(self.headers.getall("Content-Encoding", ()))
        codings = (coding.strip().lower() for coding in given.split(","))
        return ",".join(coding for coding in codings if coding not in ("", "identity"))


def poll_session() -> aiohttp.ClientSession:
    """A session for `exchange`. It keeps no cookies, so that no poll depends on the one before."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        max_field_size=MAX_HEAD_BYTES,
        max_headers=MAX_FIELDS,
    )


async def exchange(
    session: aiohttp.ClientSession,
    route: LegacyRoute,
    request: PollRequest,
    tls: ssl.SSLContext | bool,
    max_bytes: int,
) -> Exchanged:
    """Sends a request of the route's poll and reads the answer: `max_bytes` of one that may be a list.

    Redirects are followed where the route says so, within the origin: one that leads elsewhere, and one after
    MAX_REDIRECTS, is the answer. A redirect that does not say to repeat the request as it was leads to a GET
    (RFC 9110, section 15.4). Raises UpstreamTimeout where it took over `timeout_seconds`, NoAnswer where no
    whole answer came, BadAnswer where it is not to be read.
    """
    left = MAX_REDIRECTS if route.follow_redirects else 0
    try:
        async with asyncio.timeout(route.timeout_seconds):
            while True:
                async with session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                    ssl=tls,
                ) as answer:
                    check_head(answer)
                    target = _target(route, request, answer) if left else None
                    if target is None:
                        most = max_bytes if is_list(route, answer.status) else MAX_GIVEN_BYTES
                        body = await _read(answer, most)
                        return Exchanged(request.url, answer.status, answer.headers, body)
                left -= 1
                request = _repeated(request, target, answer.status)
    except TimeoutError as error:
        raise UpstreamTimeout(f"The upstream did not answer within {route.timeout_seconds:g} s.") from error
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        raise no_answer(error) from error


def is_list(route: LegacyRoute, status: int) -> bool:
    """Whether an answer with that status is one to compare: a list, or said to be empty by its status."""
    return status == 200 or status in route.empty


async def unpacked(body: bytes, coding: str, max_bytes: int) -> bytes | None:
    """A body without its content coding; None where it is over `max_bytes`. Raises BadAnswer (`encoding`)."""
    if not coding:
        return body
    if coding not in CODINGS:
        raise BadAnswer("encoding", "The upstream's answer has a content coding that was not asked for.")
    try:
        return await asyncio.to_thread(unpack, body, coding, max_bytes)
    except Broken as error:
        detail = f"The upstream's answer is not the {coding} that it says it is."
        raise BadAnswer("encoding", detail) from error
    except TooLong:
        return None


def _target(route: LegacyRoute, request: PollRequest, answer: aiohttp.ClientResponse) -> URL | None:
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    return upstream_address(route, request.url, location)


def _repeated(request: PollRequest, url: URL, status: int) -> PollRequest:
    if status in _AS_IT_WAS or request.method == "GET":
        return replace(request, url=url)
    headers = CIMultiDict(request.headers)
    headers.popall("Content-Type", None)
    return PollRequest("GET", url, headers, None)


async def _read(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    parts = []
    size = answer.content_length or 0
    if size <= max_bytes:
        size = 0
        async for part in answer.content.iter_any():
            size += len(part)
            if size > max_bytes:
                break
            parts.append(part)
    if size > max_bytes:
        # Without this, leaving the request would read the rest of a short body to keep the connection.
        answer.close()
        return None
    return await joined(parts)
