"""The header fields of what a snapshot answers (docs/protocol.md, section 7)."""

from collections.abc import Mapping
from enum import Enum
from urllib.parse import quote, urlencode

from multidict import CIMultiDict

from gateway.core.events import scoped
from gateway.core.quoted_values import in_quotes
from gateway.http.answer import SharedFields
from gateway.http.terms import Terms
from gateway.migration.links import EVENTS_PATH
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import Freshness, Served, Snapshot

_CACHE_STATUS = {
    Freshness.HIT: "tidegate; hit",
    Freshness.MISS: "tidegate; fwd=miss",
    Freshness.STALE: "tidegate; hit; fwd=stale",
    Freshness.UNUSABLE: "tidegate; fwd=stale; detail=unusable",
}
# RFC 9110, section 15.4.5: a 304 repeats what a cache needs to find the stored answer again. And what it has
# replaces what was stored (RFC 9111, section 3.2): without the upstream's links those would be lost.
_OF_304 = ("Content-Location", "Vary", "Link")
_MOST_SHARED = 256
"""Of so many callers with terms of their own the fields are kept, while those of all are the same."""


class Kind(Enum):
    """What is answered: a 200, one in the upstream's content coding, a 304 to who has the answer, and one to
    who has what it had by its Last-Modified."""

    FULL = "full"
    CODED = "coded"
    NOT_MODIFIED = "not_modified"
    UNCHANGED = "unchanged"

    __hash__ = object.__hash__


class SnapshotFields:
    """The fields of a list's answers of some terms, made once for all that have the same ones.

    `full` goes with a 200, `coded` with one in the upstream's content coding, `not_modified` with a 304 to
    who has the answer, `unchanged` with one to who has what it had by its Last-Modified. That is in whole
    seconds: of two changes within one it may lack the second, and so has no cursor that would promise more.
    Callers copy them, as aiohttp's responses do.
    """

    def __init__(self, route: LegacyRoute, terms: Terms) -> None:
        self._terms = terms
        self._route = route
        self._snapshot: Snapshot | None = None
        self._freshness = Freshness.HIT
        self._age_seconds = 0
        self._shared: dict[tuple[Kind, Terms], SharedFields] = {}
        self.full: CIMultiDict[str] = CIMultiDict()
        self.coded: CIMultiDict[str] = CIMultiDict()
        self.not_modified: CIMultiDict[str] = CIMultiDict()
        self.unchanged: CIMultiDict[str] = CIMultiDict()

    def of_kind(self, kind: Kind) -> CIMultiDict[str]:
        """The fields of such an answer."""
        fields: CIMultiDict[str] = getattr(self, kind.value)
        return fields

    def shared(self, kind: Kind, terms: Terms) -> SharedFields:
        """The same for callers on these terms, with their bytes, made once for all of them.

        Raises ValueError where they can't be sent.
        """
        made = self._shared.get((kind, terms))
        if made is None:
            if len(self._shared) >= _MOST_SHARED:
                self._shared.clear()
            fields = self.for_caller(self.of_kind(kind), terms)
            made = self._shared[kind, terms] = SharedFields(fields)
        return made

    def bring_up_to(self, served: Served) -> None:
        """Makes the fields anew where they are not those of `served` already."""
        snapshot, freshness, age_seconds = served
        if snapshot is self._snapshot and age_seconds == self._age_seconds and freshness is self._freshness:
            return
        self._snapshot, self._freshness, self._age_seconds = snapshot, freshness, age_seconds
        self._shared.clear()
        own = CIMultiDict(
            {
                "ETag": snapshot.etag,
                "Cache-Control": "private, no-cache",
                "Sync-Cursor": snapshot.cursor,
                "Age": str(age_seconds),
                "Cache-Status": _CACHE_STATUS[freshness],
                "Fetch-Mode": self._terms.mode,
                "Link": stream_link(self._route.entity, self._route.members, snapshot.cursor),
                **dict(self._terms.fields),
            }
        )
        upstreams = snapshot.headers
        if snapshot.coded is not None:
            upstreams = _varying_by_coding(upstreams)
        self.full = with_upstreams(own, upstreams)
        # As aiohttp says of what nobody knows (RFC 9110, section 8.3).
        self.full.setdefault("Content-Type", "application/octet-stream")
        self.coded = self.full.copy()
        self.coded.update({"ETag": snapshot.coded_etag, "Content-Encoding": snapshot.coding})
        kept = CIMultiDict((name, value) for name in _OF_304 for value in upstreams.getall(name, ()))
        self.not_modified = with_upstreams(own, kept)
        own["Link"] = stream_link(self._route.entity, self._route.members, None)
        del own["Sync-Cursor"]
        self.unchanged = with_upstreams(own, kept)

    def for_caller(self, fields: CIMultiDict[str], terms: Terms) -> CIMultiDict[str]:
        """`fields`, with the caller's scope and its own parameters where it has any."""
        if not (terms.identity or terms.scope) or self._snapshot is None:
            return fields
        cursor = None
        own: CIMultiDict[str] = CIMultiDict()
        if "Sync-Cursor" in fields:
            cursor = own["Sync-Cursor"] = scoped(self._snapshot.cursor, terms.scope)
        own["Link"] = stream_link(self._route.entity, self._route.members, cursor, query_of(terms))
        others = fields.copy()
        del others["Link"]
        others.extend(("Link", link) for link in fields.getall("Link")[1:])
        return with_upstreams(own, others)


def with_upstreams(own: CIMultiDict[str], upstreams: CIMultiDict[str]) -> CIMultiDict[str]:
    """The gateway's `own` fields, and those of other names that the upstream gave.

    The upstream may have links of its own, as to the next page: they stand after the gateway's.
    """
    fields = own.copy()
    fields.extend(
        (name, value) for name, value in upstreams.items() if name not in own or name.lower() == "link"
    )
    return fields


def stream_link(entity: str, members: Mapping[str, str], cursor: str | None, identity: str = "") -> str:
    """The stream of the entities that have these members, from `cursor` on, or from when it is opened."""
    place = "" if cursor is None else f"&lastEventId={quote(cursor, safe='')}"
    rows = "".join(f"&filter={name}=eq.{quote(in_quotes(text), safe='')}" for name, text in members.items())
    url = f"{EVENTS_PATH}?entity={quote(entity, safe='')}{rows}{place}{identity}"
    return f'<{url}>; rel="alternate"; type="text/event-stream"'


def query_of(terms: Terms) -> str:
    """The caller's own parameters, as they follow others; empty where it has none."""
    return f"&{urlencode(terms.identity, errors='surrogatepass')}" if terms.identity else ""


def _varying_by_coding(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """`headers`, which say that the answer depends on what codings the caller takes."""
    lines = headers.getall("Vary", [])
    if {"accept-encoding", "*"} & {name.strip().lower() for line in lines for name in line.split(",")}:
        return headers
    varying = headers.copy()
    varying["Vary"] = ", ".join([*lines, "Accept-Encoding"])
    return varying
