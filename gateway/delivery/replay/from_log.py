"""Streams that are behind the history read the log, some at a time, until the history has what follows.

There is no queue of events here either: a stream is its position in the log, and its transport says when it
takes more. Nothing is awaited between "the history has what follows" and the catch-up through the history.
"""

import asyncio

from gateway.core.errors import LogError, TrimmedError, UnknownPosition
from gateway.core.events import Position
from gateway.core.history import History, HistoryEntry
from gateway.core.selectors import Match
from gateway.delivery.group import Group
from gateway.delivery.hub import Hub
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.subscriber import State, Subscriber
from gateway.runtime.supervisor import Supervisor


class Replays:
    """Serves the streams of `queue`, which is that of the hub, in the order in which they come.

    `at_once` of them are served at a time, of which each takes a few milliseconds of a step of the event
    loop. Each is served until it has caught up with the history, does not read, or is gone. One that reads
    again is put at the end of those that wait. The hub's heartbeats reach also those that wait.
    """

    def __init__(
        self,
        history: History,
        archive: LogArchive,
        hub: Hub,
        queue: ReplayQueue,
        pace: Pace = USUAL,
        *,
        at_once: int,
    ) -> None:
        self._at_once = at_once
        self._history = history
        self._archive = archive
        self._hub = hub
        self._catch_up = hub.catch_up
        self._queue = queue
        self._pace = pace

    @property
    def waiting(self) -> int:
        """Streams that wait for their turn."""
        return len(self._queue)

    def start(self, supervisor: Supervisor) -> None:
        """Begins to serve. Where the log is out of reach the supervisor starts again, with backoff."""
        for number in range(1, self._at_once + 1):
            supervisor.run(f"replay-{number}", self.run)

    async def run(self) -> None:
        """Serves one stream after the other, for ever. Raises LogError where the log is out of reach."""
        while True:
            subscriber = await self._queue.take()
            is_done = False
            try:
                await self._serve(subscriber)
                is_done = True
            except LogError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, the others are to be served
                self._catch_up.failed("replay", subscriber, error)
                is_done = True
            finally:
                self._queue.done(subscriber, again=not is_done and self._is_behind(subscriber))

    def _is_behind(self, subscriber: Subscriber) -> bool:
        return (
            subscriber.state is State.CATCHING_UP
            and subscriber.number < self._history.floor
            and isinstance(subscriber.position, Position)
        )

    async def _serve(self, subscriber: Subscriber) -> None:
        while self._is_behind(subscriber) and isinstance(position := subscriber.position, Position):
            if self._catch_up.ends_behind(subscriber, position):
                return
            try:
                entries = await self._archive.after(position)
            except (TrimmedError, UnknownPosition) as lost:
                if self._is_behind(subscriber) and subscriber.position is position:
                    self._catch_up.lose(subscriber, lost.reason)
                    return
                continue
            await self._write_all(subscriber, position, entries)
            # What was read before may be given again without waiting: the others get their turn here.
            await asyncio.sleep(0)

    async def _write_all(
        self, subscriber: Subscriber, position: Position, entries: list[HistoryEntry]
    ) -> None:
        """Writes what `entries`, which follow `position`, hold for it, batch by batch.

        Until it does not read, or the history has what follows. While others have their turn it may be cut
        off, moved to another choice or told to start over: its position is then not the one that was left.
        """
        while self._is_behind(subscriber) and subscriber.position is position:
            # Another node's events may be in the log before they are in this history: the catch-up
            # brings those. And nothing that comes after a revocation is for whom that covers.
            last = self._history.head_position
            end = self._catch_up.end_of(subscriber)
            last = last if end is None else min(last, end)
            known = [entry for entry in entries if entry.position <= last]
            count = self._write_some(subscriber, position, known) if known else 0
            if not known:
                # The log has nothing between: it is a floor that is no event's position.
                subscriber.position = self._history.floor_position
            if self._rejoins(subscriber) or count == len(known):
                return
            position, entries = known[count - 1].position, entries[count:]
            await asyncio.sleep(0)

    def _rejoins(self, subscriber: Subscriber) -> bool:
        """Whether the history has what follows its position; it goes on there."""
        if subscriber.state is State.CLOSED or not isinstance(subscriber.position, Position):
            return False
        number = self._history.number_at(subscriber.position)
        if number is None:
            return False
        self._catch_up.rejoin(subscriber, number)
        return True

    def _write_some(self, subscriber: Subscriber, before: Position, entries: list[HistoryEntry]) -> int:
        """Writes once, at most about `catch_up_bytes`, to a subscriber that has all up to `before`.

        Gives how many entries that did for.
        """
        hub, catch_up, hint_schedule = self._hub, self._catch_up, self._hub.hint_schedule
        group: Group = subscriber.group
        hints = group.delivery.hints
        frames: list[bytes] = []
        size = count = 0
        for count, entry in enumerate(entries, 1):  # noqa: B007 - how far it came is what is asked for
            match = group.selector.match(entry.event)
            if match is Match.SKIP:
                continue
            if hints != "off":
                hint_schedule.add_pending(subscriber, subscriber.number, entry)
            if hints != "only":
                frames.append(group.frame(entry, match, self._history))
                size += len(frames[-1])
                if size >= self._pace.catch_up_bytes:
                    break
        events = len(frames)
        subscriber.position = entries[count - 1].position
        hub.counters.replayed += count
        if hints == "with":
            # Before the events, with the cursor of before them: wherever the client is cut off, it gets the
            # hints with the events or again. The log does not tell which hints a cursor in it may lack.
            frames[:0] = catch_up.replayed_hints(subscriber, before)
        if hints != "only":
            catch_up.behind[subscriber] = subscriber.position
        if frames and hub.write(subscriber, group.framed(b"".join(frames))):
            hub.counters.deliveries += events
        return count
