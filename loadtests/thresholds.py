"""When a run has failed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to. `owed` counts events that were published and never came to a reader.

    `deliveries` is None where the run had no publisher, or nobody who reads; a p99 is None where there was
    nothing to take it of. `moves` counts what its plan was to bring about, by what that is in words.
    """

    requests: int
    failures: int
    deliveries: int | None
    gaps: int
    duplicates: int
    reordered: int
    owed: int
    resets: int
    lag_p99_ms: float | None
    moves: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may come to. Events may never be lost, doubled or out of order: that is no option."""

    max_failures: int = 0
    max_resets: int = 0
    max_lag_p99_ms: float = 1000.0


def broken(figures: Figures, limits: Limits) -> list[str]:
    """A sentence for each limit that does not hold; none where the run is good."""
    found = []
    if figures.requests == 0:
        found.append("Nothing was measured.")
    if figures.deliveries == 0:
        found.append("No event was delivered.")
    for count, what in (
        (figures.gaps, "gaps"),
        (figures.duplicates, "duplicates"),
        (figures.reordered, "events out of order"),
        (figures.owed, "events that never came"),
    ):
        if count:
            found.append(f"There were {count:,} {what}.")
    if figures.failures > limits.max_failures:
        found.append(f"There were {figures.failures:,} failures; {limits.max_failures:,} are allowed.")
    if figures.resets > limits.max_resets:
        found.append(f"There were {figures.resets:,} resets; {limits.max_resets:,} are allowed.")
    found += [f"Nobody {what}." for what, count in figures.moves.items() if not count]
    lag_ms = figures.lag_p99_ms
    if lag_ms is not None and lag_ms > limits.max_lag_p99_ms:
        found.append(
            f"The delivery lag's p99 is {lag_ms:,.0f} ms; {limits.max_lag_p99_ms:,.0f} ms are allowed."
        )
    return found


def summary(figures: Figures, limits: Limits) -> str:
    """What was looked at, in one sentence, whether it was good or not."""
    parts = [f"{figures.requests:,} rows"]
    if figures.deliveries is not None:
        parts += [
            f"{figures.deliveries:,} deliveries",
            f"{figures.gaps:,} gaps",
            f"{figures.duplicates:,} doubled",
            f"{figures.reordered:,} out of order",
            f"{figures.owed:,} that never came",
        ]
    parts += [f"{figures.resets:,} resets", f"{figures.failures:,} failures"]
    if figures.lag_p99_ms is not None:
        parts.append(f"lag p99 {figures.lag_p99_ms:,.0f} ms of {limits.max_lag_p99_ms:,.0f} allowed")
    parts += [f"{count:,} times somebody {what}" for what, count in figures.moves.items()]
    return f"Looked at: {', '.join(parts)}."
