"""What clients say of their delivery, and what they fail to say: evidence for the guard. Pure.

A client that got its first event says so, and that acknowledges its stream. A proxy that swallows streams
keeps the client from ever saying it: so a stream that is not acknowledged in time is `mute`.

Nothing that a client sends counts but for a stream that the gateway opened: a first event and a fallback once
each, for whom the stream was opened. Whoever could open none may say so, for itself. What is said of other
streams is kept for people, and handed to the other nodes, one of which may have opened them. Reports are
limited for each client and in total.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Protocol

from flags.decide.modes import Mode
from flags.guard.heavy_hitters import HeavyHitter, HitterList, SpaceSaving
from flags.guard.open_streams import OpenedStream as OpenedStream
from flags.guard.open_streams import OpenStreams, Stream
from flags.guard.reporters import Reporters
from flags.guard.token_bucket import ClientLimits
from flags.guard.who import Who
from flags.guard.windows import Durations

VERSIONS = 32
"""How many client versions that fell back are listed."""


class Fallback(StrEnum):
    """Why a client went back to polling.

    `short`: its streams ended too soon, again and again. `mute`: one opened and nothing came. `error`: it
    could not be opened. `blocked`: something in between refused or held it back.
    """

    SHORT = "short"
    MUTE = "mute"
    ERROR = "error"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One report, checked at the border. `client` is whom to limit: an address or a principal, not a claim.

    It is None where that is not known: behind a proxy on this machine everybody has the proxy's address.
    `client_id` is the stream's, `attempt` what its client called the opening: one of them is there. `who`
    reported it, also where another node took the report: `proven` is its `Who.proven`.
    `first_event_ms` is how long after opening it the first event came.
    """

    client: str | None
    client_id: str | None
    component: str
    mode: Mode
    client_version: str
    who: Who
    first_event_ms: float | None = None
    fallback: Fallback | None = None
    attempt: str | None = None
    proven: str | None = None

    def may_be_on(self, stream: Stream) -> bool:
        """Whether it counts for the stream: who proves its name reports on no other's that does."""
        owner = stream.who.proven
        return owner is None or self.proven is None or self.proven == owner


class Judged(Protocol):
    """Who hears what counts, each for one component. One that nobody guards is to be ignored."""

    def acknowledged(self, component: str, who: Who, now: float) -> None:
        """The first event of a stream has come."""
        ...

    def mute(self, component: str, who: Who, now: float) -> None:
        """A stream that should have been acknowledged was not, in time."""
        ...

    def fell_back(self, component: str, who: Who, now: float, *, is_open: bool = False) -> None:
        """Whose stream it was has gone back to polling. `is_open`: as far as is known here it is open, and
        was acknowledged."""
        ...

    def blocked(self, component: str, who: Who, now: float) -> None:
        """Somebody says that it could open no stream, and none of it is known here."""
        ...


class Receipt(StrEnum):
    """What became of a report."""

    TAKEN = "taken"
    LIMITED = "limited"
    UNKNOWN_COMPONENT = "unknown_component"


@dataclass(frozen=True, slots=True)
class TelemetrySummary:
    """What clients of one component said since the process began, whether it counts or not.

    `fallbacks_by_version` are the client versions that fell back most often. Quantiles are to 5 %, and None
    where nobody reported a first event.
    """

    reports: Mapping[Mode, int]
    fallbacks: Mapping[Fallback, int]
    fallbacks_by_version: tuple[HeavyHitter, ...]
    first_event_p50_ms: float | None
    first_event_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class TelemetryCounts:
    """What a summary is made of, of one node or the sum of several (telemetry_sums.py)."""

    reports: Mapping[Mode, int] = field(default_factory=dict)
    fallbacks: Mapping[Fallback, int] = field(default_factory=dict)
    versions: HitterList = field(default_factory=HitterList)
    first_event: Durations = field(default_factory=Durations)

    def summary(self) -> TelemetrySummary:
        return TelemetrySummary(
            reports=self.reports,
            fallbacks=self.fallbacks,
            fallbacks_by_version=self.versions.hitters,
            first_event_p50_ms=self.first_event.quantile(0.5),
            first_event_p99_ms=self.first_event.quantile(0.99),
        )


@dataclass(slots=True)
class _Said:
    reports: Counter[Mode] = field(default_factory=Counter)
    fallbacks: Counter[Fallback] = field(default_factory=Counter)
    versions: SpaceSaving = field(default_factory=lambda: SpaceSaving(VERSIONS))
    first_event: Durations = field(default_factory=Durations)


