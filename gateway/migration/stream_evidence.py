"""What the open streams carry of each component: how many, for how long, how late, and how they began."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flags.guard.telemetry import OpenedStream, Telemetry
from flags.guard.who import Who
from flags.guard.window import GuardWindow
from gateway.core.history import HistoryEntry
from gateway.delivery.subscriber import Subscriber
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

    `owned` are the entity types of each component. What is remembered of a single stream is its client's id;
    `telemetry` remembers what reports may say of it.

    Where `hears_all` is false, other nodes serve the same clients, and a report may come to another one than
    its stream: no stream is held to its report then.
    """

    def __init__(
        self,
        windows: Mapping[str, GuardWindow],
        telemetry: Telemetry,
        owned: Mapping[str, frozenset[str]],
        clock: Clock,
        written: Written,
        *,
        hears_all: bool = True,
    ) -> None:
        self._written = written
        self._open = 0
        self._windows = windows
        self._telemetry = telemetry
        self._clock = clock
        self.hears_all = hears_all
        self._owners: dict[str, list[str]] = {}
        for component, entity_types in owned.items():
            for entity_type in entity_types:
                self._owners.setdefault(entity_type, []).append(component)
        self.reporters = telemetry.reporters
        self._carried: dict[str, _Carried] = {}
        self._followed: dict[Subscriber, str] = {}

    @property
    def following(self) -> int:
        """Streams that are held to a report."""
        return self._telemetry.waiting

    def streams(self, component: str) -> int:
        """How many open streams carry the component."""
        carried = self._carried.get(component)
        return 0 if carried is None else carried.streams

    def follow(
        self,
        subscriber: Subscriber,
        client_id: str,
        names: Iterable[str],
        *,
        attempt: str | None = None,
        who: Who | None = None,
    ) -> None:
        """A stream of software with these names was opened: reports may name it."""
        carried = _carries(subscriber.asked)
        if not carried:
            return
        whose = Who(f"k:{client_id}") if who is None else who
        stream = OpenedStream(client_id, attempt, whose, carried, tuple(names) if self.hears_all else ())
        self._telemetry.opened(stream, self._clock.monotonic())
        self._followed[subscriber] = client_id

    def expire(self, now: float) -> None:
        """Has done with the streams that are not acknowledged in time."""
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
        self._count(_carries(subscriber.asked), 1)

    def moved(self, subscriber: Subscriber, before: object) -> None:
        had, has = _carries(before), _carries(subscriber.asked)
        self._count(had, -1)
        self._count(has, 1)
        if not set(had) <= set(has):
            # The flags took something away from it: that says nothing of how it began.
            client_id = self._followed.pop(subscriber, None)
            if client_id is not None:
                self._telemetry.forget(client_id)

    def ended(self, subscriber: Subscriber) -> None:
        self._open -= 1
        self._count(_carries(subscriber.asked), -1)
        client_id = self._followed.pop(subscriber, None)
        if client_id is not None:
            self._telemetry.closed(client_id, self._clock.monotonic())

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        if not self._open or not entries:
            return
        last = len(entries) - 1
        now, wall_ms = self._clock.monotonic(), self._clock.wall_ms()
        # The first is among them: it waited longest.
        for index in sorted({last * number // (LAG_SAMPLES - 1) for number in range(LAG_SAMPLES)}):
            event = entries[index].event
            sent_ms = _wall_ms(event.timestamp)
            lag_ms = None if sent_ms is None else max(0.0, wall_ms - sent_ms)
            in_log_ms = max(0.0, wall_ms - entries[index].recorded_ms)
            self._written(None if lag_ms is None else lag_ms / 1000, in_log_ms / 1000)
            if lag_ms is not None:
                for owner in self._owners.get(event.entity_type or "", ()):
                    if self.streams(owner):
                        self._pushed(owner, lag_ms, now)

    def _pushed(self, component: str, lag_ms: float, now: float) -> None:
        window = self._windows.get(component)
        if window is not None:
            window.pushed(lag_ms, now)

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


def _carries(asked: object) -> tuple[str, ...]:
    """The components that a stream carries; none of one that no flag may take away."""
    if not isinstance(asked, Footing):
        return ()
    return asked.plan.streaming


def _wall_ms(timestamp: str) -> float | None:
    """A time of RFC 3339 in milliseconds since 1970; None where it can't be read, which gives no sample."""
    try:
        return datetime.fromisoformat(timestamp).timestamp() * 1000
    except (ValueError, OverflowError):
        return None
