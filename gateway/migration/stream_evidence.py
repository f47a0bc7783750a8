"""What the open streams carry of each component: how many, for how long, how late, and how they began."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flags.decide.decision import Decision
from flags.guard.telemetry import OpenedStream, Telemetry
from flags.guard.who import Who
from gateway.core.history import History, HistoryEntry
from gateway.delivery.subscriber import Subscriber
from gateway.migration.caller_sides import side_of, who_of
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.stream_plan import Footing
from gateway.ports.clock import Clock

Written = Callable[[float | None, float], None]
"""Hears of an event that was written to streams: the seconds since its timestamp, and since the log got
it."""

LAG_SAMPLES = 4
"""How many events of a flush are looked at for their way from the source: a flush costs the same, however
many it has."""


@dataclass(slots=True)
class _Carried:
    """`seconds` of streaming up to `at`, by `streams` that go on."""

    streams: int
    seconds: float
    at: float


class StreamEvidence:
    """The hub's observer. Counts the streams of each component, and gives the guard its evidence on them.

    `owned` are the entity types of each component. Nothing is kept for each stream here: who reads it, and on
    which side it is, is found again when it ends.
    """

    def __init__(
        self,
        windows: GuardWindows,
        telemetry: Telemetry,
        owned: Mapping[str, frozenset[str]],
        clock: Clock,
        written: Written,
        history: History,
    ) -> None:
        self._written = written
        self._history = history
        self._noted = history.head
        self._open = 0
        self._windows = windows
        self._telemetry = telemetry
        self._clock = clock
        self._owners: dict[str, list[str]] = {}
        for component, entity_types in owned.items():
            for entity_type in entity_types:
                self._owners.setdefault(entity_type, []).append(component)
        self._carried: dict[str, _Carried] = {}

    def streams(self, component: str) -> int:
        """How many open streams carry the component."""
        carried = self._carried.get(component)
        return 0 if carried is None else carried.streams

    def follow(
        self, subscriber: Subscriber, client_id: str, names: Iterable[str], attempt: str | None = None
    ) -> None:
        """A stream of software with these names was opened: its client's reports count from now on."""
        carried = _carries(subscriber.asked)
        if carried:
            stream = OpenedStream(client_id, attempt, _who(subscriber), carried, tuple(names))
            self._telemetry.opened(stream, self._clock.monotonic())

    def expire(self, now: float) -> None:
        """Drops the streams that are not acknowledged in time."""
        self._telemetry.expire(now)

    def take_seconds(self, now: float) -> dict[str, float]:
        """By component, for how many seconds streams carried it since the last call, summed over them."""
        taken = {}
        for component, carried in tuple(self._carried.items()):
            taken[component] = carried.seconds + carried.streams * max(0.0, now - carried.at)
            carried.seconds, carried.at = 0.0, now
            if not carried.streams:
                del self._carried[component]
        return taken

    def attached(self, subscriber: Subscriber) -> None:
        self._open += 1
        footing = subscriber.asked
        carried = _carries(footing)
        self._count(carried, 1)
        if carried:
            self._opened(subscriber, dict(_judged(footing)))

    def moved(self, subscriber: Subscriber, before: object) -> None:
        had, has = _carries(before), _carries(subscriber.asked)
        self._count(had, -1)
        self._count(has, 1)
        judged, judged_before = dict(_judged(subscriber.asked)), dict(_judged(before))
        # What goes on goes on: a stream that began well is not to begin anew because of another component.
        self._closed(subscriber, judged_before.keys() - judged.keys())
        self._opened(subscriber, {one: judged[one] for one in judged.keys() - judged_before.keys()})
        if not set(had) <= set(has):
            # The flags took something away from it: that says nothing of how it began.
            self._telemetry.forget(_id(subscriber))

    def ended(self, subscriber: Subscriber) -> None:
        self._open -= 1
        carried = _carries(subscriber.asked)
        self._count(carried, -1)
        if carried:
            self._closed(subscriber, [one for one, _ in _judged(subscriber.asked)])
            self._telemetry.closed(_id(subscriber), self._clock.monotonic())

    def lost(self, subscriber: Subscriber) -> None:
        """The stream is reset: its client has to fetch what it missed."""
        for component, _ in _judged(subscriber.asked):
            window = self._windows.of(component)
            if window is not None:
                window.callers.lost(_who(subscriber), self._clock.monotonic())

    def grown(self) -> None:
        """The history has grown, or begun anew: pollers see what is new with their next answers."""
        first, head = self._noted, self._history.head
        self._noted = head
        entries = self._history.after(first, head - first) if head > first else None
        if not entries:
            return
        now, wall_ms = self._clock.monotonic(), self._clock.wall_ms()
        for entry in _sampled(entries):
            for owner in self._owners.get(entry.event.entity_type or "", ()):
                window = self._windows.of(owner)
                if window is not None:
                    window.changed(now - max(0.0, wall_ms - entry.recorded_ms) / 1000)

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        if not self._open or not entries:
            return
        now, wall_ms = self._clock.monotonic(), self._clock.wall_ms()
        for entry in _sampled(entries):
            event = entry.event
            sent_ms = _wall_ms(event.timestamp)
            source_lag_ms = None if sent_ms is None else max(0.0, wall_ms - sent_ms)
            in_log_ms = max(0.0, wall_ms - entry.recorded_ms)
            self._written(None if source_lag_ms is None else source_lag_ms / 1000, in_log_ms / 1000)
            for owner in self._owners.get(event.entity_type or "", ()):
                streams = self.streams(owner)
                window = self._windows.of(owner) if streams else None
                if window is not None:
                    window.pushed(in_log_ms, source_lag_ms, streams, now)

    def _opened(self, subscriber: Subscriber, judged: Mapping[str, Decision]) -> None:
        if not judged:
            return
        who, now = _who(subscriber), self._clock.monotonic()
        for component, decision in judged.items():
            window = self._windows.of(component)
            if window is not None:
                window.callers.opened(who, side_of(decision), now)

    def _closed(self, subscriber: Subscriber, judged: Collection[str]) -> None:
        if not judged:
            return
        who, now = _who(subscriber), self._clock.monotonic()
        for component in judged:
            window = self._windows.of(component)
            if window is not None:
                window.callers.closed(who, now)

    def _count(self, components: Sequence[str], change: int) -> None:
        if not components:
            return
        now = self._clock.monotonic()
        for component in components:
            carried = self._carried.get(component)
            if carried is None:
                carried = self._carried[component] = _Carried(0, 0.0, now)
            carried.seconds += carried.streams * max(0.0, now - carried.at)
            carried.at = now
            carried.streams += change


