"""When groups' hints are due, and which hints a subscriber that is behind is owed."""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from gateway import control
from gateway.alarm import Alarm
from gateway.clock import Scheduler
from gateway.group import Group, observe
from gateway.hints import Debouncer, Refresh
from gateway.history import History, HistoryEntry
from gateway.selectors import Match
from gateway.subscriber import Subscriber

MAX_SPREAD_MS = 30_000


class Refresher:
    """One alarm for the hints of all groups, and a debouncer for each subscriber that chases.

    `on_due` is called when the hints of some group are due; `due_groups` then names them.
    """

    def __init__(
        self, history: History, scheduler: Scheduler, fan_in: int, on_due: Callable[[], None]
    ) -> None:
        self._history = history
        self._scheduler = scheduler
        self._fan_in = fan_in
        self.alarm = Alarm(scheduler, on_due)
        self._heap: list[tuple[float, int, Group]] = []
        self._serial = 0
        self._owed: dict[Subscriber, Debouncer] = {}

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
        self.alarm.set(self._heap[0][0])

    def due_groups(self) -> list[Group]:
        """The groups whose planned time has come; `plan` them again once their hints were taken."""
        now = self._scheduler.time()
        due = []
        while self._heap and self._heap[0][0] <= now:
            group = heappop(self._heap)[2]
            group.hint_is_planned = False
            due.append(group)
        if self._heap:
            self.alarm.set(self._heap[0][0])
        return due

    def owe(self, subscriber: Subscriber, number: int, entry: HistoryEntry) -> None:
        """Counts an entry towards the hints that the subscriber gets once it has caught up."""
        debouncer = self._owed.get(subscriber)
        if debouncer is None:
            debouncer = Debouncer(subscriber.group.delivery.timing, self._fan_in)
            self._owed[subscriber] = debouncer
        observe(debouncer, number, entry, self._scheduler.time())

    def settle(self, subscriber: Subscriber) -> list[Refresh]:
        """The hints that the subscriber is owed; it is owed none any more."""
        debouncer = self._owed.pop(subscriber, None)
        return debouncer.take_all() if debouncer is not None else []

    def owe_recent(self, subscriber: Subscriber) -> None:
        """Counts what the subscriber was sent within the longest wait: its hint may never have reached it.

        Only where it gets events and hints: their cursor says which events it has, not which hints. A hint
        may thus come twice, and is never missed.
        """
        group: Group = subscriber.group
        timing = group.delivery.timing
        if timing is None or group.delivery.hints != "with":
            return
        after = self._history.window_start(subscriber.number, timing.max_wait_ms / 1000)
        entries = self._history.after(after, subscriber.number - after)
        for number, entry in enumerate(entries or (), after + 1):
            if group.selector.match(entry.event) is not Match.SKIP:
                self.owe(subscriber, number, entry)

    def frames(self, refreshes: Iterable[Refresh], number: int, readers: int) -> list[bytes]:
        """The frames of hints with the cursor of entry `number`, for that many readers at once."""
        return [
            control.refresh(
                entity_type=refresh.entity_type,
                entity_id=refresh.entity_id,
                event_types=refresh.event_types,
                count=refresh.count,
                cursor=self._history.cursor(number),
                jitter_ms=spread_ms(readers),
            )
            for refresh in refreshes
        ]


def spread_ms(readers: int) -> int:
    """Over how long that many clients are to spread what they do next: a millisecond for each."""
    return min(MAX_SPREAD_MS, readers)
