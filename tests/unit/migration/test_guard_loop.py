"""The guard's work on flags that are in use: rollbacks, promotions, dry runs, and stores that refuse."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flags.guard.telemetry import Fallback
from flags.guard.verdict import Kind, Promote, RollBack
from flags.guard.window import Metric
from flags.parity.report import Tally
from gateway.migration.guard_loop import TICK_SECONDS
from tests.support.flags import LATCH, edit, write_flags
from tests.support.guard import WINDOW_SECONDS, Guarded, guarded

LONG_ENOUGH = 20
"""A tenth of a window is not looked at, and a failure lasts a fifth: 18 seconds, and some."""


@pytest.fixture
async def orders(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(tmp_path) as one:
        yield one


async def test_a_failure_latches_and_names_metric_value_threshold_and_reason(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH, good=9, bad=1)

    latch = orders.flag.latch
    assert latch is not None
    assert (latch.metric, latch.value, latch.threshold) == ("errorRate", 0.1, 0.05)
    assert latch.reason.startswith("errorRate is 10 % over ")
    assert latch.at == "2024-11-20T10:30:18.123Z"
    assert (orders.flag.stage, orders.flag.percentage) == ("live", 5)
    last = orders.store.revisions("orders").entries[-1]
    assert (last.who, last.why) == ("guard", f"automatic rollback: {latch.reason}")
    assert orders.acts == [("orders", ["latch"], last.why)], "it is told, once"
    assert orders.guard_loop.counters.rollbacks == {"orders": 1}


async def test_a_component_that_is_latched_is_not_judged_until_it_is_re_armed(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH, bad=10)
    revision = orders.flag.revision
    await orders.judge(WINDOW_SECONDS, bad=10)
    assert orders.flag.revision == revision

    await orders.change(latch=None)
    await orders.judge(LONG_ENOUGH, good=10)
    assert orders.flag.latch is None, "what happened before is no evidence any more"
    await orders.judge(2 * LONG_ENOUGH, bad=10)
    assert orders.flag.latch is not None
    assert orders.guard_loop.counters.rollbacks == {"orders": 2}


async def test_a_dry_run_tells_once_what_it_would_do_and_changes_nothing(
    orders: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    await orders.make(guard={"dryRun": True})
    with caplog.at_level(logging.WARNING):
        await orders.judge(2 * WINDOW_SECONDS, bad=10)
    assert orders.acts == []

    assert orders.flag.revision == 1
    assert [record.getMessage() for record in caplog.records] == ["guard_dry_run"]
    assert orders.guard_loop.counters.dry_runs == {"orders": 1}
    report = orders.guard_loop.report("orders")
    assert report is not None
    assert report.verdict.kind is Kind.FAIL
    assert isinstance(report.action, RollBack), "it stands as long as the failure does"
    await orders.judge(WINDOW_SECONDS, good=1000)
    report = orders.guard_loop.report("orders")
    assert report is not None
    assert report.action is None


async def test_a_dry_run_that_becomes_serious_while_it_fails_rolls_back(orders: Guarded) -> None:
    await orders.make(guard={"dryRun": True})
    await orders.judge(LONG_ENOUGH, bad=10)
    await orders.change(guard={"dryRun": False})
    await orders.judge(LONG_ENOUGH, bad=10)
    assert orders.flag.latch is not None


async def test_good_figures_promote_through_the_steps_each_with_evidence_of_its_own(orders: Guarded) -> None:
    await orders.make(guard={"autoPromote": True, "successesToPromote": 2, "steps": [5, 50, 100]})
    seen = []
    for _ in range(6 * WINDOW_SECONDS):
        await orders.judge(1, good=10)
        if not seen or seen[-1][1] != orders.flag.percentage:
            seen.append((round(orders.clock.monotonic() - 1000), orders.flag.percentage))

    after_two = 2 * WINDOW_SECONDS + WINDOW_SECONDS // 10
    assert seen == [(1, 5), (after_two, 50), (2 * after_two, 100)]
    assert orders.guard_loop.counters.promotions == {"orders": 2}
    last = orders.store.revisions("orders").entries[-1]
    assert last.who == "guard"
    assert last.why.startswith("promotion from 50 % to 100 %: ")


async def test_a_failure_that_does_not_show_yet_is_promoted_into_and_rolled_back_at_the_new_step(
    orders: Guarded,
) -> None:
    await orders.make(guard={"autoPromote": True, "successesToPromote": 1})
    await orders.judge(WINDOW_SECONDS + WINDOW_SECONDS // 10 - 1, good=20)
    await orders.judge(1, good=20, bad=10)
    assert (orders.flag.percentage, orders.flag.latch) == (10, None)

    await orders.judge(LONG_ENOUGH, good=20, bad=10)
    assert orders.flag.latch is not None
    assert (orders.flag.latch.metric, orders.flag.percentage) == ("errorRate", 10)


async def test_without_automatic_promotion_good_figures_change_nothing(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(5 * WINDOW_SECONDS, good=10)
    assert orders.flag.revision == 1
    assert orders.guard_loop.verdicts() == {"orders": Kind.PROMOTE}


async def test_a_dry_run_of_a_promotion_only_tells(orders: Guarded) -> None:
    await orders.make(guard={"autoPromote": True, "successesToPromote": 1, "dryRun": True})
    await orders.judge(2 * WINDOW_SECONDS, good=10)
    report = orders.guard_loop.report("orders")
    assert report is not None
    assert isinstance(report.action, Promote)
    assert report.action.percentage == 10
    assert orders.flag.percentage == 5


async def test_no_traffic_is_neither_a_success_nor_a_failure(orders: Guarded) -> None:
    await orders.make(guard={"autoPromote": True, "successesToPromote": 1})
    await orders.judge(5 * WINDOW_SECONDS)
    assert orders.flag.revision == 1
    assert orders.guard_loop.verdicts() == {"orders": Kind.NO_DATA}


@pytest.mark.parametrize("stage", ["off", "shadow"])
async def test_where_nobody_streams_a_failure_has_nothing_to_take_back(orders: Guarded, stage: str) -> None:
    await orders.make(stage=stage)
    await orders.judge(LONG_ENOUGH, bad=10)
    assert orders.guard_loop.verdicts() == {"orders": Kind.FAIL}
    assert orders.flag.revision == 1


async def test_while_it_is_killed_a_component_is_neither_rolled_back_nor_promoted(orders: Guarded) -> None:
    await orders.make(guard={"autoPromote": True, "successesToPromote": 1})
    await orders.change(killed=True)
    await orders.judge(2 * WINDOW_SECONDS, good=10)
    await orders.judge(WINDOW_SECONDS, bad=10)
    assert (orders.flag.revision, orders.flag.latch) == (2, None)
    await orders.change(killed=False)
    assert orders.guard_loop.verdicts() == {}, "the guard starts over"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"stage": "live"}, {"percentage": 10}),
        ({"stage": "live"}, {"stage": "rampdown"}),
        ({"stage": "rampdown"}, {"stage": "complete"}),
    ],
)
async def test_a_change_of_the_rollout_by_somebody_else_starts_the_guard_over(
    orders: Guarded, before: dict[str, Any], after: dict[str, Any]
) -> None:
    await orders.make(**before)
    await orders.judge(LONG_ENOUGH - 5, bad=10)
    await orders.change(**after)
    await orders.judge(LONG_ENOUGH - 5, bad=10)
    assert orders.flag.latch is None
    await orders.judge(5, bad=10)
    assert orders.flag.latch is not None


async def test_the_kill_switch_for_everything_holds_the_guard_and_starts_it_over(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH - 5, bad=10)
    await orders.store.kill_all(True, who="test", reason="an incident")
    await orders.judge(2 * LONG_ENOUGH, bad=10)
    assert orders.flag.latch is None
    await orders.store.kill_all(False, who="test", reason="it is over")
    await orders.judge(LONG_ENOUGH, bad=10)
    assert orders.flag.latch is not None


async def test_flags_that_vanish_while_another_is_acted_upon_are_not_judged(
    orders: Guarded, tmp_path: Path
) -> None:
    await orders.make()
    await orders.store.change(
        "unconfigured", {"stage": "live"}, expected_revision=0, who="test", reason="a test"
    )
    await orders.judge(LONG_ENOUGH - 3, bad=10)
    kept = orders.flag.wire()
    kept.pop("component")
    write_flags(tmp_path / "flags.json", {"orders": kept})
    await orders.judge(2 * LONG_ENOUGH, bad=10)
    assert orders.flag.latch is not None
    assert orders.store.snapshot().get("unconfigured") is None


async def test_a_change_of_anything_else_does_not(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH - 5, bad=10)
    await orders.change(checkRatio=7)
    await orders.judge(5, bad=10)
    assert orders.flag.latch is not None


async def test_a_store_that_can_not_be_written_is_asked_again(
    orders: Guarded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await orders.make()
    in_the_way = tmp_path / "flags.json.new"
    in_the_way.mkdir()
    with caplog.at_level(logging.ERROR):
        await orders.judge(LONG_ENOUGH, bad=10)
        assert orders.guard_loop.counters.refused["orders"] > 1
        assert caplog.messages.count("guard_refused") == 1
        await orders.judge(60, bad=10)
    assert orders.flag.latch is None
    refused = orders.guard_loop.counters.refused["orders"]
    assert caplog.messages.count("guard_refused") == 2, "one a minute"
    assert orders.guard_loop.counters.rollbacks == {}

    in_the_way.rmdir()
    await orders.judge(1, bad=10)
    assert orders.flag.latch is not None
    assert orders.guard_loop.counters.refused["orders"] == refused


async def test_a_flag_that_somebody_else_changed_meanwhile_is_judged_anew(
    orders: Guarded, tmp_path: Path
) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH - 3, bad=10)
    edit(tmp_path / "flags.json", '"percentage": 5', '"percentage": 10')
    await orders.judge(3, bad=10)

    assert (orders.flag.percentage, orders.flag.latch) == (10, None)
    assert orders.guard_loop.counters.refused == {"orders": 1}
    await orders.judge(LONG_ENOUGH, bad=10)
    assert orders.flag.latch is not None


async def test_a_failure_across_a_standstill_of_the_process_has_not_lasted(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(10, bad=10)
    orders.clock.advance(20)
    await orders.judge(1, bad=10)
    assert orders.flag.latch is None
    await orders.judge(12, bad=10)
    assert orders.flag.latch is not None


async def test_a_jump_over_more_than_the_window_leaves_no_evidence(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(15, bad=10)
    orders.clock.advance(10 * WINDOW_SECONDS)
    await orders.judge(LONG_ENOUGH)
    assert orders.flag.latch is None
    assert orders.guard_loop.verdicts() == {"orders": Kind.NO_DATA}


async def test_a_wall_clock_that_jumps_changes_no_verdict(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(10, bad=10)
    orders.clock.set_wall_ms(0)
    await orders.judge(8, bad=10)
    assert orders.flag.latch is not None
    assert orders.flag.latch.at.startswith("1970-01-01T")


async def test_clients_that_can_open_no_stream_roll_back(orders: Guarded) -> None:
    await orders.make()
    for second in range(2 * LONG_ENOUGH):
        orders.report(f"c{second}", fallback=Fallback.BLOCKED)
        await orders.judge(1, good=1)
        orders.report(f"d{second}", fallback=Fallback.BLOCKED)
    assert orders.flag.latch is not None
    assert orders.flag.latch.metric == "fallbackRate"


async def test_consistency_counts_where_push_has_a_source_of_its_own(tmp_path: Path) -> None:
    async with guarded(tmp_path, compared={"orders"}) as orders:
        await orders.make()
        for _ in range(LONG_ENOUGH):
            orders.windows["orders"].compared(Tally(agreed=8, differed=2), orders.clock.monotonic())
            await orders.judge(1)
        assert orders.flag.latch is not None
        assert orders.flag.latch.metric == "consistency"


async def test_consistency_does_not_count_where_push_is_made_from_the_polls(orders: Guarded) -> None:
    await orders.make()
    for _ in range(LONG_ENOUGH):
        orders.windows["orders"].compared(Tally(agreed=8, differed=2), orders.clock.monotonic())
        await orders.judge(1)
    assert orders.guard_loop.verdicts() == {"orders": Kind.NO_DATA}
    report = orders.guard_loop.report("orders")
    assert report is not None
    assert Metric.CONSISTENCY in report.unmeasured


async def test_the_beginnings_of_streams_do_not_count_where_reports_may_reach_another_node(
    orders: Guarded,
) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH)
    orders.windows["orders"].began(False, orders.clock.monotonic())
    await orders.judge(1)
    report = orders.guard_loop.report("orders")
    assert report is not None
    assert Metric.FIRST_EVENT not in report.unmeasured
    orders.evidence.hears_all = False
    report = orders.guard_loop.report("orders")
    assert report is not None
    assert Metric.FIRST_EVENT in report.unmeasured


async def test_a_flag_that_is_gone_is_forgotten(orders: Guarded, tmp_path: Path) -> None:
    await orders.make()
    await orders.judge(5, good=10)
    (tmp_path / "flags.json").write_text('{"version": 1, "flags": {}}')
    await orders.store.refresh()
    await orders.judge(5)
    assert orders.guard_loop.verdicts() == {}
    assert orders.guard_loop.report("orders") is None


async def test_a_component_is_judged_about_sixty_times_a_window_and_no_oftener(orders: Guarded) -> None:
    await orders.make(guard={"windowSeconds": 600})
    await orders.judge(30)
    assert orders.guard_loop.counters.evaluations == 3


async def test_a_latch_that_is_written_by_hand_holds_the_guard_too(orders: Guarded) -> None:
    await orders.make(latch=LATCH)
    await orders.judge(LONG_ENOUGH, bad=10)
    assert orders.flag.revision == 1
    assert orders.guard_loop.verdicts() == {"orders": Kind.HOLD}


async def test_the_shortest_window_fails_too(orders: Guarded) -> None:
    await orders.make(guard={"windowSeconds": 1})
    for _ in range(8):
        orders.clock.advance(TICK_SECONDS)
        orders.windows["orders"].served(0, 10, orders.clock.monotonic())
        await orders.guard_loop.tick()
    assert orders.flag.latch is not None
