"""Who still polls a component, and how many requests polling no longer costs. Pure: time comes in.

By client version and not by caller: a team retires versions. Bounded by Space-Saving: `capacity` labels,
whatever clients call themselves.
"""

import math
from dataclasses import dataclass

from flags.guard.heavy_hitters import SpaceSaving
from flags.guard.inventory_counts import CAPACITY, InventoryCounts, InventoryReport, Rate

RATE_SECONDS = 60.0
"""Over about how long a label's rate is taken: older polls weigh less and less, by e a minute."""


@dataclass(slots=True)
class _Seen:
    """`rate` is a second's polls as of `last_at`, with exponential decay."""

    rate: float
    last_at: float


class PollerInventory:
    """The pollers of one component."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._labels = SpaceSaving(capacity)
        self._seen: dict[str, _Seen] = {}
        self._from_snapshot = 0
        self._upstream_requests = 0
        self._replaced = 0.0

    def polled(self, label: str, now: float, *, from_snapshot: bool) -> None:
        """Counts one poll; `from_snapshot` says that no request to the upstream was made for it alone."""
        self._from_snapshot += from_snapshot
        displaced = self._labels.add(label)
        if displaced is not None:
            del self._seen[displaced]
        seen = self._seen.get(label)
        if seen is None:
            self._seen[label] = _Seen(1 / RATE_SECONDS, now)
        else:
            seen.rate = _decayed(seen, now) + 1 / RATE_SECONDS
            seen.last_at = max(seen.last_at, now)

    def asked_upstream(self, requests: int = 1) -> None:
        """Counts requests that were made to the upstream for everybody."""
        self._upstream_requests += requests

    def streamed(self, client_seconds: float, poll_interval_seconds: float) -> None:
        """Counts so many seconds of clients' streaming, in which they would have polled at that interval."""
        if client_seconds < 0 or poll_interval_seconds <= 0:
            raise ValueError("streaming takes no negative time, and a poll interval is more than 0")
        self._replaced += client_seconds / poll_interval_seconds

    def report(self, now: float) -> InventoryReport:
        """The pollers as of `now`."""
        return self.counts(now).report()

    def counts(self, now: float) -> InventoryCounts:
        """What the report as of `now` is made of."""
        rates = {
            label: Rate(_decayed(seen, now), max(0.0, now - seen.last_at))
            for label, seen in self._seen.items()
        }
        return InventoryCounts(
            self._labels.hitters(), rates, self._upstream_requests, self._from_snapshot, self._replaced
        )


def _decayed(seen: _Seen, now: float) -> float:
    return seen.rate * math.exp(-max(0.0, now - seen.last_at) / RATE_SECONDS)
