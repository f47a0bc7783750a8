"""The store over whatever keeps a ledger: here over one that is in memory, and can be out of reach."""

from collections.abc import AsyncIterator, Callable

import pytest

from flags.decide.flag import Flags
from flags.log_lines import CountingTell
from flags.store.ledger import Ledger, switched
from flags.store.ledger_store import LedgerState, LedgerStore
from flags.store.publisher import Publisher
from flags.store.revisions import attribution
from tests.conformance.flag_store import FlagStoreConformance
from tests.support.flags import NOW, NOW_MS, Told
from tests.support.loop import until


class Memory:
    """A KeptLedger that keeps nothing."""

    def __init__(self, show: Callable[[Flags], None]) -> None:
        self.state = LedgerState()
        self.calls: list[str] = []
        self.error: Exception | None = None
        self._show = show

    def become(self, state: LedgerState) -> None:
        """What somebody else changed, or spoilt, is found."""
        self.state = state
        self._show(state.flags())

    async def load(self) -> None:
        self.calls.append("load")

    async def refresh(self) -> None:
        self.calls.append("refresh")
        if self.error is not None:
            raise self.error

    async def commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        self.become(LedgerState(change(self.state.ledger)))
        return self.state.ledger

    async def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def publisher(told: Told) -> Publisher:
    return Publisher(told)


@pytest.fixture
def kept(publisher: Publisher) -> Memory:
    return Memory(publisher.publish)


@pytest.fixture
async def store(kept: Memory, publisher: Publisher, told: Told) -> AsyncIterator[LedgerStore]:
    tell = CountingTell(told)
    store = LedgerStore(kept, publisher, tell=tell, now_ms=lambda: NOW_MS, poll_seconds=0.001)
    await store.start()
    yield store
    await store.close()


class TestLedgerStore(FlagStoreConformance):
    """All of them."""


async def test_what_somebody_else_changed_is_shown_and_told(store: LedgerStore, kept: Memory) -> None:
    heard: list[Flags] = []
    store.subscribe(lambda before, after: heard.append(after))

    kept.become(LedgerState(switched(Ledger(), True, by=attribution("bob", "fire", NOW))))

    assert store.snapshot() == Flags(kill_all=True)
    assert heard == [store.snapshot()]
    assert [entry.who for entry in store.revisions(None).entries] == ["bob"]


async def test_what_can_not_be_used_is_the_trouble_and_makes_the_flags_stale(
    store: LedgerStore, kept: Memory
) -> None:
    kept.become(LedgerState(refusal="it is gone"))

    assert store.trouble == "it is gone"
    assert store.snapshot() == Flags(stale=True)


async def test_it_looks_by_itself_from_its_start_to_its_end_whatever_fails(
    store: LedgerStore, kept: Memory, told: Told
) -> None:
    kept.error = ValueError("nobody expected it")
    await until(lambda: "flags_watch_failed" in told.events, "it tells")
    kept.error = None
    await until(lambda: "flags_watch_recovered" in told.events, "it goes on")
    await store.close()

    assert (kept.calls[0], kept.calls[-1]) == ("load", "close")
    assert store.counts["flags_watch_failed"] == 1
