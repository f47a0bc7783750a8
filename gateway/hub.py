"""Brings every subscriber up to the head of the history.

No subscriber has a queue, a task or a timer. The hub does its work in turns, short callbacks of the event
loop between which accepting, publishing and answering go on:

- a *flush* takes the entries since the last one, and writes to each group what it matches, once framed;
- *hints* that are due go out whole before the next flush: no event may overtake a hint that is older than
  the longest wait, or a client that is cut off between the two would never get it;
- *jobs* (heartbeats, reviews, a drain) run between flushes, so that the cursors they carry hold;
- *chases* bring single subscribers, resuming or fallen behind, from their number to the head.

A subscriber whose number is below the history's floor is *behind*: `on_behind` may see to it that it gets
what it lacks from the log (gateway/replays.py) and comes back to the chase, else it gets a `reset`.

Invariant: a LIVE subscriber was sent all matching entries up to `max(subscriber.number, hub.flushed)`.
"""

import random
from asyncio import Future
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from gateway import control
from gateway.alarm import Alarm
from gateway.clock import Clock, Scheduler, rfc3339
from gateway.events import ORIGIN, Position
from gateway.group import Delivery, Group, Groups
from gateway.hints import Refresh
from gateway.history import History, ResetReason
from gateway.observer import Observer
from gateway.refresher import Refresher
from gateway.selectors import Match, Selector
from gateway.subscriber import NOWHERE, Signal, State, Subscriber, Transport
from gateway.sweeper import Sweeper

Value = TypeVar("Value")

WRITES_A_TURN = 256
"""About two milliseconds of writes, the kernel's part included."""
TURN_SECONDS = 0.004
"""The most that a turn counts as in what a flush took; the rest of the time went to others already."""
ENTRIES_A_FLUSH = 2048
CHASE_ENTRIES = 256
CHASE_BYTES = 65_536
CHASE_SECONDS_A_TURN = 0.002


