"""Push beside polling in a running gateway: what is found, what is left alone, and what it costs."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from flags.guard.metrics import Metric, figures
from tests.support.admin import FLAGS, ORDERS, operator, refused
from tests.support.api import eventually
from tests.support.command import run
from tests.support.gateway import GatewayThread
from tests.support.legacy import PATH, order
from tests.support.parity import PARITY, SETTLE, Comparison, a_comparison

Start = Callable[..., GatewayThread]


@pytest.fixture
async def orders(start_gateway: Start, tmp_path: Path) -> AsyncIterator[Comparison]:
    async with a_comparison(start_gateway, tmp_path) as comparison:
        yield comparison


async def parity_of(orders: Comparison) -> dict[str, Any]:
    async with operator(orders.gateway.port) as admin:
        response = await admin.get(PARITY)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


async def test_a_correct_publisher_only_agrees(orders: Comparison) -> None:
    await orders.begin()
    for stage in ("billed", "paid", "sent"):
        orders.has("A", orderStage=stage)
        await orders.push("A", event="stage_change")
        await orders.settle()
    orders.has("C", orderStage="open")
    await orders.push("C", action="insert")
    orders.loses("B")
    await orders.push("B", action="delete")
    await orders.settle()
    await orders.settle()

    answer = await parity_of(orders)

    assert orders.outcomes().keys() <= {"match", "push_behind", "push_ahead"}
    assert sum(orders.outcomes().values()) >= 5
    assert (answer["consistency"], answer["pending"], answer["standing"]) == (1.0, 0, 0)
    assert (answer["stage"], answer["checkRatio"]) == ("shadow", 1)
    assert "reason" not in answer
    assert answer["places"] == {}


async def test_the_old_and_new_values_that_events_add_are_no_part_of_the_state(orders: Comparison) -> None:
    await orders.begin()
    orders.has("A", orderStage="paid")
    data = order("A", orderStage="paid", previousStage="open", newStage="paid")
    await orders.push("A", event="stage_change", data=data)
    await orders.settle()
    assert orders.report().consistency == 1.0


async def lost_update(orders: Comparison) -> None:
    orders.has("A", orderStage="paid")


async def lost_insert(orders: Comparison) -> None:
    orders.has("C", orderStage="open")


async def lost_delete(orders: Comparison) -> None:
    orders.loses("A")


async def stale_data(orders: Comparison) -> None:
    orders.has("A", orderStage="paid")
    await orders.push("A", data=order("A", orderStage="open"))


@pytest.mark.parametrize(
    ("fault", "outcome", "pointer"),
    [
        (lost_update, "mismatch", "/orderStage"),
        (lost_insert, "missing", ""),
        (lost_delete, "extra", ""),
        (stale_data, "mismatch", "/orderStage"),
    ],
)
async def test_what_push_lost_or_got_wrong_is_found_after_the_settle_window_and_counted_once(
    orders: Comparison, fault: Callable[[Comparison], Awaitable[None]], outcome: str, pointer: str
) -> None:
    await orders.begin()
    async with orders.unseen():
        await fault(orders)
    await orders.compared()
    assert orders.report().pending == 1
    assert orders.outcomes() == {}, "it was counted before the settle window was over"

    await orders.settle_once()

    answer = await parity_of(orders)
    assert orders.outcomes() == {outcome: 1}
    assert answer["outcomes"][outcome] == answer["standing"] == 1
    assert answer["consistency"] == 0.0
    assert answer["places"] == {"order": [{"pointer": pointer, "count": 1}]}
    assert answer["examples"] == []
    assert "paid" not in json.dumps(answer)


async def test_a_repeated_event_is_counted_once_though_it_did_no_harm(orders: Comparison) -> None:
    await orders.begin()
    async with orders.unseen():
        orders.has("A", orderStage="paid")
        await orders.push("A", previous={"orderStage": "open"})
        await orders.push("A", previous={"orderStage": "open"})
    await orders.settle()
    await orders.settle()
    assert orders.outcomes() == {"duplicate": 1}


async def test_values_are_kept_only_where_that_is_switched_on(start_gateway: Start, tmp_path: Path) -> None:
    async with a_comparison(start_gateway, tmp_path, parity={"keep_values": True}) as orders:
        await orders.begin()
        orders.has("A", orderStage="paid")
        await orders.compared()
        await orders.settle_once()
        assert (await parity_of(orders))["examples"] == [
            {
                "entityType": "order",
                "entityId": "A",
                "pointer": "/orderStage",
                "pushed": "open",
                "polled": "paid",
            }
        ]


async def test_what_the_rules_overlook_is_no_difference(start_gateway: Start, tmp_path: Path) -> None:
    rules = {"ignore": ["/servedAt"], "unordered": ["/tags"], "numeric_tolerance": 0.01}
    async with a_comparison(start_gateway, tmp_path, parity=rules) as orders:
        await orders.begin()
        async with orders.unseen():
            orders.has("A", orderStage="paid", servedAt=2, tags=["x", "y"], total=10.004)
            await orders.push("A", data=order("A", orderStage="paid", servedAt=1, tags=["y", "x"], total=10))
        await orders.settle()
        await orders.settle()
        assert orders.outcomes() == {"ignored": 1}
        assert orders.report().consistency == 1.0


async def test_a_publisher_that_sends_only_what_changed_agrees_where_it_says_so(
    start_gateway: Start, tmp_path: Path
) -> None:
    async with a_comparison(start_gateway, tmp_path, parity={"merge": True}) as orders:
        orders.has("A", orderStage="open", total=10)
        await orders.begin()
        orders.has("A", orderStage="paid", total=10)
        await orders.push("A", data={"orderStage": "paid"})
        await orders.settle()
        await orders.settle()
        assert orders.report().consistency == 1.0


async def test_what_is_pushed_from_the_very_poll_is_incomparable_and_not_consistent(
    start_gateway: Start, tmp_path: Path
) -> None:
    async with a_comparison(start_gateway, tmp_path, events="poll") as orders:
        await orders.begin()
        orders.has("A", orderStage="paid")
        await orders.settle()

        answer = await parity_of(orders)

        assert answer["consistency"] is None
        assert answer["reason"] == "incomparable: same source"
        assert answer["incomparable"].keys() == {"same source"}
        assert answer["outcomes"]["incomparable"] == answer["incomparable"]["same source"] > 0
        assert sum(answer["outcomes"].values()) == answer["outcomes"]["incomparable"]
        code, out, _ = await run(
            "flags", "parity", "orders", "--url", f"http://127.0.0.1:{orders.client.port}"
        )
        assert code == 0
        assert "consistency unknown (incomparable: same source)" in out


async def test_polls_that_disagree_with_one_another_are_the_noise_floor(orders: Comparison) -> None:
    await orders.begin()
    await orders.settle()
    quiet = (await parity_of(orders))["noiseFloor"]
    assert quiet["compared"] > 0
    assert quiet["differing"] == 0
    assert quiet["ratio"] == 0.0


async def test_comparing_does_not_ask_the_upstream(orders: Comparison) -> None:
    await orders.begin()
    orders.has("A", orderStage="paid")
    await orders.compared()
    assert orders.report().pending == 1
    route = orders.gateway.parts.upstreams.source
    orders.clock.advance(10 * SETTLE)

    async def is_idle() -> bool:
        return orders.gateway.call(lambda: route.health()[0].state) == "idle"

    await eventually(is_idle, "nobody polls any more")
    asked = len(orders.backend.asked)
    for ratio in (1, 2, 1, 2):
        await orders.change_flag(checkRatio=ratio)
        await orders.push("B")
        await orders.client.metric("tidegate_parity_samples_total")
    assert len(orders.backend.asked) == asked == orders.gateway.call(lambda: route.counters[PATH].polls)
    assert orders.report().pending == 1


async def test_callers_answers_are_compared_no_more_often_than_the_upstream_gives_them(
    orders: Comparison,
) -> None:
    await orders.begin()
    for _ in range(200):
        await orders.client.get(PATH)
    assert orders.report().samples + orders.report().dropped <= len(orders.backend.asked)


async def test_one_in_check_ratio_answers_is_compared(orders: Comparison) -> None:
    await orders.begin()
    await orders.compare_no_more()
    before = orders.report().samples
    await orders.backend.asked_again(10)
    assert orders.report().samples == before


async def test_what_was_pushed_wrong_before_a_component_was_rearmed_is_not_held_against_it(
    orders: Comparison,
) -> None:
    await orders.begin()
    latch = {
        "at": "2026-11-20T10:30:00.000Z",
        "metric": "consistency",
        "value": 0.5,
        "threshold": 0.99,
        "reason": "half of it is wrong",
    }
    await orders.change_flag(latch=latch)
    orders.has("A", orderStage="paid")
    await orders.compared()
    await orders.settle()
    assert orders.report().standing == 1
    await orders.change_flag(latch=None)
    await orders.compared()
    assert orders.report().standing == orders.report().pending == 0
    before = orders.outcomes()
    await orders.settle()
    await orders.settle()
    assert orders.outcomes() == before


async def test_what_is_counted_is_the_guards_consistency(orders: Comparison) -> None:
    await orders.begin()
    orders.has("A", orderStage="paid")
    await orders.push("A")
    await orders.settle()
    windows, clock = orders.gateway.parts.migration.windows, orders.clock
    tally = orders.gateway.call(lambda: windows["orders"].tally(0.0, clock.monotonic()))
    figure = figures(tally, is_streaming=True, trusts_timestamps=False).by_metric[Metric.CONSISTENCY]
    assert (figure.value, figure.samples) == (1.0, 1)


async def test_the_figures_are_metrics_and_lines_for_people(orders: Comparison) -> None:
    await orders.begin()
    orders.has("A", orderStage="paid")
    await orders.compared()
    await orders.settle_once()

    metric = orders.client.metric
    assert await metric("tidegate_parity_outcomes_total", component="orders", outcome="mismatch") == 1
    assert await metric("tidegate_parity_samples_total", component="orders") == orders.report().samples
    assert await metric("tidegate_parity_dropped_total", component="orders") == orders.report().dropped

    url = f"http://127.0.0.1:{orders.client.port}"
    code, out, _ = await run("flags", "parity", "orders", "--url", url)
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == [
        "orders: stage shadow, one in 1000000 polled answers is compared",
        "consistency 0 %",
    ]
    assert ["mismatch", "1"] in [line.split() for line in lines]
    assert [line.split() for line in lines[-4:]] == [
        ["TYPE", "DIFFERS", "AT", "TIMES"],
        ["order", "/orderStage", "1"],
        ["TYPE", "MEMBER", "KIND", "SHARE"],
        ["order", "/orderStage", "value", "100", "%"],
    ]
    _, out, _ = await run("flags", "parity", "orders", "--json", "--url", url)
    assert json.loads(out) == await parity_of(orders)


async def test_a_member_whose_differences_are_of_one_kind_gets_a_proposal(orders: Comparison) -> None:
    await orders.begin()
    orders.has("A", orderStage="open", total="12.50")
    await orders.push("A", data=order("A", orderStage="open", total=12.5))
    await orders.compared()
    await orders.settle_once()

    answer = await parity_of(orders)
    assert answer["kinds"] == {
        "order": [
            {
                "pointer": "/total",
                "kind": "number as text",
                "count": 1,
                "share": 1.0,
                "polledAs": None,
                "proposal": {
                    "map": 'if item.get("total") is not None:\n    item["total"] = float(item["total"])',
                    "as": "total::text as total",
                    "parity": 'ignore = ["/total"]',
                },
            }
        ]
    }
    code, out, _ = await run("flags", "parity", "orders", "--url", f"http://127.0.0.1:{orders.client.port}")
    assert code == 0
    assert out.splitlines()[-9:] == [
        "TYPE   MEMBER  KIND            SHARE",
        "order  /total  number as text  100 %",
        "order /total: in --as of the captured table",
        "    total::text as total",
        "or in map of the route",
        '    if item.get("total") is not None:',
        '        item["total"] = float(item["total"])',
        "or in [legacy.parity]",
        '    ignore = ["/total"]',
    ]


@pytest.mark.parametrize("stage", ["off", "complete"])
async def test_where_nothing_is_compared_the_answer_says_why(orders: Comparison, stage: str) -> None:
    await orders.change_flag(stage=stage, checkRatio=1)
    await orders.client.get(PATH)
    answer = await parity_of(orders)
    assert (answer["consistency"], answer["reason"], answer["samples"]) == (None, f"stage {stage}", 0)
    assert "shadow, live and rampdown" in answer["why"]


async def test_a_component_without_a_flag_is_not_compared(orders: Comparison) -> None:
    await orders.client.get(PATH)
    answer = await parity_of(orders)
    assert (answer["stage"], answer["checkRatio"], answer["consistency"]) == (None, None, None)
    assert answer["reason"] == "no flag"


async def test_a_component_before_its_first_sample_says_so(orders: Comparison) -> None:
    await orders.change_flag(stage="shadow")
    assert (await parity_of(orders))["reason"] == "no samples"


async def test_a_component_whose_answers_are_not_shared_has_nothing_to_compare_with(
    start_gateway: Start, tmp_path: Path
) -> None:
    async with a_comparison(start_gateway, tmp_path, shared=False) as orders:
        await orders.change_flag(stage="shadow")
        assert (await parity_of(orders))["reason"] == "no shared route"


async def test_the_parity_of_an_unknown_component_is_not_found(orders: Comparison) -> None:
    async with operator(orders.gateway.port) as admin:
        refused(await admin.get(f"{FLAGS}/unheard-of/parity"), 404)
        refused(await admin.get(f"{ORDERS}/parity", X_Forwarded_For="10.0.0.1"), 403)
