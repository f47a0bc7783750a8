"""What a caller gets of a snapshot, and how it is written (docs/protocol.md, section 7)."""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.entity_tags import none_match
from gateway.core.times import http_date
from gateway.http.accept import accepts_coding
from gateway.http.answer import Answer
from gateway.http.legacy.fields import Kind, SnapshotFields
from gateway.http.legacy.vary import is_same_request, varied_by
from gateway.http.long_answers import PIECE_BYTES, LongAnswers, pieces_of
from gateway.http.request_head import PlainHead, RequestHead
from gateway.http.terms import Terms
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import Fields, Freshness, GivenAnswer, Served, SharedList, Snapshot

_MAX_TERMS = 16


class Verdict(NamedTuple):
    """What a caller gets of a list's snapshot: the same whenever it asks the same, on the same terms.

    `tag` is the entity tag that a 304 has in place of the usual one.
    """

    of: SharedList
    snapshot: Snapshot
    terms: Terms
    fields: SnapshotFields
    kind: Kind
    tag: str | None


class Repeated:
    """What was found last for requests that are alike, of one snapshot: those of another are forgotten."""

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._snapshot: Snapshot | None = None
        self._verdicts: dict[int, tuple[object, Verdict]] = {}

    def get(self, request: PlainHead) -> Verdict | None:
        """The verdict for a request like this."""
        alike = request.alike
        known = self._verdicts.get(id(alike))
        # It is held here, so no other has its id.
        return known[1] if known is not None and known[0] is alike else None

    def put(self, request: PlainHead, verdict: Verdict) -> None:
        """Remembers the verdict for requests like this."""
        if verdict.snapshot is not self._snapshot or len(self._verdicts) >= self._most:
            self._verdicts.clear()
            self._snapshot = verdict.snapshot
        self._verdicts[id(request.alike)] = request.alike, verdict


class _Kept:
    """What the answers from one list have in common."""

    def __init__(self) -> None:
        self.by_terms: dict[Terms, SnapshotFields] = {}
        self._headers: CIMultiDict[str] | None = None
        self._varied_by: frozenset[str] = frozenset()

    def varied_by(self, snapshot: Snapshot) -> frozenset[str]:
        """The fields of a request on which the list's answer depends."""
        if snapshot.headers is not self._headers:
            self._headers, self._varied_by = snapshot.headers, varied_by(snapshot.headers)
        return self._varied_by


