"""How many callers' choices are kept, and for how long. Pure: time comes in.

Whoever can reach the gateway can make up client ids, and choose for each of them. Nobody's choice is pushed
out by that, and no disk is filled: a choice is kept for `KEPT_DAYS` from the day on which it was made, and on
one day at most `MOST_A_DAY` are taken, so there are never more than the product of both. Beyond that a caller
that has none is refused until the next day; one that has may change it all the same, and it ends when the old
one would have. Days are those of UTC.
"""

from flags.errors import StoreFull
from flags.times import rfc3339

KEPT_DAYS = 180
MOST_A_DAY = 5_000

DAY_SECONDS = 86_400


def day_of(now_ms: int) -> int:
    """The number of the day since 1970-01-01."""
    return now_ms // (DAY_SECONDS * 1000)


def full(now_ms: int) -> StoreFull:
    """What a caller is told whose choice would be one too many today."""
    until_ms = (day_of(now_ms) + 1) * DAY_SECONDS * 1000
    return StoreFull(
        "So many callers chose today for the first time that no more can be kept before "
        f"{rfc3339(until_ms)}: until then the flags decide.",
        retry_after_seconds=max(1, -(-(until_ms - now_ms) // 1000)),
    )
