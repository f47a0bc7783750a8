"""Exponential backoff with full jitter, capped.

The rule is "full jitter" of Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015):
the n-th delay is drawn evenly from 0 to min(cap, base * 2^n).
"""

from collections.abc import Callable

from gateway.core import chance


class Backoff:
    """Delays for consecutive failures of one thing.

    `base_seconds` bounds the first delay, `cap_seconds` every later one. `draw(low, high)` is where chance
    comes in; tests pass their own.
    """

    def __init__(
        self,
        base_seconds: float,
        cap_seconds: float,
        draw: Callable[[float, float], float] = chance.draw,
    ) -> None:
        self._base = base_seconds
        self._cap = cap_seconds
        self._draw = draw
        self.failures = 0

    def next(self) -> float:
        """Counts one more failure and gives the seconds to wait before the next attempt."""
        # 2**64 seconds are beyond any cap; the bound keeps the power from overflowing.
        limit = min(self._cap, self._base * 2.0 ** min(self.failures, 64))
        self.failures += 1
        return self._draw(0.0, limit)

    def reset(self) -> None:
        """Forgets the failures: the thing worked."""
        self.failures = 0
