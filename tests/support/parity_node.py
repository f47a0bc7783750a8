"""A parity sampler with one lane, a history that it reads, and answers as a test gives them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import orjson
from multidict import CIMultiDict

from adapters.upstream.reading.items import Items
from flags.decide.flag import Flag
from flags.decide.stages import Stage
from flags.parity.canonical import STRICT
from flags.parity.comparison import Parity
from flags.parity.report import ParityReport, Tally
from gateway.core.events import ORIGIN, Cursor, Event, Position
from gateway.core.history import History
from gateway.migration.parity_lane import ParityLane
from gateway.migration.parity_lease import ParityLease
from gateway.migration.parity_sampler import ParitySampler
from gateway.ports.leases import Leases
from gateway.ports.upstreams import Snapshot
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.comparing import extract
from tests.support.events import a_record, an_event
from tests.support.legacy import legacy_route, order
from tests.support.loop import let_others_run, until

SETTLE = 2.0
EPOCH = "e1"


class Node:
    """What of a node parity needs; its flag is None until a test puts it in a stage."""

    def __init__(
        self, clock: ManualClock, *, max_events: int = 1000, leases: Leases | None = None, **route: Any
    ) -> None:
        self.clock = clock
        self.leases = leases
        self.asks = True
        self.history = History(max_events=max_events, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
        self.history.open(EPOCH, ORIGIN)
        self.tallies: list[tuple[str, Tally]] = []
        self.sampler = ParitySampler(
            self.history,
            clock,
            Slices(clock),
            lambda component, tally, now: self.tallies.append((component, tally)),
        )
        self.flag: Flag | None = None
        self.read: list[Snapshot] = []
        self.on_read: Callable[[Snapshot], None] = lambda snapshot: None
        self.unreadable: Snapshot | None = None
        self.shown: dict[str, Any] = {}
        self.lane = self.add_lane(**route)
        self._numbers = count(1)

    def add_lane(self, **route: Any) -> ParityLane:
        route_settings = {"events": "external", "max_body_bytes": 1000} | route
        made = legacy_route(**route_settings)
        lane = ParityLane(
            made,
            self.items_of,
            Parity("order", STRICT, SETTLE, ORIGIN, self.clock.monotonic()),
            SETTLE,
            lambda: self.flag,
            ParityLease(made, self.leases, lambda: self.asks, self.clock),
            self.sampler.wake,
        )
        self.sampler.add(lane)
        return lane

    async def items_of(self, snapshot: Snapshot) -> Items:
        self.read.append(snapshot)
        self.on_read(snapshot)
        if snapshot is self.unreadable:
            raise ValueError("unreadable")
        return extract(snapshot.body, legacy_route(items=""))

    def in_stage(self, stage: Stage, **members: Any) -> None:
        given = {"component": "orders", "stage": stage, "check_ratio": 1, "revision": 1}
        self.flag = Flag(**(given | members))
        self.sampler.wake()

    def lists(self, key: str, **members: Any) -> None:
        self.shown[key] = order(key, **members)

    def answer(self, position: Position | None = None, *, epoch: str = EPOCH) -> Snapshot:
        """The upstream's answer now, with the position that the log had before."""
        now = self.clock.monotonic()
        return Snapshot(
            body=orjson.dumps(list(self.shown.values())),
            digest="",
            headers=CIMultiDict(),
            etag='"v"',
            etags_trusted=True,
            validators={},
            asked_at=now,
            received_at=now,
            cursor=str(Cursor(epoch, position or self.history.head_position)),
        )

    def polls(self, **options: Any) -> Snapshot:
        """The upstream is asked, and the lane is told."""
        snapshot = self.answer(**options)
        self.lane.polled(snapshot)
        return snapshot

    def push(self, key: str, event: Event | None = None, **data: Any) -> None:
        self.history.append(
            a_record(next(self._numbers), event or an_event(f"order:{key}", data=order(key, **data))),
            self.clock.monotonic(),
        )
        self.sampler.wake()

    @property
    def report(self) -> ParityReport:
        report = self.sampler.report("orders")
        assert report is not None
        return report

    @property
    def outcomes(self) -> dict[str, int]:
        counts = {outcome.value: number for outcome, number in self.report.outcomes.items() if number}
        counts.pop("incomparable", None)
        return counts

    async def compares(self, samples: int) -> None:
        await until(lambda: self.report.samples == samples, f"{samples} samples")
        await let_others_run()

    async def begins(self) -> int:
        """A fold whose entities have their first state; gives how many samples that took."""
        await let_others_run()
        self.clock.advance(SETTLE)
        before = self.report.samples
        self.polls()
        await self.compares(before + 1)
        self.clock.advance(SETTLE)
        return before + 1


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[None]:
    task = asyncio.create_task(node.sampler.run())
    await let_others_run()
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
