"""Brings the live members of the groups up to the head, and says how far they have come.

Invariant: a LIVE subscriber was sent all matching entries up to `max(subscriber.number, flushed)`.
"""

from asyncio import Future
from collections.abc import Iterator, Sequence, Set

from gateway.core.events import ORIGIN, Position
from gateway.core.hints import Refresh
from gateway.core.history import History, HistoryEntry, ResetReason
from gateway.core.selectors import Match
from gateway.delivery.budget import Budget
from gateway.delivery.group import Group, observe
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.pace import Pace
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import State, Subscriber
from gateway.ports.clock import Clock
from gateway.runtime.waiters import resolve

Outbox = list[tuple[int, Sequence[Refresh], bytes]]
"""Entries by number, each with the hints that go before it, and its frame."""


class Flush:
    """What one flush, up to entry `last`, has for the groups that it concerns; the next knows nothing of it.

    Of `outboxes` those are empty that have nobody to write to, or are for hints alone.
    """

    def __init__(self, history: History, last: int) -> None:
        self._history = history
        self.last = last
        self.outboxes: dict[Group, Outbox] = {}

    def offer(self, group: Group, number: int, entry: HistoryEntry) -> None:
        """Takes entry `number` in for the group, where it matches."""
        match = group.selector.match(entry.event)
        if match is Match.SKIP:
            return
        outbox = self.outboxes.get(group)
        if outbox is None:
            outbox = self.outboxes[group] = []
        if not group.members:
            return
        debouncer = group.debouncer
        if group.delivery.hints != "only":
            frame = group.frame(entry, match, self._history)
            # What is taken from the group is in the outbox, whatever fails.
            overdue = debouncer.due(entry.at) if debouncer is not None else ()
            outbox.append((number, overdue, frame))
        if debouncer is not None:
            observe(debouncer, number, entry)

    def frames(self, group: Group, part: Outbox, least: int = 0) -> bytes:
        """A part of the group's outbox as bytes: each event after the hints that must not come after it."""
        readers = len(group.members)
        frames: list[bytes] = []
        for number, overdue, frame in part:
            if overdue:
                frames += group.hint_frames(overdue, number - 1, self._history, readers, least)
            frames.append(frame)
        return b"".join(frames)

    def lacking(self, subscriber: Subscriber) -> list[Refresh]:
        """The hints that its group has no more, and a live member has not got yet."""
        outbox = self.outboxes.get(subscriber.group, ())
        return [hint for number, overdue, _ in outbox if number > subscriber.number for hint in overdue]


