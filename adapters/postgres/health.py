"""What an operator watches about the log in Postgres."""

from typing import NamedTuple


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
