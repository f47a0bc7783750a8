"""Flags in a server that all nodes of a cluster share: one document (document.py), compared and set."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flags.decide.flag import Flag, Flags
from flags.errors import StoreUncertain, StoreUnreadable, StoreUnwritable
from flags.store import document
from flags.store import ledger as operations
from flags.store.background import BackgroundThread, Watch
from flags.store.ledger import Ledger, reconciled
from flags.store.port import Subscriber
from flags.store.publisher import Publisher
from flags.store.revisions import History, attribution
from flags.store.shared_values import SharedValues, Value
from flags.store.trail import added, tell_changes
from flags.tell import CountingTell, Tell
from flags.times import rfc3339, wall_ms

KEY = "flags"
POLL_SECONDS = 0.25
"""How often the server is asked whether another node changed the flags."""
ATTEMPTS = 20
"""How often a change is made anew because another node was quicker."""
SETTLING_ATTEMPTS = 3
"""How often it is looked whether a change was made whose answer was lost."""
STORE = "store"
"""Who made a change that was found in the server, and is in no history."""


class SharedFlagStore:
    """A FlagStore in `values`. While these can't be used, the flags stay as they were, and are `stale`.

    A thread reads and writes the document, whose size is whatever somebody put there: the loop goes on.
    `counts` says how often each event was told, by the log lines' names.
    """

    def __init__(
        self,
        values: SharedValues,
        *,
        tell: Tell,
        now_ms: Callable[[], int] = wall_ms,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        counting = CountingTell(tell)
        self.counts: Counter[str] = counting.counts
        self._values = values
        self._tell = counting
        self._now_ms = now_ms
        self._ledger = Ledger()
        self._version = 0
        self._refusal: str | None = None
        # What was read must be taken over before anything newer is: else it would look like an edit.
        self._turn = asyncio.Lock()
        self._outage = counting.outage("flags_store")
        self._publisher = Publisher(counting)
        self._thread = BackgroundThread("flags")
        self._watch = Watch(self.refresh, poll_seconds, counting, "flags_watch")

    @property
    def trouble(self) -> str | None:
        return self._refusal

    async def start(self) -> None:
        self._thread.start()
        found = await self._values.get(KEY)
        if found is not None:
            await self._take(found)
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
        by = attribution(who, reason, rfc3339(self._now_ms()))
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
        by = attribution(who, reason, rfc3339(self._now_ms()))
        ledger = await self._commit(
            lambda ledger: operations.rolled_back(
                ledger, component, to_revision=to_revision, expected_revision=expected_revision, by=by
            )
        )
        return ledger.flags[component]

    async def remove(
        self, component: str, *, expected_revision: int | None = None, who: str, reason: str
    ) -> int:
        by = attribution(who, reason, rfc3339(self._now_ms()))
        ledger = await self._commit(
            lambda ledger: operations.removed(ledger, component, expected_revision=expected_revision, by=by)
        )
        return ledger.revisions(component).last

    async def kill_all(self, killed: bool, *, who: str, reason: str) -> None:
        by = attribution(who, reason, rfc3339(self._now_ms()))
        await self._commit(lambda ledger: operations.switched(ledger, killed, by=by))

    def revisions(self, component: str | None) -> History:
        return self._ledger.revisions(component)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._publisher.subscribe(subscriber)

    async def refresh(self) -> None:
        """Looks at the server now, and takes over what changed there."""
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
        elif found is None and self._ledger != Ledger():
            raise StoreUnreadable("the flags are gone from the server")

    async def _commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Makes `change` of what the server holds now, and gives the ledger once that holds it.

        What it holds is replaced where it is gone or damaged: the kill switch has to work all the same.
        """
        for _ in range(ATTEMPTS):
            async with self._turn:
                expected = await self._current()
                before = self._ledger
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
        made = added(self._ledger, after)
        try:
            await self._take(found)
        except StoreUnreadable as error:
            raise StoreUncertain(
                f"Whether the flags were changed is not known: {error.detail}. Something else was put there."
            ) from error
        outcomes = [one.is_in(self._ledger) for one in made]
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
        known = self._ledger
        ledger = await self._thread.run(lambda: reconciled(known, document.parse(found.content), by=by))
        self._adopt(ledger, found.version)

    def _adopt(self, ledger: Ledger, version: int) -> None:
        self._ledger, self._version = ledger, version
        self._publish()

    def _publish(self) -> None:
        self._publisher.publish(self._ledger.snapshot(stale=self._refusal is not None))

    def _refuse(self, reason: str) -> None:
        self._outage.failed(error=reason)
        if reason != self._refusal:
            self._refusal = reason
            self._publish()

    def _accept(self) -> None:
        self._outage.over()
        if self._refusal is not None:
            self._refusal = None
            self._publish()


def _made(before: Ledger, change: Callable[[Ledger], Ledger]) -> tuple[Ledger, bytes]:
    """What the change makes of the ledger, and that as a document; nothing where there is nothing to do."""
    after = change(before)
    return after, b"" if after is before else document.render(after)
