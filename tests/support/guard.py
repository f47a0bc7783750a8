"""A guard over real flags in a file, whose clock and evidence a test moves by hand."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flags.decide.flag import Flag
from flags.guard.telemetry import ClientReport, Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.guard.who import Who
from flags.store.ledger_store import LedgerStore
from gateway.migration.guard_loop import GuardLoop
from gateway.migration.guard_windows import GuardWindows, window_seconds
from gateway.migration.judged_windows import JudgedWindows
from gateway.migration.poll_inventory import PollInventory
from gateway.migration.stream_evidence import StreamEvidence
from tests.support.clock import ManualClock
from tests.support.flags import NOW_MS, open_store

OWNED: Mapping[str, frozenset[str]] = {"orders": frozenset({"order"}), "billing": frozenset({"invoice"})}
WINDOW_SECONDS = 60
GUARD = {"windowSeconds": WINDOW_SECONDS, "minSamples": 10, "dryRun": False}


class Guarded:
    """The component `orders`, with a guard that a test lets judge second by second."""

    def __init__(self, store: LedgerStore, compared: Collection[str]) -> None:
        self.store = store
        self.clock = ManualClock(wall_ms=NOW_MS)
        self.acts: list[tuple[str, list[str], str]] = []
        self.windows = GuardWindows(window_seconds(store.snapshot, OWNED))
        limits = ClientLimits(Rate(1000, 1000), Rate(1000, 1000), 100, self.clock.monotonic())
        self.telemetry = Telemetry(JudgedWindows(self.windows), self.windows.__contains__, limits)
        self.evidence = StreamEvidence(
            self.windows, self.telemetry, OWNED, self.clock, lambda push_lag, delivery: None
        )
        self.poll_inventory = PollInventory(self.windows.knows, lambda component: 0)
        self.guard_loop = GuardLoop(
            *(store, self.windows, self.evidence, self.poll_inventory),
            *(self.clock, compared, self._acted),
        )
        store.subscribe(self.guard_loop.changed)

    def _acted(self, component: str, change: Mapping[str, Any], reason: str) -> None:
        self.acts.append((component, sorted(change), reason))

    @property
    def flag(self) -> Flag:
        flag = self.store.snapshot().get("orders")
        assert flag is not None
        return flag

    async def make(self, guard: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Makes the flag, in the stage `live` unless the test says otherwise."""
        given = {"stage": "live", "percentage": 5, "guard": {**GUARD, **(guard or {})}} | fields
        await self.store.change("orders", given, expected_revision=0, who="test", reason="a test")

    async def change(self, **fields: Any) -> None:
        await self.store.change("orders", fields, expected_revision=None, who="test", reason="a test")

    async def judge(self, seconds: int, *, good: int = 0, bad: int = 0) -> None:
        """Lets so many seconds pass; in each, so many answers of the component are served."""
        for _ in range(seconds):
            self.clock.advance(1)
            if good or bad:
                self.windows["orders"].served(good, bad, self.clock.monotonic())
            await self.guard_loop.tick()

    def report(self, client_id: str, **members: Any) -> None:
        given: dict[str, Any] = {"client": "192.0.2.1", "component": "orders", "mode": "streaming"}
        given |= {"client_id": client_id, "client_version": "2.1.0", "who": Who(f"s:{client_id}")}
        self.telemetry.report(ClientReport(**(given | members)), self.clock.monotonic())


@asynccontextmanager
async def guarded(directory: Path, *, compared: Collection[str] = ()) -> AsyncIterator[Guarded]:
    """No flag is there yet. `compared` are the components whose push has a source of its own."""
    async with open_store(directory / "flags.json") as store:
        yield Guarded(store, compared)
