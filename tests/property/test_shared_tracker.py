"""Whatever fails, and whoever dies in between: what changed upstream is published once."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import orjson
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory import MemoryLog
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.nodes.shared_snapshot import SharedSnapshot
from adapters.upstream.nodes.shared_tracker import SharedTracker
from adapters.upstream.tracker import Tracker
from gateway.core.errors import LogError, UpstreamError
from gateway.core.events import ORIGIN, Event
from gateway.ports.log import Appended
from gateway.ports.route_counters import RouteCounters
from gateway.runtime.leases import TTL_SECONDS, SharedLeases
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.comparing import extract
from tests.support.legacy import legacy_route, listed, order
from tests.support.shared_store import Failure, MemorySharedStore

ROUTE = legacy_route(interval_seconds=1.0, max_delete_ratio=1.0)
NODES = 3
LONG_AGO_SECONDS = 10 * TTL_SECONDS


class FailingLog(MemoryLog):
    """A log whose appends fail when the store's calls would."""

    failures: Iterator[Failure | None] = iter(())

    async def append_once(self, events: Any, key: str, digest: bytes) -> Appended:
        failure = next(self.failures, None)
        if failure == "before":
            raise LogError("The server is out of reach.")
        appended = await super().append_once(events, key, digest)
        if failure == "after":
            raise LogError("The server is out of reach.")
        return appended


class Poll(NamedTuple):
    """A poll of one node, which dies after so many turns of the loop where that is not None."""

    node: int
    fresh: bool
    dies_after: int | None


class Step(NamedTuple):
    """What the upstream says from now on, who polls at the same time, and how long nobody does after that.

    Where `items` is None it says what can't be compared.
    """

    items: Mapping[str, str] | None
    polls: list[Poll]
    pause_seconds: float


ITEMS = st.dictionaries(
    st.sampled_from([f"ORDER-{number}" for number in range(4)]),
    st.sampled_from(["open", "billed", "paid"]),
    max_size=4,
)
POLLS = st.builds(Poll, st.integers(0, NODES - 1), st.booleans(), st.none() | st.none() | st.integers(0, 40))
STEPS = st.lists(
    st.builds(
        Step,
        ITEMS | ITEMS | st.none(),
        st.lists(POLLS, min_size=1, max_size=NODES, unique_by=lambda poll: poll.node),
        st.sampled_from([0.0, 1.0, LONG_AGO_SECONDS]),
    ),
    max_size=8,
)
FAILURES = st.lists(st.none() | st.none() | st.none() | st.sampled_from(["before", "after"]), max_size=60)


class World:
    """Some nodes before one upstream, with one log and one store."""

    def __init__(self, failures: list[Failure | None]) -> None:
        self.clock = ManualClock()
        calls = iter(failures)
        self.log = FailingLog(self.clock, max_events=100_000, max_age_seconds=1e9, max_bytes=2**30)
        self.log.failures = calls
        self.store = MemorySharedStore(self.clock, lambda: next(calls, None))
        self.items: Mapping[str, str] | None = {}
        self._names = count()
        self.nodes = [self._node() for _ in range(NODES)]

    def _node(self) -> SharedTracker:
        leases = SharedLeases(self.store, f"node-{next(self._names)}", self.clock)
        slices = Slices(self.clock)
        make = partial(
            Tracker, ROUTE, self.log, self._ask, self.clock, {}, RouteCounters(), slices, batch_events=2
        )
        return SharedTracker(ROUTE, make, self.log, leases, self.clock, lambda seconds: asyncio.sleep(0))

    async def _ask(self, validators: Mapping[str, str]) -> Fetched | None:
        await asyncio.sleep(0)
        if self.items is None:
            return Fetched(CIMultiDictProxy(CIMultiDict()), b"<html>")
        body = listed(*(order(key, orderStage=stage) for key, stage in self.items.items()))
        return Fetched(CIMultiDictProxy(CIMultiDict()), body)

    async def poll(self, poll: Poll) -> None:
        """Polls; a node that dies meanwhile is followed by another that knows nothing."""
        task = asyncio.ensure_future(self.nodes[poll.node].poll(fresh=poll.fresh))
        if poll.dies_after is not None:
            for _ in range(poll.dies_after):
                await asyncio.sleep(0)
            task.cancel()
            self.nodes[poll.node] = self._node()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert outcome is None or isinstance(
            outcome, bool | UpstreamError | LogError | asyncio.CancelledError
        ), outcome

    async def settle(self) -> None:
        """Everything works again, and every node has polled."""
        if self.items is None:
            self.items = {"ORDER-0": "settled"}
        self.log.failures = iter(())
        self.store.heal()
        self.clock.advance(LONG_AGO_SECONDS)
        for node in (0, 0, *range(NODES)):
            await self.nodes[node].poll(fresh=False)
            self.clock.advance(ROUTE.interval_seconds)

    async def events(self) -> list[Event]:
        return [record.event for record in await self.log.read(ORIGIN, 100_000)]


def applied(held: dict[str, Any], events: list[Event]) -> dict[str, Any]:
    """What `events` lead to; each has to begin where the one before has ended."""
    for event in events:
        key = event.entity_id
        assert key is not None
        assert held.get(key) == event.previous, f"{event.event_type} of {key} does not go on from before"
        if event.action == "delete":
            del held[key]
        else:
            assert event.data is not None
            held[key] = {
                name: value for name, value in event.data.items() if name not in ("previousStage", "newStage")
            }
    return held


def items_of(body: bytes) -> dict[str, Any]:
    return {key: orjson.loads(item) for key, item in extract(body, ROUTE).items()}


@given(STEPS, FAILURES)
def test_the_events_lead_from_the_first_answer_to_the_last_without_gap_or_repetition(
    steps: list[Step], failures: list[Failure | None]
) -> None:
    async def check() -> None:
        world = World(failures)
        for step in steps:
            world.items = step.items
            await asyncio.gather(*map(world.poll, step.polls))
            world.clock.advance(step.pause_seconds)
        await world.settle()

        entry = world.store.first("snapshot:", lambda entry: SharedSnapshot.parse(entry).problem is None)
        assert entry is not None
        base = world.store.first(f"body:{ROUTE.path}:{SharedSnapshot.parse(entry).digest}:")
        assert base is not None
        held = items_of(base)
        assert applied(held, await world.events()) == {
            key: {"orderID": key, "orderStage": stage} for key, stage in (world.items or {}).items()
        }
        bodies = {node.snapshot.body for node in world.nodes if node.snapshot is not None}
        assert len(bodies) == 1
        assert [node.unusable for node in world.nodes] == [None] * NODES

    asyncio.run(check())


@given(STEPS)
def test_while_nothing_fails_the_nodes_ask_once_an_interval(steps: list[Step]) -> None:
    async def check() -> None:
        world = World([])
        for step in steps:
            world.items = step.items
            calm = [poll._replace(fresh=False, dies_after=None) for poll in step.polls]
            before = sum(node.counts["led"] for node in world.nodes)
            await asyncio.gather(*map(world.poll, calm))
            assert sum(node.counts["led"] for node in world.nodes) - before <= 1
            world.clock.advance(step.pause_seconds)

    asyncio.run(check())
