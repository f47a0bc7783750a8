"""Flags in a JSON file (flags/store/document.py), which people and deployments may edit or replace."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypeVar

from flags.decide.flag import Flags
from flags.errors import StoreUnreadable
from flags.log_lines import CountingTell, Tell
from flags.store.background import BackgroundThread
from flags.store.file_ledger import FileLedger
from flags.store.ledger import Ledger
from flags.store.ledger_store import POLL_SECONDS, LedgerState, LedgerStore
from flags.store.publisher import Publisher
from flags.times import wall_ms

Result = TypeVar("Result")


def file_flag_store(
    path: Path,
    *,
    tell: Tell,
    now_ms: Callable[[], int] = wall_ms,
    poll_seconds: float = POLL_SECONDS,
    without_source: Collection[str] = (),
) -> LedgerStore:
    """The store in the file at `path`. Where there is none, the first change makes it.

    Comparing the file's times costs some microseconds; no notification of the system's covers a network file
    system, a bind mount or a symbolic link that is turned elsewhere.
    """
    counting = CountingTell(tell)
    publisher = Publisher(counting)
    kept = _InThread(FileLedger(path, tell=counting, now_ms=now_ms), publisher.publish)
    return LedgerStore(
        kept,
        publisher,
        tell=counting,
        now_ms=now_ms,
        poll_seconds=poll_seconds,
        without_source=without_source,
    )


class _InThread:
    """A KeptLedger in a file. One thread does everything that waits for the disk."""

    def __init__(self, file: FileLedger, show: Callable[[Flags], None]) -> None:
        self._file = file
        self._show = show
        self._shown = file.state
        self._thread = BackgroundThread("flags")

    @property
    def state(self) -> LedgerState:
        return self._file.state

    async def load(self) -> None:
        self._thread.start()
        try:
            await self._run(self._file.load)
        except StoreUnreadable as error:
            await self.close()
            raise StoreUnreadable(f"The flags file can't be used: {error.detail}.") from error

    async def refresh(self) -> None:
        await self._run(self._file.refresh)

    async def commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        return await self._run(partial(self._file.commit, change))

    async def close(self) -> None:
        await self._thread.close()

    async def _run(self, job: Callable[[], Result]) -> Result:
        try:
            return await self._thread.run(job)
        finally:
            # A change that was refused may have shown an edit of the file all the same.
            state = self._file.state
            if state is not self._shown:
                self._shown = state
                self._show(state.flags())
