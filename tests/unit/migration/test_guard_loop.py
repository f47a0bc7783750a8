"""The guard's work on flags that are in use: rollbacks, promotions, dry runs, and stores that refuse."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn, Self

import orjson
import pytest

from flags.guard.callers import Side
from flags.guard.metrics import Metric
from flags.guard.telemetry import OpenedStream
from flags.guard.verdict import Evaluation, Kind, Promote, RollBack, evaluate
from flags.guard.who import Who
from flags.parity.report import Tally
from gateway.migration.guard_loop import TICK_SECONDS
from gateway.migration.guard_sums import JUDGED, TALLIES
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
    assert (latch.metric, latch.threshold) == ("errorRate", 0.05)
    assert latch.value == pytest.approx(0.1, abs=0.01)
    assert latch.reason.startswith("errorRate is 9.")
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
    report = await orders.guard_loop.report("orders")
    assert report is not None
    assert report.verdict.kind is Kind.FAIL
    assert isinstance(report.action, RollBack), "it stands as long as the failure does"
    await orders.judge(WINDOW_SECONDS, good=10)
    report = await orders.guard_loop.report("orders")
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
    report = await orders.guard_loop.report("orders")
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
        ({"stage": "live"}, {"group": "everything"}),
        ({"stage": "live"}, {"stickiness": "tenant"}),
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


@pytest.mark.parametrize(
    ("guard", "windows", "is_late_known"),
    [
        ({"dryRun": True}, 2, True),
        ({"margins": {"errorRate": 0.5}}, 2, True),
        ({"freshMs": 2000}, 2, False),
        ({"windowSeconds": 120}, 0, False),
    ],
    ids=["a dry run", "a margin", "how late is late", "another window"],
)
async def test_other_settings_keep_the_evidence_as_far_as_it_is_of_the_same(
    orders: Guarded, guard: dict[str, Any], windows: int, is_late_known: bool
) -> None:
    await orders.make(guard={"successesToPromote": 99})
    await orders.judge(2 * WINDOW_SECONDS + WINDOW_SECONDS // 10, good=4)
    await orders.change(guard=orders.flag.guard.wire() | guard)

    found = await orders.guard_loop.report("orders")

    assert found is not None
    assert found.state.evidence.windows == windows
    assert (found.state.evidence.late[Side.TREATED].slots > 0) is is_late_known


@pytest.mark.parametrize(
    "fields",
    [
        {"checkRatio": 7},
        {"targeting": [{"attribute": "user", "operator": "eq", "value": "ann", "mode": "polling"}]},
    ],
    ids=["how much is compared", "who is drawn at all"],
)
async def test_a_change_of_anything_else_does_not(orders: Guarded, fields: dict[str, Any]) -> None:
    await orders.make()
    await orders.judge(LONG_ENOUGH - 5, bad=10)
    await orders.change(**fields)
    await orders.judge(5, bad=10)
    assert orders.flag.latch is not None


async def test_a_component_whose_judging_fails_keeps_no_other_from_it(
    orders: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await orders.store.change("billing", {"stage": "live"}, expected_revision=0, who="test", reason="a test")
    await orders.make()

    def fail(*_: Any) -> NoReturn:
        raise RuntimeError("a defect")

    monkeypatch.setattr(orders.windows["billing"], "tally", fail)
    for _ in range(2):
        orders.clock.advance(WINDOW_SECONDS)
        with pytest.raises(RuntimeError, match="a defect"):
            await orders.guard_loop.tick()
    assert set(orders.guard_loop.verdicts()) == {"orders"}


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
    assert orders.guard_loop.verdicts() == {"orders": Kind.INCONCLUSIVE}, "of one stream that is open"


async def test_a_wall_clock_that_jumps_changes_no_verdict(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(10, bad=10)
    orders.clock.set_wall_ms(0)
    await orders.judge(8, bad=10)
    assert orders.flag.latch is not None
    assert orders.flag.latch.at.startswith("1970-01-01T")


async def test_clients_that_fall_back_roll_back_also_where_no_stream_is_open(orders: Guarded) -> None:
    await orders.make()
    await orders.judge(7, good=1)
    for number in range(20):
        orders.open(f"c{number}")
        orders.telemetry.closed(f"c{number}", orders.clock.monotonic())
        orders.windows["orders"].callers.closed(Who(f"s:c{number}"), orders.clock.monotonic())
        orders.report(f"c{number}", fallback="mute")
    await orders.judge(LONG_ENOUGH)
    assert orders.flag.latch is not None
    assert orders.flag.latch.metric == "fallbackRate"


async def test_reports_on_streams_that_nobody_opened_are_judged_by_nobody(orders: Guarded) -> None:
    await orders.make()
    for second in range(2 * LONG_ENOUGH):
        for number in range(20):
            orders.report(f"c{second}-{number}", fallback="mute")
        await orders.judge(1, good=1)
    assert orders.flag.latch is None
    assert orders.telemetry.unmatched == 40 * 20


async def test_one_caller_whose_streams_all_fall_back_is_one_caller(orders: Guarded) -> None:
    await orders.make()
    who = Who("s:ann")
    for second in range(2 * LONG_ENOUGH):
        for number in range(5):
            client_id = f"{second}-{number}"
            stream = OpenedStream(client_id, None, who, ("orders",), ("2.1.0",))
            orders.windows["orders"].callers.opened(who, Side.TREATED, orders.clock.monotonic())
            orders.telemetry.opened(stream, orders.clock.monotonic())
            orders.report(client_id, fallback="error")
        await orders.judge(1, good=1)
    assert orders.flag.latch is None
    report = await orders.guard_loop.report("orders")
    assert report is not None
    figure = report.figures.by_metric[Metric.FALLBACK_RATE]
    assert figure.value is not None
    assert figure.value * figure.samples == pytest.approx(1)


async def test_polls_of_the_gateways_own_that_fail_are_told_and_take_nothing_back(orders: Guarded) -> None:
    await orders.make()
    for polls in range(2 * LONG_ENOUGH):
        orders.own_polls = (polls, polls)
        await orders.judge(1, good=4)
    assert orders.flag.latch is None
    report = await orders.guard_loop.report("orders")
    assert report is not None
    assert report.verdict.kind is not Kind.FAIL
    assert report.figures.by_metric[Metric.ERROR_RATE].value == 1.0
    assert report.tally.whole.own_polls.good == 0


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
    report = await orders.guard_loop.report("orders")
    assert report is not None
    assert Metric.CONSISTENCY in report.unmeasured


async def test_polls_alone_promote_nothing_however_many_there_are(orders: Guarded) -> None:
    await orders.make({"autoPromote": True, "successesToPromote": 1})
    for number in range(3 * WINDOW_SECONDS):
        window, now = orders.windows["orders"], orders.clock.monotonic()
        for side in (Side.TREATED, Side.CONTROL):
            for caller in range(10):
                window.polled(Who(f"s:{side} {number} {caller}"), side, now, failed=False)
        await orders.judge(1)
    assert (orders.flag.percentage, orders.acts) == (5, [])
    assert orders.guard_loop.verdicts() == {"orders": Kind.INCONCLUSIVE}


async def test_a_flag_that_is_gone_is_forgotten(orders: Guarded, tmp_path: Path) -> None:
    await orders.make()
    await orders.judge(5, good=10)
    (tmp_path / "flags.json").write_text('{"version": 1, "flags": {}}')
    await orders.store.refresh()
    await orders.judge(5)
    assert orders.guard_loop.verdicts() == {}
    assert await orders.guard_loop.report("orders") is None


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
        orders.come(Side.TREATED, 0, 10)
        await orders.guard_loop.tick()
    assert orders.flag.latch is not None


async def test_the_loop_goes_on_while_evidence_is_judged(
    orders: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = threading.Event()

    def slow(*given: Any) -> Evaluation:
        assert went_on.wait(10)
        return evaluate(*given)

    monkeypatch.setattr("gateway.migration.guard_loop.evaluate", slow)
    await orders.make()
    asyncio.get_running_loop().call_soon(went_on.set)
    await orders.judge(1)
    assert orders.guard_loop.verdicts() == {"orders": Kind.NO_DATA}


class OtherNode:
    """One other node of the log, of which a test says what it told, and which of the two leads."""

    node, name, age_seconds, is_gone = "other", "other", 0.0, False

    def __init__(self) -> None:
        self.leads = False
        self.is_ending = False
        self.content: dict[str, Any] = {}

    @property
    def has_lease(self) -> bool:
        return self.leads or self.is_ending

    @property
    def others(self) -> list[Self]:
        return [self]


async def told_by(one: Guarded) -> dict[str, Any]:
    """What the others hear of a node, as the store carries it."""
    said = {TALLIES: await one.guard_loop.tallies(), JUDGED: await one.guard_loop.judged()}
    heard: dict[str, Any] = orjson.loads(orjson.dumps(said))
    return heard


async def test_one_that_ends_judges_no_more_and_says_how_far_it_came(tmp_path: Path) -> None:
    other = OtherNode()
    async with guarded(tmp_path, nodes=other) as orders:
        await orders.make()
        other.leads = True
        await orders.judge(WINDOW_SECONDS + LONG_ENOUGH, good=10)
        before = (await told_by(orders))[JUDGED]["orders"]
        evaluations = orders.guard_loop.counters.evaluations
        other.leads, other.is_ending = False, True
        await orders.guard_loop.tick()
        assert (await told_by(orders))[JUDGED]["orders"]["evidence"] == before["evidence"]
        assert before["evidence"]["windows"] == 1
        assert orders.guard_loop.counters.evaluations == evaluations
        other.is_ending = False
        await orders.guard_loop.tick()
        assert (await told_by(orders))[JUDGED] == {}


async def test_a_node_that_does_not_lead_judges_nothing_and_keeps_what_it_saw(tmp_path: Path) -> None:
    other = OtherNode()
    async with guarded(tmp_path, nodes=other) as orders:
        await orders.make()
        await orders.judge(2 * LONG_ENOUGH, bad=10)
        assert orders.flag.latch is None
        assert (orders.guard_loop.counters.evaluations, orders.guard_loop.verdicts()) == (0, {})
        assert (await told_by(orders))[TALLIES]["orders"]["callers"]
        assert (await told_by(orders))[JUDGED] == {}


async def test_the_node_that_leads_judges_what_all_of_them_saw(tmp_path: Path) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a", name="a") as elsewhere, guarded(tmp_path, nodes=other) as orders:
        other.leads = True
        await elsewhere.make(guard={"dryRun": True})
        await orders.make()
        for _ in range(LONG_ENOUGH):
            await elsewhere.judge(1, good=8, bad=8)
            other.content = {TALLIES: (await told_by(elsewhere))[TALLIES]}
            await orders.judge(1)
        assert orders.flag.latch is not None
        assert orders.flag.latch.metric == "errorRate"


async def test_a_caller_whom_two_nodes_saw_is_one(tmp_path: Path) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a") as elsewhere, guarded(tmp_path, nodes=other) as orders:
        other.leads = True
        await elsewhere.make()
        await orders.make()
        await orders.judge(10)
        await elsewhere.judge(10)
        orders.come(Side.TREATED, 5)
        elsewhere.come(Side.TREATED, 3, 2)
        other.content = await told_by(elsewhere)
        report = await orders.guard_loop.report("orders")
        assert report is not None
        figure = report.figures.by_metric[Metric.ERROR_RATE]
        assert (figure.samples, figure.value) == (5, 0.4)


async def test_who_leads_next_goes_on_where_the_one_before_stopped(tmp_path: Path) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a") as before, guarded(tmp_path, nodes=other) as after:
        for one in (before, after):
            await one.make(guard={"autoPromote": True, "successesToPromote": 2})
        for _ in range(WINDOW_SECONDS + 10):
            await before.judge(1, good=10)
            await after.judge(1)
        other.content = await told_by(before)
        other.leads = True
        await after.judge(1, good=10)
        report = await after.guard_loop.report("orders")
        assert report is not None
        assert report.state.successes == 1
        assert report.state.evidence.windows == 1
        assert report.now - report.state.changed_at == pytest.approx(WINDOW_SECONDS + 10, abs=0.1)


async def test_a_failure_that_nobody_looked_at_for_long_has_to_last_anew(tmp_path: Path) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a") as before, guarded(tmp_path, nodes=other) as after:
        for one in (before, after):
            await one.make()
        await before.judge(8, bad=10)
        other.content, other.leads = (await told_by(before)), True
        assert other.content[JUDGED]["orders"]["failingAgo"] is not None
        other.age_seconds = 3600.0
        await after.judge(8, bad=10)
        assert after.flag.latch is None
        await after.judge(LONG_ENOUGH, bad=10)
        assert after.flag.latch is not None


async def test_what_a_node_that_is_gone_saw_before_the_last_change_is_not_looked_at(tmp_path: Path) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a", name="a") as elsewhere, guarded(tmp_path, nodes=other) as orders:
        other.leads = True
        await elsewhere.make(guard={"dryRun": True}, percentage=100)
        await orders.make(percentage=100)
        await elsewhere.judge(LONG_ENOUGH, bad=10)
        elsewhere.windows["orders"].pushed(60_000.0, None, 1, elsewhere.clock.monotonic())
        other.content = {TALLIES: (await told_by(elsewhere))[TALLIES]}
        await orders.change(percentage=50)
        await orders.change(percentage=100)
        for _ in range(LONG_ENOUGH):
            other.age_seconds += 1.0
            await orders.judge(1)
        report = await orders.guard_loop.report("orders")
        assert report is not None
        assert all(figure.samples == 0 for figure in report.figures.by_metric.values())
        assert orders.flag.latch is None


async def test_what_was_judged_of_another_rollout_is_not_gone_on_with(tmp_path: Path) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a") as before, guarded(tmp_path, nodes=other) as after:
        await before.make(percentage=10)
        await after.make(percentage=5)
        await before.judge(WINDOW_SECONDS + 10, good=10)
        other.content, other.leads = (await told_by(before)), True
        await after.judge(1, good=1)
        report = await after.guard_loop.report("orders")
        assert report is not None
        assert report.state.evidence.windows == 0


@pytest.mark.parametrize("level", [-1, 1 << 40, 1.5, "3"])
async def test_evidence_of_another_node_that_is_none_is_begun_anew(tmp_path: Path, level: object) -> None:
    other = OtherNode()
    (tmp_path / "a").mkdir()
    async with guarded(tmp_path / "a") as before, guarded(tmp_path, nodes=other) as after:
        for one in (before, after):
            await one.make()
        await before.judge(WINDOW_SECONDS + 10, good=1)
        other.content, other.leads = (await told_by(before)), True
        other.content[JUDGED]["orders"]["evidence"]["levels"]["TREATED"] = level
        await after.judge(1)
        report = await after.guard_loop.report("orders")
        assert report is not None
        assert report.state.evidence.windows == 0


async def test_what_another_node_says_and_nobody_can_read_is_left_out(tmp_path: Path) -> None:
    other = OtherNode()
    async with guarded(tmp_path, nodes=other) as orders:
        other.leads = True
        other.content = {TALLIES: {"orders": {"whole": 7}}, JUDGED: {"orders": {"rollout": None}}}
        await orders.make()
        await orders.judge(LONG_ENOUGH, bad=10)
        assert orders.flag.latch is not None
