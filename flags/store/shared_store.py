"""Flags in a server that all nodes of a cluster share: one document (document.py), compared and set."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial

from flags.decide.flag import Flags
from flags.errors import StoreUncertain, StoreUnreadable, StoreUnwritable
from flags.log_lines import CountingTell, Tell
from flags.store import document
from flags.store.background import BackgroundThread
from flags.store.ledger import Ledger, reconciled
from flags.store.ledger_store import POLL_SECONDS, LedgerState, LedgerStore
from flags.store.publisher import Publisher
from flags.store.revision_lines import added, tell_changes
from flags.store.revisions import attribution
from flags.store.shared_values import SharedValues, Value
from flags.times import rfc3339, wall_ms

KEY = "flags"
ATTEMPTS = 20
"""How often a change is made anew because another node was quicker."""
SETTLING_ATTEMPTS = 3
"""How often it is looked whether a change was made whose answer was lost."""
STORE = "store"
"""Who made a change that was found in the server, and is in no history."""


def shared_flag_store(
    values: SharedValues,
    *,
    tell: Tell,
    now_ms: Callable[[], int] = wall_ms,
    poll_seconds: float = POLL_SECONDS,
    without_source: Collection[str] = (),
) -> LedgerStore:
    """The store in `values`. While these can't be used, the flags stay as they were, and are `stale`."""
    counting = CountingTell(tell)
    publisher = Publisher(counting)
    kept = SharedLedger(values, publisher.publish, tell=counting, now_ms=now_ms)
    return LedgerStore(
        kept,
        publisher,
        tell=counting,
        now_ms=now_ms,
        poll_seconds=poll_seconds,
        without_source=without_source,
    )


class SharedLedger:
    """The KeptLedger in `values`.

    A thread reads and writes the document, whose size is whatever somebody put there: the loop goes on.
    """

    def __init__(
        self,
        values: SharedValues,
        show: Callable[[Flags], None],
        *,
        tell: Tell,
        now_ms: Callable[[], int],
    ) -> None:
        self.state = LedgerState()
        self._values = values
        self._show = show
        self._tell = tell
        self._now_ms = now_ms
        self._version = 0
        # What was read must be taken over before anything newer is: else it would look like an edit.
        self._turn = asyncio.Lock()
        self._outage = tell.outage("flags_store")
        self._thread = BackgroundThread("flags")

    async def load(self) -> None:
        self._thread.start()
        found = await self._values.get(KEY)
        if found is not None:
            await self._take(found)

    async def close(self) -> None:
        await self._thread.close()

    async def refresh(self) -> None:
        async with self._turn:
            try:
                # Mostly there is nothing new, and what is there may be large.
                if await self._values.version(KEY) != self._version:
                    await self._read()
            except StoreUnreadable as error:
                self._refuse(error.detail)
            else:
                self._accept()

    async def _read(self) -> None:
        """Takes over what the server holds. Raises StoreUnreadable where that can't be used."""
        found = await self._values.get(KEY)
        if found is not None and found.version != self._version:
            await self._take(found)
        elif found is None and self.state.ledger != Ledger():
            raise StoreUnreadable("the flags are gone from the server")

    async def commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        for _ in range(ATTEMPTS):
            async with self._turn:
                expected = await self._current()
                before = self.state.ledger
                after, content = await self._thread.run(partial(_made, before, change))
                if after is before:
                    return after
                if await self._put(after, content, expected):
                    self._accept()
                    tell_changes(self._tell, before, after)
                    return after
        raise StoreUnwritable("The flags could not be kept: other nodes keep changing them. Try again.")

    async def _put(self, after: Ledger, content: bytes, expected: int) -> bool:
        """Sets the document in place of the version `expected`, and takes it over.

        False where another node was quicker. Raises StoreUncertain where nobody knows whether it was set.
        """
        try:
            version = await self._values.put(KEY, content, expected=expected)
        except StoreUnwritable as error:
            raise StoreUnwritable(f"The flags could not be kept: {error.detail}") from error
        except StoreUncertain as error:
            return await self._settle(after, content, expected, error)
        if version is not None:
            self._adopt(after, version)
        return version is not None

    async def _settle(self, after: Ledger, content: bytes, expected: int, error: StoreUncertain) -> bool:
        """Finds out what became of a `_put` that `error` answered, and does it again where it was not made.

        It may be on its way still. What is sent again asks for the same version, so one of the two counts.
        """
        for _ in range(SETTLING_ATTEMPTS):
            try:
                found = await self._values.get(KEY)
                if (0 if found is None else found.version) == expected:
                    version = await self._values.put(KEY, content, expected=expected)
                    if version is not None:
                        self._adopt(after, version)
                        return True
                    continue
            except (StoreUnreadable, StoreUnwritable, StoreUncertain):
                continue
            if found is not None and found.content == content:
                self._adopt(after, found.version)
                return True
            if found is not None:
                return await self._is_made(after, found)
        raise StoreUncertain(
            f"Whether the flags were changed is not known: {error.detail} Look at the history before you try "
            "again."
        ) from error

    async def _is_made(self, after: Ledger, found: Value) -> bool:
        """Takes over what another node made, and says whether it made that of what `after` adds."""
        made = added(self.state.ledger, after)
        try:
            await self._take(found)
        except StoreUnreadable as error:
            raise StoreUncertain(
                f"Whether the flags were changed is not known: {error.detail}. Something else was put there."
            ) from error
        outcomes = [one.is_in(self.state.ledger) for one in made]
        if None in outcomes:
            raise StoreUncertain(
                "Whether the flags were changed is not known: so much was changed since that the history "
                "does not tell."
            )
        return all(outcomes)

    async def _current(self) -> int:
        """Takes over what the server holds; gives the version to be replaced."""
        try:
            version = await self._values.version(KEY)
            found = None if version in (0, self._version) else await self._values.get(KEY)
        except StoreUnreadable as error:
            raise StoreUnwritable(f"The flags could not be kept: {error.detail}") from error
        if found is None:
            return version
        try:
            await self._take(found)
        except StoreUnreadable as error:
            if not error.replaceable:
                raise StoreUnwritable(f"The flags can't be replaced: {error.detail}.") from error
            self._refuse(error.detail)
        return found.version

    async def _take(self, found: Value) -> None:
        """Raises StoreUnreadable where that is no document of flags."""
        by = attribution(STORE, "found in the store", rfc3339(self._now_ms()))
        known = self.state.ledger
        ledger = await self._thread.run(lambda: reconciled(known, document.parse(found.content), by=by))
        self._adopt(ledger, found.version)

    def _adopt(self, ledger: Ledger, version: int) -> None:
        self._version = version
        self._become(LedgerState(ledger, self.state.refusal))

    def _refuse(self, reason: str) -> None:
        self._outage.failed(error=reason)
        self._become(LedgerState(self.state.ledger, reason))

    def _accept(self) -> None:
        self._outage.over()
        if self.state.refusal is not None:
            self._become(LedgerState(self.state.ledger))

    def _become(self, state: LedgerState) -> None:
        self.state = state
        self._show(state.flags())


def _made(before: Ledger, change: Callable[[Ledger], Ledger]) -> tuple[Ledger, bytes]:
    """What the change makes of the ledger, and that as a document; nothing where there is nothing to do."""
    after = change(before)
    return after, b"" if after is before else document.render(after)
