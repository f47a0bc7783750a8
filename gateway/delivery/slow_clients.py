"""Finds the clients that stopped reading: those that lag without progress, or don't take their bye."""

from collections.abc import Callable

from gateway.delivery.pace import Pace
from gateway.delivery.subscriber import Subscriber
from gateway.ports.clock import Scheduler
from gateway.runtime.alarm import Alarm


class SlowClients:
    """Looks at the transports' buffers every `sweep_seconds`, while there is one to look at.

    `on_stalled` is called for a lagging subscriber whose buffer has not shrunk for `stall_seconds`,
    `on_overdue` for an ending one that is still connected after `bye_seconds`.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        stall_seconds: float,
        on_stalled: Callable[[Subscriber], None],
        on_overdue: Callable[[Subscriber], None],
        pace: Pace,
    ) -> None:
        self._scheduler = scheduler
        self._stall_seconds = stall_seconds
        self._on_stalled = on_stalled
        self._on_overdue = on_overdue
        self._pace = pace
        self.alarm = Alarm(scheduler, self._sweep)
        self._lagging: dict[Subscriber, tuple[float, int]] = {}
        self._ending: dict[Subscriber, float] = {}

    @property
    def lagging(self) -> int:
        """How many subscribers lag."""
        return len(self._lagging)

    def lags(self, subscriber: Subscriber) -> None:
        """The subscriber's buffer is full."""
        self._note(subscriber, self._scheduler.time())
        self.alarm.set(self._scheduler.time() + self._pace.sweep_seconds)

    def ends(self, subscriber: Subscriber) -> None:
        """The subscriber was sent its last frames."""
        self._lagging.pop(subscriber, None)
        self._ending[subscriber] = self._scheduler.time() + self._pace.bye_seconds
        self.alarm.set(self._scheduler.time() + self._pace.sweep_seconds)

    def forget(self, subscriber: Subscriber) -> None:
        """The subscriber reads again, or is gone."""
        self._lagging.pop(subscriber, None)
        self._ending.pop(subscriber, None)

    def _note(self, subscriber: Subscriber, now: float) -> None:
        buffered = subscriber.transport.get_write_buffer_size()
        self._lagging[subscriber] = (now + self._stall_seconds, buffered)

    def _sweep(self) -> None:
        now = self._scheduler.time()
        for subscriber, (deadline, buffered) in list(self._lagging.items()):
            if subscriber.transport.get_write_buffer_size() < buffered:
                self._note(subscriber, now)
            elif now >= deadline:
                self._on_stalled(subscriber)
        for subscriber, deadline in list(self._ending.items()):
            if now >= deadline:
                self._on_overdue(subscriber)
        if self._lagging or self._ending:
            self.alarm.set(now + self._pace.sweep_seconds)
