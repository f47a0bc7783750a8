"""What went wrong in work that has readers, where nobody foresaw it: counted, logged, and told to operators.

Whose work it was sees to it that its readers are whole or told; this only says that it happened.
"""

import logging
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=str)

LINE_SECONDS = 10.0
"""How long after a line the next about the same work may come: one fault can meet thousands of streams."""
WARNING_SECONDS = 60.0
"""For how long after a failure an operator who looks is warned of it."""


class Failures(Generic[Kind]):
    """`counts` says how often which work failed. `now` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.counts: Counter[str] = Counter()
        self._next_line: dict[str, float] = {}
        self._last: tuple[float, str, str] | None = None

    def report(self, work: Kind, error: Exception) -> None:
        """`work` has raised `error`. The line has its traceback, and how often that work failed so far."""
        now = self._now()
        self.counts[work] += 1
        self._last = (now, work, type(error).__name__)
        if now >= self._next_line.get(work, now):
            self._next_line[work] = now + LINE_SECONDS
            log_event(
                _log,
                logging.ERROR,
                "delivery_failed",
                work=work,
                failures=self.counts[work],
                exception="".join(traceback.format_exception(error)),
            )

    def warnings(self) -> list[str]:
        """One sentence where something failed within WARNING_SECONDS, else none."""
        if self._last is None or self._now() - self._last[0] > WARNING_SECONDS:
            return []
        _, work, error = self._last
        return [
            f"Delivery failed within the last minute ({work}: {error}): some clients may have been reset or "
            "cut off. The log has the traceback (delivery_failed)."
        ]
