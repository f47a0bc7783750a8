"""Upstreams, as those see them who answer callers: lists that are polled for all, and what goes through.

docs/protocol.md, section 7. adapters/upstream is what there is of it.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from multidict import CIMultiDict
from yarl import URL

from gateway.core.errors import TidegateError, UpstreamError
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters

Fields = Iterable[tuple[str, str]]
"""Header fields, in their order."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One answer of the upstream and where it stands in the log.

    `headers` are the upstream's own that every caller may see; `etag` is strong and quoted; `validators` are
    the header fields of the next conditional request; `asked_at` (monotonic seconds) is when the upstream was
    asked for what it last confirmed, and `received_at` when it did; `cursor` is the position that the body
    corresponds to. `etags_trusted` is False once the upstream gave two bodies one ETag.

    `body` is what callers get, of the first of several requests, with any content coding taken off; `coded`
    is the same as it came in the content coding `coding`, under the entity tag `coded_etag`. `text` is what
    the items are read from where that is not the body: a JSON text of all pages, as the functions made it
    that `made_by` names. `last_modified` is the upstream's. `problem` names what keeps the answer from being
    compared (a kind of BadAnswer): it is served all the same.
    """

    body: bytes
    digest: str
    headers: CIMultiDict[str]
    etag: str
    etags_trusted: bool
    validators: Mapping[str, str]
    asked_at: float
    received_at: float
    cursor: str
    status: int = 200
    coded: bytes | None = None
    coding: str = ""
    coded_etag: str = ""
    text: bytes | None = None
    last_modified: str | None = None
    problem: str | None = None
    made_by: str = ""


class Freshness(enum.Enum):
    """How an answer came about: from the snapshot, after asking, or from a snapshot that is out of date."""

    HIT = "hit"
    MISS = "miss"
    STALE = "stale"
    UNUSABLE = "unusable"
    """From an answer that is the upstream's last word and can't be compared."""


class ListedItems(Mapping[str, bytes]):
    """An answer's items by key, each as JSON."""

    @abstractmethod
    def is_unread(self, key: str) -> bool:
        """Whether the answer has an item with that key that can't be compared: it is none of these."""


class GivenAnswer(NamedTuple):
    """An answer of the upstream that is no list, for callers to have as it is.

    `headers` are those that every caller may see; `retry_after_seconds` how long it asks to be left alone.
    """

    status: int
    headers: CIMultiDict[str]
    body: bytes
    retry_after_seconds: float | None = None


class Served(NamedTuple):
    """What a caller gets: the snapshot, how it came about, and its age in whole seconds."""

    snapshot: Snapshot
    freshness: Freshness
    age_seconds: int


class AnswerListener(Protocol):
    """Is told of every answer that callers see, in the event loop. It must neither wait nor raise."""

    def polled(self, snapshot: Snapshot) -> None:
        """The upstream was asked, and this is what it said."""
        ...

    def served(self, snapshot: Snapshot) -> None:
        """A caller was answered from this."""
        ...


class SharedList(Protocol):
    """A list that is polled for everybody. `listener`, where there is one, is told of its answers.

    `route` is that of this list alone. `request_fields` are the header fields of the gateway's own poll, by
    their names in lower case: what the upstream's `Vary` is about.
    """

    route: LegacyRoute
    listener: AnswerListener | None
    request_fields: Mapping[str, str]

    def at_once(self) -> Served | None:
        """The answer to a caller, where there is one without waiting. Counts the caller as a poller."""
        ...

    async def answer(self) -> Served:
        """The answer to a caller, after asking the upstream where there is none without.

        Raises UpstreamError or LogError where there is none that is good enough, UpstreamAnswered where the
        upstream said something else than a list; HeldBack where the request is to go through instead.
        """
        ...

    def written(self) -> None:
        """Something was, or may have been, written: asks the upstream at once."""
        ...


