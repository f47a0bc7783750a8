"""When changes were known, for pollers who see them later: how many, to a twentieth of a second. Pure."""

from array import array
from bisect import bisect_right

STEP_SECONDS = 0.05
MOST_STEPS = 16_384
"""So many steps in which something changed are remembered, and at least half of them: nearly seven minutes,
however much changes."""


class KnownChanges:
    """The changes of one component. Of the oldest nothing is known any more. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._begins = array("d")
        # How many changes there were before each step, and in the end.
        self._counts = array("q", [0])

    def add(self, at: float) -> None:
        """A change that was known at that time, or with the one before it where that was later."""
        begins, counts = self._begins, self._counts
        if begins and at < begins[-1] + STEP_SECONDS:
            counts[-1] += 1
            return
        begins.append(at)
        counts.append(counts[-1] + 1)
        if len(begins) > MOST_STEPS:
            # Half at once: it is rare then.
            del begins[: MOST_STEPS // 2], counts[: MOST_STEPS // 2]

    def between(self, since: float, until: float) -> int:
        """How many were known after `since`, and at `until` or before."""
        return max(0, self._until(until) - self._until(since))

    def _until(self, at: float) -> int:
        return self._counts[bisect_right(self._begins, at)]
