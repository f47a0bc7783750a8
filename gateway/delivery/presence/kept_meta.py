"""The meta of users who have no connection to this node: kept for a while, for they may come back."""

from collections import OrderedDict
from collections.abc import Callable

from gateway.delivery.presence.table import Key
from gateway.ports.clock import Scheduler
from gateway.runtime.alarm import Alarm

MOST_KEPT = 10_000
"""Of so many users; beyond that the one who has waited longest is forgotten."""


class KeptMeta:
    """`forget` is called with each key that was kept for `seconds`."""

    def __init__(self, scheduler: Scheduler, seconds: float, forget: Callable[[Key], None]) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._forget = forget
        self._until: OrderedDict[Key, float] = OrderedDict()
        self._alarm = Alarm(scheduler, self._ring)

    def __len__(self) -> int:
        return len(self._until)

    def keep(self, key: Key) -> None:
        """Keeps it from now on."""
        self._until.pop(key, None)
        if len(self._until) >= MOST_KEPT:
            self._forget(self._until.popitem(last=False)[0])
        self._until[key] = self._scheduler.time() + self._seconds
        self._plan()

    def drop(self, key: Key) -> None:
        """The user is here: it is nothing to be forgotten."""
        self._until.pop(key, None)

    def stop(self) -> None:
        """Forgets nothing any more."""
        self._alarm.cancel()

    def _plan(self) -> None:
        if self._until:
            self._alarm.set(next(iter(self._until.values())))

    def _ring(self) -> None:
        now = self._scheduler.time()
        while self._until and next(iter(self._until.values())) <= now:
            self._forget(self._until.popitem(last=False)[0])
        self._plan()