class SnapshotAnswers:
    """Answers callers of one route from the snapshots of its lists.

    What many answers have in common is kept for as long as their list is. `fields_of` gives the fields that
    the upstream would get of a caller; `long_answers` writes what is long.
    """

    def __init__(
        self,
        counters: RouteCounters,
        fields_of: Callable[[RequestHead], Fields],
        long_answers: LongAnswers,
    ) -> None:
        self._counters = counters
        self._long_answers = long_answers
        self._fields_of = fields_of
        self._kept: WeakKeyDictionary[SharedList, _Kept] = WeakKeyDictionary()

    def is_for(self, request: RequestHead, of: SharedList, snapshot: Snapshot) -> bool:
        """Whether the upstream could have answered the caller with the list's snapshot."""
        return self._is_same(request, of, self._kept_of(of).varied_by(snapshot))

    @staticmethod
    def is_short(served: Served) -> bool:
        """Whether the whole answer may be written in one piece."""
        return max(len(served.snapshot.body), len(served.snapshot.coded or b"")) <= PIECE_BYTES

    def varies(self, of: SharedList, snapshot: Snapshot) -> bool:
        """Whether it depends on what a request says if the snapshot answers it."""
        return bool(self._kept_of(of).varied_by(snapshot))

    def is_given_to(self, request: RequestHead, of: SharedList, answer: GivenAnswer) -> bool:
        """The same of an answer that is no list: who logs in is not refused because the poll does not."""
        return self._is_same(request, of, varied_by(answer.headers))

    async def answer(
        self, request: web.Request, of: SharedList, served: Served, terms: Terms
    ) -> web.StreamResponse:
        """Answers with what was `served` of a list, or says that the caller has it."""
        made = self.made(self.verdict(request, of, served.snapshot, terms), served)
        if len(made.body) <= PIECE_BYTES or request.method == "HEAD":
            return made.response()
        response = web.StreamResponse(status=made.status, headers=made.headers)
        response.content_length = len(made.body)
        await response.prepare(request)
        await self._long_answers.send(response, pieces_of(made.body))
        return response

    def verdict(self, request: RequestHead, of: SharedList, snapshot: Snapshot, terms: Terms) -> Verdict:
        """What the caller gets of a snapshot on these terms."""
        shared = terms._replace(identity=(), scope="") if terms.identity or terms.scope else terms
        fields = self._fields(of, shared)
        is_coded = _takes_coded(request, snapshot)
        found = _not_modified(request, snapshot, is_coded=is_coded)
        if found is not None:
            kind, tag = found
            return Verdict(of, snapshot, terms, fields, kind, tag)
        return Verdict(of, snapshot, terms, fields, Kind.CODED if is_coded else Kind.FULL, None)

    def made(self, verdict: Verdict, served: Served) -> Answer:
        """The answer with what was `served` of a list, of the snapshot that the verdict is about; counted."""
        of, snapshot, terms, fields, kind, tag = verdict
        counters = self._counters
        if of.listener is not None and snapshot.problem is None:
            of.listener.served(snapshot)
        counters.served += 1
        if served.freshness is Freshness.STALE:
            counters.served_stale += 1
        fields.bring_up_to(served)
        status, body = snapshot.status, b""
        if kind is Kind.FULL:
            body = snapshot.body
        elif kind is Kind.CODED and snapshot.coded is not None:
            body = snapshot.coded
        else:
            status = 304
            counters.served_304 += 1
        if tag is None:
            return Answer(status, fields.shared(kind, terms), body)
        headers = fields.for_caller(fields.of_kind(kind), terms).copy()
        headers["ETag"] = tag
        return Answer(status, headers, body)

    def _is_same(self, request: RequestHead, of: SharedList, names: frozenset[str]) -> bool:
        return not names or is_same_request(names, of.request_fields, self._fields_of(request))

    def _fields(self, of: SharedList, terms: Terms) -> SnapshotFields:
        by_terms = self._kept_of(of).by_terms
        fields = by_terms.get(terms)
        if fields is None:
            if len(by_terms) >= _MAX_TERMS:
                by_terms.clear()
            fields = by_terms[terms] = SnapshotFields(of.route, terms)
        return fields

    def _kept_of(self, of: SharedList) -> _Kept:
        kept = self._kept.get(of)
        if kept is None:
            kept = self._kept[of] = _Kept()
        return kept


def given_answer(answer: GivenAnswer, terms: Terms) -> web.Response:
    """What the upstream said that is no list, for a caller; it is to be kept by nobody."""
    headers = answer.headers.copy()
    headers.update({"Cache-Control": "no-store", "Cache-Status": "tidegate; fwd=miss"})
    headers.update({"Fetch-Mode": terms.mode, **dict(terms.fields)})
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _takes_coded(request: RequestHead, snapshot: Snapshot) -> bool:
    """Whether the caller gets the answer in the coding in which it came."""
    if snapshot.coded is None:
        return False
    accepted = ",".join(request.headers.getall("Accept-Encoding", ()))
    return accepts_coding(accepted, snapshot.coding)


def _not_modified(
    request: RequestHead, snapshot: Snapshot, *, is_coded: bool
) -> tuple[Kind, str | None] | None:
    """Which 304 the caller gets where it has the answer already, and its tag where that is not the usual one.

    None where it does not. By If-None-Match, where it is there, else by If-Modified-Since (RFC 9110,
    section 13.2.2). A condition is for answers that are no errors (section 13.2.1).
    """
    if snapshot.status >= 300:
        return None
    tag = snapshot.coded_etag if is_coded else snapshot.etag
    if "If-None-Match" in request.headers:
        condition = ",".join(request.headers.getall("If-None-Match"))
        if condition.strip() != "*":
            # What a server makes of a tag that compresses could be taken for both.
            tags = [snapshot.coded_etag, snapshot.etag] if snapshot.coded is not None else [snapshot.etag]
            tag = next((tag for tag in tags if none_match(condition, tag)), "")
        kind = Kind.NOT_MODIFIED
    else:
        tag = tag if _is_unchanged(request, snapshot) else ""
        kind = Kind.UNCHANGED
    if not tag:
        return None
    return kind, None if tag == snapshot.etag else tag


def _is_unchanged(request: RequestHead, snapshot: Snapshot) -> bool:
    """Whether the upstream's answer is no newer than the caller's (RFC 9110, section 13.1.3)."""
    lines = request.headers.getall("If-Modified-Since", ())
    if len(lines) != 1 or snapshot.last_modified is None:
        return False
    since, modified = http_date(lines[0]), http_date(snapshot.last_modified)
    return since is not None and modified is not None and modified <= since
