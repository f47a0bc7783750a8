"""When a run has failed. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to. `owed` counts events that were published and never came to a reader.

    `deliveries` is None where the run had no publisher, or nobody who reads; a p99 is None where there was
    nothing to take it of.
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
    if figures.lag_p99_ms is not None and figures.lag_p99_ms > limits.max_lag_p99_ms:
        found.append(
            f"The delivery lag's p99 is {figures.lag_p99_ms:,.0f} ms; "
            f"{limits.max_lag_p99_ms:,.0f} ms are allowed."
        )
    return found
