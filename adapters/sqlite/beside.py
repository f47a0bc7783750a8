"""A small SQLite database beside the log's file: its thread, and what is done in it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from adapters.sqlite.problems import translated
from adapters.sqlite.statements import statement
from gateway.core.errors import LogError

_BUSY_SECONDS = 5.0

Result = TypeVar("Result")


class FileBeside:
    """The database at `path`, made where there is none, with the tables of the statement `schema`.

    With `is_synced` every commit waits for the disk. What `run` and `together` do is done in one thread, a
    job after the other. Both raise LogError.
    """

    def __init__(self, path: Path, schema: str, *, is_synced: bool) -> None:
        self._path = path
        self._schema = schema
        self._is_synced = is_synced
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def start(self) -> None:
        """Opens it. Raises LogError where it can't be used."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite-{self._schema}")
        await self.run(self._open)

    async def close(self) -> None:
        """Closes it, after what is under way. Twice, or before `start`, does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(self._disconnect)
            await asyncio.to_thread(thread.shutdown)

    @property
    def db(self) -> sqlite3.Connection:
        """For jobs alone. Raises LogError where it is closed."""
        if self._connection is None:
            raise LogError("The log is closed: the gateway is stopping.")
        return self._connection

    async def run(self, job: Callable[[], Result]) -> Result:
        """What `job` gives, or raises, in the thread."""
        if self._thread is None:
            raise LogError("The log is closed, or was not started.")

        def work() -> Result:
            with translated():
                return job()

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def together(self, job: Callable[[], Result]) -> Result:
        """The same in one transaction."""
        return await self.run(lambda: self._in_transaction(job))

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        self.db.execute("pragma journal_mode = wal")
        self.db.execute(f"pragma synchronous = {'full' if self._is_synced else 'normal'}")
        self.db.executescript(statement(self._schema))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _in_transaction(self, job: Callable[[], Result]) -> Result:
        self.db.execute("begin immediate")
        try:
            result = job()
            self.db.execute("commit")
        except BaseException:
            # A full disk may have ended the transaction already.
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise
        return result
