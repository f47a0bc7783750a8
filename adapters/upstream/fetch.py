"""One conditional request for the list, bounded in time and size."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.upstream.failures import BadAnswer, check_head, no_answer
from adapters.upstream.long_bodies import joined
from gateway.core.errors import UpstreamTimeout
from gateway.core.header_fields import MAX_FIELDS, MAX_HEAD_BYTES
from gateway.core.unpacking import CODINGS, Broken, TooLong, unpack
from gateway.ports.legacy_route import LegacyRoute

# Not coded: an upstream's strong ETag then names the very bytes that callers get, and so holds for the
# If-Match of their writes too (RFC 9110, section 8.8.3.3).
_HEADERS = {
    "Accept": "application/json, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": "tidegate",
}


class Fetched(NamedTuple):
    """A good answer, of the first of several requests; `more` are the bodies of the others, in their order.

    `body` is without the content coding in which it came: `coded` is what came, in `coding`, where there was
    one, and its ETag is of those bytes.
    """

    headers: CIMultiDictProxy[str]
    body: bytes
    coded: bytes | None = None
    coding: str = ""
    status: int = 200
    more: tuple[bytes, ...] = ()


def poll_session() -> aiohttp.ClientSession:
    """A session for `fetch`. It keeps no cookies, so that no poll depends on the one before."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        headers=_HEADERS,
        max_field_size=MAX_HEAD_BYTES,
        max_headers=MAX_FIELDS,
    )


async def fetch(
    session: aiohttp.ClientSession, route: LegacyRoute, validators: Mapping[str, str]
) -> Fetched | None:
    """Asks the upstream for its list; None where it says that nothing changed since `validators`.

    `validators` are fields that can be sent. Raises BadAnswer (`status`, also for a 304 that nobody asked
    for; `head_too_large`; `too_large`; `encoding`), UpstreamTimeout where the whole took over
    `timeout_seconds`, NoAnswer where no whole answer came.
    """
    try:
        async with (
            asyncio.timeout(route.timeout_seconds),
            session.get(route.url, headers=CIMultiDict(validators), allow_redirects=False) as answer,
        ):
            check_head(answer)
            if answer.status == 304 and validators:
                return None
            if answer.status != 200:
                raise BadAnswer("status", f"The upstream answered with status {answer.status}.")
            body = await _read(answer, route.max_body_bytes)
            headers = answer.headers
    except TimeoutError as error:
        raise UpstreamTimeout(f"The upstream did not answer within {route.timeout_seconds:g} s.") from error
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        raise no_answer(error) from error
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        return Fetched(headers, body)
    if coding not in CODINGS:
        raise BadAnswer("encoding", "The upstream's answer has a content coding that was not asked for.")
    try:
        unpacked = await asyncio.to_thread(unpack, body, coding, route.max_body_bytes)
    except Broken as error:
        raise BadAnswer(
            "encoding", f"The upstream's answer is not the {coding} that it says it is."
        ) from error
    except TooLong as error:
        raise _too_large(route.max_body_bytes) from error
    return Fetched(headers, unpacked, body, coding)


async def _read(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
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
        raise _too_large(max_bytes)
    return await joined(parts)


def _too_large(max_bytes: int) -> BadAnswer:
    return BadAnswer("too_large", f"The upstream's answer is over {max_bytes} bytes.")