class Flushes:
    """One flush after the other. `flushed` is the last entry that every live member has, if it matches.

    `giving` are the hints that are being given (broadcasts.py), and the live members that lack them still.
    """

    def __init__(
        self,
        history: History,
        clock: Clock,
        streams: Streams,
        hint_schedule: HintSchedule,
        budget: Budget,
        pace: Pace,
    ) -> None:
        self._history = history
        self._clock = clock
        self._streams = streams
        self._groups = streams.groups
        self._counters = streams.counters
        self._hint_schedule = hint_schedule
        self._budget = budget
        self._pace = pace
        self.giving: tuple[list[Refresh], Set[Subscriber]] = ([], frozenset())
        self.skip()
        self._waiters: set[Future[None]] = set()

    @property
    def is_due(self) -> bool:
        """Whether the history has entries that are not flushed."""
        return self.flushed < self._history.head

    def skip(self) -> None:
        """Goes on from the history's head: nobody is live who lacks what is before it."""
        self._running = Flush(self._history, self._history.head)
        self._reach()

    def _reach(self) -> None:
        """The flush has come to where it was to end, and nothing is left of it."""
        self._running.outboxes.clear()
        self.flushed = self._counted = self._running.last
        self._waiting_bytes = 0

    async def room(self) -> None:
        """Returns once no more waits to be flushed than one flush takes."""
        while self._waits_for_several():
            waiter: Future[None] = Future()
            self._waiters.add(waiter)
            await waiter

    def _waits_for_several(self) -> bool:
        """Whether one flush may not take all that waits. It takes one entry, however large."""
        head = self._history.head
        if head - self.flushed <= 1:
            return False
        if self._counted < head:
            new = self._history.after(self._counted, head - self._counted) or ()
            self._waiting_bytes += sum(len(entry.frame) for entry in new)
            self._counted = head
        pace = self._pace
        return head - self.flushed > pace.entries_a_flush or self._waiting_bytes > pace.bytes_a_flush

    def next_entries(self) -> list[HistoryEntry]:
        """The entries of the next flush, for `run`."""
        entries = self._history.after(self.flushed, self._pace.entries_a_flush)
        if entries is None:
            raise RuntimeError("the history dropped entries before they were flushed")
        size, enough = 0, self._pace.bytes_a_flush
        for count, entry in enumerate(entries, 1):
            size += len(entry.frame)
            if size >= enough:
                return entries[:count]
        return entries

    def run(self, entries: Sequence[HistoryEntry]) -> Iterator[None]:
        """One flush, in as many parts as the budget makes of it. It must have ended before the next."""
        budget = self._budget
        first = self.flushed
        flush = self._running = Flush(self._history, first + len(entries))
        for number, entry in enumerate(entries, first + 1):
            # Groups come and go in between. Whoever comes has caught up with the history, and so has this
            # entry; whoever goes is where this flush began.
            for group in self._groups.candidates(entry.event):
                flush.offer(group, number, entry)
                budget.left -= 1
                if budget.left <= 0:
                    yield
        unmatched = self._history.position(first) or ORIGIN
        for group, outbox in flush.outboxes.items():
            resolve(group.waiters, unmatched)
            self._hint_schedule.plan(group)
            if not outbox and budget.spend():
                yield
            had = first
            for part in _payloads(outbox, self._pace.bytes_a_payload):
                yield from self._write(flush, group, part, had)
                had = part[-1][0]
            outbox.clear()
        self._counters.flushes += 1
        self._end()
        self._streams.observer.flushed(entries)

    def _end(self) -> None:
        self._reach()
        self.trim()
        resolve(self._waiters, None)

    def drop(self) -> None:
        """Ends a flush that failed. No member is live who lacks what it was to bring."""
        unmatched = self._history.position(self.flushed) or ORIGIN
        for group in self._groups:
            resolve(group.waiters, unmatched)
        self._end()

    def _write(self, flush: Flush, group: Group, part: Outbox, first: int) -> Iterator[None]:
        """Writes what comes next in a flush to the members, who have all up to `first`."""
        frames = flush.frames(group, part)
        payload = group.framed(frames)
        budget, pace = self._budget, self._pace
        budget.left -= len(frames) // (pace.compressed_a_write if group.delivery.gzip else pace.bytes_a_write)
        writes_each = 1 + len(payload) // pace.bytes_a_write
        hints = sum([len(overdue) for _, overdue, _ in part]) if group.debouncer is not None else 0
        members = tuple(group.members)
        at = 0
        while at < len(members):
            if budget.left <= 0:
                yield
            few = members[at : at + max(1, budget.left // writes_each)]
            at += len(few)
            budget.left -= len(few) * writes_each
            self._write_to(few, flush, part, payload, first, hints)
        if budget.left <= 0:
            yield

    def _write_to(
        self,
        members: Sequence[Subscriber],
        flush: Flush,
        part: Outbox,
        payload: bytes,
        first: int,
        hints: int,
    ) -> None:
        live, last = State.LIVE, part[-1][0]
        written = 0
        try:
            for subscriber in members:
                if subscriber.state is not live:
                    continue
                if subscriber.number <= first:
                    subscriber.number = subscriber.last_sent = last
                    # `Streams.write`, written out: this runs once for each delivery there is.
                    try:
                        subscriber.transport.write(payload)
                        written += 1
                    except Exception as error:  # noqa: BLE001 - `fail` says what becomes of which
                        self._streams.fail(subscriber, error)
                else:
                    self._write_rest(subscriber, flush, part)
        finally:
            self._counters.deliveries += written * len(part)
            self._counters.hints += written * hints

    def _write_rest(self, subscriber: Subscriber, flush: Flush, part: Outbox) -> None:
        """For one that caught up while the flush before this one ran: some of these entries it has."""
        rest = [item for item in part if item[0] > subscriber.number]
        if rest:
            group: Group = subscriber.group
            payload = group.framed(flush.frames(group, rest, least=subscriber.last_sent))
            subscriber.number = subscriber.last_sent = rest[-1][0]
            if self._streams.write(subscriber, payload):
                self._counters.deliveries += len(rest)
                self._counters.hints += sum(len(overdue) for _, overdue, _ in rest)

    def trim(self) -> None:
        """The history drops what is over its bounds, but for what is not flushed."""
        self._history.trim(self._clock.monotonic(), self.flushed)

    def leave(self, subscriber: Subscriber) -> None:
        """Takes a live member out of its group, with the number from which it goes on by itself.

        Its state is for the caller to change.
        """
        group: Group = subscriber.group
        del group.members[subscriber]
        hints, lacking = self.giving
        lacks = self._running.lacking(subscriber) + (hints if subscriber in lacking else [])
        if group.delivery.hints != "only":
            subscriber.number = max(subscriber.number, self.flushed)
            self._hint_schedule.copy_pending(subscriber, lacks)
        else:
            number = min([self.safe_number(group), *(refresh.first_number - 1 for refresh in lacks)])
            # Its own number is where it went live: it had the hints for all up to there.
            subscriber.number = max(subscriber.number, number)
        position = self._history.position(subscriber.number) or self._lacking(group, lacks)
        went_live_at = subscriber.position
        if isinstance(position, Position) and isinstance(went_live_at, Position):
            position = max(position, went_live_at)
        subscriber.position = position

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
            return self._history.cursor_at(position, group.scope)
        return self._history.cursor(number, group.scope)

    def _lacking(self, group: Group, lacks: Sequence[Refresh] = ()) -> Position | ResetReason:
        """The position up to which a member had all hints, where the history's floor is later.

        Beside those that are pending it `lacks` some.
        """
        after = [refresh.after for refresh in lacks]
        pending = group.lacking_after()
        if pending is not None:
            after.append(pending)
        return min(after) if after else "trimmed"


def _payloads(outbox: Outbox, enough: int) -> Iterator[Outbox]:
    """`outbox` in parts, of which each is one payload: the entry that makes it `enough` bytes is its last."""
    start = size = 0
    for end, (_, _, frame) in enumerate(outbox, 1):
        size += len(frame)
        if size >= enough or end == len(outbox):
            yield outbox[start:end]
            start, size = end, 0