class Telemetry:
    """Tells `judged` what counts. `knows` says whether there is such a component; others are refused.

    A stream of software that reports (`reporters`, as of its opening) is mute when it is not acknowledged
    within `deadline_seconds`, or when it is closed before, but not within the first `brief_seconds`: somebody
    who leaves at once is no evidence. At most `most_streams` open ones are remembered, and `most_closed` that
    have closed, for flags.guard.open_streams.CLOSED_SECONDS.

    `forward` is handed each report that matches nothing here; None where there are no other nodes.
    """

    def __init__(
        self,
        judged: Judged,
        knows: Callable[[str], bool],
        limits: ClientLimits,
        *,
        deadline_seconds: float = 15.0,
        brief_seconds: float = 2.0,
        most_streams: int = 20_000,
        most_closed: int = 20_000,
        forward: Callable[[ClientReport], None] | None = None,
        reporters: Reporters | None = None,
    ) -> None:
        self._judged = judged
        self._knows = knows
        self._limits = limits
        self._deadline = deadline_seconds
        self._brief = brief_seconds
        self._streams = OpenStreams(most_streams, most_closed)
        self._forward = forward
        self._said: dict[str, _Said] = {}
        self.reporters = Reporters() if reporters is None else reporters
        self.limited = 0
        self.matched = 0
        """Reports on streams that were opened here, from clients or by way of another node."""
        self.unmatched = 0
        """Reports on streams that were not opened here, or too long ago, where there is no other node."""
        self.forwarded = 0
        """Such reports where there are others: they were handed to these."""

    @property
    def unfollowed(self) -> int:
        """Open streams of which nothing is known (any more), for want of room."""
        return self._streams.forgotten

    @property
    def waiting(self) -> int:
        """How many streams are to be acknowledged."""
        return self._streams.waiting

    @property
    def remembered(self) -> int:
        """How many streams are remembered, open and closed."""
        return len(self._streams)

    def opened(self, stream: OpenedStream, now: float) -> None:
        """Remembers a stream, whoever's: a fallback may name it."""
        self._streams.add(stream, now, waits=self.reporters.knows(stream.names, stream.who.source))

    def forget(self, client_id: str) -> None:
        """The stream was taken away from its client: what comes of it is no evidence any more."""
        self._streams.drop(client_id)

    def closed(self, client_id: str, now: float) -> None:
        """The stream has ended. One that is not remembered (any more) is none of our business."""
        was_waiting, stream = self._streams.close(client_id, now)
        if stream is not None and was_waiting and now - stream.opened_at > self._brief:
            self._tell(self._judged.mute, stream, now)

    def expire(self, now: float) -> int:
        """Has done with the streams whose deadline has passed; how many."""
        expired = 0
        for stream in self._streams.overdue(now - self._deadline):
            self._tell(self._judged.mute, stream, now)
            expired += 1
        self._streams.expire(now)
        return expired

    def report(self, report: ClientReport, now: float) -> tuple[Receipt, float]:
        """Takes a client's report; what became of it, and the seconds to wait where it was `limited`."""
        wait_seconds = self._limits.take(report.client, now)
        if wait_seconds > 0:
            self.limited += 1
            return Receipt.LIMITED, wait_seconds
        if not self._knows(report.component):
            return Receipt.UNKNOWN_COMPONENT, 0.0
        self._note(report)
        says_something = report.fallback is not None or report.first_event_ms is not None
        if says_something and not self._counts(report, now):
            self._unmatched(report, now)
        return Receipt.TAKEN, 0.0

    def told(self, report: ClientReport, now: float) -> None:
        """Takes a report that another node got and could not match. It has noted it, for people."""
        self._counts(report, now)

    def components(self) -> tuple[str, ...]:
        """The components on which clients have reported."""
        return tuple(self._said)

    def summary(self, component: str) -> TelemetrySummary:
        """What clients of the component said."""
        return self.counts(component).summary()

    def counts(self, component: str) -> TelemetryCounts:
        """What the summary is made of."""
        said = self._said.get(component) or _Said()
        return TelemetryCounts(
            dict(said.reports), dict(said.fallbacks), said.versions.hitters(), said.first_event
        )

    def _note(self, report: ClientReport) -> None:
        said = self._said.get(report.component)
        if said is None:
            said = self._said[report.component] = _Said()
        said.reports[report.mode] += 1
        if report.fallback is not None:
            said.fallbacks[report.fallback] += 1
            said.versions.add(report.client_version)
        if report.first_event_ms is not None:
            said.first_event.add(report.first_event_ms)

    def _counts(self, report: ClientReport, now: float) -> bool:
        """Whether the report is on a stream that is remembered; then it has counted, as far as it can."""
        named = self._streams.named(report.client_id, report.attempt, now)
        of_id, of_attempt = (one if one is None or report.may_be_on(one) else None for one in named)
        if of_id is None and of_attempt is None:
            return False
        self.matched += 1
        # Where they are two streams, `clientId` is of the last that got through, and the attempt came after.
        began, failed = of_id or of_attempt, of_attempt or of_id
        if report.first_event_ms is not None and began is not None:
            is_in_time = now - began.opened_at < self._deadline
            if is_in_time and self._streams.acknowledge(began):
                self._tell(self._judged.acknowledged, began, now)
        if report.fallback is not None and failed is not None and not failed.fell_back:
            failed.fell_back = True
            is_open = failed.is_acknowledged and failed.closed_at is None
            self._tell(partial(self._judged.fell_back, is_open=is_open), failed, now)
        return True

    def _unmatched(self, report: ClientReport, now: float) -> None:
        is_blocked = report.fallback is Fallback.BLOCKED
        if is_blocked:
            self._judged.blocked(report.component, report.who, now)
        if self._forward is not None:
            # Also one that was blocked: it may have got through to another node, and not back.
            self.forwarded += 1
            self._forward(report)
        elif not is_blocked:
            self.unmatched += 1

    def _tell(self, what: Callable[[str, Who, float], None], stream: Stream, now: float) -> None:
        for component in stream.components:
            what(component, stream.who, now)
