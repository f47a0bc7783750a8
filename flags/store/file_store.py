"""Flags in a JSON file (flags/store/document.py), which people and deployments may edit or replace."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flags.decide.flag import Flag, Flags
from flags.errors import StoreUnreadable
from flags.store import ledger as operations
from flags.store.background import BackgroundThread, Watch
from flags.store.file_ledger import FileLedger
from flags.store.ledger import Ledger
from flags.store.port import Subscriber
from flags.store.publisher import Publisher
from flags.store.revisions import History, attribution
from flags.tell import CountingTell, Tell
from flags.times import wall_ms

POLL_SECONDS = 0.25
"""How often the file is looked at. Comparing its times costs some microseconds; no notification of the
system's covers a network file system, a bind mount or a symbolic link that is turned elsewhere."""

Result = TypeVar("Result")


class FileFlagStore:
    """A FlagStore in the file at `path`. Where there is none, the first change makes it.

    One thread does everything that waits for the disk. While the file can't be used the flags stay as they
    were, with `stale` in the snapshot. `counts` says how often each event was told, by the log lines' names.
    """

    def __init__(
        self,
        path: Path,
        *,
        tell: Tell,
        now_ms: Callable[[], int] = wall_ms,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        counting = CountingTell(tell)
        self.counts: Counter[str] = counting.counts
        self._file = FileLedger(path, tell=counting, now_ms=now_ms)
        self._publisher = Publisher(counting)
        self._thread = BackgroundThread("flags")
        self._watch = Watch(self.refresh, poll_seconds, counting, "flags_watch")

    @property
    def trouble(self) -> str | None:
        return self._file.state.refusal

    async def start(self) -> None:
        self._thread.start()
        try:
            await self._run(self._file.load)
        except StoreUnreadable as error:
            await self.close()
            raise StoreUnreadable(f"The flags file can't be used: {error.detail}.") from error
        self._watch.start()

    async def close(self) -> None:
        await self._watch.close()
        await self._thread.close()

    def snapshot(self) -> Flags:
        return self._publisher.flags

    async def change(
        self,
        component: str,
        fields: Mapping[str, Any],
        *,
        expected_revision: int | None,
        who: str,
        reason: str,
        whole: bool = False,
    ) -> Flag:
        by = attribution(who, reason, self._file.now())
        ledger = await self._commit(
            lambda ledger: operations.changed(
                ledger, component, fields, expected_revision=expected_revision, whole=whole, by=by
            )
        )
        return ledger.flags[component]

    async def rollback(
        self,
        component: str,
        *,
        to_revision: int | None = None,
        expected_revision: int | None = None,
        who: str,
        reason: str,
    ) -> Flag:
        by = attribution(who, reason, self._file.now())
        ledger = await self._commit(
            lambda ledger: operations.rolled_back(
                ledger, component, to_revision=to_revision, expected_revision=expected_revision, by=by
            )
        )
        return ledger.flags[component]

    async def remove(
        self, component: str, *, expected_revision: int | None = None, who: str, reason: str
    ) -> int:
        by = attribution(who, reason, self._file.now())
        ledger = await self._commit(
            lambda ledger: operations.removed(ledger, component, expected_revision=expected_revision, by=by)
        )
        return ledger.revisions(component).last

    async def kill_all(self, killed: bool, *, who: str, reason: str) -> None:
        by = attribution(who, reason, self._file.now())
        await self._commit(lambda ledger: operations.switched(ledger, killed, by=by))

    def revisions(self, component: str | None) -> History:
        return self._file.state.ledger.revisions(component)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._publisher.subscribe(subscriber)

    async def refresh(self) -> None:
        """Looks at the file now, and takes over what changed in it."""
        await self._run(self._file.refresh)

    async def _commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        return await self._run(lambda: self._file.commit(change))

    async def _run(self, job: Callable[[], Result]) -> Result:
        try:
            return await self._thread.run(job)
        finally:
            # A change that was refused may have shown an edit of the file all the same.
            self._publisher.publish(self._file.state.flags())
