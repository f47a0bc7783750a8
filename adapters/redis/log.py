"""The EventLog on a Redis stream."""

import asyncio
import hashlib
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from adapters.redis import stream
from adapters.redis.connection import RedisConnection
from adapters.redis.faults import Unreachable
from adapters.redis.stream import Entry, Hole, Mark, State
from adapters.redis.trimmer import Trimmer
from adapters.redis.writer import Writer
from gateway.backoff import Backoff
from gateway.clock import Clock
from gateway.errors import EpochChanged, LogError
from gateway.events import ORIGIN, Event, Position, Record
from gateway.log import ONCE_SECONDS, Appended, Bounds, Figure
from gateway.logs import log_event
from gateway.once import conflict
from gateway.stored import to_payload
from gateway.supervisor import Supervisor

BLOCK_SECONDS = 2.0
"""How long a tail waits in Redis. After that it looks whether the epoch is still the same."""
APPEND_SECONDS = 10.0
"""How long an append is tried again while Redis is out of reach."""
REMEMBERED_SECONDS = round(ONCE_SECONDS)
"""How long Redis remembers a call: far longer than one is tried again."""

_TAIL_BATCH = 1000
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

_log = logging.getLogger(__name__)


class RedisLog:
    """An EventLog in the Redis behind `connection`, which it starts and closes.

    Any number of nodes share it. A position is a stream id: the server's time in milliseconds and a counter,
    or, where a relay fills the log, the position in the relay's source. The epoch is a key beside the stream.
    A new one begins where that key is gone, and where the log came back without its tail, which a node that
    had read the tail finds out. The same epoch goes on through a restart that lost nothing, and where a
    relay fills in again what was lost.

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
        self._clock = clock
        self._trimmer = Trimmer(connection, max_events=max_events, max_age_seconds=max_age_seconds)
        self._block_ms = round(block_seconds * 1000)
        self._append_seconds = append_seconds
        self._writer = Writer(self._write)
        self._writer_key = connection.key("writer", secrets.token_hex(8))
        self._tasks = Supervisor()
        self._closing = asyncio.Event()
        self._epoch = ""
        self._is_relayed = False
        self._known: Mark | None = None
        self.reconnects = 0
        """How often a tail lost its connection and went on over another one."""
        self._counts: Counter[str] = Counter()

    @property
    def epoch(self) -> str:
        return self._epoch

    async def start(self) -> None:
        try:
            await self._connection.start()
            self._adopt(await self._begun(await self._state()))
        except BaseException:
            await self.close()
            raise
        self._tasks.run("redis_writer", self._writer.run)
        self._tasks.run("redis_trimmer", lambda: self._trimmer.run(lambda: self._epoch))

    async def close(self) -> None:
        self._closing.set()
        await self._tasks.close()
        self._writer.close()
        await self._connection.close()

    async def append(self, events: Sequence[Event]) -> Appended:
        if not events:
            return Appended(self._epoch, [])
        positions = await self._writer.append([to_payload(event) for event in events])
        return Appended(self._epoch, positions)

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        if not events:
            return Appended(self._epoch, [])
        payloads = [to_payload(event) for event in events]
        # Who calls: its own append, of which the answer was lost, is no repetition.
        call = f"{digest.hex()}/{secrets.token_hex(8)}"
        first, is_own = await self._send(call, payloads, hashlib.sha256(key.encode()).hexdigest())
        positions = [Position(first.major, first.minor + index) for index in range(len(events))]
        return Appended(self._epoch, positions, replayed=not is_own)

    async def read(self, after: Position, limit: int) -> list[Record]:
        return [stream.to_record(entry) for entry in await self._read(after, limit, self._epoch)]

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        epoch = self._epoch
        # With the one that they come before: else nobody could tell whether something is missing in between.
        end, count = ("+", limit) if before is None else (str(before), limit + 1)
        raw_state, raw = await self._connection.together(
            self._state_command(), ("XREVRANGE", self._stream(epoch), end, "-", "COUNT", count)
        )
        state = await self._same_epoch(raw_state, epoch)
        entries = [entry for entry in stream.to_entries(raw) if entry.position > state.floor]
        entries.reverse()
        if before is not None and (not entries or entries[-1].position != before):
            return []
        if entries:
            least = limit + 1 if before is None else len(entries)
            found = stream.hole(state, entries[0].number - 1, entries, least)
            if found is not None:
                await self._mend(found, epoch)
                entries = [entry for entry in entries if entry.position > found.floor]
        return [stream.to_record(entry) for entry in entries if entry.position != before]

    async def bounds(self) -> Bounds:
        epoch = self._epoch
        while True:
            raw_state, raw = await self._connection.together(
                self._state_command(), ("XRANGE", self._stream(epoch), "-", "+", "COUNT", 1)
            )
            state = await self._same_epoch(raw_state, epoch)
            found = stream.hole(state, state.floor_number, stream.to_entries(raw), 1)
            if found is None:
                return Bounds(state.floor, state.last)
            await self._mend(found, epoch)

    async def trim(self) -> int:
        """Applies the bounds now, which happens by itself every few seconds. Gives how many events went."""
        return await self._trimmer.trim(self._epoch)

    def figures(self) -> Sequence[Figure]:
        counts = self._counts
        return (
            Figure(
                "reconnects", "Times that a reader's connection to Redis was lost.", self.reconnects, True
            ),
            Figure("append_retries", "Appends that were tried again.", counts["retries"], True),
            Figure("lost_tails", "Times that Redis lacked its newest events.", counts["lost_tails"], True),
            Figure("holes", "Times that others had deleted events.", counts["holes"], True),
        )

    def warnings(self) -> list[str]:
        return list(self._connection.cautions)

    def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        return self._tail(after, self._epoch)

    async def _tail(self, after: Position, epoch: str) -> AsyncIterator[list[Record]]:
        number: int | None = None
        is_checked = is_second = False
        while not self._closing.is_set():
            try:
                if not is_checked:
                    number = await self._check(after, epoch)
                    is_checked = True
                entries = await self._wait_after(after, epoch)
            except LogError as error:
                if self._closing.is_set():
                    return
                # A connection that was cut, on a server that lives, is worth no more than a new one.
                if is_second or not isinstance(error, Unreachable):
                    raise
                self.reconnects += 1
                log_event(_log, logging.WARNING, "redis_reconnecting", error=error)
                is_checked, is_second = False, True
                continue
            is_second = False
            if not entries:
                is_checked = False
                continue
            if number is None:
                await self._check_ahead(after, epoch)
            elif self._has_gap(number, entries):
                # A relay that fills a log again numbers its events anew.
                number = await self._check(after, epoch)
                if number is None or self._has_gap(number, entries):
                    await self._read(after, _TAIL_BATCH, epoch)
                    raise LogError(f"The log's events after {after} did not follow one another.")
            if self._epoch != epoch:
                raise _epoch_changed()
            after, number = entries[-1].mark
            self._learn(entries[-1].mark)
            yield [stream.to_record(entry) for entry in entries]

    async def _wait_after(self, after: Position, epoch: str) -> list[Entry]:
        answer = await self._connection.execute(
            *("XREAD", "COUNT", _TAIL_BATCH, "BLOCK", self._block_ms),
            *("STREAMS", self._stream(epoch), str(after)),
        )
        return stream.to_entries(answer[0][1]) if answer else []

    @staticmethod
    def _has_gap(number: int, entries: Sequence[Entry]) -> bool:
        return any(entry.number != number + index for index, entry in enumerate(entries, 1))

    async def _check(self, after: Position, epoch: str) -> int | None:
        """The number of the event at `after`, None where the log has not come to it yet.

        Raises TrimmedError and EpochChanged.
        """
        known = self._known or Mark(after, 0)
        raw_state, raw_own, raw_known = await self._connection.together(
            self._state_command(),
            ("XRANGE", self._stream(epoch), str(after), str(after)),
            ("XRANGE", self._stream(epoch), str(known.position), "+", "COUNT", 1),
        )
        state = await self._same_epoch(raw_state, epoch)
        if self._known is known and not state.is_relayed:
            found = next(iter(stream.to_entries(raw_known)), None)
            if stream.is_lost(state, known, found):
                await self._start_over(epoch)
        own = next(iter(stream.to_entries(raw_own)), None)
        return stream.number_at(state, after, own)

    async def _check_ahead(self, after: Position, epoch: str) -> None:
        """That nothing was trimmed after a position to which the log had not come when it was looked at."""
        state = await self._same_epoch(await self._connection.execute(*self._state_command()), epoch)
        if state.floor > after:
            raise stream.trimmed(after)

    async def _read(self, after: Position, limit: int, epoch: str) -> list[Entry]:
        raw_state, raw_own, raw = await self._connection.together(
            self._state_command(),
            ("XRANGE", self._stream(epoch), str(after), str(after)),
            ("XRANGE", self._stream(epoch), f"({after}", "+", "COUNT", limit),
        )
        state = await self._same_epoch(raw_state, epoch)
        number = stream.number_at(state, after, next(iter(stream.to_entries(raw_own)), None))
        if number is None:
            return []
        entries = stream.to_entries(raw)
        found = stream.hole(state, number, entries, limit)
        if found is not None:
            await self._mend(found, epoch)
            raise stream.trimmed(after)
        return entries

    async def _mend(self, found: Hole, epoch: str) -> None:
        mended = await self._connection.script(
            "mend",
            (self._state_key, self._stream(epoch)),
            (epoch, str(found.next or ""), str(found.floor), found.floor_number),
        )
        if mended:
            self._counts["holes"] += 1
            log_event(_log, logging.ERROR, "redis_events_deleted_by_others", up_to=found.floor)

    async def _write(self, call: int, payloads: Sequence[bytes]) -> Position:
        return (await self._send(str(call), payloads))[0]

    async def _send(
        self, call: str, payloads: Sequence[bytes], once: str | None = None
    ) -> tuple[Position, bool]:
        """Appends as that call, of this node's writer or under the idempotency key `once`.

        Gives the first position, and whether it was this call that appended. Raises IdempotencyConflict.
        """
        backoff = Backoff(0.05, 1.0)
        give_up_at = self._clock.monotonic() + self._append_seconds
        while True:
            try:
                return await self._try_to_send(call, payloads, once)
            except Unreachable as error:
                if self._clock.monotonic() >= give_up_at:
                    raise
                self._counts["retries"] += 1
                log_event(_log, logging.WARNING, "redis_append_retried", error=error)
                await asyncio.sleep(backoff.next())

    async def _try_to_send(
        self, call: str, payloads: Sequence[bytes], once: str | None
    ) -> tuple[Position, bool]:
        while True:
            epoch = self._epoch
            known = self._known.position if self._known is not None else ORIGIN
            answer = await self._connection.script(
                "append",
                (self._state_key, self._stream(epoch), self._record_key(epoch, once)),
                (epoch, call, str(known), self._trimmer.max_events, REMEMBERED_SECONDS, *payloads),
            )
            if answer[0] in (b"done", b"again"):
                if self._epoch != epoch:
                    raise _epoch_changed()
                first = stream.to_position(answer[1])
                last = Position(first.major, first.minor + len(payloads) - 1)
                self._learn(Mark(last, int(answer[2])))
                return first, answer[0] == b"done"
            if answer[0] == b"conflict":
                raise conflict()
            if answer[0] == b"relayed":
                raise LogError("This log is filled by a relay: publish to the relay's source.")
            if answer[0] == b"late":
                raise LogError("A later append was quicker than this one, of which nothing is known.")
            if answer[0] == b"lost":
                await self._rename(epoch)
            self._adopt(await self._begun(await self._state()))

    async def _start_over(self, epoch: str) -> None:
        """Ends an epoch whose tail was lost, and raises EpochChanged."""
        await self._rename(epoch)
        self._adopt(await self._begun(await self._state()))
        raise _epoch_changed()

    async def _rename(self, epoch: str) -> None:
        self._counts["lost_tails"] += 1
        log_event(_log, logging.ERROR, "redis_lost_its_tail", epoch=epoch)
        new = _new_epoch()
        await self._connection.script(
            "start_over", (self._state_key, self._stream(epoch), self._stream(new)), (epoch, new)
        )

    async def _same_epoch(self, raw_state: Any, epoch: str) -> State:
        """The state, where it is still the one of `epoch`. Raises EpochChanged."""
        state = await self._begun(stream.to_state(raw_state))
        if state.epoch != self._epoch:
            self._adopt(state)
        if self._epoch != epoch:
            raise _epoch_changed()
        return state

    async def _state(self) -> State | None:
        return stream.to_state(await self._connection.execute(*self._state_command()))

    async def _begun(self, state: State | None) -> State:
        """The state, of a new log where there is none. Raises LogError where a relay has to begin it."""
        must_be_relayed = self._connection.address.is_relayed
        if state is not None and (state.is_relayed or not must_be_relayed):
            self._is_relayed = state.is_relayed
            return state
        if self._is_relayed or must_be_relayed:
            # The relay gives it the same epoch as before: cursors stay good.
            raise LogError("A relay fills this log, and it is not there or not done yet.")
        await self._connection.script("create", (self._state_key,), (_new_epoch(),))
        return await self._begun(await self._state())

    def _adopt(self, state: State) -> None:
        if state.epoch != self._epoch:
            log_event(_log, logging.INFO, "redis_epoch", epoch=state.epoch, before=self._epoch)
            self._epoch = state.epoch
            self._known = Mark(state.last, state.number)

    def _learn(self, mark: Mark) -> None:
        if self._known is None or mark.position > self._known.position:
            self._known = mark

    def _record_key(self, epoch: str, once: str | None) -> str:
        """What remembers a call. A key's positions are of one epoch."""
        return self._writer_key if once is None else self._connection.key("once", epoch, once)

    @property
    def _state_key(self) -> str:
        return self._connection.key("state")

    def _state_command(self) -> tuple[str, ...]:
        return ("HMGET", self._state_key, *stream.STATE_FIELDS)

    def _stream(self, epoch: str) -> str:
        return stream.stream_key(self._connection.address.prefix, epoch)


def _new_epoch() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def _epoch_changed() -> EpochChanged:
    return EpochChanged("The log has started over.")
