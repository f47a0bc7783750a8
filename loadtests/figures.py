"""What Locust counted, as the thresholds want it."""

from collections.abc import Iterable

from locust.env import Environment

from loadtests.board import board_of
from loadtests.thresholds import Figures

READERS = {"StreamUser": "SSE", "MigratingUser": "SYNC"}
LIVE = "delivery"
# Which part of a plan is to make which users do what, and the row that shows it.
MOVES = (
    ("storm", "StreamUser", "came back after a storm", ("reconnect", "SSE")),
    ("rollout", "MigratingUser", "went from polling to streaming", ("to streaming", "SYNC")),
    ("rollout", "MigratingUser", "went from streaming to polling", ("to polling", "SYNC")),
)
DELIVERIES = (LIVE, "catch-up", "delivery (polled)")


def figures_of(environment: Environment) -> Figures:
    """The figures of the run so far."""
    entries = environment.stats.entries
    names = {user.__name__ for user in environment.user_classes}
    types = [via for name, via in READERS.items() if name in names]

    def count(rows: Iterable[str]) -> int:
        wanted = {(row, via) for row in rows for via in types}
        return sum(entry.num_requests for key, entry in entries.items() if key in wanted)

    plan = getattr(environment.shape_class, "plan", None)
    moves = {
        what: sum(entry.num_requests for (row, via), entry in entries.items() if (row, via) == wanted)
        for part, user, what, wanted in MOVES
        if plan is not None and part in plan.parts and user in names
    }
    lags = [entries[LIVE, via] for via in types if (LIVE, via) in entries]
    return Figures(
        requests=environment.stats.total.num_requests,
        failures=environment.stats.total.num_failures,
        deliveries=count(DELIVERIES) if types and "Publisher" in names else None,
        gaps=count(["gap"]),
        duplicates=count(["duplicate"]),
        reordered=count(["reordered"]),
        owed=board_of(environment).owed,
        resets=sum(
            entry.num_requests
            for (row, via), entry in entries.items()
            if row.startswith("reset") and via in types
        ),
        lag_p99_ms=max((entry.get_response_time_percentile(0.99) for entry in lags), default=None),
        moves=moves,
    )
