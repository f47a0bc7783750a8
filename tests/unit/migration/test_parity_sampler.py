"""Polled answers and pushed events on their way to the comparison: what is taken, waits, or is lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from flags.decide.flag import Flags, Latch
from flags.decide.stages import Stage
from flags.parity.report import Tally
from gateway.core.events import ORIGIN, Position
from gateway.migration.parity_lane import MOST_ANSWERS
from gateway.migration.parity_lease import LENT_SECONDS
from gateway.migration.parity_states import BegunBy, LaneState
from gateway.ports.upstreams import Snapshot
from gateway.runtime.leases import TTL_SECONDS, SharedLeases
from gateway.runtime.slices import SLICE_SECONDS
from tests.support.clock import BusyClock, ManualClock
from tests.support.events import an_event
from tests.support.loop import let_others_run, until
from tests.support.parity_node import SETTLE, Node, running
from tests.support.shared_store import MemorySharedStore

LATCH = Latch(at="2026-11-20T10:30:00.000Z", metric="consistency", value=0.5, threshold=0.9, reason="half")


@pytest.fixture
def node(clock: ManualClock) -> Node:
    node = Node(clock)
    node.in_stage(Stage.SHADOW)
    node.lists("A", orderStage="open")
    return node


async def test_what_was_pushed_is_compared_with_what_is_polled_later(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.push("A", orderStage="paid")
        node.lists("A", orderStage="paid")
        node.polls()
        await node.compares(samples + 1)
    assert node.outcomes == {"match": 1}
    assert node.tallies == [("orders", Tally(agreed=1))]


async def test_events_of_other_types_and_of_none_change_nothing(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.push("A", an_event("invoice:A", data={"orderStage": "lost"}))
        node.push("A", an_event(None))
        node.polls()
        await node.compares(samples + 1)
    assert node.outcomes == {}


async def test_an_answer_waits_until_the_history_has_come_as_far_as_its_cursor(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.lists("A", orderStage="paid")
        node.polls(position=Position(1, 0))
        await let_others_run()
        assert node.report.samples == samples
        node.push("A", orderStage="paid")
        await node.compares(samples + 1)
    assert node.outcomes == {"match": 1}


async def test_answers_that_come_too_fast_are_dropped_and_counted_and_nothing_grows(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        for _ in range(1000):
            node.polls(position=Position(1, 0))
        assert node.report.dropped == 1000 - MOST_ANSWERS
        node.push("A", orderStage="open")
        await node.compares(samples + MOST_ANSWERS)
    assert node.report.dropped == 1000 - MOST_ANSWERS


async def test_an_answer_that_is_larger_than_the_queue_is_dropped(node: Node) -> None:
    node.lists("A", text="x" * 3000)
    async with running(node):
        node.polls()
        await let_others_run()
    assert (node.report.samples, node.report.dropped) == (0, 1)


async def test_an_answer_is_compared_once_however_many_callers_get_it(node: Node) -> None:
    async with running(node):
        snapshot = node.polls()
        for _ in range(10):
            node.lane.served(snapshot)
        await node.compares(1)
        node.lane.served(snapshot)
        await let_others_run()
    assert (node.report.samples, node.report.dropped) == (1, 0)


async def test_an_answer_that_had_no_turn_at_the_poll_may_have_it_when_a_caller_gets_it(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.in_stage(Stage.SHADOW, check_ratio=3)
        node.polls()
        await node.compares(samples + 1)
        snapshot = node.polls()
        await let_others_run()
        assert node.report.samples == samples + 1
        node.lane.served(snapshot)
        node.lane.served(snapshot)
        await node.compares(samples + 2)


async def test_the_first_states_do_not_wait_for_an_answer_s_turn(node: Node) -> None:
    node.in_stage(Stage.SHADOW, check_ratio=1000)
    async with running(node):
        node.polls()
        await node.compares(1)
        node.polls()
        await let_others_run()
        assert node.report.samples == 1
        node.clock.advance(SETTLE)
        node.polls()
        await node.compares(2)
        node.polls()
        await let_others_run()
        assert node.report.samples == 2


async def test_a_difference_is_settled_by_one_answer_whatever_its_turn(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.in_stage(Stage.SHADOW, check_ratio=1000)
        node.polls()
        await node.compares(samples + 1)
        node.lists("A", orderStage="paid")
        node.in_stage(Stage.SHADOW, check_ratio=1)
        node.polls()
        await node.compares(samples + 2)
        node.in_stage(Stage.SHADOW, check_ratio=1000)
        node.polls()
        node.clock.advance(SETTLE)
        node.polls()
        node.polls()
        await let_others_run()
    assert node.outcomes == {"mismatch": 1}


async def test_a_difference_that_a_waiting_answer_will_settle_needs_no_other(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.lists("A", orderStage="paid")
        node.polls()
        await node.compares(samples + 1)
        node.in_stage(Stage.SHADOW, check_ratio=1000)
        node.polls()
        node.clock.advance(SETTLE)
        settling = node.polls()

        def another(snapshot: Snapshot) -> None:
            if snapshot is settling:
                node.polls()

        node.on_read = another
        await node.compares(samples + 3)
    assert node.outcomes == {"mismatch": 1}


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN])
async def test_a_component_is_compared_while_both_are_there(node: Node, stage: Stage) -> None:
    node.in_stage(stage)
    async with running(node):
        node.polls()
        await node.compares(1)


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.COMPLETE])
async def test_a_component_is_not_compared_before_and_after(node: Node, stage: Stage) -> None:
    node.in_stage(stage)
    async with running(node):
        node.polls()
        await let_others_run()
    assert node.read == []
    assert (node.report.samples, node.report.dropped) == (0, 0)


async def test_a_component_without_a_flag_is_not_compared(node: Node) -> None:
    node.flag = None
    async with running(node):
        node.polls()
        await let_others_run()
    assert node.report.samples == 0


async def test_what_was_missed_while_nothing_was_compared_is_not_held_against_push(node: Node) -> None:
    async with running(node):
        await node.begins()
        node.in_stage(Stage.OFF)
        await let_others_run()
        node.lists("A", orderStage="paid")
        node.push("A", orderStage="paid")
        await let_others_run()
        node.in_stage(Stage.SHADOW)
        await let_others_run()
        await node.begins()
        node.polls()
        await let_others_run()
    assert node.outcomes == {}
    assert node.report.pending == 0


async def test_answers_that_waited_when_comparing_ended_are_counted_as_dropped(node: Node) -> None:
    async with running(node):
        await node.begins()
        node.polls(position=Position(1, 0))
        node.polls(position=Position(1, 0))
        await let_others_run()
        node.in_stage(Stage.OFF)
        await let_others_run()
    assert node.report.dropped == 2


async def test_a_reader_that_fell_off_the_history_begins_anew(clock: ManualClock) -> None:
    node = Node(clock, max_events=4)
    node.in_stage(Stage.SHADOW)
    node.lists("A", orderStage="open")
    async with running(node):
        await node.begins()
        for number in range(20):
            node.push("A", orderStage=f"stage {number}")
        node.history.trim(clock.monotonic(), node.history.head)
        node.lists("A", orderStage="lost")
        await let_others_run()
        await node.begins()
        node.polls()
        await let_others_run()
    assert node.outcomes == {}
    assert node.report.pending == 0


async def test_a_new_epoch_begins_anew_and_drops_the_answers_of_the_old(node: Node) -> None:
    async with running(node):
        await node.begins()
        node.history.open("e2", ORIGIN)
        node.polls()
        node.polls(epoch="e2")
        await let_others_run()
    assert node.report.dropped == 1
    assert node.report.samples == 2


async def test_beginning_anew_goes_in_slices_and_no_lane_misses_what_comes_meanwhile() -> None:
    node = Node(BusyClock(SLICE_SECONDS / 10), max_body_bytes=10**6)
    other = node.add_lane(max_body_bytes=10**6)
    node.in_stage(Stage.SHADOW)
    async with running(node):
        await node.begins()
        for number in range(400):
            node.lists(str(number), orderStage="open")
        node.polls()
        await until(lambda: node.report.pending == 400, "all are compared")
        for lane in (node.lane, other):
            lane.begin_again(BegunBy.REARM)
        node.sampler.wake()
        await until(lambda: node.report.pending < 300, "the first is beginning anew")
        assert node.report.pending > 200
        node.push("1", orderStage="open")
        turns = 0
        while node.report.pending:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 200 / 12
        node.clock.advance(SETTLE)
        other.polled(node.polls())
        await until(lambda: node.outcomes.get("match") == 2, "both agree")
    assert node.outcomes == {"match": 2}


async def test_a_component_that_is_rearmed_is_compared_from_there(node: Node) -> None:
    async with running(node):
        samples = await node.begins()
        node.lists("A", orderStage="paid")
        node.polls()
        await node.compares(samples + 1)
        assert node.report.pending == 1
        node.in_stage(Stage.LIVE, latch=LATCH)
        latched = Flags({"orders": node.flag} if node.flag else {})
        node.in_stage(Stage.LIVE)
        rearmed = Flags({"orders": node.flag} if node.flag else {})
        node.sampler.flags_changed(latched, latched)
        await let_others_run()
        assert node.report.pending == 1
        node.sampler.flags_changed(latched, rearmed)
        await let_others_run()
        assert node.report.pending == 0
        await node.begins()
        node.polls()
        await let_others_run()
    assert node.outcomes == {}


async def test_polls_that_differ_with_no_event_to_explain_it_are_noise(node: Node) -> None:
    async with running(node):
        await node.begins()
        node.lists("A", orderStage="open", servedAt=1)
        node.polls()
        node.clock.advance(SETTLE / 2)
        node.lists("A", orderStage="open", servedAt=2)
        node.polls()
        await let_others_run()
        assert node.report.noise_floor.compared == 0
        node.clock.advance(SETTLE)
        node.polls()
        await until(lambda: node.report.noise_floor.compared > 0, "polls were compared with one another")
    noise = node.report.noise_floor
    assert (noise.compared, noise.differing, [place.pointer for place in noise.places]) == (
        1,
        1,
        ["/servedAt"],
    )


async def test_a_change_between_two_polls_that_push_tells_within_the_window_is_no_noise(node: Node) -> None:
    async with running(node):
        await node.begins()
        node.polls()
        node.lists("A", orderStage="paid")
        node.polls()
        await let_others_run()
        node.clock.advance(SETTLE / 2)
        node.push("A", orderStage="paid")
        node.clock.advance(SETTLE)
        node.polls()
        await let_others_run()
    assert node.report.noise_floor.differing == 0
    assert node.outcomes == {"push_behind": 1}


async def test_polls_further_apart_than_a_window_are_not_compared_with_one_another(node: Node) -> None:
    async with running(node):
        for _ in range(4):
            node.clock.advance(SETTLE + 1)
            node.polls()
            await let_others_run()
    assert node.report.samples == 4
    assert node.report.noise_floor.compared == 0


async def test_a_long_list_is_compared_in_slices_between_which_others_run() -> None:
    node = Node(BusyClock(SLICE_SECONDS / 4), max_body_bytes=10**6)
    node.in_stage(Stage.SHADOW)
    for number in range(400):
        node.lists(str(number), orderStage="open")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while sum(node.report.outcomes.values()) < 400:
            turns += 1
            await asyncio.sleep(0)

    async with running(node):
        node.polls()
        await asyncio.wait_for(others(), 60)
    assert turns >= 400 / 5


async def test_many_events_are_read_in_slices_between_which_others_run() -> None:
    node = Node(BusyClock(SLICE_SECONDS / 400))
    node.in_stage(Stage.SHADOW)
    async with running(node):
        for _ in range(900):
            node.push("A", orderStage="open")
        turns = 0
        while node.lane.parity.position < node.history.head_position:
            turns += 1
            await asyncio.sleep(0)
    assert turns >= 2


async def test_an_answer_is_in_the_backlog_until_its_comparison_is_over(node: Node) -> None:
    async with running(node):
        await node.begins()
        during: list[int] = []
        node.on_read = lambda snapshot: during.append(node.lane.backlog)
        node.polls(position=Position(1, 0))
        await let_others_run()
        assert (node.lane.backlog, during) == (1, []), "it waits for the history"
        node.push("A", orderStage="open")
        await let_others_run()
    assert during
    assert set(during) == {1}
    assert node.lane.backlog == 0


async def test_an_answer_whose_comparison_failed_does_not_stay_in_the_backlog(node: Node) -> None:
    node.unreadable = node.polls()
    with pytest.raises(ValueError, match="unreadable"):
        await node.sampler.run()
    async with running(node):
        await let_others_run()
        assert node.lane.backlog == 0


async def test_a_task_that_failed_leaves_out_what_it_was_at_and_begins_anew(node: Node) -> None:
    node.unreadable = node.polls()
    with pytest.raises(ValueError, match="unreadable"):
        await node.sampler.run()
    async with running(node):
        await node.begins()
        node.push("A", orderStage="open")
        node.polls()
        await let_others_run()
    assert node.outcomes == {"match": 1}


@asynccontextmanager
async def two_nodes(clock: ManualClock) -> AsyncIterator[tuple[Node, Node]]:
    """Two that share a store, of which the first asks the upstream; both follow the flag and the leases."""
    store = MemorySharedStore(clock)
    nodes = [
        Node(clock, leases=SharedLeases(store, name, clock, ttl_seconds=1e9)) for name in ("one", "other")
    ]
    async with AsyncExitStack() as stack:
        for node in nodes:
            node.asks = node is nodes[0]
            node.in_stage(Stage.SHADOW)
            node.lists("A", orderStage="open")
            await stack.enter_async_context(running(node))
        await look(nodes)
        yield nodes[0], nodes[1]


async def look(nodes: Iterable[Node]) -> None:
    """Every node looks once whether it is to compare."""
    for node in nodes:
        looked = asyncio.Event()

        async def pause(seconds: float, looked: asyncio.Event = looked) -> None:
            looked.set()
            await asyncio.Event().wait()

        keeping = asyncio.create_task(node.sampler.keep_leases(pause))
        await looked.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    await let_others_run()


def begun(node: Node) -> BegunBy | None:
    return None if (found := node.sampler.begun("orders")) is None else found.by


async def test_of_two_nodes_the_one_with_the_lease_compares(clock: ManualClock) -> None:
    async with two_nodes(clock) as (one, other):
        for node in (one, other):
            node.polls()
        await one.compares(1)
        await let_others_run()
        assert (one.report.samples, other.report.samples) == (1, 0)
        assert (other.report.dropped, other.read) == (0, [])
        assert (begun(one), begun(other)) == (BegunBy.LEASE, None)
        assert (one.lane.state, other.lane.state) == (LaneState.READING, LaneState.ELSEWHERE)


async def test_a_node_that_gets_the_lease_begins_anew_and_says_so(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with two_nodes(clock) as nodes:
        one, other = nodes
        await one.begins()
        one.lists("A", orderStage="paid")
        one.polls()
        await let_others_run()
        assert one.report.pending == 1
        caplog.clear()
        one.asks, other.asks = False, True
        clock.advance(LENT_SECONDS)
        await look(nodes)

        assert (begun(one), begun(other)) == (None, BegunBy.LEASE)
        assert one.report.pending == 0
        [record] = [record for record in caplog.records if record.getMessage() == "parity_restarted"]
        assert record.__dict__["fields"] == {
            "reason": "lease",
            "component": "orders",
            "path": other.lane.route.path,
        }
        samples = await other.begins()
        other.push("A", orderStage="paid")
        other.lists("A", orderStage="paid")
        other.polls()
        await other.compares(samples + 1)
        assert (one.outcomes, other.outcomes) == ({}, {"match": 1})


async def test_answers_that_waited_when_the_lease_went_are_counted_as_dropped(clock: ManualClock) -> None:
    async with two_nodes(clock) as nodes:
        one, _ = nodes
        await one.begins()
        one.polls(position=Position(1, 0))
        await let_others_run()
        one.asks = False
        clock.advance(LENT_SECONDS)
        await look(nodes)
        assert one.report.dropped == 1


async def test_a_store_out_of_reach_ends_the_comparing_when_the_lease_has_run_out(clock: ManualClock) -> None:
    failing = False
    store = MemorySharedStore(clock, lambda: "before" if failing else None)
    node = Node(clock, leases=SharedLeases(store, "one", clock))
    node.in_stage(Stage.SHADOW)
    async with running(node):
        await look([node])
        failing = True
        clock.advance(TTL_SECONDS / 2)
        await look([node])
        assert begun(node) is BegunBy.LEASE
        clock.advance(TTL_SECONDS)
        await look([node])
        assert begun(node) is None


async def test_without_other_nodes_there_are_no_leases_to_keep(node: Node) -> None:
    await asyncio.wait_for(node.sampler.keep_leases(), 60)


async def test_why_comparing_began_anew_is_told_with_its_time(clock: ManualClock) -> None:
    node = Node(clock, max_events=4)
    assert begun(node) is None
    node.in_stage(Stage.SHADOW)
    async with running(node):
        assert begun(node) is BegunBy.START
        node.in_stage(Stage.OFF)
        await let_others_run()
        assert begun(node) is None
        clock.advance(7)
        node.in_stage(Stage.LIVE)
        await let_others_run()
        found = node.sampler.begun("orders")
        assert found == (clock.wall_ms(), BegunBy.FLAG)
        node.lane.begin_again(BegunBy.REARM)
        node.sampler.wake()
        await let_others_run()
        assert begun(node) is BegunBy.REARM
        node.history.open("e2", ORIGIN)
        node.sampler.wake()
        await let_others_run()
        assert begun(node) is BegunBy.EPOCH
        for number in range(20):
            node.push("A", orderStage=f"stage {number}")
        node.history.trim(clock.monotonic(), node.history.head)
        await let_others_run()
        assert begun(node) is BegunBy.TRIMMED


def test_a_component_without_a_lane_has_no_report(node: Node) -> None:
    assert node.sampler.report("billing") is None
    assert node.sampler.begun("billing") is None
    assert not node.sampler.is_same_source("billing")


@pytest.mark.parametrize(("events", "same"), [("poll", True), ("external", False)])
def test_a_component_is_of_the_same_source_where_its_polls_make_its_events(
    clock: ManualClock, events: str, same: bool
) -> None:
    assert Node(clock, events=events).sampler.is_same_source("orders") is same
