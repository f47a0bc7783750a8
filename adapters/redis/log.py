"""The EventLog on a Redis stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from adapters.redis import stream
from adapters.redis.connection import RedisConnection
from adapters.redis.epochs import Epochs, changed
from adapters.redis.faults import Unreachable
from adapters.redis.own_events import OwnEvents
from adapters.redis.sender import Sender
from adapters.redis.stream import Hole, StreamEntry
from adapters.redis.trimmer import Trimmer
from gateway.core.errors import LogError
from gateway.core.events import Event, Position, Record
from gateway.core.log_payload import to_payload
from gateway.ports.clock import Clock
from gateway.ports.log import Appended, Bounds, Figure, trimmed, unknown
from gateway.runtime.batcher import Batcher
from gateway.runtime.log_pages import TailSize
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage
from gateway.runtime.supervisor import Supervisor

BLOCK_SECONDS = 2.0
"""How long a tail waits in Redis. After that it looks whether the epoch is still the same."""
APPEND_SECONDS = 10.0
"""How long an append is tried again while Redis is out of reach."""

_log = logging.getLogger(__name__)


class RedisLog:
    """An EventLog in the Redis behind `connection`, which it starts and closes.

    Any number of nodes share it. A position is a stream id: the server's time in milliseconds and a counter
    that begins anywhere, or, where a relay fills the log, the position in the relay's source. The epoch is a
    key beside the stream. A new one begins where that key is gone, where another server took the master's
    place, and where the log lacks an event that a node had read. The same epoch goes on through a restart
    that lost nothing, and where a relay fills in again what was lost.

    Nothing but trimming takes events away. Where somebody else deleted some, the floor rises over the hole
    as soon as a reader comes to it, and the reader is raised TrimmedError.
    """

    def __init__(
        self,
        connection: RedisConnection,
        clock: Clock,
        *,
        max_events: int,
        max_age_seconds: float,
        block_seconds: float = BLOCK_SECONDS,
        append_seconds: float = APPEND_SECONDS,
    ) -> None:
        if block_seconds >= connection.timeout_seconds:
            raise ValueError("a tail must wait for less than the connection's timeout")
        self._connection = connection
        self._trimmer = Trimmer(connection, max_events=max_events, max_age_seconds=max_age_seconds)
        self._block_ms = round(block_seconds * 1000)
        self._epochs = Epochs(connection, clock)
        self._sender = Sender(
            connection,
            self._epochs,
            clock,
            Outage(_log, "redis_append", now=clock.monotonic, server=str(connection.address)),
            max_events=max_events,
            append_seconds=append_seconds,
        )
        self._batcher = Batcher(self._sender.send)
        self._own_events = OwnEvents()
        self._tasks = Supervisor()
        self._closing = asyncio.Event()
        self.reconnects = 0
        """How often a tail lost its connection and went on over another one."""
        self._holes = 0

    @property
    def epoch(self) -> str:
        return self._epochs.name

    async def start(self) -> None:
        try:
            await self._connection.start()
            await self._epochs.look()
        except BaseException:
            await self.close()
            raise
        self._tasks.run("redis_writer", self._batcher.run)
        self._tasks.run("redis_trimmer", lambda: self._trimmer.run(lambda: self.epoch))

    async def close(self) -> None:
        self._closing.set()
        await self._tasks.close()
        await self._batcher.close(0.0)
        await self._connection.close()

    async def append(self, events: Sequence[Event]) -> Appended:
        if not events:
            return Appended(self.epoch, [])
        payloads = self._payloads(events)
        return await self._batcher.append(payloads, len(payloads), sum(map(len, payloads)))

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        if not events:
            return Appended(self.epoch, [])
        return await self._sender.send_once(self._payloads(events), key, digest)

    def _payloads(self, events: Sequence[Event]) -> list[bytes]:
        payloads = [to_payload(event) for event in events]
        self._own_events.add(payloads, events)
        return payloads

    async def read(self, after: Position, limit: int) -> list[Record]:
        return [stream.to_record(entry) for entry in await self._read(after, limit, self.epoch)]

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        epoch = self.epoch
        # With the one that they come before: else nobody could tell whether something is missing in between.
        end, count = ("+", limit) if before is None else (str(before), limit + 1)
        state, (raw,) = await self._epochs.ask(
            epoch, ("XREVRANGE", self._epochs.stream_key(epoch), end, "-", "COUNT", count)
        )
        entries = [entry for entry in stream.to_entries(raw) if entry.position > state.floor]
        entries.reverse()
        if before is not None and (not entries or entries[-1].position != before):
            return []
        if entries:
            newest = entries[-1]
            self._epochs.learn(epoch, newest.position, newest.number, newest.payload)
            least = limit + 1 if before is None else len(entries)
            found = stream.hole(state, entries[0].number - 1, entries, least)
            if found is not None:
                await self._mend(found, epoch)
                entries = [entry for entry in entries if entry.position > found.floor]
        return [stream.to_record(entry) for entry in entries if entry.position != before]

    async def bounds(self) -> Bounds:
        epoch = self.epoch
        while True:
            raw_state, raw = await self._connection.together(
                self._epochs.state_command(), ("XRANGE", self._epochs.stream_key(epoch), "-", "+", "COUNT", 1)
            )
            state = await self._epochs.same(raw_state, epoch)
            found = stream.hole(state, state.floor_number, stream.to_entries(raw), 1)
            if found is None:
                return Bounds(state.floor, state.last)
            await self._mend(found, epoch)

    async def trim(self) -> int:
        """Applies the bounds now, which happens by itself every few seconds. Gives how many events went."""
        return await self._trimmer.trim(self.epoch)

    def figures(self) -> Sequence[Figure]:
        epochs = self._epochs.counts
        return (
            Figure(
                "reconnects", "Times that a reader's connection to Redis was lost.", self.reconnects, True
            ),
            Figure("append_retries", "Appends that were tried again.", self._sender.counts["retries"], True),
            Figure("lost_tails", "Times that Redis lacked its newest events.", epochs["lost"], True),
            Figure("takeovers", "Times that another server had taken over.", epochs["inherited"], True),
            Figure("holes", "Times that others had deleted events.", self._holes, True),
        )

    def warnings(self) -> list[str]:
        trouble = self._sender.trouble
        return [*self._connection.cautions, *([] if trouble is None else [f"Publishing fails: {trouble}"])]

    def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        return self._tail(after, self.epoch)

    async def _tail(self, after: Position, epoch: str) -> AsyncIterator[list[Record]]:
        number: int | None = None
        checked_on: int | None = None
        is_second = False
        size = TailSize()
        while not self._closing.is_set():
            try:
                if checked_on is None:
                    checked_on = self._connection.servers
                    number = await self._epochs.check(after, epoch)
                entries = await self._wait_after(after, epoch, size.records)
            except LogError as error:
                if self._closing.is_set():
                    return
                # A connection that was cut, on a server that lives, is worth no more than a new one.
                if is_second or not isinstance(error, Unreachable):
                    raise
                self.reconnects += 1
                checked_on, is_second = None, True
                continue
            is_second = False
            # What another server gives says nothing before it was looked at.
            if not entries or checked_on != self._connection.servers:
                checked_on = None
                continue
            if number is None:
                await self._check_ahead(after, epoch)
            elif self._has_gap(number, entries):
                # A relay that fills a log again numbers its events anew.
                number = await self._epochs.check(after, epoch)
                if number is None or self._has_gap(number, entries):
                    await self._read(after, size.records, epoch)
                    raise LogError(f"The log's events after {after} did not follow one another.")
            if self.epoch != epoch:
                raise changed()
            newest = entries[-1]
            after, number = newest.position, newest.number
            self._epochs.learn(epoch, newest.position, newest.number, newest.payload)
            records = [self._to_record(entry) for entry in entries]
            size.learn(records)
            yield records

    def _to_record(self, entry: StreamEntry) -> Record:
        own = self._own_events.take(entry.payload)
        return stream.to_record(entry) if own is None else Record(entry.position, own, entry.came_ms)

    async def _wait_after(self, after: Position, epoch: str, limit: int) -> list[StreamEntry]:
        answer = await self._connection.execute(
            *("XREAD", "COUNT", limit, "BLOCK", self._block_ms),
            *("STREAMS", self._epochs.stream_key(epoch), str(after)),
        )
        return stream.to_entries(answer[0][1]) if answer else []

    @staticmethod
    def _has_gap(number: int, entries: Sequence[StreamEntry]) -> bool:
        return any(entry.number != number + index for index, entry in enumerate(entries, 1))

    async def _check_ahead(self, after: Position, epoch: str) -> None:
        """That nothing is missing after a position to which the log had not come when it was looked at.

        It may pass over it, but not where a relay fills it: the same positions come again, or never.
        """
        raw_state, own = await self._connection.together(
            self._epochs.state_command(), ("XRANGE", self._epochs.stream_key(epoch), str(after), str(after))
        )
        state = await self._epochs.same(raw_state, epoch)
        if state.floor > after:
            raise trimmed(after)
        if state.is_relayed and not own and state.floor < after:
            raise unknown(after)

    async def _read(self, after: Position, limit: int, epoch: str) -> list[StreamEntry]:
        raw_state, raw_own, raw = await self._connection.together(
            self._epochs.state_command(),
            ("XRANGE", self._epochs.stream_key(epoch), str(after), str(after)),
            ("XRANGE", self._epochs.stream_key(epoch), f"({after}", "+", "COUNT", limit),
        )
        state = await self._epochs.same(raw_state, epoch)
        number = stream.number_at(state, after, next(iter(stream.to_entries(raw_own)), None))
        if number is None:
            return []
        entries = stream.to_entries(raw)
        found = stream.hole(state, number, entries, limit)
        if found is not None:
            await self._mend(found, epoch)
            raise trimmed(after)
        return entries

    async def _mend(self, found: Hole, epoch: str) -> None:
        mended = await self._connection.script(
            "mend",
            (self._epochs.state_key, self._epochs.stream_key(epoch)),
            (epoch, str(found.next or ""), str(found.floor), found.floor_number),
        )
        if mended:
            self._holes += 1
            log_event(_log, logging.ERROR, "redis_events_deleted_by_others", up_to=found.floor)
