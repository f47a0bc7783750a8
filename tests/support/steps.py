"""Work that is done in steps, so that others may run in between, done in one go."""

from collections import deque
from collections.abc import Iterator


def finish(steps: Iterator[None]) -> None:
    """Takes all steps that are left."""
    deque(steps, maxlen=0)
