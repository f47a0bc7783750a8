"""Refused requests: counted all of them, and told in log lines that a flood of them can't drown."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web

from gateway.ports.clock import Scheduler
from gateway.runtime.logs import log_event, log_failure

QUIET_SECONDS = 1.0
"""How far apart two lines about the same problem are at least."""

_log = logging.getLogger(__name__)


class _Refusal(NamedTuple):
    """One that was not told yet; `left_out` are those before it that will not be."""

    level: int
    error: BaseException | None
    fields: dict[str, Any]
    left_out: int = 0


class Refusals:
    """What was refused since the start: `counts` by problem, and its log lines.

    The first of a problem is told at once (`request_refused`, or `request_failed` with a traceback where it
    is a defect). Of those that follow within a second the last is told once that is over, with `left_out`,
    how many others there were. `scheduler` gives the event loop in which `add` is called.
    """

    def __init__(self, scheduler: Callable[[], Scheduler] = asyncio.get_running_loop) -> None:
        self.counts: Counter[str] = Counter()
        self._scheduler = scheduler
        self._waiting: dict[str, _Refusal | None] = {}
        """By problem, where its last line is less than a second old: what is told when that is over."""

    def add(
        self, problem: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any
    ) -> None:
        """One more request was refused, with `problem`; `error` is a failure that nobody foresaw."""
        self.counts[problem] += 1
        refusal = _Refusal(level, error, fields)
        if problem not in self._waiting:
            self._tell(problem, refusal)
            return
        before = self._waiting[problem]
        left_out = 0 if before is None else before.left_out + 1
        self._waiting[problem] = refusal._replace(left_out=left_out)

    def _tell(self, problem: str, refusal: _Refusal) -> None:
        fields = {"problem": problem, **refusal.fields}
        if refusal.left_out:
            fields["left_out"] = refusal.left_out
        if refusal.error is None:
            log_event(_log, refusal.level, "request_refused", **fields)
        else:
            log_failure(_log, refusal.level, "request_failed", refusal.error, **fields)
        self._waiting[problem] = None
        scheduler = self._scheduler()
        scheduler.call_at(scheduler.time() + QUIET_SECONDS, self._go_on, problem)

    def _go_on(self, problem: str) -> None:
        refusal = self._waiting.pop(problem)
        if refusal is not None:
            self._tell(problem, refusal)


REFUSALS = web.AppKey("refusals", Refusals)
"""An application's refused requests."""
