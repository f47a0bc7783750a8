"""Something that this process needs is out of reach: what its log lines say, and how seldom they say it."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from gateway.runtime.logs import log_event

REMINDER_SECONDS = 60.0
"""How often a line says that an outage still lasts."""
CALM_SECONDS = 10.0
"""How far apart the beginnings of outages are that are told at once."""


class Outage:
    """One thing that can be out of reach, such as the log's server, whoever of its users finds that out.

    Gives one line when an outage begins (`NAME_failed`, at `level`), one a minute while it lasts
    (`NAME_still_failing`, at `level`, with how long so far) and one when it is over (`NAME_recovered`, at
    INFO, with how long it took). Those who share the object share the lines: what tries again logs nothing
    itself. `fields` stand in every line; `now` gives monotonic seconds.

    What fails and succeeds by turns, such as a server that has room for small events and none for large ones,
    would give two lines for each failure. So an outage that begins within `CALM_SECONDS` of the last one that
    was told is told once it has lasted for that long, and else not at all; the next one's `failures` count
    its own too.

    A user that says who it is (`by`) ends only its own trouble: the outage is over once all who failed
    succeeded. The owner, who knows of the whole thing, says nothing of the kind, and ends it for all.
    """

    def __init__(
        self,
        logger: logging.Logger,
        name: str,
        *,
        level: int = logging.WARNING,
        now: Callable[[], float] = time.monotonic,
        **fields: Any,
    ) -> None:
        self._log = logger
        self._name = name
        self._level = level
        self._now = now
        self._fields = fields
        self._began: float | None = None
        self._failing: set[str] = set()
        self._failures = 0
        self._is_told = False
        self._last_line = -math.inf

    @property
    def lasts(self) -> bool:
        """Whether the last that was heard is a failure."""
        return self._began is not None

    @property
    def is_told(self) -> bool:
        """Whether a line has said that it began, and none that it is over."""
        return self._is_told

    def failed(self, *, by: str = "", **fields: Any) -> None:
        """One more try failed. `fields` say how: `error`, and what an operator can look for."""
        now = self._now()
        self._failing.add(by)
        self._failures += 1
        if self._began is None:
            self._began = now
        if not self._is_told and now - self._last_line >= CALM_SECONDS:
            self._is_told, self._last_line = True, now
            log_event(self._log, self._level, f"{self._name}_failed", **self._fields, **fields)
        elif self._is_told and now - self._last_line >= REMINDER_SECONDS:
            self._last_line = now
            log_event(
                self._log,
                self._level,
                f"{self._name}_still_failing",
                **self._fields,
                **fields,
                **self._so_far(self._began, now),
            )

    def over(self, *, by: str = "", **fields: Any) -> None:
        """A try succeeded. Does nothing where none had failed."""
        self._failing = self._failing - {by} if by else set()
        if self._began is None or self._failing:
            return
        so_far = self._so_far(self._began, self._now())
        self._began = None
        if not self._is_told:
            return
        self._is_told, self._failures = False, 0
        log_event(self._log, logging.INFO, f"{self._name}_recovered", **self._fields, **fields, **so_far)

    def forget(self, by: str) -> None:
        """This user no longer tries: what it found does not keep the outage from being over."""
        self._failing.discard(by)

    def _so_far(self, began: float, now: float) -> dict[str, Any]:
        return {"outage_seconds": round(now - began, 1), "failures": self._failures}
