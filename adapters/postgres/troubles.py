"""What fails behind the log while it can be read: one line when that begins, one a minute, one at its end."""

import logging
import time
from collections.abc import Callable

from gateway.core.errors import LogError
from gateway.runtime.outage import Outage

_log = logging.getLogger(__name__)


class Troubles:
    """The failures of the log's own tasks: its listener, its watch, retention and bookkeeping.

    A server that is out of reach is told by whoever reads the log, so a task that fails for that says
    nothing. It tells of itself (`TASK_failed`, and so on: gateway/runtime/outage.py) where the server
    refused what it
    asked, or where the watch has seen the server since it began to fail. `now` gives monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._looks = 0
        self._began: dict[str, int] = {}
        self._outages: dict[str, Outage] = {}

    def looked(self) -> None:
        """The watch has seen the server."""
        self._looks += 1

    def failed(self, task: str, error: LogError) -> None:
        """The task failed once more."""
        began = self._began.setdefault(task, self._looks)
        if error.is_refusal or self._looks > began:
            outage = self._outages.setdefault(task, Outage(_log, task, now=self._now))
            outage.failed(error=error.detail)

    def over(self, task: str) -> None:
        """The task did its work."""
        self._began.pop(task, None)
        if task in self._outages:
            self._outages[task].over()
