"""Brings the live members of the groups up to the head, and says how far they have come.

Invariant: a LIVE subscriber was sent all matching entries up to `max(subscriber.number, flushed)`.
"""

from asyncio import Future
from collections.abc import Iterator

from gateway.budget import Budget
from gateway.clock import Clock
from gateway.events import ORIGIN, Position
from gateway.group import Group
from gateway.history import History, ResetReason
from gateway.refresher import Refresher
from gateway.roster import Roster
from gateway.subscriber import State, Subscriber
from gateway.waiters import resolve

ENTRIES_A_FLUSH = 2048


class Flushes:
    """One flush after the other. `flushed` is the last entry that every live member has, if it matches."""

    def __init__(
        self, history: History, clock: Clock, roster: Roster, refresher: Refresher, budget: Budget
    ) -> None:
        self._history = history
        self._clock = clock
        self._roster = roster
        self._groups = roster.groups
        self._counters = roster.counters
        self._refresher = refresher
        self._budget = budget
        self.flushed = history.head
        self._waiters: set[Future[None]] = set()

    @property
    def is_due(self) -> bool:
        """Whether the history has entries that are not flushed."""
        return self.flushed < self._history.head

    def skip(self) -> None:
        """Goes on from the history's head: nobody is live who lacks what is before it."""
        self.flushed = self._history.head

    async def room(self) -> None:
        """Returns once what waits to be flushed is little enough for the history to grow further."""
        while self._history.head - self.flushed > ENTRIES_A_FLUSH:
            waiter: Future[None] = Future()
            self._waiters.add(waiter)
            await waiter

    def run(self) -> Iterator[None]:
        """One flush, in as many parts as the budget makes of it. It must have ended before the next."""
        budget = self._budget
        first = self.flushed
        entries = self._history.after(first, ENTRIES_A_FLUSH)
        if entries is None:
            raise RuntimeError("the history let go of entries before they were flushed")
        touched: dict[Group, None] = {}
        for number, entry in enumerate(entries, first + 1):
            for group in self._groups.candidates(entry.event):
                budget.left -= 1
                if group.offer(number, entry, self._history):
                    touched[group] = None
            if budget.left <= 0:
                yield
        unmatched = self._history.position(first) or ORIGIN
        for group in touched:
            resolve(group.waiters, unmatched)
            self._refresher.plan(group)
            yield from self._deliver(group, first)
        self.flushed = first + len(entries)
        self.trim()
        self._counters.flushes += 1
        self._roster.observer.flushed(entries)
        resolve(self._waiters, None)
        # The loop writes what was queued before the next turn comes: that belongs to what the flush takes.
        yield

    def _deliver(self, group: Group, first: int) -> Iterator[None]:
        """Writes what the flush of the entries after `first` has for the group's members."""
        outbox, group.outbox = group.outbox, []
        if not outbox:
            return
        payload = group.framed(group.outbox_frames(outbox, self._history))
        last = outbox[-1][0]
        members = tuple(group.members)
        counters, budget = self._counters, self._budget
        counters.deliveries += len(outbox) * len(members)
        counters.hints += group.hinted * len(members)
        group.hinted = 0
        live = State.LIVE
        for subscriber in members:
            if subscriber.state is not live:
                continue
            if subscriber.number <= first:
                subscriber.number = subscriber.told = last
                # `Roster.write` and `Budget.spend`, written out: this runs once for each delivery there is.
                try:
                    subscriber.transport.write(payload)
                except (OSError, RuntimeError):
                    self._roster.fail(subscriber)
            else:
                # It caught up while the flush before this one ran, and has some of these entries already.
                rest = [item for item in outbox if item[0] > subscriber.number]
                if rest:
                    frames = group.outbox_frames(rest, self._history, least=subscriber.told)
                    subscriber.number = subscriber.told = last
                    self._roster.write(subscriber, group.framed(frames))
            budget.left -= 1
            if budget.left <= 0:
                yield
        group.giving = []

    def trim(self) -> None:
        """The history lets go of what is over its bounds, but for what is not flushed."""
        self._history.trim(self._clock.monotonic(), self.flushed)

    def leave(self, subscriber: Subscriber) -> None:
        """Takes a live member out of its group, with the number from which it goes on by itself.

        Its state is for the caller to change.
        """
        group: Group = subscriber.group
        del group.members[subscriber]
        if group.delivery.hints != "only":
            subscriber.number = max(subscriber.number, self.flushed)
            self._refresher.owe_pending(subscriber)
        else:
            # Its own number is where it went live: it had the hints for all up to there.
            subscriber.number = max(subscriber.number, self.safe_number(group))
        subscriber.position = self._history.position(subscriber.number) or self._lacking(group)

    def safe_number(self, group: Group) -> int:
        """The number from which a live member of `group` that reconnects misses no event and no hint.

        Hints alone: before the first entry of any hint that is pending. Hints beside events: whoever resumes
        gets those of the longest wait again, so before the first of their deadlines.
        """
        debouncer = group.debouncer
        if debouncer is None:
            return self.flushed
        if group.delivery.hints == "only":
            oldest = debouncer.oldest_number()
            return self.flushed if oldest is None else min(self.flushed, oldest - 1)
        deadline = debouncer.next_deadline()
        if deadline is None:
            return self.flushed
        return min(self.flushed, self._history.number_before_time(deadline))

    def cursor(self, group: Group, number: int) -> str:
        """The cursor of a live member of `group` that misses nothing from entry `number` on."""
        position = self._history.position(number) or self._lacking(group)
        if isinstance(position, Position):
            return self._history.cursor_at(position)
        return self._history.cursor(number)

    def _lacking(self, group: Group) -> Position | ResetReason:
        """The position up to which the members had all hints, where the history's floor is later."""
        lacking = group.lacking_after()
        return "trimmed" if lacking is None else lacking
