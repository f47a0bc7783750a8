"""What clients say of their delivery, and what they fail to say: evidence for the guard. Pure.

A client that got its first event says so, with the `clientId` of its stream, and that acknowledges the
stream. A proxy that swallows streams keeps the client from ever saying it: so a stream that is not
acknowledged in time counts as one that failed.

Nothing that a client sends is trusted with more than one sample: a first event counts only for a stream that
this node has open and unacknowledged, and once; reports are limited for each client and in total.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flags.decide.modes import Mode
from flags.guard.heavy_hitters import HeavyHitter, HitterList, SpaceSaving
from flags.guard.token_bucket import ClientLimits
from flags.guard.window import GuardWindow
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
    `client_id` is the stream's, `first_event_ms` how long after opening it the first event came.
    """

    client: str | None
    client_id: str
    component: str
    mode: Mode
    client_version: str
    first_event_ms: float | None = None
    fallback: Fallback | None = None


class Receipt(StrEnum):
    """What became of a report."""

    TAKEN = "taken"
    LIMITED = "limited"
    UNKNOWN_COMPONENT = "unknown_component"


@dataclass(frozen=True, slots=True)
class TelemetrySummary:
    """What clients of one component said since the process began.

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


@dataclass(frozen=True, slots=True)
class _Stream:
    components: tuple[str, ...]
    opened_at: float


class Telemetry:
    """Feeds the `windows` of the components that are guarded; reports on others are refused.

    A stream fails when it is not acknowledged within `deadline_seconds`, or when it is closed before, but not
    within the first `brief_seconds`: somebody who leaves at once is no evidence. At most `most_streams` wait
    for their acknowledgement; further ones are not followed, and counted in `unfollowed`.
    """

    def __init__(
        self,
        windows: Mapping[str, GuardWindow],
        limits: ClientLimits,
        *,
        deadline_seconds: float = 15.0,
        brief_seconds: float = 2.0,
        most_streams: int = 20_000,
    ) -> None:
        self._windows = windows
        self._limits = limits
        self._deadline = deadline_seconds
        self._brief = brief_seconds
        self._most_streams = most_streams
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._said: dict[str, _Said] = {}
        self.limited = 0
        self.unfollowed = 0
        self.unmatched = 0
        """Reports that told how a stream began which is not followed here, or not any more."""

    def opened(self, client_id: str, components: Iterable[str], now: float) -> None:
        """Follows a stream that carries these components.

        Only for clients that are known to report, to this very node: one that never does, or whose reports
        reach another node, would count as a failure each time.
        """
        if len(self._streams) >= self._most_streams:
            self.unfollowed += 1
            return
        self._streams[client_id] = _Stream(tuple(components), now)

    def follows(self, client_id: str) -> bool:
        """Whether the stream waits for its acknowledgement."""
        return client_id in self._streams

    def forget(self, client_id: str) -> None:
        """The stream was taken away from its client: how it began is no evidence any more."""
        self._streams.pop(client_id, None)

    def closed(self, client_id: str, now: float) -> None:
        """The stream has ended. One that is not followed (any more) is none of our business."""
        stream = self._streams.pop(client_id, None)
        if stream is not None and now - stream.opened_at > self._brief:
            self._began(stream, False, now)

    def expire(self, now: float) -> int:
        """Drops the streams whose deadline has passed; how many."""
        expired = 0
        while self._streams:
            client_id, stream = next(iter(self._streams.items()))
            if now - stream.opened_at < self._deadline:
                break
            del self._streams[client_id]
            self._began(stream, False, now)
            expired += 1
        return expired

    def report(self, report: ClientReport, now: float) -> tuple[Receipt, float]:
        """Takes a client's report; what became of it, and the seconds to wait where it was `limited`."""
        wait_seconds = self._limits.take(report.client, now)
        if wait_seconds > 0:
            self.limited += 1
            return Receipt.LIMITED, wait_seconds
        window = self._windows.get(report.component)
        if window is None:
            return Receipt.UNKNOWN_COMPONENT, 0.0
        self._note(report)
        if report.mode is Mode.STREAMING or report.fallback is not None:
            window.reported(report.fallback is not None, now)
        if report.fallback is not None or report.first_event_ms is not None:
            self._settle(report, now)
        return Receipt.TAKEN, 0.0

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

    def _settle(self, report: ClientReport, now: float) -> None:
        """The client knows how its stream began: with an event, or not at all."""
        stream = self._streams.pop(report.client_id, None)
        if stream is None:
            self.unmatched += 1
        else:
            self._began(stream, report.first_event_ms is not None, now)

    def _began(self, stream: _Stream, succeeded: bool, now: float) -> None:
        for component in stream.components:
            window = self._windows.get(component)
            if window is not None:
                window.began(succeeded, now)
