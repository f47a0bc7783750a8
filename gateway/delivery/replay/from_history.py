"""Brings single subscribers, new, resuming or fallen behind, from their number to the head.

A subscriber whose number is below the history's floor is *behind*: where there is a log to read, it gets what
it lacks from that (from_log.py) and comes back to the catch-up, else it gets a `reset`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.core import control_frames
from gateway.core.events import ORIGIN, Position
from gateway.core.hints import Refresh
from gateway.core.history import History, ResetReason
from gateway.core.revocations import Revocations
from gateway.core.selectors import Match
from gateway.delivery.counters import Work
from gateway.delivery.group import Group
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.pace import Pace
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.replay.shared_batches import Batch, SharedBatches
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.readers import StateReaders
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import NOWHERE, Signal, State, Subscriber
from gateway.ports.clock import Scheduler


class CatchUp:
    """The subscribers that are CATCHING_UP, each served a batch at a time. `plan` is called when one waits,
    `on_live` with each that has caught up.

    `readers` are those that are owed their state: nothing else is for them before they have it.
    `behind` has the subscribers that read the log, or have hints to come from that, each with the position
    from which it misses nothing should it reconnect. One that starts to read the log, in which it goes on at
    its `position`, is put into `replays`; None where there is no log to read. Whoever is covered by one of
    the `revocations` gets what comes before that, and `bye`.
    """

    def __init__(
        self,
        history: History,
        scheduler: Scheduler,
        streams: Streams,
        hint_schedule: HintSchedule,
        readers: StateReaders,
        plan: Callable[[], None],
        on_live: Callable[[Subscriber], None],
        replays: ReplayQueue | None,
        revocations: Revocations,
        pace: Pace,
    ) -> None:
        self._history = history
        self._scheduler = scheduler
        self._streams = streams
        self._counters = streams.counters
        self._hint_schedule = hint_schedule
        self._readers = readers
        self._plan = plan
        self._on_live = on_live
        self.behind: dict[Subscriber, Position] = {}
        self._replays = replays
        self._revocations = revocations
        self._pace = pace
        self._batches = SharedBatches(history, pace)
        self._waiting: deque[Subscriber] = deque()
        self._is_held = False

    @property
    def is_waiting(self) -> bool:
        """Whether there is a batch to be read."""
        return bool(self._waiting) and not self._is_held

    @contextmanager
    def held(self) -> Iterator[None]:
        """Whoever waits goes on waiting for the time of a `with`. A new stream is served its first batch."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    def add(self, subscriber: Subscriber) -> None:
        """It is CATCHING_UP, and is served in the turns to come."""
        self._waiting.append(subscriber)
        self._plan()

    def run_some(self) -> None:
        """A batch for each that waits, or for as many as there is time for."""
        if not self.is_waiting:
            return
        until = self._scheduler.time() + self._pace.catch_up_seconds_a_turn
        for _ in range(len(self._waiting)):
            subscriber = self._waiting.popleft()
            if subscriber.state is State.CATCHING_UP:
                self.go_on(subscriber)
            if self._scheduler.time() >= until:
                return

    def go_on(self, subscriber: Subscriber) -> None:
        """One batch for a CATCHING_UP subscriber; it goes live in the step in which it has caught up."""
        try:
            self._serve(subscriber)
        except Exception as error:  # noqa: BLE001 - whatever it was, the others go on
            self.failed("catch_up", subscriber, error)

    def failed(self, work: Work, subscriber: Subscriber, error: Exception) -> None:
        """What a subscriber lacks can't be written to it: it gets a `reset`, and goes on behind that.

        Were it cut off, it would come back for the same entry again and again. One for which even the
        `reset` fails is: it comes back with the cursor that it had.
        """
        self._streams.failures.report(work, error)
        if isinstance(subscriber.position, Position):
            self._streams.safely(work, lambda lost: self.lose(lost, "unknown"), subscriber)
        else:
            self._streams.cut(subscriber)

    def _serve(self, subscriber: Subscriber) -> None:
        if subscriber.reading is not None and subscriber.reading.is_owed:
            self._serve_state(subscriber)
            return
        group: Group = subscriber.group
        end = self.end_of(subscriber)
        if group.debouncer is None and end is None:
            batch = self._batches.after(group, subscriber.number)
            if batch is not None:
                self._give(subscriber, group, batch)
                return
        frames: list[bytes] = []
        size, enough, events = 0, self._pace.catch_up_bytes, 0
        entries = self._history.after(subscriber.number, self._pace.catch_up_entries)
        if entries is None:
            if self._falls_behind(subscriber):
                return
            if end is not None:
                # From the head on nothing is for it.
                self._revoke(subscriber)
                return
            frames.append(self.skip_gap(subscriber))
        for number, entry in enumerate(entries or (), subscriber.number + 1):
            if end is not None and entry.position > end:
                break
            subscriber.number = number
            match = group.selector.match(entry.event)
            if match is Match.SKIP:
                continue
            if group.debouncer is not None:
                if group.delivery.hints == "with":
                    overdue = self._hint_schedule.overdue(subscriber, entry.at)
                    hints = self._hint_frames(subscriber, overdue, number - 1)
                    frames += hints
                    size += sum(map(len, hints))
                self._hint_schedule.add_pending(subscriber, number, entry)
            if group.delivery.hints != "only":
                frames.append(group.frame(entry, match, self._history))
                subscriber.last_sent = number
                events += 1
                size += len(frames[-1])
                if size >= enough:
                    break
        caught_up = subscriber.number == self._history.head
        is_revoked = end is not None and (self._history.position(subscriber.number) or ORIGIN) >= end
        if caught_up or is_revoked:
            frames += self.pending_hints(subscriber)
        if frames and self._streams.write(subscriber, group.framed(b"".join(frames))):
            self._counters.deliveries += events
        if is_revoked:
            self._revoke(subscriber)
            return
        if subscriber.state is State.CATCHING_UP and caught_up:
            self._go_live(subscriber, group)
            return
        self._wait(subscriber)

    def _give(self, subscriber: Subscriber, group: Group, batch: Batch) -> None:
        """Writes what all readers of the group get that have as much as this one."""
        subscriber.number = batch.number
        if batch.last_sent is not None:
            subscriber.last_sent = batch.last_sent
            if self._streams.write(subscriber, batch.payload):
                self._counters.deliveries += batch.events
        if subscriber.state is State.CATCHING_UP and subscriber.number == self._history.head:
            self._go_live(subscriber, group)
        else:
            self._wait(subscriber)

    def _wait(self, subscriber: Subscriber) -> None:
        """It has all up to its number, and goes on from there where it still catches up."""
        subscriber.position = self._history.position(subscriber.number) or "trimmed"
        if subscriber.state is State.CATCHING_UP:
            self.add(subscriber)

    def _go_live(self, subscriber: Subscriber, group: Group) -> None:
        subscriber.signal(Signal.CAUGHT_UP)
        subscriber.position = self._history.head_position
        group.members[subscriber] = None
        self._on_live(subscriber)

    def _serve_state(self, subscriber: Subscriber) -> None:
        """The next part of the state that it is owed."""
        if self.end_of(subscriber) is not None:
            # What the state shows may have come after the revocation.
            self._revoke(subscriber)
        elif self._readers.is_of_before(subscriber):
            self.lose(subscriber, "epoch")
        elif self._readers.serve(subscriber) and subscriber.state is State.CATCHING_UP:
            self.add(subscriber)

    def end_of(self, subscriber: Subscriber) -> Position | None:
        """The place in the log after which nothing is for it; None where it is not revoked."""
        return self._revocations.end_of(subscriber.credentials, self._history.epoch)

    def ends_behind(self, subscriber: Subscriber, position: Position) -> bool:
        """Whether a reader of the log that has all up to `position` is revoked there; it is ended then."""
        end = self.end_of(subscriber)
        if end is None or position < end:
            return False
        hints = self.pending_hints(subscriber)
        if hints:
            group: Group = subscriber.group
            self._streams.write(subscriber, group.framed(b"".join(hints)))
        self._revoke(subscriber)
        return True

    def _revoke(self, subscriber: Subscriber) -> None:
        """It has all that comes before the revocation. One that does not read is told once it does."""
        if subscriber.state is State.CATCHING_UP:
            self._streams.bye(subscriber, "revoked", reconnect=False)

    def _falls_behind(self, subscriber: Subscriber) -> bool:
        """The history has not what comes after its number; says whether the log is read for it."""
        position = subscriber.position
        if not isinstance(position, Position) or self._replays is None:
            return False
        self._replays.add(subscriber)
        pending = self._hint_schedule.pending_after(subscriber)
        if pending is not None and subscriber.group.delivery.hints == "only":
            # It may have come further in the history than the hints that it has been given.
            self.behind.setdefault(subscriber, min(position, pending))
        else:
            self.behind.setdefault(subscriber, position)
        return True

    def skip_gap(self, subscriber: Subscriber) -> bytes:
        """The gap can't be filled: it goes on from the head, or begins anew with its state.

        Gives the frame that says so, which it is to be given.
        """
        reason = "trimmed" if isinstance(subscriber.position, Position) else subscriber.position
        subscriber.number = subscriber.last_sent = self._history.head
        self._hint_schedule.take_pending(subscriber)
        self.behind.pop(subscriber, None)
        self._streams.safely("observer", self._streams.observer.lost, subscriber)
        group: Group = subscriber.group
        return self.reset_frame(reason, group.scope, state_follows=self._readers.owe(subscriber))

    def change_state(self, subscriber: Subscriber, question: StateQuestion | None) -> None:
        """It begins with another state from now on. What it is owed of the one before is not sent."""
        if subscriber.reading is not None:
            self._readers.drop(subscriber)
            subscriber.reading.question = question

    def rejoin(self, subscriber: Subscriber, number: int) -> None:
        """A subscriber that read the log has come to entry `number`, which the history holds."""
        subscriber.number = number
        if subscriber.group.delivery.hints != "only":
            subscriber.last_sent = number
            self.behind.pop(subscriber, None)
        if subscriber.state is State.CATCHING_UP:
            self.go_on(subscriber)

    def lose(self, subscriber: Subscriber, reason: ResetReason) -> None:
        """Nothing has any more what the subscriber lacks: it gets a `reset` and goes on from the head."""
        if subscriber.state is State.CLOSED:
            return
        group: Group = subscriber.group
        group.members.pop(subscriber, None)
        self.behind.pop(subscriber, None)
        self._readers.drop(subscriber)
        subscriber.number = subscriber.last_sent = NOWHERE
        subscriber.position = reason
        if subscriber.state is State.LIVE:
            subscriber.signal(Signal.MOVED)
        self.add(subscriber)

    def reset_frame(self, reason: ResetReason, scope: str, *, state_follows: bool | None = None) -> bytes:
        """A `reset` for a reader of that scope, which goes on from the head, or from its state; counted."""
        self._counters.resets[reason] += 1
        return control_frames.reset(
            reason,
            self._history.cursor(self._history.head, scope),
            control_frames.spread_ms(len(self._streams)),
            state_follows=state_follows,
        )

    def pending_hints(self, subscriber: Subscriber) -> list[bytes]:
        """The subscriber's pending hints, with the cursor of its number; none is pending any more."""
        return self._hint_frames(subscriber, self._hint_schedule.take_pending(subscriber), subscriber.number)

    def replayed_hints(self, subscriber: Subscriber, position: Position) -> list[bytes]:
        """The pending hints of a reader of the log, with the cursor of `position`."""
        self.behind[subscriber] = position
        return self.pending_hints(subscriber)

    def _hint_frames(self, subscriber: Subscriber, refreshes: list[Refresh], number: int) -> list[bytes]:
        self._counters.hints += len(refreshes)
        group: Group = subscriber.group
        start = self.behind.pop(subscriber, None)
        frames = group.hint_frames(
            refreshes,
            number,
            self._history,
            readers=1,
            least=subscriber.last_sent,
            below=None if start is None else self._history.cursor_at(start, group.scope),
        )
        if frames:
            subscriber.last_sent = max(subscriber.last_sent, number)
        return frames

    def drop(self, subscriber: Subscriber) -> None:
        """Its connection is over."""
        self._hint_schedule.take_pending(subscriber)
        self._readers.drop(subscriber)
        if self.behind.pop(subscriber, None) is not None and self._replays is not None:
            self._replays.drop(subscriber)
