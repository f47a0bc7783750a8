"""A guard over real flags in a file, whose clock and evidence a test moves by hand."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flags.decide.caller import Caller
from flags.decide.flag import Flag
from flags.guard.callers import Side
from flags.guard.telemetry import ClientReport, OpenedStream, Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.guard.who import Who
from flags.store.ledger_store import LedgerStore
from gateway.core.selectors import Selector
from gateway.delivery.subscriber import Subscriber
from gateway.migration.components import Asked, Components
from gateway.migration.guard_loop import GuardLoop
from gateway.migration.guard_sums import Alone, GuardSums, Nodes
from gateway.migration.guard_windows import GuardWindows, guard_settings
from gateway.migration.poll_inventory import PollInventory
from gateway.migration.stream_evidence import StreamEvidence
from gateway.migration.stream_plan import StreamPlans
from tests.support.clock import ManualClock
from tests.support.flags import NOW_MS, open_store
from tests.support.node import a_history
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

OWNED: Mapping[str, frozenset[str]] = {"orders": frozenset({"order"}), "billing": frozenset({"invoice"})}
WINDOW_SECONDS = 60
GUARD = {"windowSeconds": WINDOW_SECONDS, "minSamples": 10, "dryRun": False}


class Guarded:
    """The component `orders`, with a guard that a test lets judge second by second.

    `nodes` are those of the same log: this one is alone where none are given.
    """

    def __init__(self, store: LedgerStore, compared: Collection[str], nodes: Nodes, name: str) -> None:
        self.store = store
        self.name = name
        self.clock = ManualClock(wall_ms=NOW_MS)
        self.acts: list[tuple[str, list[str], str]] = []
        self.own_polls = (0, 0)
        self.windows = GuardWindows(guard_settings(store.snapshot, OWNED))
        limits = ClientLimits(Rate(1000, 1000), Rate(1000, 1000), 100, self.clock.monotonic())
        self.telemetry = Telemetry(self.windows, self.windows.knows, limits)
        self.evidence = StreamEvidence(
            *(self.windows, self.telemetry, OWNED, self.clock),
            *(lambda push_lag, delivery: None, a_history()),
        )
        self.poll_inventory = PollInventory(self.windows.knows, lambda component: 0)
        self.guard_loop = GuardLoop(
            *(store, self.windows, self.evidence, self.poll_inventory, self.clock, compared),
            *(GuardSums(nodes), lambda component: self.own_polls, self._acted),
        )
        store.subscribe(self.guard_loop.changed)
        self._came = 0

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
        """Lets so many seconds pass; in each come so many new callers who stream, and a few who poll.

        Changes are pushed in time to one stream, and polled a little late.
        """
        if (good or bad) and not self.evidence.streams("orders"):
            self._open_one()
        for _ in range(seconds):
            self.clock.advance(1)
            if good or bad:
                self.come(Side.TREATED, good, bad)
                self.come(Side.CONTROL, 8)
                self._change()
            await self.guard_loop.tick()

    def _open_one(self) -> None:
        """A stream of somebody who chose to stream: it is compared with nobody."""
        plans = StreamPlans(Components(OWNED, self.store.snapshot), lambda caller: caller)
        caller = Caller(client="chose", preference="streaming")
        footing = plans.footing(Asked(Selector(), ("orders",), caller))
        transport = RecordingTransport(ManualScheduler(self.clock))
        self.evidence.attached(Subscriber(None, 0, transport, footing))

    def _change(self) -> None:
        now, window = self.clock.monotonic(), self.windows["orders"]
        window.pushed(10.0, None, 1, now)
        if round(now) % 2:
            window.changed(now - 1.5)
            for number in range(2):
                window.polled(Who(f"s:poller {number}"), Side.CONTROL, now, failed=False)

    def come(self, side: Side, good: int, bad: int = 0) -> None:
        """So many callers whom nobody has seen before are answered, well or badly.

        Those who are to stream have streamed for a moment: of polls alone nothing comes.
        """
        now, window = self.clock.monotonic(), self.windows["orders"]
        for number in range(good + bad):
            self._came += 1
            who, window = Who(f"s:{self.name}{self._came}"), self.windows["orders"]
            window.polled(who, side, now, failed=number >= good)
            if side is Side.TREATED and number < good:
                window.callers.opened(who, side, now)
                window.callers.acknowledged(who, now)
                window.callers.closed(who, now)

    def open(self, client_id: str, side: Side = Side.TREATED) -> None:
        """A stream is opened by somebody of that name."""
        now, who = self.clock.monotonic(), Who(f"s:{client_id}")
        self.windows["orders"].callers.opened(who, side, now)
        self.telemetry.opened(OpenedStream(client_id, None, who, ("orders",), ("2.1.0",)), now)

    def report(self, client_id: str, **members: Any) -> None:
        given: dict[str, Any] = {"client": "192.0.2.1", "component": "orders", "mode": "streaming"}
        given |= {"client_id": client_id, "client_version": "2.1.0", "who": Who(f"s:{client_id}")}
        self.telemetry.report(ClientReport(**(given | members)), self.clock.monotonic())


@asynccontextmanager
async def guarded(
    directory: Path, *, compared: Collection[str] = (), nodes: Nodes | None = None, name: str = ""
) -> AsyncIterator[Guarded]:
    """No flag is there yet. `compared` are the components whose push has a source of its own."""
    async with open_store(directory / "flags.json") as store:
        yield Guarded(store, compared, nodes or Alone(), name)
