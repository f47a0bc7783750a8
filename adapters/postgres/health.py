"""What an operator watches about the log in Postgres."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.ports.log import Figure


class PostgresHealth(NamedTuple):
    """The last figures, some seconds old at most.

    `is_reachable`: the last look at the server succeeded. `is_listening`: notifications arrive; without them
    events come by the timer, later but not fewer. `blocking_seconds`: the age of the oldest open transaction
    that has written, in any database of the server, for every later event waits until it ends; 0 where there
    is none or this role may not see it (it needs pg_read_all_stats). `held_seconds`: how long the oldest
    committed event has waited for such a one. The counts are since the start.
    """

    is_reachable: bool
    is_listening: bool
    blocking_seconds: float
    held_seconds: float
    listener_failures: int
    pruned_events: int
    unreadable_events: int
    retention_failures: int

    def figures(self) -> Sequence[Figure]:
        """See gateway.log.WatchedLog."""
        return (
            Figure("reachable", "1 where the last look at Postgres succeeded.", self.is_reachable),
            Figure("listening", "1 where notifications of Postgres arrive.", self.is_listening),
            Figure(
                "blocking_seconds",
                "Age of the oldest open transaction that has written, which holds delivery.",
                self.blocking_seconds,
            ),
            Figure(
                "held_seconds", "How long the oldest event has waited for a transaction.", self.held_seconds
            ),
            Figure("listener_failures", "Times that notifications were lost.", self.listener_failures, True),
            Figure("pruned_events", "Events that this node deleted by the bounds.", self.pruned_events, True),
            Figure("unreadable_events", "Rows that are no event.", self.unreadable_events, True),
            Figure("retention_failures", "Failures to apply the bounds.", self.retention_failures, True),
        )

    def warnings(self, patience_seconds: float) -> list[str]:
        """See gateway.log.WatchedLog. What holds delivery for longer than that is worth a warning."""
        if max(self.blocking_seconds, self.held_seconds) < patience_seconds:
            return []
        facts = [f"it is {self.blocking_seconds:.0f} s old"] if self.blocking_seconds else []
        if self.held_seconds:
            facts.append(f"the oldest event has waited for {self.held_seconds:.0f} s")
        return [
            f"An open transaction that has written holds delivery until it ends: {' and '.join(facts)}."
            " `tidegate postgres status` names it."
        ]
