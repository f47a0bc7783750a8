"""Kill switches that hold on this node while the flags' store takes nothing, and are written there later.

They lie over what the store says: a component that is held here polls, whatever its flag is. Nothing of them
lasts longer than the process; what the store took does.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from flags.decide.flag import Flags
from flags.errors import InvalidFlag, NotFound
from flags.log_lines import CountingTell, Tell
from flags.store.background import Watch
from flags.store.ledger import Ledger
from flags.store.port import FlagStore, Operation, Subscriber, kill
from flags.store.publisher import Publisher
from flags.store.revision_lines import EVERYTHING
from flags.store.revisions import RevisionHistory, attribution
from flags.times import rfc3339, wall_ms

RETRY_SECONDS = 0.25
"""How often it is tried to write what is held."""
WRITE_SECONDS = 1.0
"""How long whoever kills waits to learn whether the store took it. It holds from the first moment."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldKill:
    """A kill that is not in the store yet; `done` is set once it is, or was lifted."""

    who: str
    reason: str
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Others(Protocol):
    """The other processes that serve the same address, each with kills of its own."""

    async def spread(self, component: str | None, held: HeldKill | None) -> Sequence[int]:
        """Has them hold the kill too, or with None lift it; the numbers of those that did not answer."""
        ...


class Alone:
    """There are no others."""

    async def spread(self, component: str | None, held: HeldKill | None) -> Sequence[int]:
        return ()


ALONE = Alone()


class LocalKills(FlagStore):
    """A FlagStore over another one, with kills of its own: `held`, by component, None for everything.

    `others` are told of each. A component that is held can't be removed, and an unkill that the store took
    lifts what is held.
    """

    def __init__(
        self,
        store: FlagStore,
        *,
        tell: Tell,
        others: Others = ALONE,
        now_ms: Callable[[], int] = wall_ms,
        retry_seconds: float = RETRY_SECONDS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self._store = store
        self._tell = CountingTell(tell)
        self._now_ms = now_ms
        self._write_seconds = write_seconds
        self.held: dict[str | None, HeldKill] = {}
        self._others = others
        # A kill must not be written after the unkill that lifted it.
        self._turn = asyncio.Lock()
        self._publisher = Publisher(self._tell)
        self._watch = Watch(self._write, retry_seconds, self._tell, "local_kills")
        self._publish()
        store.subscribe(lambda before, after: self._publish())

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(self._store.counts) + self._tell.counts

    @property
    def trouble(self) -> str | None:
        return self._store.trouble

    async def start(self) -> None:
        await self._store.start()
        self._watch.start()

    async def close(self) -> None:
        await self._watch.close()
        await self._store.close()

    def snapshot(self) -> Flags:
        return self._publisher.flags

    async def kill_here(self, component: str | None, *, who: str, reason: str) -> Sequence[int]:
        """Sends all callers of the component, or with None of everything, to polling on this machine.

        It holds when this is called; it is in the store too where the component is not `held` afterwards.
        Gives the numbers of the other workers that could not be told. Raises InvalidFlag as a change does,
        and NotFound where the component has no flag.
        """
        attribution(who, reason, rfc3339(self._now_ms()))
        if component is not None and self.snapshot().get(component) is None:
            raise NotFound(f"{component} has no flag.")
        held = HeldKill(who, reason)
        self.hold(component, held)
        missed = await self._others.spread(component, held)
        try:
            async with asyncio.timeout(self._write_seconds):
                await held.done.wait()
        except TimeoutError:
            pass
        return missed

    async def lift_here(self, component: str | None) -> Sequence[int]:
        """Lifts what is held on this machine, if anything; the store's own switch stays as it is.

        Gives the numbers of the other workers that could not be told.
        """
        async with self._turn:
            self.lift(component)
            return await self._others.spread(component, None)

    def hold(self, component: str | None, held: HeldKill) -> None:
        """Holds the kill in this process, until the store has it."""
        self._tell(
            logging.WARNING,
            "local_kill_held",
            component=component or EVERYTHING,
            who=held.who,
            why=held.reason,
        )
        self._release(component)
        self.held[component] = held
        self._publish()

    def lift(self, component: str | None) -> None:
        """Holds the kill in this process no longer, if it did."""
        if self._release(component):
            self._tell(logging.WARNING, "local_kill_lifted", component=component or EVERYTHING)

    async def make(self, operation: Operation, *, who: str, reason: str) -> Ledger:
        component = operation.component
        if operation.effect == "removes" and component in self.held:
            detail = "is held on this node: unkill the component first"
            raise InvalidFlag([{"pointer": "/killed", "detail": detail}])
        if operation.effect != "unkills":
            return await self._store.make(operation, who=who, reason=reason)
        async with self._turn:
            ledger = await self._store.make(operation, who=who, reason=reason)
            if self.held:
                self.lift(component)
                await self._others.spread(component, None)
            return ledger

    def revisions(self, component: str | None) -> RevisionHistory:
        return self._store.revisions(component)

    async def refresh(self) -> None:
        await self._store.refresh()

    def subscribe(self, subscriber: Subscriber) -> None:
        self._publisher.subscribe(subscriber)

    async def _write(self) -> None:
        """Writes what is held to the store. Raises FlagError where that does not take it."""
        async with self._turn:
            for component, held in tuple(self.held.items()):
                try:
                    await self._write_one(component, held)
                except NotFound:
                    # Somebody else removed the flag meanwhile, and with it what was to be killed.
                    self._tell(logging.WARNING, "local_kill_without_flag", component=component)
                if self.held.get(component) is held:
                    self._release(component)

    async def _write_one(self, component: str | None, held: HeldKill) -> None:
        if component is None:
            await self._store.kill_all(True, who=held.who, reason=held.reason)
        else:
            await kill(self._store, component, who=held.who, reason=held.reason)
        self._tell(logging.INFO, "local_kill_written", component=component or EVERYTHING)

    def _release(self, component: str | None) -> bool:
        held = self.held.pop(component, None)
        if held is not None:
            held.done.set()
            self._publish()
        return held is not None

    def _publish(self) -> None:
        self._publisher.publish(_killed(self._store.snapshot(), self.held))


def _killed(flags: Flags, held: Mapping[str | None, HeldKill]) -> Flags:
    """The flags with those switches on that are held."""
    if not held:
        return flags
    by_component = {
        component: flag.model_copy(update={"killed": True}) if component in held else flag
        for component, flag in flags.by_component.items()
    }
    return Flags(MappingProxyType(by_component), flags.kill_all or None in held, flags.stale)
