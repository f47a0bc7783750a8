"""Summaries of several nodes over one store."""

import asyncio
import zlib
from typing import Any

import orjson
import pytest

from gateway.migration.node_summaries import PAST_NAME, NodeSummaries
from gateway.migration.summary_values import MOST_BYTES, MOST_NODES, SummaryValues
from gateway.runtime.leases import EveryLease
from tests.support.clock import ManualClock
from tests.support.loop import until
from tests.support.shared_store import Failure, MemorySharedStore
from tests.support.summaries import RETAIN_SECONDS, Adding, CountingNode


class World:
    """A store, and nodes with it; `out` has whether it is out of reach."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.out = False
        self.store = MemorySharedStore(self.clock, self._fails)

    def _fails(self) -> Failure | None:
        return "before" if self.out else None

    def node(self, name: str, clock: ManualClock | None = None) -> CountingNode:
        return CountingNode(self.store, clock or self.clock, name, self.clock)

    async def pass_seconds(self, seconds: float, *nodes: CountingNode) -> None:
        """Lets that much time pass, second by second, in which these nodes work."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            for node in nodes:
                await node.tick()

    async def put(self, key: str, value: Any) -> None:
        await self.store.put(key, zlib.compress(orjson.dumps(value)))

    async def keys(self) -> dict[str, str]:
        """The keys of the summaries, by the name of the node."""
        roster, _ = await SummaryValues(self.store).roster()
        return {name: f"guard:node:{node}" for node, name in roster.items()}


@pytest.fixture
def world() -> World:
    return World()


async def test_any_node_answers_with_the_sum_of_all_and_its_own_first(world: World) -> None:
    nodes = [world.node(name) for name in "abc"]
    for polls, node in enumerate(nodes, 1):
        await node.tick(polls)
    for node in nodes:
        world.clock.advance(1.0)
        assert await node.sum() == 6
        first, *others = await node.summaries.read()
        assert first.is_here
        assert not any(other.is_here or other.is_gone for other in others)


async def test_its_own_figures_are_those_of_the_moment(world: World) -> None:
    node = world.node("a")
    await node.tick(1)
    node.polls = 5
    assert (await node.summaries.read())[0].content == {"sums": {"polls": 5}}


@pytest.mark.parametrize("leases", [None, EveryLease(MemorySharedStore(ManualClock()))])
async def test_one_that_is_alone_leads_and_puts_nothing(leases: EveryLease | None) -> None:
    async def content() -> dict[str, Any]:
        return {"sums": {"polls": 1}}

    node = NodeSummaries(leases, ManualClock(), "a", content, Adding())
    await node.tick()
    assert node.leads
    assert [summary.name for summary in await node.read()] == ["a"]
    assert node.warnings() == []
    if leases is not None:
        assert await leases.store.get("guard:nodes") is None