class UpstreamAnswered(UpstreamError):
    """The upstream answered, and not with a list: what it said is for the caller to read."""

    title = "The upstream's answer is no list"

    def __init__(self, detail: str, answer: GivenAnswer) -> None:
        super().__init__(detail)
        self.answer = answer


class HeldBack(Exception):
    """A caller's request is to go through, since no snapshot is there for it (RFC 9211, section 2.2).

    `reason` is "stale" where the poll that it would have to wait for is put off, "miss" where the upstream
    answers the poll with what can't be handed out.
    """

    def __init__(self, reason: Literal["stale", "miss"] = "stale") -> None:
        super().__init__(reason)
        self.reason = reason


class RequestBody(ABC):
    """A caller's body on its way to the upstream.

    A subclass yields the bytes. `error` is what it raised, since aiohttp wraps what a body raises in an error
    of its own, which would read as if the upstream had failed.
    """

    error: TidegateError | None = None

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Outgoing(NamedTuple):
    """A caller's request as the upstream is to get it."""

    url: URL
    headers: CIMultiDict[str]


class Answer(Protocol):
    """An upstream's answer: its status and end-to-end header fields at once, its body as it comes.

    `fields_left_out` says how many fields are missing because they can't be sent.
    """

    status: int
    headers: CIMultiDict[str]
    fields_left_out: int

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body. Raises UpstreamError where it ends before its end, or falls silent."""
        ...


class Forwarder(Protocol):
    """Takes through what no snapshot can answer."""

    def outgoing(
        self,
        route: LegacyRoute,
        tail: str,
        query: str,
        fields: Fields,
        caller: Fields,
        *,
        values: Sequence[str] = (),
        counters: RouteCounters,
    ) -> Outgoing:
        """A request for `tail` below the route's path, whose parameters have these `values`.

        These and `query` are as they came, percent-encoded.

        `fields` are the caller's, and `caller` those that say who it is. `counters` learn of what can't be
        sent. Raises ClientError where the tail would leave what is below the upstream's path.
        """
        ...

    def request(
        self, route: LegacyRoute, method: str, outgoing: Outgoing, body: RequestBody | None
    ) -> AbstractAsyncContextManager[Answer]:
        """Sends one request and gives the answer, for as long as the context lasts.

        Raises UpstreamError where there is none to pass on, and what `body` raised where that was the reason.
        Leaving early breaks off the answer.
        """
        ...


class Reachability(Protocol):
    """What is known of reaching the server of a route."""

    def forwarded(self) -> None:
        """A request that went through was answered, whatever the answer is."""
        ...

    def forward_failed(self, route: LegacyRoute, error: UpstreamError) -> None:
        """A request that went through got no answer, or none to its end."""
        ...


class Upstreams(Protocol):
    """The upstreams of all legacy routes. `counters` are by the route's path."""

    @property
    def routes(self) -> Sequence[LegacyRoute]: ...

    @property
    def proxy(self) -> Forwarder: ...

    @property
    def counters(self) -> Mapping[str, RouteCounters]: ...

    def poller(self, route: LegacyRoute) -> SharedList | None:
        """The list of a shared route; None for any other, and for a path with parameters."""
        ...

    def list_of(self, route: LegacyRoute, raw_path: str, raw_query: str) -> SharedList | None:
        """The list that a read of the route's path asks for, None where the request goes through.

        Path and query are as they came. It is to be asked before anything else is awaited.
        """
        ...

    def known_list(self, route: LegacyRoute, raw_path: str, raw_query: str) -> SharedList | None:
        """The same, None also where that list is not there yet: nothing is made, and nothing counted."""
        ...

    def written(self, route: LegacyRoute, raw_path: str) -> None:
        """Something was, or may have been, written at that path, which is the route's or below it."""
        ...

    def server(self, route: LegacyRoute) -> Reachability:
        """What is known of reaching a route's upstream."""
        ...
