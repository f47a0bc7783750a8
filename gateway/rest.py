"""How long a flush is followed by none, so that others get half of the time."""

from gateway.clock import Clock

LOOK_SECONDS = 0.002
"""How long it takes to see whether others make use of a rest."""
_USED = 0.5
"""Of a rest others use it where they work for more of it than that."""


class Rest:
    """A pause that is over early where nobody works meanwhile. Times are the event loop's, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._until = self._worked = 0.0

    def begin(self, now: float, seconds: float) -> None:
        """It lasts for so long at most."""
        self._began, self._until = now, now + seconds
        self._worked = self._clock.worked()

    def end(self) -> None:
        """It is over."""
        self._until = self._began

    def over_at(self, now: float) -> float:
        """When to ask again; it is over where that is `now`."""
        passed = now - self._began
        if now >= self._until:
            return now
        if passed >= LOOK_SECONDS / 2 and self._clock.worked() - self._worked <= _USED * passed:
            return now
        return min(self._until, now + LOOK_SECONDS)
