"""What a caller gets of a snapshot, and how it is written (docs/protocol.md, section 7)."""

import asyncio
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.entity_tags import none_match
from gateway.core.events import scoped
from gateway.http.terms import Terms
from gateway.migration.links import EVENTS_PATH
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import Freshness, GivenAnswer, Served, SharedList, Snapshot

_CACHE_STATUS = {
    Freshness.HIT: "tidegate; hit",
    Freshness.MISS: "tidegate; fwd=miss",
    Freshness.STALE: "tidegate; hit; fwd=stale",
    Freshness.UNUSABLE: "tidegate; fwd=stale; detail=unusable",
}
_MAX_TERMS = 16
_PART_BYTES = 65_536
"""How much of a snapshot is written at once; a caller that reads slowly has no more of it in memory."""
_PARTS_A_TURN = 8
"""To hand the kernel so many takes some tenths of a millisecond; of one that takes all there is no end."""


class SnapshotAnswers:
    """Answers callers of one route from the snapshots of its lists.

    The fields that many answers have in common are kept for as long as their list is.
    """

    def __init__(self, route: LegacyRoute, counters: RouteCounters) -> None:
        self._route = route
        self._counters = counters
        self._headers: WeakKeyDictionary[SharedList, dict[Terms, _SnapshotHeaders]] = WeakKeyDictionary()

    async def answer(
        self, request: web.Request, of: SharedList, served: Served, terms: Terms
    ) -> web.StreamResponse:
        """Answers with what was `served` of a list, or says that the caller has it."""
        if of.listener is not None and served.snapshot.problem is None:
            of.listener.served(served.snapshot)
        counters = self._counters
        counters.served += 1
        if served.freshness is Freshness.STALE:
            counters.served_stale += 1
        shared = terms._replace(identity=(), scope="") if terms.identity or terms.scope else terms
        headers = self._headers_of(of, shared)
        headers.bring_up_to(served)
        if "If-None-Match" in request.headers:
            field = ",".join(request.headers.getall("If-None-Match"))
            if none_match(field, served.snapshot.etag):
                counters.served_304 += 1
                return web.Response(status=304, headers=headers.for_caller(headers.not_modified, terms))
        body, fields = served.snapshot.body, headers.for_caller(headers.full, terms)
        if len(body) <= _PART_BYTES or request.method == "HEAD":
            return web.Response(body=body, headers=fields)
        return await _in_parts(request, body, fields)

    def _headers_of(self, of: SharedList, terms: Terms) -> "_SnapshotHeaders":
        by_terms = self._headers.get(of)
        if by_terms is None:
            by_terms = self._headers[of] = {}
        headers = by_terms.get(terms)
        if headers is None:
            if len(by_terms) >= _MAX_TERMS:
                by_terms.clear()
            headers = by_terms[terms] = _SnapshotHeaders(self._route, terms)
        return headers


def given_answer(answer: GivenAnswer, terms: Terms) -> web.Response:
    """What the upstream said that is no list, for a caller; it is to be kept by nobody."""
    headers = answer.headers.copy()
    headers.update({"Cache-Control": "no-store", "Cache-Status": "tidegate; fwd=miss"})
    headers.update({"Fetch-Mode": terms.mode, **dict(terms.fields)})
    return web.Response(status=answer.status, body=answer.body, headers=headers)


async def _in_parts(request: web.Request, body: bytes, headers: CIMultiDict[str]) -> web.StreamResponse:
    """Answers with `body`, each part once there is room for it.

    In one piece aiohttp would copy it for each caller, and keep what the caller does not read.
    """
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    whole = memoryview(body)
    for number, start in enumerate(range(0, len(body), _PART_BYTES), 1):
        await response.write(whole[start : start + _PART_BYTES])
        if number % _PARTS_A_TURN == 0:
            # To wait for room is to wait for nothing where the caller reads as fast as this writes.
            await asyncio.sleep(0)
    await response.write_eof()
    return response


class _SnapshotHeaders:
    """The header fields of a route's answers of some terms, made once for all that have the same ones.

    `full` goes with a 200, `not_modified` with a 304. Callers copy them, as aiohttp's responses do.
    """

    def __init__(self, route: LegacyRoute, terms: Terms) -> None:
        self._terms = terms
        self._route = route
        self._snapshot: Snapshot | None = None
        self._freshness = Freshness.HIT
        self._age_seconds = 0
        self.full: CIMultiDict[str] = CIMultiDict()
        self.not_modified: CIMultiDict[str] = CIMultiDict()

    def bring_up_to(self, served: Served) -> None:
        """Makes the fields anew where they are not those of `served` already."""
        snapshot, freshness, age_seconds = served
        if snapshot is self._snapshot and age_seconds == self._age_seconds and freshness is self._freshness:
            return
        self._snapshot, self._freshness, self._age_seconds = snapshot, freshness, age_seconds
        own = {
            "ETag": snapshot.etag,
            "Cache-Control": "private, no-cache",
            "Sync-Cursor": snapshot.cursor,
            "Age": str(age_seconds),
            "Cache-Status": _CACHE_STATUS[freshness],
            "Fetch-Mode": self._terms.mode,
            "Link": stream_link(self._route, snapshot.cursor),
            **dict(self._terms.fields),
        }
        self.full = snapshot.headers.copy()
        self.full.extend(own)
        self.not_modified = CIMultiDict(own)
        # RFC 9110, section 15.4.5: a 304 repeats what a cache needs to find the stored answer again.
        for name in ("Content-Location", "Vary"):
            for value in snapshot.headers.getall(name, []):
                self.not_modified.add(name, value)

    def for_caller(self, fields: CIMultiDict[str], terms: Terms) -> CIMultiDict[str]:
        """`fields`, with the caller's scope and its own parameters where it has any."""
        if not (terms.identity or terms.scope) or self._snapshot is None:
            return fields
        own = fields.copy()
        cursor = scoped(self._snapshot.cursor, terms.scope)
        own["Sync-Cursor"] = cursor
        own["Link"] = stream_link(self._route, cursor, query_of(terms))
        return own


def stream_link(route: LegacyRoute, cursor: str, identity: str = "") -> str:
    """The stream that goes on from `cursor`."""
    url = (
        f"{EVENTS_PATH}?entity={quote(route.entity, safe='')}&lastEventId={quote(cursor, safe='')}{identity}"
    )
    return f'<{url}>; rel="alternate"; type="text/event-stream"'


def query_of(terms: Terms) -> str:
    """The caller's own parameters, as they follow others; empty where it has none."""
    return f"&{urlencode(terms.identity, errors='surrogatepass')}" if terms.identity else ""