@dataclass(slots=True)
class HubCounters:
    """What the hub has done since it started."""

    flushes: int = 0
    deliveries: int = 0
    heartbeats: int = 0
    hints: int = 0
    moved: int = 0
    replayed: int = 0
    opened: int = 0
    lagged: int = 0
    failed_writes: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    byes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class HubTiming:
    """The hub's settings, in seconds but for `retry_ms`."""

    heartbeat_seconds: float
    coalesce_seconds: float
    stall_seconds: float
    retry_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a subscriber that gets its events otherwise than before.

    `selector` is what it receives from now on, `asked` what it remembers; `tell(cursor)` makes the frames
    that say so, for a reader that has everything up to `cursor`. With `ends` nothing is left for it.
    """

    selector: Selector
    asked: object
    tell: Callable[[str], bytes]
    ends: bool


Review = Callable[[Any], Change | None]
"""What has changed for a subscriber that remembers this `asked`; None where nothing has."""


class Hub:
    """Every subscriber of this node, and the work of keeping them up to date.

    Belongs to one event loop. `draw(low, high)` is where chance comes in. Methods never raise for what a
    transport does: a connection that fails is counted and closed. `observer` is told of the streams.

    `behind` has the subscribers that read the log, or have hints to come from that, each with the position
    from which it misses nothing should it reconnect. `on_behind` says whether it takes over a subscriber
    that starts to read the log, in which it goes on at its `position`; `on_gone` is told of one that is
    gone before it has caught up.
    """

    def __init__(
        self,
        history: History,
        scheduler: Scheduler,
        clock: Clock,
        timing: HubTiming,
        *,
        fan_in: int,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._history = history
        self._scheduler = scheduler
        self._clock = clock
        self._timing = timing
        self._draw = draw
        self.counters = HubCounters()
        self.groups = Groups(fan_in)
        self.observer = Observer()
        self.flushed = history.head
        self.is_draining = False
        self.behind: dict[Subscriber, Position] = {}
        self.on_behind: Callable[[Subscriber], bool] = lambda subscriber: False
        self.on_gone: Callable[[Subscriber], None] = lambda subscriber: None
        self.refresher = Refresher(history, scheduler, clock, fan_in, self._begin_hints)
        self._turn = Alarm(scheduler, self._run_turn)
        self._heartbeat = Alarm(scheduler, self._begin_heartbeat)
        self._sweeper = Sweeper(scheduler, timing.stall_seconds, self._give_up, self._abort)
        self._subscribers: dict[Subscriber, None] = {}
        self._whole: Iterator[None] | None = None
        self._next_flush_at = 0.0
        self._whole_took = 0.0
        self._turn_began = 0.0
        self._hint_jobs: deque[Iterator[None]] = deque()
        self._jobs: deque[Iterator[None]] = deque()
        self._chasing: deque[Subscriber] = deque()
        self._writes_left = WRITES_A_TURN
        self._empty_waiters: set[Future[None]] = set()
        self._flush_waiters: set[Future[None]] = set()

    def start(self) -> None:
        """Starts at the history's present head; call it once the history is open."""
        self.flushed = self._history.head
        self._heartbeat.set(self._scheduler.time() + self._timing.heartbeat_seconds)

    def stop(self) -> None:
        """Ends every timer, and aborts what is still connected."""
        for alarm in (self._turn, self._heartbeat, self._sweeper.alarm, self.refresher.alarm):
            alarm.cancel()
        for subscriber in list(self._subscribers):
            self._abort(subscriber)

    @property
    def connections(self) -> int:
        """Streams that are open, those that are being ended included."""
        return len(self._subscribers)

    @property
    def lagging(self) -> int:
        """Streams whose client does not read as fast as events come."""
        return self._sweeper.lagging

    # What handlers and transports say

    def attach(
        self,
        transport: Transport,
        selector: Selector,
        delivery: Delivery,
        number: int,
        asked: object = None,
        position: Position | ResetReason = "trimmed",
    ) -> Subscriber:
        """A new stream, which has been told that it continues from entry `number`. Nothing is written yet.

        `asked` is what a review is given; one that is None is never reviewed. `position` is that of the
        entry, for a stream that may find it below the history's floor.
        """
        group = self.groups.get(selector, delivery)
        group.readers += 1
        subscriber = Subscriber(group, number, transport, asked, position)
        self._subscribers[subscriber] = None
        self.counters.opened += 1
        self.observer.attached(subscriber)
        return subscriber

    def begin(self, subscriber: Subscriber, *, resumed: bool) -> None:
        """Writes what the new stream missed, at once where that is little, else in turns.

        `resumed` says that the client was here before, and may be owed a hint from then.
        """
        if resumed:
            self.refresher.owe_recent(subscriber)
        self._chase(subscriber)
        if self.is_draining:
            self.bye(subscriber, "drain")

    def clogged(self, subscriber: Subscriber) -> None:
        """The transport's buffer passed its high-water mark."""
        if subscriber.state is State.LIVE:
            self._leave_live(subscriber)
        subscriber.signal(Signal.CLOGGED)
        if subscriber.state is State.LAGGING:
            self.counters.lagged += 1
            self._sweeper.lags(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """The transport's buffer fell below its low-water mark."""
        subscriber.signal(Signal.DRAINED)
        if subscriber.state is State.CHASING:
            self._sweeper.forget(subscriber)
            self._chasing.append(subscriber)
            self._plan()

    def lost(self, subscriber: Subscriber) -> None:
        """The connection is gone, whoever ended it. Saying so twice does nothing."""
        self._forget(subscriber)

    def wake(self) -> None:
        """The history has grown."""
        self._plan()

    async def room(self) -> None:
        """Returns once what waits to be flushed is little enough for the history to grow further."""
        while self._history.head - self.flushed > ENTRIES_A_FLUSH:
            waiter: Future[None] = Future()
            self._flush_waiters.add(waiter)
            await waiter

    def _leave_live(self, subscriber: Subscriber) -> None:
        group: Group = subscriber.group
        del group.members[subscriber]
        if group.delivery.hints != "only":
            subscriber.number = max(subscriber.number, self.flushed)
            self.refresher.owe_pending(subscriber)
        else:
            # Its own number is where it went live: it had the hints for all up to there.
            subscriber.number = max(subscriber.number, self._safe_number(group))
        subscriber.position = self._history.position(subscriber.number) or self._lacking(group)

    def _lacking(self, group: Group) -> Position | ResetReason:
        """The position up to which the members had all hints, where the history's floor is later."""
        oldest = group.oldest_position()
        return "trimmed" if oldest is None else oldest.before

    def _forget(self, subscriber: Subscriber) -> None:
        if subscriber not in self._subscribers:
            return
        del self._subscribers[subscriber]
        if self.behind.pop(subscriber, None) is not None:
            self.on_gone(subscriber)
        subscriber.signal(Signal.CLOSED)
        group: Group = subscriber.group
        group.members.pop(subscriber, None)
        self._sweeper.forget(subscriber)
        self.refresher.settle(subscriber)
        group.readers -= 1
        self.groups.release(group)
        self.observer.ended(subscriber)
        if not self._subscribers:
            _resolve(self._empty_waiters, None)

    def write(self, subscriber: Subscriber, payload: bytes) -> None:
        """Gives the transport bytes in the group's framing; a connection that fails is counted and gone."""
        try:
            subscriber.transport.write(payload)
        except (OSError, RuntimeError):
            self._fail(subscriber)

    def _fail(self, subscriber: Subscriber) -> None:
        # uvloop raises RuntimeError for a handle that is closed before it says connection_lost.
        self.counters.failed_writes += 1
        self._forget(subscriber)

    # Turns

    def _plan(self) -> None:
        if self._whole is not None or self._hint_jobs or self._jobs or self._chasing:
            self._turn.set(0.0)
        elif self.flushed < self._history.head:
            self._turn.set(0.0 if self.is_draining else self._next_flush_at)

    def _run_turn(self) -> None:
        self._writes_left = WRITES_A_TURN
        now = self._scheduler.time()
        if self._whole is not None:
            # The loop has written what the last turn queued, and done other things as well.
            self._whole_took += min(now - self._turn_began, TURN_SECONDS)
        elif self.flushed < self._history.head and (now >= self._next_flush_at or self.is_draining):
            self._whole, self._whole_took = self._run_flush(), 0.0
            self._next_flush_at = now + self._timing.coalesce_seconds
        elif self._hint_jobs:
            self._whole, self._whole_took = self._hint_jobs.popleft(), 0.0
        self._turn_began = now
        if self._whole is not None:
            if _is_over(self._whole):
                self._whole = None
                self._next_flush_at = max(self._next_flush_at, now + self._whole_took)
        elif self._jobs and _is_over(self._jobs[0]):
            self._jobs.popleft()
        self._chase_some()
        self._plan()

    def _spent(self) -> bool:
        """Counts a write; says whether the turn has had its share of them."""
        self._writes_left -= 1
        return self._writes_left <= 0

    def _run_flush(self) -> Iterator[None]:
        first = self.flushed
        entries = self._history.after(first, ENTRIES_A_FLUSH)
        if entries is None:
            raise RuntimeError("the history let go of entries before they were flushed")
        touched: dict[Group, None] = {}
        for number, entry in enumerate(entries, first + 1):
            for group in self.groups.candidates(entry.event):
                self._writes_left -= 1
                if group.offer(number, entry, self._history):
                    touched[group] = None
            if self._writes_left <= 0:
                yield
        target = first + len(entries)
        unmatched = self._history.position(first) or ORIGIN
        for group in touched:
            _resolve(group.waiters, unmatched)
            self.refresher.plan(group)
            yield from self._deliver(group, first)
        self.flushed = target
        self._history.trim(self._clock.monotonic(), target)
        self.counters.flushes += 1
        self.observer.flushed(entries)
        _resolve(self._flush_waiters, None)
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
        self.counters.deliveries += len(outbox) * len(members)
        self.counters.hints += group.hinted * len(members)
        group.hinted = 0
        live = State.LIVE
        for subscriber in members:
            if subscriber.state is not live:
                continue
            if subscriber.number <= first:
                subscriber.number = subscriber.told = last
                # `write` and `_spent`, written out: this runs once for each delivery there is.
                try:
                    subscriber.transport.write(payload)
                except (OSError, RuntimeError):
                    self._fail(subscriber)
            else:
                # It caught up while the flush before this one ran, and has some of these entries already.
                rest = [item for item in outbox if item[0] > subscriber.number]
                if rest:
                    frames = group.outbox_frames(rest, self._history, least=subscriber.told)
                    subscriber.number = subscriber.told = last
                    self.write(subscriber, group.framed(frames))
            self._writes_left -= 1
            if self._writes_left <= 0:
                yield
        group.giving = []

    def _write_to_group(self, group: Group, payload: Callable[[int], bytes]) -> Iterator[None]:
        """Writes between flushes what `payload` makes for readers who have all up to the given entry.

        It is made again after a pause, when its cursor may be old, and for a member whom the group's cursor
        would set back.
        """
        number = self._safe_number(group)
        made = payload(number)
        for subscriber in tuple(group.members):
            if subscriber.state is State.LIVE:
                if subscriber.told <= number:
                    subscriber.told = number
                    self.write(subscriber, made)
                else:
                    self.write(subscriber, payload(subscriber.told))
                if self._spent():
                    yield
                    number = self._safe_number(group)
                    made = payload(number)

    # Chases

    def _chase_some(self) -> None:
        if not self._chasing:
            return
        until = self._scheduler.time() + CHASE_SECONDS_A_TURN
        for _ in range(len(self._chasing)):
            subscriber = self._chasing.popleft()
            if subscriber.state is State.CHASING:
                self._chase(subscriber)
            if self._scheduler.time() >= until:
                return

    def _chase(self, subscriber: Subscriber) -> None:
        """One batch for a CHASING subscriber; it goes live in the step in which it has caught up."""
        group: Group = subscriber.group
        frames: list[bytes] = []
        size = 0
        entries = self._history.after(subscriber.number, CHASE_ENTRIES)
        if entries is None:
            if self._falls_behind(subscriber):
                return
            frames.append(self._give_up_gap(subscriber))
        for number, entry in enumerate(entries or (), subscriber.number + 1):
            subscriber.number = number
            match = group.selector.match(entry.event)
            if match is Match.SKIP:
                continue
            if group.debouncer is not None:
                if group.delivery.hints == "with":
                    frames += self._hint_frames(
                        subscriber, self.refresher.overdue(subscriber, entry.at), number - 1
                    )
                self.refresher.owe(subscriber, number, entry)
            if group.delivery.hints != "only":
                frames.append(group.frame(entry, match, self._history))
                subscriber.told = number
                self.counters.deliveries += 1
                size += len(frames[-1])
                if size >= CHASE_BYTES:
                    break
        caught_up = subscriber.number == self._history.head
        if caught_up:
            frames += self._hint_frames(subscriber, self.refresher.settle(subscriber), subscriber.number)
        if frames:
            self.write(subscriber, group.framed(b"".join(frames)))
        if subscriber.state is State.CHASING and caught_up:
            subscriber.signal(Signal.CAUGHT_UP)
            group.members[subscriber] = None
            return
        subscriber.position = self._history.position(subscriber.number) or "trimmed"
        if subscriber.state is State.CHASING:
            self._chasing.append(subscriber)
            self._plan()

    def _falls_behind(self, subscriber: Subscriber) -> bool:
        """The history has not what comes after its number; says whether the log is read for it."""
        position = subscriber.position
        if not isinstance(position, Position) or not self.on_behind(subscriber):
            return False
        oldest = self.refresher.oldest_owed(subscriber)
        if oldest is not None and subscriber.group.delivery.hints == "only":
            # It may have come further in the history than the hints that it has been given.
            self.behind.setdefault(subscriber, min(position, oldest.before))
        else:
            self.behind.setdefault(subscriber, position)
        return True

    def _give_up_gap(self, subscriber: Subscriber) -> bytes:
        """The gap can't be filled: it goes on from the head."""
        reason = "trimmed" if isinstance(subscriber.position, Position) else subscriber.position
        subscriber.number = subscriber.told = self._history.head
        self.refresher.settle(subscriber)
        self.behind.pop(subscriber, None)
        return self.reset_frame(reason)

    def rejoin(self, subscriber: Subscriber, number: int) -> None:
        """A subscriber that read the log has come to entry `number`, which the history holds."""
        subscriber.number = number
        if subscriber.group.delivery.hints != "only":
            subscriber.told = number
            self.behind.pop(subscriber, None)
        if subscriber.state is State.CHASING:
            self._chase(subscriber)

    def lose(self, subscriber: Subscriber, reason: ResetReason) -> None:
        """Nothing has any more what the subscriber lacks: it gets a `reset` and goes on from the head."""
        if subscriber.state is State.CLOSED:
            return
        group: Group = subscriber.group
        group.members.pop(subscriber, None)
        self.refresher.settle(subscriber)
        self.behind.pop(subscriber, None)
        subscriber.number = subscriber.told = NOWHERE
        subscriber.position = reason
        if subscriber.state is State.LIVE:
            subscriber.signal(Signal.MOVED)
        self._chasing.append(subscriber)
        self._plan()

    def start_over(self, change: Callable[[], None], reason: ResetReason) -> "Future[None]":
        """Makes `change`, after which the history has other entries, and gives every reader a `reset`.

        That happens once everything so far is flushed; the future is done then.
        """
        done: Future[None] = Future()
        self._jobs.append(self._start_over(change, reason, done))
        self._plan()
        return done

    def _start_over(
        self, change: Callable[[], None], reason: ResetReason, done: "Future[None]"
    ) -> Iterator[None]:
        while self.flushed < self._history.head:
            self._next_flush_at = self._scheduler.time()
            yield
        change()
        self.flushed = self._history.head
        for group in self.groups:
            group.start_over()
            _resolve(group.waiters, ORIGIN)
        for subscriber in tuple(self._subscribers):
            self.lose(subscriber, reason)
        if not done.done():
            done.set_result(None)

    def _hint_frames(self, subscriber: Subscriber, refreshes: list[Refresh], number: int) -> list[bytes]:
        self.counters.hints += len(refreshes)
        group: Group = subscriber.group
        start = self.behind.pop(subscriber, None)
        frames = group.hint_frames(
            refreshes,
            number,
            self._history,
            readers=1,
            least=subscriber.told,
            below=None if start is None else self._history.cursor_at(start),
        )
        if frames:
            subscriber.told = max(subscriber.told, number)
        return frames

    def replayed_hints(self, subscriber: Subscriber, position: Position) -> list[bytes]:
        """The hints that a reader of the log is owed, with the cursor of `position`."""
        self.behind[subscriber] = position
        return self._hint_frames(subscriber, self.refresher.settle(subscriber), subscriber.number)

    def reset_frame(self, reason: ResetReason) -> bytes:
        """A `reset` for a reader that goes on from the head; counted."""
        self.counters.resets[reason] += 1
        return control.reset(
            reason, self._history.cursor(self._history.head), control.spread_ms(self.connections)
        )

    # Hints

    def _begin_hints(self) -> None:
        self._hint_jobs.append(self._give_hints(self.refresher.due_groups()))
        self._plan()

    def _give_hints(self, groups: Iterable[Group]) -> Iterator[None]:
        for group in groups:
            refreshes = self.refresher.take(group)
            if refreshes and group.members:
                self.counters.hints += len(refreshes) * len(group.members)
                yield from self._write_to_group(group, partial(self._hint_payload, group, refreshes))
            group.giving = []

    def _hint_payload(self, group: Group, refreshes: list[Refresh], number: int) -> bytes:
        least = number if number > self._safe_number(group) else 0
        frames = group.hint_frames(refreshes, number, self._history, len(group.members), least)
        return group.framed(b"".join(frames))

    def _safe_number(self, group: Group) -> int:
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

    # Reviews

    def review(self, review: Review) -> None:
        """Asks of every stream that is open now whether it is to receive something else, and sees to it."""
        self._jobs.append(self._review(review))
        self._plan()

    def _review(self, review: Review) -> Iterator[None]:
        for subscriber in tuple(self._subscribers):
            if subscriber.state is State.CLOSED or subscriber.asked is None:
                continue
            change = review(subscriber.asked)
            if change is not None:
                self._apply(subscriber, change)
            if self._spent():
                yield

    def _apply(self, subscriber: Subscriber, change: Change) -> None:
        """Between flushes: what a live subscriber has is then one number, from which it goes on otherwise."""
        before, subscriber.asked = subscriber.asked, change.asked
        self.observer.moved(subscriber, before)
        self.counters.moved += 1
        was_live = subscriber.state is State.LIVE
        if was_live:
            self._leave_live(subscriber)
            subscriber.signal(Signal.MOVED)
        group: Group = subscriber.group
        hints: list[bytes] = []
        if subscriber.number >= self._history.floor:
            # The cursor says that it had the hints of all before it: those that it is owed come first. One
            # that fell off the history has no cursor that a hint could carry, and is to refetch everything.
            hints = self._hint_frames(subscriber, self.refresher.settle(subscriber), subscriber.number)
            subscriber.told = max(subscriber.told, subscriber.number)
            cursor = self._history.cursor(subscriber.number)
        else:
            cursor = self._cursor_behind(subscriber)
        told = change.tell(cursor)
        self._move(subscriber, change.selector)
        self.write(subscriber, group.framed(b"".join(hints)) + group.framed_apart(told))
        if change.ends:
            self.bye(subscriber, "disconnected", reconnect=False)
        elif was_live and subscriber.state is State.CHASING:
            self._chase(subscriber)

    def _cursor_behind(self, subscriber: Subscriber) -> str:
        """The cursor up to which a subscriber that is behind the history has everything, its hints too."""
        position = self.behind.get(subscriber, subscriber.position)
        if not isinstance(position, Position):
            return self._history.cursor(subscriber.number)
        if subscriber.group.delivery.hints == "only":
            # What it is owed was counted by the choice of before: it is counted anew.
            self.refresher.settle(subscriber)
            subscriber.position = position
        return self._history.cursor_at(position)

    def _move(self, subscriber: Subscriber, selector: Selector) -> None:
        before: Group = subscriber.group
        after = self.groups.get(selector, before.delivery)
        after.readers += 1
        subscriber.group = after
        before.readers -= 1
        self.groups.release(before)

    # Heartbeats and endings

    def _begin_heartbeat(self) -> None:
        self._heartbeat.set(self._scheduler.time() + self._timing.heartbeat_seconds)
        self._jobs.append(self._beat())
        self._plan()

    def _beat(self) -> Iterator[None]:
        timestamp = rfc3339(self._clock.wall_ms())
        for group in tuple(self.groups):
            self.counters.heartbeats += len(group.members)
            yield from self._write_to_group(group, partial(self._heartbeat_payload, group, timestamp))
        for subscriber in tuple(self.behind):
            position = self.behind.get(subscriber)
            if position is not None and subscriber.state is State.CHASING:
                # It may wait long for its turn to read the log: a silent connection would be cut.
                beat = control.heartbeat(timestamp, self._history.cursor_at(position))
                self.counters.heartbeats += 1
                self.write(subscriber, subscriber.group.framed(beat))
                if self._spent():
                    yield
        # The history's age bound holds also where nothing is published.
        self._history.trim(self._clock.monotonic(), self.flushed)

    def _heartbeat_payload(self, group: Group, timestamp: str, number: int) -> bytes:
        position = self._history.position(number) or self._lacking(group)
        if isinstance(position, Position):
            cursor = self._history.cursor_at(position)
        else:
            cursor = self._history.cursor(number)
        return group.framed(control.heartbeat(timestamp, cursor))

    def bye(self, subscriber: Subscriber, reason: control.ByeReason, *, reconnect: bool = True) -> None:
        """Tells the client that its stream ends, and ends it; a client that does not read is cut off."""
        if subscriber.state is State.CLOSED:
            return
        group: Group = subscriber.group
        group.members.pop(subscriber, None)
        subscriber.signal(Signal.CLOSED)
        self.counters.byes[reason] += 1
        self._sweeper.ends(subscriber)
        self.write(subscriber, group.ended(control.bye(reason, self.retry_ms(), reconnect=reconnect)))
        subscriber.transport.close()

    def retry_ms(self) -> int:
        """A reconnection time, jittered so that the clients of this node do not come back as one wave."""
        base = self._timing.retry_ms
        return round(self._draw(base * 0.5, base * 1.5 + control.spread_ms(self.connections)))

    def drain(self) -> "Future[None]":
        """Says `bye` to everybody and ends the long polls; done when the last stream is gone."""
        self.is_draining = True
        self._jobs.append(self._drain())
        self._plan()
        waiter: Future[None] = Future()
        self._empty_waiters.add(waiter)
        if not self._subscribers:
            _resolve(self._empty_waiters, None)
        return waiter

    def _drain(self) -> Iterator[None]:
        while self.flushed < self._history.head:
            yield  # what was published before the end is delivered before the bye
        for group in tuple(self.groups):
            _resolve(group.waiters, ORIGIN)
        for subscriber in tuple(self._subscribers):
            self.bye(subscriber, "drain")
            if self._spent():
                yield

    def _give_up(self, subscriber: Subscriber) -> None:
        self.bye(subscriber, "slow_consumer")

    def _abort(self, subscriber: Subscriber) -> None:
        self._forget(subscriber)
        subscriber.transport.abort()


_OVER = object()


def _is_over(work: Iterator[None]) -> bool:
    """Does the next part of `work`; says whether that was the last."""
    return next(work, _OVER) is _OVER


def _resolve(waiters: set[Future[Value]], value: Value) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(value)
    waiters.clear()
