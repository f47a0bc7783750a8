"""Rate limits that a flood can neither pass nor fill the memory with. Pure: time comes in.

The token bucket of RFC 2697's kind: tokens flow in at a steady rate up to the burst, and each thing that is
let through takes one.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once after a quiet spell. Both are more than 0."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        if not (0 < self.per_second < float("inf") and 1 <= self.burst < float("inf")):
            raise ValueError("a rate is more than 0, and its burst at least 1")


class TokenBucket:
    """One bucket, full at first. `now` is monotonic seconds; one before the last counts as the last."""

    __slots__ = ("_rate", "_tokens", "_updated_at")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._updated_at = now

    def wait_seconds(self, now: float, count: int = 1) -> float:
        """How long until there are `count` tokens, or for more than the burst a full bucket; 0.0 for now."""
        self._refill(now)
        return max(0.0, (min(count, self._rate.burst) - self._tokens) / self._rate.per_second)

    def take(self, now: float, count: int = 1) -> None:
        """Takes tokens, for which `wait_seconds` has found that it is time.

        What a full bucket did not hold is owed: it flows in before there is a token again.
        """
        self._refill(now)
        self._tokens -= count

    def is_full(self, now: float) -> bool:
        """Whether nothing tells it from a new one any more."""
        self._refill(now)
        return self._tokens >= self._rate.burst

    def _refill(self, now: float) -> None:
        flowed = max(0.0, now - self._updated_at) * self._rate.per_second
        self._tokens = min(self._rate.burst, self._tokens + flowed)
        self._updated_at = max(self._updated_at, now)


class ClientLimits:
    """A bucket for each client, and one for all of them together, where there is a rate for `total`.

    At most `most_clients` buckets are kept. A full one is forgotten first, which changes nothing; where none
    is full, further clients share one bucket: names that are made up as they come gain nothing by it.
    """

    def __init__(self, each: Rate, total: Rate | None, most_clients: int, now: float) -> None:
        self._each = each
        self._most_clients = most_clients
        self._total = [] if total is None else [TokenBucket(total, now)]
        self._shared = TokenBucket(each, now)
        self._clients: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clients)

    def take(self, client: str | None, now: float, count: int = 1) -> float:
        """0.0 where the client may go on, and `count` tokens are taken; else after how many seconds it may.

        Where nobody can tell who it is, `client` is None, and the limit of all together is the only one.
        """
        buckets = self._total if client is None else [self._bucket(client, now), *self._total]
        wait_seconds = max((bucket.wait_seconds(now, count) for bucket in buckets), default=0.0)
        if wait_seconds == 0:
            for bucket in buckets:
                bucket.take(now, count)
        return wait_seconds

    def _bucket(self, client: str, now: float) -> TokenBucket:
        bucket = self._clients.get(client)
        if bucket is not None:
            self._clients.move_to_end(client)
            return bucket
        if len(self._clients) >= self._most_clients and not self._forget_one(now):
            return self._shared
        bucket = self._clients[client] = TokenBucket(self._each, now)
        return bucket

    def _forget_one(self, now: float) -> bool:
        """Forgets the client that has been quiet for longest, where its bucket has filled up again."""
        client, bucket = next(iter(self._clients.items()))
        if not bucket.is_full(now):
            return False
        del self._clients[client]
        return True
