"""Where an answer says that its next page is."""

from collections.abc import Iterator
from typing import Any

import orjson
from yarl import URL

from adapters.upstream.asking.addresses import upstream_address
from adapters.upstream.asking.exchange import Exchanged
from adapters.upstream.asking.links import next_link
from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.json_list import value_at
from gateway.core.json_pointer import path_of
from gateway.ports.legacy_route import LegacyRoute
from gateway.runtime.slices import Slices

_LONGEST_BYTES = 65_536
_NO_ADDRESS = object()


class BadPages(BadAnswer):
    """One page can be read, and what it says of the others can't be followed."""


async def next_page(route: LegacyRoute, answer: Exchanged, body: bytes, slices: Slices) -> URL | None:
    """The address of the page after `answer`, whose body is `body`; None after the last one.

    A pointer leads to an address, absolute or relative to that of the answer; null, "" and nothing at all
    there end the list, and so does an answer that is no JSON. Raises BadPages: `bad_page` where something
    else is there, `other_origin` where it leads away from the upstream.
    """
    if route.pages is None:
        return None
    if route.pages.next is not None:
        given = await _named(body, route.pages.next, slices)
    else:
        given = next_link(answer.headers.getall("Link", ()))
    if not given:
        return None
    url = upstream_address(route, answer.url, given)
    if url is None:
        detail = "The upstream's answer names a next page that is not of its own scheme, host and port."
        raise BadPages("other_origin", detail)
    return url


async def _named(body: bytes, pointer: str, slices: Slices) -> str | None:
    found: list[bytes | None] = []

    def finding() -> Iterator[None]:
        found.append((yield from value_at(body, path_of(pointer))))

    await slices.run(finding())
    value = None if found[0] is None else _decoded(found[0])
    if value is None or isinstance(value, str):
        return value
    raise BadPages("bad_page", f"The upstream's answer has something else than an address at {pointer}.")


def _decoded(raw: bytes) -> Any:
    """A value that may be an address; what is too long, or no JSON, is none."""
    try:
        return orjson.loads(raw) if len(raw) <= _LONGEST_BYTES else _NO_ADDRESS
    except orjson.JSONDecodeError:
        return _NO_ADDRESS
