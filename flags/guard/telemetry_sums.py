"""What clients said to several nodes, as one; to and from JSON between nodes. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from flags.decide.modes import Mode
from flags.guard.heavy_hitters import HitterList, merged_hitters
from flags.guard.telemetry import VERSIONS, Fallback, TelemetryCounts
from flags.guard.windows import Durations
from flags.plain_json import as_counts, as_object


def merged(counts: Iterable[TelemetryCounts]) -> TelemetryCounts:
    """Those of several nodes together."""
    parts = list(counts)
    reports: Counter[Mode] = Counter()
    fallbacks: Counter[Fallback] = Counter()
    first_event = Durations()
    for part in parts:
        reports.update(part.reports)
        fallbacks.update(part.fallbacks)
        first_event.merge(part.first_event)
    versions = merged_hitters((part.versions for part in parts), VERSIONS)
    return TelemetryCounts(dict(reports), dict(fallbacks), versions, first_event)


def less(now: TelemetryCounts, before: TelemetryCounts) -> TelemetryCounts:
    """What was counted since `before`, which the same node gave."""
    return TelemetryCounts(
        dict(Counter(now.reports) - Counter(before.reports)),
        dict(Counter(now.fallbacks) - Counter(before.fallbacks)),
        now.versions.less(before.versions),
        now.first_event.less(before.first_event),
    )


def wire(counts: TelemetryCounts) -> dict[str, Any]:
    """The JSON object from which `of` gives the counts back."""
    return {
        "reports": {mode.value: count for mode, count in counts.reports.items()},
        "fallbacks": {fallback.value: count for fallback, count in counts.fallbacks.items()},
        "versions": counts.versions.wire(),
        "firstEvent": counts.first_event.bins(),
    }


def of(value: object) -> TelemetryCounts:
    """Raises ValueError where it is no such object."""
    members = as_object(value, 4)
    return TelemetryCounts(
        as_counts(members.get("reports"), Mode),
        as_counts(members.get("fallbacks"), Fallback),
        HitterList.of(members.get("versions")),
        Durations.of(members.get("firstEvent")),
    )
