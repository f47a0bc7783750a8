"""Who still polls a component, and how many requests polling no longer costs. Pure: time comes in.

By client version and not by caller: a team retires versions. Bounded by Space-Saving: `capacity` labels,
whatever clients call themselves.
"""

import math
from dataclasses import dataclass

from flags.guard.heavy_hitters import SpaceSaving

RATE_SECONDS = 60.0
"""Over about how long a label's rate is taken: older polls weigh less and less, by e a minute."""


@dataclass(frozen=True, slots=True)
class Poller:
    """One version of client software that polls.

    It polled at least `polls - error` and at most `polls` times since the process began. `per_second` is its
    rate of late, `last_seen_seconds` how long ago it polled last.
    """

    label: str
    polls: int
    error: int
    per_second: float
    last_seen_seconds: float


@dataclass(frozen=True, slots=True)
class InventoryReport:
    """Who polls a component, the most frequent first, and what is saved.

    `unlisted_bound`: no version that is not listed polled more often than that. `upstream_requests` were
    made for all of them; `saved_by_snapshot` are the requests that the polls would have made beyond these,
    `saved_by_push` those that the streams' clients would have made, had they polled.
    """

    pollers: tuple[Poller, ...]
    polls: int
    unlisted_bound: int
    upstream_requests: int
    saved_by_snapshot: int
    saved_by_push: int


@dataclass(slots=True)
class _Seen:
    """`rate` is a second's polls as of `last_at`, with exponential decay."""

    rate: float
    last_at: float


class PollerInventory:
    """The pollers of one component."""

    def __init__(self, capacity: int = 64) -> None:
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
        """The pollers as of `now`.

        What the shared requests to the upstream cost is set against the polls first, and what is left of it
        against the streams.
        """
        rest = max(0, self._upstream_requests - self._from_snapshot)
        return InventoryReport(
            pollers=tuple(
                Poller(
                    label=hitter.label,
                    polls=hitter.count,
                    error=hitter.error,
                    per_second=_decayed(self._seen[hitter.label], now),
                    last_seen_seconds=max(0.0, now - self._seen[hitter.label].last_at),
                )
                for hitter in self._labels.top()
            ),
            polls=self._labels.total,
            unlisted_bound=self._labels.bound,
            upstream_requests=self._upstream_requests,
            saved_by_snapshot=max(0, self._from_snapshot - self._upstream_requests),
            saved_by_push=max(0, math.floor(self._replaced) - rest),
        )


def _decayed(seen: _Seen, now: float) -> float:
    return seen.rate * math.exp(-max(0.0, now - seen.last_at) / RATE_SECONDS)
