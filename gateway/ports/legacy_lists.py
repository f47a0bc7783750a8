"""Which list of a legacy route a request is about (docs/protocol.md, section 7). Pure.

A route has one list where its path has no parameters and its `vary_query` is empty. Else each path that fills
the parameters in has one, and each of these another for every query of the parameters in `vary_query`.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

from gateway.core.events import has_control_characters
from gateway.ports.legacy_route import PARAMETER, LegacyRoute

MAX_VALUE_CHARACTERS = 256
MAX_VARIANT_CHARACTERS = 1024

_PARAMETER = re.compile(PARAMETER)
_TEXT = re.compile(r"[!-~]*\Z")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# What RFC 3986 lets stand in a query (section 3.4) stays as it came; an escape is kept, or undone where it is
# one of an unreserved character (section 6.2.2).
_NOT_AS_IT_CAME = re.compile(r"%([0-9A-Fa-f]{2})|([^A-Za-z0-9\-._~!$'()*+,;:@/?=])")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]\Z")


class ListName(NamedTuple):
    """One list of a route: the values of its path's parameters, in their order, and its query."""

    values: tuple[str, ...] = ()
    variant: str = ""


BASE = ListName()
"""The list of a path without parameters, asked for without a query."""


def list_named(route: LegacyRoute, raw_path: str, raw_query: str) -> ListName | None:
    """The list that a read of the route's path asks for, None where it is for the upstream to answer.

    The path and the query are as they came, percent-encoded.
    """
    variant = variant_of(route, raw_query)
    if variant is None:
        return None
    if not route.parameters:
        return ListName((), variant) if variant else BASE
    members = members_in(route, raw_path)
    return ListName(tuple(members.values()), variant) if members else None


def members_in(route: LegacyRoute, raw_path: str) -> Mapping[str, str]:
    """The parameters' values in a path that matches the route's; none where one of them names no list."""
    values = [value_of(raw) for raw in raw_values(route, raw_path)]
    members = zip(route.parameters, values, strict=True)
    return {} if None in values else {name: value for name, value in members if value is not None}


def raw_values(route: LegacyRoute, raw_path: str) -> tuple[str, ...]:
    """What stands in place of the parameters in a path that matches the route's, as it came."""
    if not route.parameters:
        return ()
    there = raw_path.split("/")
    return tuple(
        there[place] for place, step in enumerate(route.path.split("/")) if _PARAMETER.fullmatch(step)
    )


def value_of(raw: str) -> str | None:
    """The text that one step of a path writes; None where it could be taken for anything but one step.

    It is decoded once, from UTF-8. A step that leads elsewhere once it is decoded again, as some upstreams
    do, is none either, nor is one with parameters of its own behind a semicolon (RFC 3986, section 3.3).
    """
    if _BROKEN_ESCAPE.search(raw) or ";" in raw:
        return None
    try:
        value = unquote_to_bytes(raw).decode()
    except UnicodeError:
        return None
    return value if is_value(value) else None


def is_value(value: str) -> bool:
    """Whether a text may stand in place of a parameter: one step of a path, also once it is decoded again."""
    if not 1 <= len(value) <= MAX_VALUE_CHARACTERS or has_control_characters(value):
        return False
    return not any(
        text in (".", "..") or "/" in text or "\\" in text or has_control_characters(text)
        for text in (value, unquote(value))
    )


def variant_of(route: LegacyRoute, raw_query: str) -> str | None:
    """The query of a list of its own, in one spelling, "" for that of the path alone; None for any other.

    Parameters are in the order of their names, those of one name in the order in which they came; a value
    is what it was, with its percent-encoding normalised (RFC 3986, section 6.2.2).
    """
    if not raw_query:
        return ""
    if not (route.vary_query or route.ignore_query) or not _TEXT.match(raw_query):
        return None
    if _BROKEN_ESCAPE.search(raw_query):
        return None
    kept = []
    for name, text in _parameters(raw_query):
        if name in route.vary_query:
            kept.append((name, _NOT_AS_IT_CAME.sub(_normalised, text)))
        elif name not in route.ignore_query:
            return None
    variant = "&".join(text for _, text in sorted(kept, key=lambda parameter: parameter[0]))
    return variant if len(variant) <= MAX_VARIANT_CHARACTERS else None


def route_of(route: LegacyRoute, name: ListName) -> LegacyRoute:
    """The route that polls one list alone: `route` itself for a path without parameters and a query.

    Where the poll's own query has a parameter that the list's has too, the list's takes its place.
    """
    if name == BASE:
        return route
    quoted = [quote(value, safe="") for value in name.values]
    path, upstream, *also = (
        filled(text, route.parameters, quoted) for text in (route.path, route.upstream, *route.also)
    )
    of = replace(
        route,
        path=path,
        upstream=upstream,
        also=tuple(also),
        members=dict(zip(route.parameters, name.values, strict=True)),
    )
    if not name.variant:
        return of
    asked = {parameter for parameter, _ in _parameters(name.variant)}
    base, mark, own = upstream.partition("?")
    own, query = _without(own, asked), _without(route.query, asked)
    return replace(
        of,
        upstream=base + mark + own if own else base,
        query=f"{query}&{name.variant}" if query else name.variant,
        variant=name.variant,
        # Its answer is the first of several, and nobody asks for what the others hold.
        also=(),
        pages=None,
        events="none",
    )


def filled(text: str, names: Sequence[str], encoded: Sequence[str]) -> str:
    """`text` with the values, percent-encoded, in place of the parameters of these names."""
    values: Mapping[str, str] = dict(zip(names, encoded, strict=True))
    return _PARAMETER.sub(lambda found: values.get(found[1], found[0]), text)


def query_of_path(route: LegacyRoute, raw: Sequence[str]) -> str:
    """What the query of the upstream's address says of the path's parameters, which have these values.

    The values are as they came in the path, and are encoded anew: what is one step there may be more in a
    query. The rest of that query is of the poll alone.
    """
    values = [quote(unquote_to_bytes(value), safe="") for value in raw]
    query = route.upstream.partition("?")[2]
    own = (text for _, text in _parameters(query) if _PARAMETER.search(text))
    return filled("&".join(own), route.parameters, values)


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Each parameter's name, decoded, and how it is written as a whole; empty ones are none."""
    for text in query.split("&"):
        if text:
            yield unquote_plus(text.partition("=")[0]), text


def _without(query: str, names: Container[str]) -> str:
    return "&".join(text for name, text in _parameters(query) if name not in names)


def _normalised(found: re.Match[str]) -> str:
    escaped, bare = found[1], found[2]
    if bare is not None:
        return f"%{ord(bare):02X}"
    character = chr(int(escaped, 16))
    return character if _UNRESERVED.match(character) else f"%{escaped.upper()}"
