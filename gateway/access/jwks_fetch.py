"""One fetch of a JWKS (RFC 7517), bounded in time, size and in where it leads."""

import asyncio
import re

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError
from yarl import URL

from gateway.access.jwks import Fetched, FetchFailed
from gateway.access.token_keys import KeySet, keys_of_jwks
from gateway.core.header_fields import MAX_FIELDS, MAX_HEAD_BYTES

FETCH_SECONDS = 5.0
MAX_BYTES = 1024 * 1024
MAX_REDIRECTS = 3

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_AGE = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?([0-9]{1,9})(?![0-9])', re.IGNORECASE)
# Not coded: a few bytes could unpack to a great many.
_HEADERS = {
    "Accept": "application/jwk-set+json, application/json, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": "tidegate",
}


async def fetch_jwks(url: str, seconds: float = FETCH_SECONDS) -> Fetched:
    """The keys at `url`, in `seconds` at most. Redirects are followed within its origin alone.

    Raises FetchFailed for whatever else than a 200 with a JWKS of up to MAX_BYTES, of any media type.
    """
    try:
        async with asyncio.timeout(seconds), _session() as session:
            body, cache_control = await _get(session, URL(url))
    except TimeoutError as error:
        raise FetchFailed("timeout", f"There was no whole answer within {seconds:g} s.") from error
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        raise FetchFailed("unreachable", f"No whole answer came: {error}") from error
    max_age = _MAX_AGE.search(cache_control)
    # A hundred keys take some milliseconds to read.
    keys = await asyncio.to_thread(_parse, body)
    return Fetched(keys, None if max_age is None else float(max_age[1]))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        headers=_HEADERS,
        max_field_size=MAX_HEAD_BYTES,
        max_headers=MAX_FIELDS,
    )


async def _get(session: aiohttp.ClientSession, url: URL) -> tuple[bytes, str]:
    """The answer's body and Cache-Control."""
    for _ in range(MAX_REDIRECTS + 1):
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status in _REDIRECTS:
                # Closed, so that leaving it does not read a body that nobody needs.
                answer.close()
                url = _target(url, answer.headers.get("Location", ""))
                continue
            try:
                _check(answer)
                return await _read(answer), ",".join(answer.headers.getall("Cache-Control", ()))
            except FetchFailed:
                answer.close()
                raise
    raise FetchFailed("redirect", f"The address redirects more than {MAX_REDIRECTS} times.")


def _target(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location))
        is_same = target.origin() == url.origin()
    except ValueError:
        is_same = False
    if not is_same:
        # The keys are those of whom the setting names.
        raise FetchFailed("redirect", "The address redirects to another origin, or to none.")
    return target


def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        raise FetchFailed("status", f"The answer has status {answer.status}.")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchFailed("encoding", "The answer has a content coding that was not asked for.")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    too_large = FetchFailed("too_large", f"The answer is over {MAX_BYTES} bytes.")
    if (answer.content_length or 0) > MAX_BYTES:
        raise too_large
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MAX_BYTES:
            raise too_large
    return bytes(body)


def _parse(body: bytes) -> KeySet:
    try:
        document = orjson.loads(body)
    except ValueError:
        raise FetchFailed("not_json", "The answer is not JSON.") from None
    try:
        return keys_of_jwks(document)
    except ValueError as error:
        raise FetchFailed("no_jwks", f"The answer is no JWKS: {error}.") from None
