"""What a gateway keeps beside an SQLite log, so that a restart loses nothing: the snapshots of its upstreams.

There is one process, so nothing is shared with anybody but the next one. Without it, what changed upstream
while the gateway was down would go unnoticed, and clients that resume would miss it without a word.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from adapters.sqlite.problems import translated
from adapters.sqlite.statements import statement
from gateway.core.errors import LogError
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedEntry

_BUSY_SECONDS = 5.0

Result = TypeVar("Result")


class SqliteShared:
    """A SharedStore in the SQLite file at `path`, which is made where there is none."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def start(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-shared")
        await self._run(self._open)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(self._disconnect)
            await asyncio.to_thread(thread.shutdown)

    async def get(self, key: str) -> SharedEntry | None:
        return await self._run(lambda: self._get(key))

    async def version(self, key: str) -> int:
        return await self._run(lambda: self._version(key))

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        def job() -> int | None:
            if not self._is_expected(key, expected):
                return None
            version: int = self._db.execute(statement("shared_next")).fetchone()[0]
            until = None if ttl_seconds is None else self._clock.wall_ms() + round(ttl_seconds * 1000)
            self._db.execute(statement("shared_put"), (key, value, version, until))
            return version

        return await self._run(lambda: self._together(job))

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        def job() -> bool:
            if self._get(key) is None or not self._is_expected(key, expected):
                return False
            self._db.execute(statement("shared_remove"), (key,))
            return True

        return await self._run(lambda: self._together(job))

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        # Synced with every commit: what the log has been given on the strength of it must not be forgotten.
        self._db.execute("pragma synchronous = full")
        self._db.executescript(statement("shared_schema"))
        self._db.execute(statement("shared_sweep"), (self._clock.wall_ms(),))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _get(self, key: str) -> SharedEntry | None:
        row = self._db.execute(statement("shared_get"), (key, self._clock.wall_ms())).fetchone()
        return None if row is None else SharedEntry(*row)

    def _version(self, key: str) -> int:
        row = self._db.execute(statement("shared_version"), (key, self._clock.wall_ms())).fetchone()
        return 0 if row is None else row[0]

    def _is_expected(self, key: str, expected: int | None) -> bool:
        return expected is None or expected == self._version(key)

    def _together(self, job: Callable[[], Result]) -> Result:
        """Does `job` in one transaction."""
        self._db.execute("begin immediate")
        try:
            result = job()
            self._db.execute("commit")
        except BaseException:
            # A full disk may have ended the transaction already.
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise
        return result

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise LogError("The log is closed: the gateway is stopping.")
        return self._connection

    async def _run(self, job: Callable[[], Result]) -> Result:
        """What `job` gives, or raises, in the thread."""
        if self._thread is None:
            raise LogError("The log is closed, or was not started.")

        def work() -> Result:
            with translated():
                return job()

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