def _sampled(entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """LAG_SAMPLES of them at most, the first among them: it waited longest."""
    last = len(entries) - 1
    return [
        entries[index]
        for index in sorted({last * number // (LAG_SAMPLES - 1) for number in range(LAG_SAMPLES)})
    ]


def _carries(asked: object) -> tuple[str, ...]:
    """The components that a stream carries; none of one that no flag may take away."""
    if not isinstance(asked, Footing):
        return ()
    return asked.plan.streaming


def _judged(asked: object) -> list[tuple[str, Decision]]:
    """Those of them that have a flag, which is judged."""
    if not isinstance(asked, Footing):
        return []
    decisions = asked.plan.decisions
    return [(one, decisions[one]) for one in asked.plan.streaming if decisions[one].stage is not None]


def _who(subscriber: Subscriber) -> Who:
    """Who reads the stream."""
    credentials, connection, footing = subscriber.credentials, subscriber.connection, subscriber.asked
    subject = None if credentials is None else credentials.subject
    caller = footing.asked.caller if isinstance(footing, Footing) else None
    return who_of(subject, caller, None if connection is None else connection.address)


def _id(subscriber: Subscriber) -> str:
    return "" if subscriber.connection is None else subscriber.connection.id


def _wall_ms(timestamp: str) -> float | None:
    """A time of RFC 3339 in milliseconds since 1970; None where it can't be read, which gives no sample."""
    try:
        return datetime.fromisoformat(timestamp).timestamp() * 1000
    except (ValueError, OverflowError):
        return None
