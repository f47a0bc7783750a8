"""Where an answer says that its next page is."""

import asyncio
from typing import Any

import orjson
from yarl import URL

from adapters.upstream.addresses import upstream_address
from adapters.upstream.exchange import Exchanged
from adapters.upstream.failures import BadAnswer
from adapters.upstream.links import next_link
from gateway.ports.legacy_route import LegacyRoute

_OFFLOAD_BYTES = 65_536


async def next_page(route: LegacyRoute, answer: Exchanged, body: bytes) -> URL | None:
    """The address of the page after `answer`, whose body is `body`; None after the last one.

    A pointer leads to an address, absolute or relative to that of the answer; null, "" and nothing at all
    there end the list. Raises BadAnswer: `not_json`, `bad_page` where something else is there, `other_origin`
    where it leads away from the upstream.
    """
    if route.pages is None:
        return None
    if route.pages.next is not None:
        given = await _named(body, route.pages.next)
    else:
        given = next_link(answer.headers.getall("Link", ()))
    if not given:
        return None
    url = upstream_address(route, answer.url, given)
    if url is None:
        detail = "The upstream's answer names a next page that is not of its own scheme, host and port."
        raise BadAnswer("other_origin", detail)
    return url


async def _named(body: bytes, pointer: str) -> str | None:
    try:
        if len(body) <= _OFFLOAD_BYTES:
            found = orjson.loads(body)
        else:
            found = await asyncio.to_thread(orjson.loads, body)
    except orjson.JSONDecodeError:
        raise BadAnswer("not_json", "The upstream's answer is not JSON.") from None
    value = _at(found, pointer)
    if value is None or isinstance(value, str):
        return value
    detail = f"The upstream's answer has no address of its next page at {pointer}, but something else."
    raise BadAnswer("bad_page", detail)


def _at(value: Any, pointer: str) -> Any:
    """The value at a pointer (RFC 6901); None where there is none."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
