"""Carries a log's events into another one, at the same positions and in the same epoch.

So a cursor means the same in both. Where it can't, since the source has trimmed what the target lacks or has
started over, the target's floor or epoch says so, and whoever reads it is told.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.backoff import Backoff
from gateway.core.errors import LogError, PlaceLost, TargetMoved, TrimmedError, UnknownPosition
from gateway.core.events import ORIGIN, Cursor, Position, Record
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage

LOCK_SECONDS = 5.0
_CHECKS = 5
"""How often, while the lock lasts, the leader renews it and looks whether the target is still whole."""
_MAX_RECORDS = 500
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0

_log = logging.getLogger(__name__)


class RelayTarget(Protocol):
    """A log that takes events with their positions. Every method raises LogError where it is out of reach."""

    async def start(self) -> None:
        """Connects. Raises LogError where it can't be a target, with what to do about it."""
        ...

    async def close(self) -> None:
        """Closes its connections. Closing twice, or before `start`, does nothing."""
        ...

    async def end(self) -> Cursor | None:
        """Its epoch and newest position; None where it was never begun, or has lost everything."""
        ...

    async def newest(self, limit: int) -> list[Record]:
        """The newest records that it holds, at most `limit` of them, oldest first."""
        ...

    async def begin(self, found: Cursor | None, start: Cursor) -> None:
        """Starts over: with the epoch of `start`, and with nothing up to its position.

        Raises TargetMoved where it does not end at `found` any more, LogError where it has events that no
        relay brought.
        """
        ...

    async def append_at(self, records: Sequence[Record], after: Cursor) -> None:
        """Appends all of `records` at their positions, or none.

        Raises TargetMoved where it does not end at `after`. A failed call may have appended all of them.
        """
        ...

    async def lead(self, seconds: float) -> bool:
        """Becomes the leader, or stays it, for that long. False while another relay is."""
        ...

    async def resign(self) -> None:
        """Lets another relay lead at once."""
        ...


@dataclass
class RelayHealth:
    """What a relay does. `behind_seconds` is for how long the target has not had all of the source."""

    is_leader: bool = False
    position: Position = ORIGIN
    behind_seconds: float = 0.0
    relayed: int = 0
    restarts: int = 0
    failures: int = 0


class Relay:
    """One of any number of relays between `source` and `target`, both started.

    Every append names the position that has to be the target's last: so two relays at once double nothing
    and leave nothing out. That one of them leads, by a lock of `lock_seconds`, only saves work.
    """

    def __init__(
        self,
        source: EventLog,
        target: RelayTarget,
        clock: Clock,
        *,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._lock_seconds = lock_seconds
        self._backoff = Backoff(_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS)
        self._whole_at = clock.monotonic()
        self._health = RelayHealth()
        self._carried: Record | None = None
        self._outage = Outage(_log, "relay", level=logging.ERROR, now=clock.monotonic)

    def health(self) -> RelayHealth:
        """How it is doing now."""
        return self._health

    async def run(self) -> None:
        """Relays until it is cancelled, whatever becomes of source and target meanwhile."""
        while True:
            try:
                self._health.is_leader = await self._target.lead(self._lock_seconds)
                if self._health.is_leader:
                    start = await self._align()
                    self._outage.over()
                    await self._follow(start)
                else:
                    self._outage.over()
                    await asyncio.sleep(self._lock_seconds / _CHECKS)
            except (TargetMoved, PlaceLost) as moved:
                self._health.restarts += 1
                log_event(_log, logging.INFO, "relay_realigns", reason=moved)
            except LogError as error:
                self._health.failures += 1
                self._outage.failed(error=error)
                await asyncio.sleep(self._backoff.next())

    async def stop(self) -> None:
        """Lets another relay take over at once. Once `run` has ended; raises LogError."""
        if self._health.is_leader:
            self._health.is_leader = False
            await self._target.resign()

    async def _align(self) -> Cursor:
        """From where the target goes on, after it was made one of which the source is the continuation."""
        epoch = self._source.epoch
        # In this order: what another relay brings meanwhile is no event that the source lacks.
        found = await self._target.end()
        bounds = await self._source.bounds()
        if self._source.epoch != epoch:
            raise TargetMoved("The source has started over.")
        if found is not None and found.epoch == epoch:
            # Beyond its head lies what the source has lost: it was put back to an older copy.
            is_within = bounds.floor <= found.position <= bounds.head
            if is_within and await self._continues(found):
                return found
        start = Cursor(epoch, bounds.floor)
        log_event(_log, logging.WARNING, "relay_starts_over", target=found, start=start)
        await self._target.begin(found, start)
        return start

    async def _continues(self, found: Cursor) -> bool:
        """Whether the source holds what the target holds last: the same events, at the same positions."""
        last = await self._target.newest(2)
        after = last[0].position if len(last) == 2 else found.position
        try:
            records = await self._source.read(after, 1)
        except UnknownPosition:
            return False
        except TrimmedError:
            # Of the two only the second is left there: all that can be asked is whether it is one of them.
            return await self._is_known(found.position)
        return len(last) < 2 or records == last[1:]

    async def _is_known(self, position: Position) -> bool:
        try:
            await self._source.read(position, 1)
        except UnknownPosition:
            return False
        return True

    async def _follow(self, start: Cursor) -> None:
        """Carries over what comes after `start`, until something is not as it was thought to be."""
        self._health.position = start.position
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(start.epoch))
                await self._carry(start)
                watching.cancel()
        except ExceptionGroup as failed:
            errors, others = failed.split(LogError)
            if errors is None or others is not None:
                raise
            raise errors.exceptions[0] from failed
        raise LogError("The source is closed.")

    async def _carry(self, start: Cursor) -> None:
        async for batch in self._source.tail(start.position):
            for first in range(0, len(batch), _MAX_RECORDS):
                records = batch[first : first + _MAX_RECORDS]
                await self._target.append_at(records, Cursor(start.epoch, self._health.position))
                self._carried = records[-1]
                self._health.position = self._carried.position
                self._health.relayed += len(records)
                self._backoff.reset()

    async def _watch(self, epoch: str) -> None:
        """A source that is quiet gives no append, by which a target that lost its tail would show."""
        while True:
            position = self._health.position
            end = await self._target.end()
            if end is None or end.epoch != epoch or end.position < position:
                raise TargetMoved(f"The target has lost what it had up to {position}.")
            if await self._has_another():
                raise TargetMoved(
                    f"The target has another event than the one that was carried to {position}."
                )
            await self._measure()
            await asyncio.sleep(self._lock_seconds / _CHECKS)
            if not await self._target.lead(self._lock_seconds):
                raise TargetMoved("Another relay leads now.")

    async def _has_another(self) -> bool:
        """Whether the target ends where it was written to last, but with another event."""
        carried, newest = self._carried, await self._target.newest(1)
        if carried is None or not newest or newest[0].position != carried.position:
            return False
        return newest[0] != carried

    async def _measure(self) -> None:
        head = (await self._source.bounds()).head
        now = self._clock.monotonic()
        if self._health.position >= head:
            self._whole_at = now
        self._health.behind_seconds = now - self._whole_at
