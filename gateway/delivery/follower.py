"""Brings the log's records into this node's history."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from gateway.core.errors import LogError, PlaceLost
from gateway.core.events import REVOCATION, Cursor, Record
from gateway.core.history import History, ResetReason
from gateway.delivery.hub import Hub
from gateway.delivery.replay.preload import warm
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage
from gateway.runtime.slices import SLICE_SECONDS

_log = logging.getLogger(__name__)

WARMING = "The history is being warmed from the log."
STOPPED = "The log is not being followed."


class Follower:
    """Reads the log from where the history ends.

    `trouble` is why the history does not follow the log now, in one sentence; None where it does.

    It tells `outage` of a log that is out of reach, for everybody who needs it: what else of this process
    fails meanwhile says nothing of that.

    `on_grown` is called when the history has grown, or started over; the hub is woken before that. `revoked`
    gets every revocation in the step in which the history does.
    """

    def __init__(
        self,
        log: EventLog,
        history: History,
        hub: Hub,
        clock: Clock,
        outage: Outage,
        on_grown: Callable[[], None],
        revoked: RevokedTokens,
    ) -> None:
        self._log = log
        self._history = history
        self._hub = hub
        self._clock = clock
        self.trouble: str | None = WARMING
        self._outage = outage
        self._on_grown = on_grown
        self._revoked = revoked
        self._waiters: dict[asyncio.Future[None], Cursor] = {}

    @property
    def is_following(self) -> bool:
        return self.trouble is None

    @property
    def waiting(self) -> int:
        """How many wait for the history to reach a cursor."""
        return len(self._waiters)

    async def start(self) -> None:
        """Opens the history with the newest events of the log, and starts the hub. Raises LogError."""
        await warm(self._log, self._history, self._clock)
        self._learn_revocations(self._history)
        self._hub.start()

    async def reached(self, cursor: Cursor) -> None:
        """Returns once the history is of the cursor's epoch and has come to its position, or passed it.

        It returns also where the history starts over: the cursor may be of no epoch to come.
        """
        if self._has_reached(cursor):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = cursor
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)

    def _has_reached(self, cursor: Cursor) -> bool:
        return cursor.epoch == self._history.epoch and cursor.position <= self._history.head_position

    def _tell(self, *, starts_over: bool = False) -> None:
        self._on_grown()
        for waiter, cursor in self._waiters.items():
            if not waiter.done() and (starts_over or self._has_reached(cursor)):
                waiter.set_result(None)

    async def run(self) -> None:
        """Follows until the log is closed. Raises LogError where it is lost; run it again then.

        Where the log has dropped events that this node has not read, or has started over, the history
        starts over too, and every stream gets a `reset`.
        """
        try:
            while (lost := await self._follow()) is not None:
                await self._start_over(lost)
            self.trouble = STOPPED
        except LogError as error:
            self.trouble = f"The log is out of reach: {error.detail}"
            self._outage.failed(error=error)
            raise
        except BaseException:
            self.trouble = STOPPED
            raise

    async def _follow(self) -> ResetReason | None:
        """Follows until the log is closed (None), or can't be followed from the history's head any more."""
        try:
            # A tail gives no sign before its first record; this says whether the log can be reached.
            await self._log.bounds()
            if self._log.epoch != self._history.epoch:
                return "epoch"
            self.trouble = None
            self._outage.over()
            async for records in self._log.tail(self._history.head_position):
                await self._take_in(records)
                self._tell()
                await self._hub.room()
        except PlaceLost as lost:
            return lost.reason
        return None

    async def _take_in(self, records: Sequence[Record]) -> None:
        """Appends a batch to the history: at once, or in slices where the events are many and large."""
        now = self._clock.monotonic()
        for record in records:
            self._history.append(record, now)
            if record.event.event_type == REVOCATION:
                self._revoked.take(record.event, Cursor(self._history.epoch, record.position))
            if self._clock.monotonic() - now >= SLICE_SECONDS:
                self._hub.wake()
                await asyncio.sleep(0)
                now = self._clock.monotonic()
        self._hub.wake()

    def _learn_revocations(self, history: History) -> None:
        for entry in history.after(history.floor, history.head - history.floor) or ():
            if entry.event.event_type == REVOCATION:
                self._revoked.take(entry.event, Cursor(history.epoch, entry.position))

    async def _start_over(self, lost: ResetReason) -> None:
        self.trouble = WARMING
        log_event(_log, logging.WARNING, "history_starts_over", reason=lost, epoch=self._log.epoch)
        fresh = self._history.blank()
        await warm(self._log, fresh, self._clock)
        self._learn_revocations(fresh)
        await self._hub.start_over(partial(self._history.become, fresh), lost)
        self._tell(starts_over=True)
        for _ in fresh.emptying():
            await asyncio.sleep(0)
