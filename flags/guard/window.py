"""What the guard judges a component by: five metrics over a sliding window. Pure: time comes in."""

from dataclasses import dataclass, field
from enum import StrEnum

from flags.guard.windows import Durations, Share, SlidingWindow
from flags.parity.report import Tally


class Metric(StrEnum):
    """The guard's metrics, named as its settings are on the wire.

    `consistency`: the share of compared changes in which push and polling agreed (`flags.parity.comparison`).
    `errorRate`: the share of requests and deliveries of the component that failed. `pushLagP99Ms`: from
    when something changed to when it was pushed. `firstEventSuccess`: the share of opened streams whose
    client saw a first event. `fallbackRate`: the share of clients' reports on streaming that told of a
    fallback.
    """

    CONSISTENCY = "consistency"
    ERROR_RATE = "errorRate"
    PUSH_LAG = "pushLagP99Ms"
    FIRST_EVENT = "firstEventSuccess"
    FALLBACK_RATE = "fallbackRate"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric's value, a share from 0 to 1 or milliseconds, and from how many samples it is.

    `value` is None where there are none. `without_noise` is what it would be without the differences in
    which polling disagrees with itself; it is `value` where there are none of these.
    """

    value: float | None = None
    samples: int = 0
    without_noise: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All metrics at one moment; `push_lag_p50_ms` is for people, and judged by nobody."""

    by_metric: dict[Metric, Figure]
    push_lag_p50_ms: float | None


@dataclass(slots=True)
class _Slot:
    compared: Share = field(default_factory=Share)
    served: Share = field(default_factory=Share)
    began: Share = field(default_factory=Share)
    reported: Share = field(default_factory=Share)
    lags: Durations = field(default_factory=Durations)


class GuardWindow:
    """One component's metrics over the last `seconds`. Bounded: sixty slots of a few counters each.

    Where a component's window is to have another length, it gets a new one, and begins without data.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._window: SlidingWindow[_Slot] = SlidingWindow(seconds, _Slot)

    def compared(self, tally: Tally, now: float) -> None:
        """Adds what `Parity.drain` gave. Its lags are those that polling could see, and count as push lag."""
        slot = self._window.current(now)
        slot.compared.add(tally.agreed, tally.differed, tally.noisy)
        for lag_ms in tally.lags_ms:
            slot.lags.add(lag_ms)

    def served(self, succeeded: int, failed: int, now: float) -> None:
        """Adds requests and deliveries, those that failed by the gateway's own or the upstream's fault."""
        self._window.current(now).served.add(succeeded, failed)

    def pushed(self, lag_ms: float, now: float) -> None:
        """Adds one event's way from its timestamp to the streams."""
        self._window.current(now).lags.add(lag_ms)

    def began(self, succeeded: bool, now: float) -> None:
        """Adds one stream: its client saw a first event, or it did not in time."""
        self._window.current(now).began.add(int(succeeded), int(not succeeded))

    def reported(self, fell_back: bool, now: float) -> None:
        """Adds one client's report on its streaming."""
        self._window.current(now).reported.add(int(not fell_back), int(fell_back))

    def figures(self, start: float, now: float) -> Figures:
        """The metrics over the part of the window that began at `start` or later."""
        total = _Slot()
        for slot in self._window.since(start, now):
            total.compared.merge(slot.compared)
            total.served.merge(slot.served)
            total.began.merge(slot.began)
            total.reported.merge(slot.reported)
            total.lags.merge(slot.lags)
        p99 = total.lags.quantile(0.99)
        return Figures(
            by_metric={
                Metric.CONSISTENCY: _share_of_good(total.compared),
                Metric.ERROR_RATE: _share_of_bad(total.served),
                Metric.PUSH_LAG: Figure(p99, total.lags.total, p99),
                Metric.FIRST_EVENT: _share_of_good(total.began),
                Metric.FALLBACK_RATE: _share_of_bad(total.reported),
            },
            push_lag_p50_ms=total.lags.quantile(0.5),
        )


def _share_of_good(share: Share) -> Figure:
    if not share.total:
        return Figure()
    proven = share.total - share.noisy
    without_noise = share.good / proven if proven else None
    return Figure(share.good / share.total, share.total, without_noise)


def _share_of_bad(share: Share) -> Figure:
    if not share.total:
        return Figure()
    value = share.bad / share.total
    return Figure(value, share.total, value)
