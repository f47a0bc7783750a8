"""When groups' hints are due, and which a subscriber that is behind has pending."""

from collections.abc import Callable
from heapq import heappop, heappush

from gateway.core.events import Position
from gateway.core.hints import Debouncer, Refresh
from gateway.core.history import History, HistoryEntry
from gateway.core.selectors import Match
from gateway.delivery.group import Group, observe
from gateway.delivery.subscriber import Subscriber
from gateway.ports.clock import Clock, Scheduler
from gateway.runtime.alarm import Alarm

_ROUNDING_SECONDS = 0.001
"""Times are added up in more than one way."""


class HintSchedule:
    """One alarm for the hints of all groups, and a debouncer for each subscriber that catches up.

    `on_due` is called when the hints of some group are due; `due_groups` then names them.
    """

    def __init__(
        self,
        history: History,
        scheduler: Scheduler,
        clock: Clock,
        fan_in: int,
        on_due: Callable[[], None],
    ) -> None:
        self._history = history
        self._scheduler = scheduler
        self._clock = clock
        self._fan_in = fan_in
        self.alarm = Alarm(scheduler, on_due)
        self._heap: list[tuple[float, int, Group]] = []
        self._serial = 0
        self._pending: dict[Subscriber, Debouncer] = {}
        self._late: dict[Subscriber, list[Refresh]] = {}

    def plan(self, group: Group) -> None:
        """The group may have pending hints: sees to it that they are given in time.

        A planned time is never too late: hints that come later are due later.
        """
        deadline = group.debouncer.next_deadline() if group.debouncer is not None else None
        if deadline is None or group.hint_is_planned:
            return
        group.hint_is_planned = True
        self._serial += 1
        heappush(self._heap, (deadline, self._serial, group))
        self._set_alarm()

    def due_groups(self) -> list[Group]:
        """The groups whose planned time has come; `take` their hints."""
        now = self._now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            group = heappop(self._heap)[2]
            group.hint_is_planned = False
            due.append(group)
        if self._heap:
            self._set_alarm()
        return due

    def take(self, group: Group) -> list[Refresh]:
        """The group's hints that are due; they are for the caller to give. `plan` those that are left."""
        return group.debouncer.due(self._now()) if group.debouncer is not None else []

    def _now(self) -> float:
        # The alarm may ring a rounding error early, and must then not be set to the same time again.
        return self._clock.monotonic() + _ROUNDING_SECONDS

    def _set_alarm(self) -> None:
        self.alarm.set(self._scheduler.time() + self._heap[0][0] - self._clock.monotonic())

    def add_pending(self, subscriber: Subscriber, number: int, entry: HistoryEntry) -> None:
        """Counts an entry towards the hints that the subscriber gets once it has caught up."""
        debouncer = self._pending.get(subscriber)
        if debouncer is None:
            debouncer = Debouncer(subscriber.group.delivery.timing, self._fan_in)
            self._pending[subscriber] = debouncer
        observe(debouncer, number, entry)

    def overdue(self, subscriber: Subscriber, at: float) -> list[Refresh]:
        """The hints that the subscriber must get before an entry that came at `at`; no longer pending."""
        debouncer = self._pending.get(subscriber)
        return self._late.pop(subscriber, []) + (debouncer.due(at) if debouncer is not None else [])

    def pending_after(self, subscriber: Subscriber) -> Position | None:
        """The position right before the first entry of the subscriber's pending hints; None where none."""
        debouncer = self._pending.get(subscriber)
        return None if debouncer is None else debouncer.oldest_after()

    def take_pending(self, subscriber: Subscriber) -> list[Refresh]:
        """The subscriber's pending hints; none is pending any more."""
        debouncer = self._pending.pop(subscriber, None)
        return self._late.pop(subscriber, []) + (debouncer.take_all() if debouncer is not None else [])

    def copy_pending(self, subscriber: Subscriber, lacks: list[Refresh]) -> None:
        """The subscriber leaves its group's live members: takes with it what is pending there.

        It `lacks` hints besides, which were on their way to it.
        """
        group: Group = subscriber.group
        if group.debouncer is not None and group.delivery.hints == "with":
            self._pending[subscriber] = group.debouncer.copy()
            self._late[subscriber] = lacks

    def add_recent(self, subscriber: Subscriber) -> None:
        """Counts what came within the longest wait before the subscriber's entry: it may lack the hints.

        Only where it gets events and hints: their cursor says which events it has, not which hints. No event
        is sent before the hints whose longest wait had passed when it came, so older ones it has. A hint may
        thus come twice, and is never missed.
        """
        group: Group = subscriber.group
        timing = group.delivery.timing
        if timing is None or group.delivery.hints != "with":
            return
        seconds = timing.max_wait_ms / 1000 + _ROUNDING_SECONDS
        after = self._history.window_start(subscriber.number, seconds)
        entries = self._history.after(after, subscriber.number - after)
        for number, entry in enumerate(entries or (), after + 1):
            if group.selector.match(entry.event) is not Match.SKIP:
                self.add_pending(subscriber, number, entry)
