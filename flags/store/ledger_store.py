"""A FlagStore over one ledger, wherever that is kept."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from flags.decide.flag import Flags
from flags.log_lines import CountingTell
from flags.store.background import Watch
from flags.store.ledger import Ledger, within_source
from flags.store.port import FlagStore, Operation, Subscriber
from flags.store.publisher import Publisher
from flags.store.revisions import RevisionHistory, attribution
from flags.times import rfc3339

POLL_SECONDS = 0.25
"""How often it is looked whether somebody else changed the flags."""


class LedgerState(NamedTuple):
    """The last ledger that could be used, and why what is kept now can't be, where it can't."""

    ledger: Ledger = Ledger()
    refusal: str | None = None

    def flags(self) -> Flags:
        """The flags for those who decide by them."""
        return self.ledger.snapshot(stale=self.refusal is not None)


class KeptLedger(Protocol):
    """One ledger that several programs change, each made of what the others left.

    Whoever makes one says whom it is to tell: the flags of each new `state` are shown in the event loop.
    """

    @property
    def state(self) -> LedgerState:
        """As it was found, or written, last."""
        ...

    async def load(self) -> None:
        """Reads it for the first time. Raises StoreUnreadable where it can't be used."""
        ...

    async def refresh(self) -> None:
        """Takes over what others changed; what can't be used is refused, and the last ledger stays."""
        ...

    async def commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Makes `change` of what is kept now, and gives the new ledger once that is kept.

        It is made anew where somebody else was quicker. Raises what `change` raises, StoreUnwritable where
        the change could not be kept, and StoreUncertain where nobody knows whether it was. What is damaged
        is replaced: the kill switch has to work all the same.
        """
        ...

    async def close(self) -> None:
        """Ends what `load` began, after the changes that are being made. Closing twice does nothing."""
        ...


class LedgerStore(FlagStore):
    """The FlagStore of what `kept` holds, which shows its flags to `publisher`.

    `tell` counts how often each event was told, by the log lines' names. `without_source` are the components
    that nothing makes events of: none of them goes further than `shadow`.
    """

    def __init__(
        self,
        kept: KeptLedger,
        publisher: Publisher,
        *,
        tell: CountingTell,
        now_ms: Callable[[], int],
        poll_seconds: float,
        without_source: Collection[str] = (),
    ) -> None:
        self._kept = kept
        self._publisher = publisher
        self._counts = tell.counts
        self._now_ms = now_ms
        self._without_source = frozenset(without_source)
        self._watch = Watch(kept.refresh, poll_seconds, tell, "flags_watch")

    @property
    def counts(self) -> Mapping[str, int]:
        return self._counts

    @property
    def trouble(self) -> str | None:
        return self._kept.state.refusal

    async def start(self) -> None:
        await self._kept.load()
        self._watch.start()

    async def close(self) -> None:
        await self._watch.close()
        await self._kept.close()

    def snapshot(self) -> Flags:
        return self._publisher.flags

    async def make(self, operation: Operation, *, who: str, reason: str) -> Ledger:
        by = attribution(who, reason, rfc3339(self._now_ms()))
        change = partial(operation.apply, by=by)
        if operation.component in self._without_source:
            change = partial(within_source, operation.component, change)
        return await self._kept.commit(change)

    def revisions(self, component: str | None) -> RevisionHistory:
        return self._kept.state.ledger.revisions(component)

    async def refresh(self) -> None:
        await self._kept.refresh()

    def subscribe(self, subscriber: Subscriber) -> None:
        self._publisher.subscribe(subscriber)