async def test_one_of_several_leads_and_another_once_it_is_gone(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick()
    await other.tick()
    assert (one.summaries.leads, other.summaries.leads) == (True, False)
    await world.pass_seconds(5, other)
    assert (one.summaries.leads, other.summaries.leads) == (False, True)


async def test_one_that_ends_gives_the_lease_back_and_is_gone_at_once(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick()
    await other.tick()
    one.polls = 7
    await one.summaries.close()
    assert one.had_lease, "what it said last is what the next one goes on from"
    assert not one.summaries.has_lease
    await one.tick()
    await world.pass_seconds(1, other)
    assert other.summaries.leads
    assert not one.summaries.leads
    assert await other.gone() == ["a"]
    assert await other.sum() == 7


async def test_run_ends_when_it_is_closed(world: World) -> None:
    node = world.node("a")
    running = asyncio.ensure_future(node.summaries.run())
    await until(lambda: node.summaries.leads, "it leads")
    await node.summaries.close()
    await running
    await node.summaries.close()
    assert await world.store.get("lease:guard") is None


async def test_one_that_vanishes_stays_in_the_sum_and_is_named_gone(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(3)
    await other.tick(4)
    await world.pass_seconds(11, other)
    assert await other.gone() == ["a"]
    assert await other.sum() == 7


async def test_one_that_is_gone_for_long_is_folded_into_the_past_once(world: World) -> None:
    one, leader, third = world.node("a"), world.node("b"), world.node("c")
    await one.tick(3)
    key = (await world.keys())["a"]
    await world.pass_seconds(RETAIN_SECONDS + 5, leader, third)
    for node in (leader, third):
        assert await node.sum() == 3
        assert await node.gone() == [PAST_NAME]
    assert set(await world.keys()) == {"b", "c"}
    assert await world.store.get(key) is None


async def test_whoever_asks_while_nodes_are_given_up_is_answered(world: World) -> None:
    gone, leader = [world.node(name) for name in "abc"], world.node("d")
    for node in gone:
        await node.tick(1)

    async def asks(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await leader.sum()

    for _ in range(int(RETAIN_SECONDS) + 12):
        world.clock.advance(1.0)
        _, *answers = await asyncio.gather(leader.tick(), *map(asks, range(0, 40, 2)))
        assert set(answers) <= {0, 3}
    assert await leader.gone() == [PAST_NAME]
    assert await leader.sum() == 3


async def test_the_past_outlives_all_nodes(world: World) -> None:
    for name in "abc":
        node = world.node(name)
        await node.tick(2)
        await node.summaries.close()
    last = world.node("d")
    await world.pass_seconds(RETAIN_SECONDS + 12, last)
    assert await last.sum() == 6
    assert await last.gone() == [PAST_NAME]


async def test_a_fold_that_was_cut_off_half_way_counts_nobody_twice(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(3)
    key = (await world.keys())["a"]
    folded = {"version": 1, "at": 0, "sums": {"polls": 3}, "folded": [key.removeprefix("guard:node:")]}
    await world.put("guard:past", folded)
    await other.tick(1)
    assert await other.sum() == 4
    await world.pass_seconds(RETAIN_SECONDS + 12, other)
    assert await other.sum() == 4
    assert set(await world.keys()) == {"b"}


async def test_one_that_was_given_up_and_lives_begins_anew_and_counts_nothing_twice(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(3)
    await world.pass_seconds(RETAIN_SECONDS + 5, other)
    await one.tick(2)
    await world.pass_seconds(2, one, other)
    assert await other.sum() == 5
    assert await one.sum() == 5
    assert await other.gone() == [PAST_NAME]


async def test_a_roster_that_is_lost_is_made_anew(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(1)
    await other.tick(2)
    await world.store.remove("guard:nodes")
    await world.pass_seconds(1, one, other)
    world.clock.advance(1.0)
    assert (await one.sum(), await other.sum()) == (3, 3)


@pytest.mark.parametrize("off", [60.0, -60.0])
async def test_one_with_a_wrong_clock_is_left_out_with_one_line(
    world: World, caplog: pytest.LogCaptureFixture, off: float
) -> None:
    wrong = ManualClock(wall_ms=world.clock.wall_ms() + round(off * 1000))
    right, other = world.node("a"), world.node("b", wrong)
    for _ in range(5):
        await right.tick(1)
        await other.tick(1)
        for clock in (world.clock, wrong):
            clock.advance(1.0)
    await right.tick()
    assert [(out.name, out.reason) for out in right.summaries.left_out] == [("b", "clock")]
    assert await right.sum() == 5
    assert right.summaries.warnings() == [
        "The figures of b are left out: its clock is more than 10 s off, or this node's is."
    ]
    assert [record.message for record in caplog.records].count("node_summary_left_out") == 1
    assert right.summaries.counts() == {"read": 0, "left_out": 1, "gone": 0}


async def test_one_whose_own_clock_is_the_wrong_one_does_not_lead(world: World) -> None:
    wrong = ManualClock(wall_ms=world.clock.wall_ms() + 3_600_000)
    odd, *others = world.node("odd", wrong), world.node("a"), world.node("b")
    for _ in range(6):
        for clock in (world.clock, wrong):
            clock.advance(1.0)
        for node in (odd, *others):
            await node.tick(1)
    assert not odd.summaries.leads
    assert [node.summaries.leads for node in others].count(True) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"version": 2, "at": 0, "content": {}}, "version"),
        ({"version": 1, "at": "now", "content": {}}, "unreadable"),
        ({"version": 1, "at": 0, "content": [1]}, "unreadable"),
        ({"version": 1, "at": 0, "content": {"sums": {"polls": "many"}}}, "unreadable"),
        ([], "unreadable"),
    ],
)
async def test_what_can_t_be_read_is_left_out_until_it_can(world: World, value: Any, reason: str) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(1)
    await other.tick(5)
    await world.put((await world.keys())["b"], value)
    fresh = world.node("c")
    assert await fresh.sum() == 1
    assert [(out.name, out.reason) for out in fresh.summaries.left_out] == [("b", reason)]
    await other.tick()
    world.clock.advance(1.0)
    assert await fresh.sum() == 6
    assert fresh.summaries.left_out == []


@pytest.mark.parametrize("value", [b"", b"garbage", zlib.compress(b"[" * 1000), zlib.compress(bytes(2**26))])
async def test_bytes_that_are_no_summary_harm_nobody(world: World, value: bytes) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(1)
    await other.tick(5)
    for key in ((await world.keys())["b"], "guard:past"):
        await world.store.put(key, value)
    world.clock.advance(1.0)
    assert await one.sum() == 1
    reasons = {(out.name, out.reason) for out in one.summaries.left_out}
    assert reasons == {("b", "unreadable"), (PAST_NAME, "unreadable")}


async def test_a_roster_that_is_garbage_is_replaced(world: World) -> None:
    await world.store.put("guard:nodes", b"garbage")
    one, other = world.node("a"), world.node("b")
    await one.tick(1)
    await other.tick(2)
    assert await other.sum() == 3


async def test_a_summary_that_is_too_large_is_not_put_and_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = world.node("a"), world.node("b")
    one.more["tally"] = "x" * (8 * MOST_BYTES)
    await one.tick(1)
    await one.tick(1)
    await other.tick(5)
    assert await other.sum() == 5
    assert one.summaries.warnings() == ["This node's figures are in no sum: they are too large."]
    assert [record.message for record in caplog.records].count("node_summary_not_put") == 1
    one.more.clear()
    await one.tick()
    world.clock.advance(1.0)
    assert await other.sum() == 7
    assert one.summaries.warnings() == []


async def test_a_roster_that_is_full_takes_nobody_and_says_so(world: World) -> None:
    await world.put("guard:nodes", {f"{n}": {"name": "x", "since": 0} for n in range(MOST_NODES)})
    node = world.node("a")
    await node.tick(1)
    assert node.summaries.warnings() == ["This node's figures are in no sum: there are too many nodes."]
    assert await node.sum() == 1


async def test_without_the_store_it_leads_no_more_and_after_ten_seconds_answers_for_itself(
    world: World,
) -> None:
    one, other = world.node("a"), world.node("b")
    await other.tick(2)
    await one.tick(1)
    await world.pass_seconds(4, one)
    assert one.summaries.leads
    world.out = True
    await world.pass_seconds(4, one)
    assert not one.summaries.leads
    assert await one.sum() == 3
    await world.pass_seconds(7, one)
    assert await one.sum() == 1
    assert [(out.name, out.reason) for out in one.summaries.left_out] == [("b", "unreachable")]
    assert one.summaries.warnings() == [
        "Sums over nodes are of this node alone: what the nodes share is out of reach."
    ]
    world.out = False
    await world.pass_seconds(1, one, other)
    assert await one.sum() == 3


async def test_a_store_that_fails_now_and_then_loses_nothing(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    for second in range(40):
        world.out = second % 3 == 1
        await world.pass_seconds(1, one, other)
        one.polls += 1
        other.polls += 1
    world.out = False
    await world.pass_seconds(1, one, other)
    world.clock.advance(1.0)
    assert (await one.sum(), await other.sum()) == (80, 80)


async def test_it_reads_no_oftener_than_once_a_second(world: World) -> None:
    one, other = world.node("a"), world.node("b")
    await one.tick(1)
    await other.tick(2)
    assert await other.sum() == 3
    await one.tick(2)
    assert await other.sum() == 3
    world.clock.advance(1.0)
    assert await other.sum() == 5
