"""What is known of a component's pollers, of one node or the sum of several. Pure data."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

from flags.guard.heavy_hitters import HitterList, merged_hitters
from flags.plain_json import as_amount, as_count, as_object, as_row, as_text

CAPACITY = 64
"""How many labels are listed."""
_MOST_READ = 1024
_MOST_LABEL = 1024


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


class Rate(NamedTuple):
    """A label's polls a second of late, and how long ago it polled last."""

    per_second: float
    last_seen_seconds: float


@dataclass(frozen=True, slots=True)
class InventoryCounts:
    """What a report is made of; what is saved is told of the sum, and not summed itself.

    `from_snapshot` polls cost the upstream no request of their own, `replaced` are those that the streams'
    clients would have made.
    """

    labels: HitterList = field(default_factory=HitterList)
    rates: Mapping[str, Rate] = field(default_factory=dict)
    upstream_requests: int = 0
    from_snapshot: int = 0
    replaced: float = 0.0

    def report(self) -> InventoryReport:
        """What the shared requests to the upstream cost is set against the polls first.

        What is left of it is set against the streams.
        """
        rest = max(0, self.upstream_requests - self.from_snapshot)
        return InventoryReport(
            pollers=tuple(
                Poller(hitter.label, hitter.count, hitter.error, *self.rates[hitter.label])
                for hitter in self.labels.hitters
            ),
            polls=self.labels.total,
            unlisted_bound=self.labels.bound,
            upstream_requests=self.upstream_requests,
            saved_by_snapshot=max(0, self.from_snapshot - self.upstream_requests),
            saved_by_push=max(0, math.floor(self.replaced) - rest),
        )

    def aged(self, seconds: float, *, gone: bool) -> "InventoryCounts":
        """The same so much later; of a node that is gone nobody polls any more."""
        rates = {
            label: Rate(0.0 if gone else rate.per_second, rate.last_seen_seconds + seconds)
            for label, rate in self.rates.items()
        }
        return replace(self, rates=rates)

    def less(self, before: "InventoryCounts") -> "InventoryCounts":
        """What was counted since `before`, which the same node gave."""
        return InventoryCounts(
            self.labels.less(before.labels),
            self.rates,
            max(0, self.upstream_requests - before.upstream_requests),
            max(0, self.from_snapshot - before.from_snapshot),
            max(0.0, self.replaced - before.replaced),
        )

    def wire(self) -> dict[str, Any]:
        """The JSON object from which `of` gives the counts back."""
        return {
            "labels": self.labels.wire(),
            "rates": {label: list(rate) for label, rate in self.rates.items()},
            "upstreamRequests": self.upstream_requests,
            "fromSnapshot": self.from_snapshot,
            "replaced": self.replaced,
        }

    @classmethod
    def of(cls, value: object) -> Self:
        """Raises ValueError where it is no such object."""
        members = as_object(value, 5)
        labels = HitterList.of(members.get("labels"))
        rates = {
            as_text(label, _MOST_LABEL): Rate(*(as_amount(number) for number in as_row(rate, 2)))
            for label, rate in as_object(members.get("rates"), _MOST_READ).items()
        }
        if any(hitter.label not in rates for hitter in labels.hitters):
            raise ValueError("must have a rate for every label")
        return cls(
            labels,
            rates,
            as_count(members.get("upstreamRequests")),
            as_count(members.get("fromSnapshot")),
            as_amount(members.get("replaced")),
        )


def merged(counts: Iterable[InventoryCounts]) -> InventoryCounts:
    """Those of several nodes together: rates add up, and a label was last seen where that is least ago."""
    parts = list(counts)
    labels = merged_hitters((part.labels for part in parts), CAPACITY)
    rates = {}
    for hitter in labels.hitters:
        known = [part.rates[hitter.label] for part in parts if hitter.label in part.rates]
        rates[hitter.label] = Rate(
            sum(rate.per_second for rate in known), min(rate.last_seen_seconds for rate in known)
        )
    return InventoryCounts(
        labels,
        rates,
        sum(part.upstream_requests for part in parts),
        sum(part.from_snapshot for part in parts),
        sum(part.replaced for part in parts),
    )
