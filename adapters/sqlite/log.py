"""The EventLog over an SQLite file: its thread, its waiting appends and its tails."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from adapters.sqlite.file import Batch, Connect, EventFile, FileLost, FileState, Outcome, Placed, connect
from adapters.sqlite.keys import MAX_KEYS, Key, Keys
from gateway.core.errors import LogError, TrimmedError
from gateway.core.events import Event, Position, Record
from gateway.core.log_payload import to_payload
from gateway.ports.clock import Clock
from gateway.ports.log import Appended, Bounds, Figure, trimmed
from gateway.runtime.batcher import Batcher
from gateway.runtime.idempotency import closed
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage
from gateway.runtime.supervisor import Supervisor

TRIM_SECONDS = 30.0
"""How often a log to which nobody appends drops what is too old, and sees whether its file is there."""

_CLOSE_SECONDS = 10.0
"""How long the appends that have come may take once the log is closed."""

_TAIL_BATCH = 1000
_MAX_UNREAD = 10_000
_MAX_COMMIT = 5000
_MAX_COMMIT_BYTES = 8 << 20
"""How much shares one commit, so that none waits for a very long one."""
_RECENT = 1000
_EVERYTHING = 2**63 - 1

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class _Append(NamedTuple):
    events: Sequence[Event]
    batch: Batch


class _Tail:
    """How far a tail has given out, and whether it has ever been at the head."""

    __slots__ = ("is_live", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_live = False


class SqliteLog:
    """An EventLog in the SQLite file at `path`, for one process.

    Appends that wait together share one commit, which is synced to the disk before any of them returns. A
    position is the wall time in milliseconds and a counter; it grows also when the clock is set back, and
    across restarts. The epoch is kept in the file. A new one begins with a new file, and with a file that
    was copied back from a backup: clients then get a `reset` where cursors would mean something else.

    The bounds drop the oldest events, but none that a tail has not yet given out. While too many of
    those wait, `append` waits for the tails that were at the head once; one that still has old events to
    read holds nobody up.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        max_events: int,
        max_age_seconds: float,
        max_keys: int = MAX_KEYS,
        connect: Connect = connect,
    ) -> None:
        self._file = EventFile(
            path,
            max_events=max_events,
            max_age_seconds=max_age_seconds,
            clock=clock,
            connect=connect,
            keys=Keys(clock, max_keys),
        )
        self._thread: ThreadPoolExecutor | None = None
        self._tasks = Supervisor()
        self._batcher = Batcher(self._write, max_events=_MAX_COMMIT, max_bytes=_MAX_COMMIT_BYTES)
        self._state = FileState()
        self._recent: list[Record] = []
        self._tails: set[_Tail] = set()
        self._keep_after = _EVERYTHING
        self._read_by_live = _EVERYTHING
        self._grown = asyncio.Event()
        self._read = asyncio.Event()
        self._closed = False
        self._lost: FileLost | None = None
        self._failure: str | None = None
        self._outage = Outage(_log, "sqlite_log", level=logging.ERROR, now=clock.monotonic)
        self._failed_commits = 0
        self._file_bytes = self._keys = 0

    @property
    def epoch(self) -> str:
        return self._file.epoch

    async def start(self) -> None:
        if self._closed or self._thread is not None:
            raise LogError("The log was started before.")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-log")
        self._loop = asyncio.get_running_loop()
        try:
            await self._run(self._file.open)
            # Before anybody reads: a reader that begins at the floor must not find it gone.
            await self.trim()
            await self._forget_keys()
        except BaseException:
            await self.close()
            raise
        held = self._state.head - self._state.floor
        log_event(_log, logging.INFO, "sqlite_log_opened", epoch=self.epoch, events=held)
        if self._file.epoch_reason is not None:
            log_event(_log, logging.WARNING, "sqlite_log_new_epoch", reason=self._file.epoch_reason)
        self._tasks.run("sqlite_log_writer", self._batcher.run)
        self._tasks.run("sqlite_log_trim", self._trim_for_ever)

    async def close(self) -> None:
        self._closed = True
        self._grown.set()
        self._read.set()
        await self._batcher.close(_CLOSE_SECONDS)
        await self._tasks.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            # After the appends that it was given.
            thread.submit(self._file.close)
            await asyncio.to_thread(thread.shutdown)

    async def append(self, events: Sequence[Event]) -> Appended:
        return await self._append(events, None)

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        return await self._append(events, Key(key, digest))

    async def _append(self, events: Sequence[Event], key: Key | None) -> Appended:
        while not self._closed and self._state.head - self._read_by_live > _MAX_UNREAD:
            self._read.clear()
            await self._read.wait()
        if self._thread is None or self._closed:
            raise closed()
        if not events:
            return Appended(self.epoch, [])
        bodies = [to_payload(event).decode() for event in events]
        append = _Append(events, Batch(bodies, key))
        outcome = await self._batcher.append(append, len(bodies), sum(map(len, bodies)))
        if not isinstance(outcome, Placed):
            raise outcome
        return Appended(self.epoch, outcome.positions, outcome.replayed)

    async def _write(self, appends: list[_Append]) -> list[Outcome]:
        if self._thread is None:
            raise closed()
        done: asyncio.Future[list[Outcome]] = self._loop.create_future()
        self._thread.submit(self._commit, appends, done)
        return await done

    def _commit(self, appends: list[_Append], done: asyncio.Future[list[Outcome]]) -> None:
        """In the thread: what it comes to is noted in the order of its jobs, whoever still waits for it."""
        try:
            outcomes = self._file.append([append.batch for append in appends], self._keep_after)
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it, whatever it was
            self._loop.call_soon_threadsafe(self._refused, error, self._file.state, done)
        else:
            self._loop.call_soon_threadsafe(self._accepted, appends, outcomes, self._file.state, done)

    def _accepted(
        self,
        appends: list[_Append],
        outcomes: list[Outcome],
        state: FileState,
        done: asyncio.Future[list[Outcome]],
    ) -> None:
        records = [
            Record(position, event, position.major)
            for append, outcome in zip(appends, outcomes, strict=True)
            if isinstance(outcome, Placed) and not outcome.replayed
            for position, event in zip(outcome.positions, append.events, strict=True)
        ]
        self._move(state, records)
        self._lost = None
        if self._failure is not None:
            self._failure = None
            self._outage.over()
        if not done.done():
            done.set_result(outcomes)

    def _refused(self, error: Exception, state: FileState, done: asyncio.Future[list[Outcome]]) -> None:
        self._move(state)
        if isinstance(error, FileLost):
            self._lose(error)
        self._failed_commits += 1
        self._outage.failed(error=error, cause=error.__cause__)
        self._failure = error.detail if isinstance(error, LogError) else f"{type(error).__name__}, a defect."
        if not done.done():
            done.set_exception(error)

    def _move(self, state: FileState, records: Sequence[Record] = ()) -> None:
        """Goes on to `state`; called in the order in which the thread came to its states.

        `records` are those that are new in it. Where they are not known, tails read them from the file.
        """
        is_whole = state.head == self._state.head + len(records)
        known = [*self._recent, *records] if is_whole else list(records)
        self._recent = known[-_RECENT:] if self._tails else []
        self._state = state
        self._grown.set()

    def _lose(self, error: FileLost) -> None:
        self._lost = error
        self._grown.set()

    async def read(self, after: Position, limit: int) -> list[Record]:
        def job() -> list[Record] | None:
            return self._file.read(self._file.number_at(after), limit)

        # A position ahead of the head is one that this log may still come to: nothing comes after it yet.
        return _held(await self._run(job), after)

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        def job() -> list[Record] | None:
            state = self._file.state
            try:
                number = state.head + 1 if before is None else self._file.number_at(before)
            except TrimmedError:
                return []
            start = max(state.floor, number - 1 - limit)
            return self._file.read(start, max(0, number - 1 - start))

        return _held(await self._run(job), self._state.floor_position)

    async def bounds(self) -> Bounds:
        # Known here, but for whether the file is still in its place: nobody may take this for an answer else.
        await self._run(self._file.check)
        return Bounds(self._state.floor_position, self._state.head_position)

    async def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        # Until its place is known, nothing is dropped.
        tail = _Tail(self._state.floor)
        self._tails.add(tail)
        self._note_readers()
        try:
            number = await self._run(lambda: self._file.number_at(after))
            while not self._closed:
                if self._lost is not None:
                    raise self._lost
                tail.number = number
                tail.is_live |= number >= self._state.head
                self._note_readers()
                if number >= self._state.head:
                    self._grown.clear()
                    await self._grown.wait()
                    continue
                records = await self._after(number)
                wanted = [record for record in records if record.position > after]
                if wanted:
                    yield wanted
                number += len(records)
        except LogError:
            # What was asked of the thread when the log was closed is no failure of the log.
            if not self._closed:
                raise
        finally:
            self._tails.remove(tail)
            self._note_readers()

    async def _after(self, number: int) -> list[Record]:
        """The records after `number`, a batch of them: what was just appended need not be read again."""
        start = self._state.head - len(self._recent)
        if number >= start:
            return self._recent[number - start :]
        records = await self._run(lambda: self._file.read(number, _TAIL_BATCH))
        return _held(records, self._state.floor_position)

    def _note_readers(self) -> None:
        self._keep_after = min((tail.number for tail in self._tails), default=_EVERYTHING)
        live = (tail.number for tail in self._tails if tail.is_live)
        self._read_by_live = min(live, default=_EVERYTHING)
        if self._keep_after >= self._state.head:
            self._recent = []
        self._read.set()

    async def trim(self) -> None:
        """Drops what is past a bound, in batches between which appends have their turn."""

        def job() -> bool:
            may_be_more = self._file.trim(self._keep_after)
            self._file_bytes = self._file.size_bytes()
            self._loop.call_soon_threadsafe(self._move, self._file.state)
            return may_be_more

        while await self._run(job):
            pass

    def figures(self) -> Sequence[Figure]:
        return (
            Figure("events", "Events that the log holds.", self._state.head - self._state.floor),
            Figure("keys", "Idempotency keys that the log keeps, some seconds ago.", self._keys),
            Figure("file_bytes", "Bytes of the log's files, some seconds ago.", self._file_bytes),
            Figure("failing", "1 where the last commit failed.", self._failure is not None),
            Figure("failed_commits", "Commits that failed.", self._failed_commits, True),
        )

    def warnings(self) -> list[str]:
        return [] if self._failure is None else [f"Publishing fails: {self._failure}"]

    async def _trim_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            await self.trim()
            await self._forget_keys()

    async def _forget_keys(self) -> None:
        """Drops the keys whose time is over, in batches between which appends have their turn."""
        while await self._run(self._file.forget_keys):
            pass
        self._keys = await self._run(self._file.count_keys)

    async def _run(self, job: Callable[[], Result]) -> Result:
        """What `job` gives, or raises, in the thread."""
        if self._thread is None:
            raise LogError("The log is closed, or was not started.")
        try:
            result = await self._loop.run_in_executor(self._thread, job)
        except FileLost as error:
            self._lose(error)
            raise
        self._lost = None
        return result


def _held(records: list[Record] | None, after: Position) -> list[Record]:
    if records is None:
        raise trimmed(after)
    return records
