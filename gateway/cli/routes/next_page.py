"""Where an answer names its next page, or only says that there is one. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.cli.routes.lists import pointer_of

_PLACES: tuple[tuple[str, ...], ...] = (
    ("next",),
    ("next_page",),
    ("nextPage",),
    ("next_page_url",),
    ("nextPageUrl",),
    ("nextLink",),
    ("next_url",),
    ("nextUrl",),
    ("@odata.nextLink",),
    ("links", "next"),
    ("links", "next", "href"),
    ("_links", "next", "href"),
    ("paging", "next"),
    ("paging", "next", "link"),
    ("pagination", "next"),
    ("pagination", "next_url"),
    ("meta", "next"),
    ("meta", "pagination", "links", "next"),
    ("hydra:view", "hydra:next"),
    ("view", "next"),
)
"""Where the address of the next page stands in answers of common make."""

_TOKENS: tuple[tuple[str, ...], ...] = (
    ("nextPageToken",),
    ("next_page_token",),
    ("nextToken",),
    ("next_cursor",),
    ("nextCursor",),
    ("continuation",),
    ("metadata", "continue"),
    ("response_metadata", "next_cursor"),
    ("meta", "next_cursor"),
    ("_scroll_id",),
)
_TOTALS: tuple[tuple[str, ...], ...] = (
    ("total",),
    ("count",),
    ("totalCount",),
    ("total_count",),
    ("totalItems",),
    ("totalElements",),
    ("hydra:totalItems",),
    ("@odata.count",),
    ("meta", "total"),
    ("page", "totalElements"),
    ("hits", "total", "value"),
)
_ADDRESS = re.compile(r"(https?://|/|\?)\S*\Z")
_REL_NEXT = re.compile(r"""<[^>]*>[^,]*;\s*rel\s*=\s*("[^"]*\bnext\b[^"]*"|next\b)""", re.IGNORECASE)
_ABSENT = object()


def at(value: Any, path: tuple[str, ...]) -> Any:
    """What stands in objects at a path; an object of its own where there is nothing."""
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return _ABSENT
        value = value[step]
    return value


def pointer_to_next(value: Any) -> str | None:
    """The pointer to the next page's address: there, or null beside a sign of pages (`previous`, a count)."""
    for path in _PLACES:
        found = at(value, path)
        if isinstance(found, str) and _ADDRESS.match(found):
            return pointer_of(path)
        beside = at(value, path[:-1])
        if (
            found is None
            and isinstance(beside, dict)
            and beside.keys() & {"previous", "prev", "count", "total"}
        ):
            return pointer_of(path)
    return None


def has_next_link(headers: Mapping[str, str]) -> bool:
    """Whether a Link field names the next page (RFC 8288)."""
    return _REL_NEXT.search(headers.get("Link", "")) is not None


def doubts_of_pages(value: Any, count: int) -> list[str]:
    """What says that `count` items are not all, where no address of the next page does."""
    for path in _TOKENS:
        found = at(value, path)
        if isinstance(found, str) and found:
            return [
                f"{pointer_of(path)} is a token and no address, so further pages are not followed: "
                "ask for all at once by query, if the upstream lets you"
            ]
    more = _graphql_has_next(value)
    if more:
        return [f"{more} is true, so there is a next page, which is not followed: ask for more at once"]
    for path in _TOTALS:
        found = at(value, path)
        if isinstance(found, int) and not isinstance(found, bool) and found > count:
            return [
                f"{pointer_of(path)} says {found}, and {count} are listed: ask for all by query "
                "(limit, per_page, page_size …), for what is not listed makes no events"
            ]
    return []


def _graphql_has_next(value: Any, path: tuple[str, ...] = ()) -> str | None:
    if isinstance(value, dict) and len(path) < 5:
        info = value.get("pageInfo")
        if isinstance(info, dict) and info.get("hasNextPage") is True:
            return pointer_of((*path, "pageInfo", "hasNextPage"))
        for name, member in value.items():
            found = _graphql_has_next(member, (*path, name))
            if found is not None:
                return found
    return None
