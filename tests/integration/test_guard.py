"""The guard of a running gateway: what it sees, what it does, and what operators see of it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.admin import ORDERS, Operator, operator
from tests.support.api import EVENTS, event, eventually
from tests.support.clock import ManualClock
from tests.support.gateway import GatewayThread
from tests.support.legacy import PATH
from tests.support.migration import ORDERS as OF_ORDERS
from tests.support.migration import Migration, a_migration

TELEMETRY = "/api/v1/sync/telemetry"
GUARD = f"{ORDERS}/guard"
VERSION = "2.1.0"
REPORTING = [*OF_ORDERS, ("clientId", "c"), ("clientVersion", VERSION)]
SERIOUS = {"windowSeconds": 60, "minSamples": 10, "dryRun": False}


@pytest.fixture
async def migration(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Migration]:
    """A component `orders` that everybody streams, on a gateway whose clock stands still."""
    async with a_migration(start_gateway, tmp_path, clock=clock) as one:
        await one.change(stage="live", percentage=100, pollIntervalMs=400, guard=SERIOUS)
        yield one


@pytest.fixture
async def admin(migration: Migration) -> AsyncIterator[Operator]:
    async with operator(migration.gateway.port) as one:
        yield one


async def report(admin: Operator, client_id: str = "c", **members: Any) -> httpx.Response:
    given = {"clientId": client_id, "component": "orders", "mode": "streaming", "clientVersion": VERSION}
    return await admin.send("POST", TELEMETRY, given | members)


async def fall_back(migration: Migration, admin: Operator, callers: int) -> None:
    """So many callers each open a stream, and say that they went back to polling."""
    for number in range(callers):
        query = [
            *OF_ORDERS,
            ("clientId", f"c{number}"),
            ("attempt", f"a{number}"),
            ("clientVersion", VERSION),
        ]
        async with migration.client.stream(query) as stream:
            await stream.connected()
            assert (
                await report(admin, f"c{number}", attempt=f"a{number}", fallback="mute")
            ).status_code == 202


async def guard(admin: Operator) -> Any:
    response = await admin.get(GUARD)
    assert response.status_code == 200, response.text
    return response.json()


async def judged_until(migration: Migration, clock: ManualClock, what: Callable[[], Any], name: str) -> None:
    """Lets one second after the other pass, each time after the guard has judged, until `what()` holds."""
    counters = migration.gateway.parts.migration.guard_loop.counters
    judged = -1

    async def holds() -> bool:
        nonlocal judged
        if counters.evaluations != judged:
            judged = counters.evaluations
            clock.advance(1)
        return bool(await what())

    await eventually(holds, name)


async def test_clients_that_fall_back_take_a_component_back_and_a_rearm_brings_it_again(
    migration: Migration, admin: Operator, clock: ManualClock
) -> None:
    async def is_latched() -> bool:
        return (await migration.fetch_mode())["cause"] == "auto_rollback"

    async with migration.client.stream(REPORTING) as stream:
        await stream.connected()
        clock.advance(7)
        await fall_back(migration, admin, 20)
        await judged_until(migration, clock, is_latched, "the component was taken back")
        told = await stream.until("fetch-mode")
        bye = await stream.until("bye")

    assert (told.data["mode"], told.data["reason"]) == ("polling", "DISABLED")
    assert (bye.data["reason"], bye.data["reconnect"]) == ("disconnected", False)
    flag = (await admin.get(ORDERS)).json()
    assert (flag["stage"], flag["percentage"], flag["latch"]["metric"]) == ("live", 100, "fallbackRate")
    assert (flag["latch"]["value"], flag["latch"]["threshold"]) == (1, 0.05)
    last = (await admin.get(f"{ORDERS}/revisions")).json()["revisions"][-1]
    assert last["who"] == "guard"
    assert last["why"].startswith("automatic rollback: fallbackRate is 100 % over ")
    assert (await guard(admin))["state"]["latch"] == flag["latch"]
    assert await migration.client.metric("tidegate_guard_rollbacks_total", component="orders") == 1

    assert (await admin.post(f"{ORDERS}/rearm", "the proxy is repaired")).status_code == 200
    assert (await migration.fetch_mode(clientId="c"))["mode"] == "streaming"
    async with migration.client.stream(REPORTING) as stream:
        assert (await stream.connected()).data["modes"] == {"orders": "streaming"}


async def test_a_dry_run_only_tells(migration: Migration, admin: Operator, clock: ManualClock) -> None:
    await migration.change(guard={"dryRun": True})

    async def would_roll_back() -> bool:
        action = (await guard(admin))["action"]
        return action is not None and action["do"] == "rollback"

    clock.advance(7)
    await fall_back(migration, admin, 20)
    await judged_until(migration, clock, would_roll_back, "it said that it would roll back")
    answer = await guard(admin)
    assert (answer["verdict"], answer["dryRun"], answer["metric"]) == ("fail", True, "fallbackRate")
    assert answer["action"]["reason"].startswith("fallbackRate is 100 % over ")
    assert (await admin.get(ORDERS)).json()["latch"] is None
    assert await migration.client.metric("tidegate_guard_rollbacks_total") == 0


async def test_streams_that_are_never_acknowledged_count_as_failures(
    migration: Migration, admin: Operator, clock: ManualClock
) -> None:
    clock.advance(7)
    assert (await report(admin, "nobody", firstEventMs=12)).status_code == 202

    async def first_events() -> tuple[float | None, int]:
        metric = (await guard(admin))["metrics"]["firstEventSuccess"]
        return metric["value"], metric["samples"]

    async def failed() -> bool:
        return await first_events() == (0.5, 2)

    good_one = [*OF_ORDERS, ("clientId", "good"), ("clientVersion", VERSION)]
    mute_one = [*OF_ORDERS, ("clientId", "mute"), ("clientVersion", VERSION)]
    async with migration.client.stream(good_one) as good, migration.client.stream(mute_one) as mute:
        client_id = (await good.connected()).data["clientId"]
        await mute.connected()
        assert (await report(admin, client_id, firstEventMs=80)).status_code == 202
        assert await first_events() == (1.0, 1)
        clock.advance(15)
        await eventually(failed, "the stream that nobody acknowledged failed")

    assert await migration.client.metric("tidegate_telemetry_unmatched_total") == 1
    assert migration.gateway.parts.migration.telemetry.waiting == 0


async def test_native_clients_that_never_report_are_no_failures(
    migration: Migration, admin: Operator, clock: ManualClock
) -> None:
    clock.advance(7)
    assert (await report(admin, "nobody", clientVersion="other")).status_code == 202
    async with migration.client.stream([*OF_ORDERS, ("clientId", "c")]) as stream:
        await stream.connected()
        evaluations = migration.gateway.parts.migration.guard_loop.counters.evaluations
        clock.advance(20)

        async def judged() -> bool:
            return migration.gateway.parts.migration.guard_loop.counters.evaluations > evaluations

        await eventually(judged, "the guard has judged")
    assert (await guard(admin))["metrics"]["firstEventSuccess"]["samples"] == 0


async def test_what_an_upstream_answers_is_no_error_of_the_gateways(
    migration: Migration, admin: Operator, clock: ManualClock
) -> None:
    migration.backend.says(b"broken", status=500)
    clock.advance(7)
    assert (await migration.client.get(PATH, {"clientId": "ann"})).status == 500
    for query in (OF_ORDERS, {"entity": "order"}):
        assert (await migration.client.get("/api/v1/sync/poll", query)).status == 200
    assert (await migration.client.get("/api/v1/sync/poll", {"entity": "invoice"})).status == 200
    assert (await migration.client.get("/api/v1/sync/poll", {"filter": "nonsense"})).status == 400

    async def own_polls_failed() -> bool:
        return bool((await guard(admin))["ownPolls"]["failed"])

    await eventually(own_polls_failed, "the gateway's own polls are told")
    answer = await guard(admin)
    metric = answer["metrics"]["errorRate"]
    assert (metric["value"], metric["samples"], metric["measured"]) == (1.0, 1, True)
    assert answer["verdict"] == "inconclusive"


async def test_the_lag_is_from_when_the_log_had_it_and_the_publishers_own_stands_beside(
    migration: Migration, admin: Operator, clock: ManualClock
) -> None:
    clock.advance(7)
    async with migration.client.stream(OF_ORDERS) as stream:
        await stream.connected()
        await migration.client.publish(event(2, timestamp="2020-11-20T18:00:06.123Z"))
        await stream.take(1)
        answer = await guard(admin)

    metric = answer["metrics"]["pushLagP99Ms"]
    assert (metric["samples"], metric["measured"]) == (1, True)
    assert metric["value"] < 1000
    assert answer["sourceLagP99Ms"] > 1e6


async def test_what_push_saves_is_counted_beside_what_the_snapshot_saves(
    migration: Migration, admin: Operator, clock: ManualClock
) -> None:
    async def saved() -> bool:
        answer = (await admin.get(f"{ORDERS}/pollers")).json()
        asked = answer["upstreamRequests"]
        return bool(asked > 0 and answer["savedByPush"] == 50 - asked)

    async with migration.client.stream(REPORTING) as one, migration.client.stream(REPORTING) as other:
        await one.connected()
        await other.connected()
        # What a client has read may have been written a moment before its stream is counted.
        evidence = migration.gateway.parts.migration.evidence
        assert migration.gateway.call(lambda: evidence.streams("orders")) == 2
        clock.advance(10)
        await eventually(
            saved, "two streams of ten seconds saved fifty polls, but for what the gateway asked itself"
        )


async def test_a_client_says_that_it_takes_no_streams(migration: Migration) -> None:
    mode = await migration.fetch_mode(clientId="c", capable="false")
    assert (mode["mode"], mode["reason"], mode["cause"]) == ("polling", "TARGETING_MATCH", "client_incapable")
    assert mode["pollUrl"].endswith("component=orders&clientId=c&capable=false")
    refused = await migration.client.get(EVENTS, [*REPORTING, ("capable", "false")])
    assert (refused.status, refused.headers["Fetch-Mode"]) == (204, "polling")
    assert (await migration.fetch_mode(clientId="c", capable="true"))["mode"] == "streaming"
    wrong = await migration.client.get("/api/v1/sync/fetch-mode", [*OF_ORDERS, ("capable", "no")])
    assert (wrong.status, wrong.json["errors"][0]["parameter"]) == (400, "capable")


async def test_what_a_flood_of_reports_leaves_is_bounded(migration: Migration, admin: Operator) -> None:
    answers = [
        (await report(admin, f"c{number}", clientVersion=f"made-up {number}", fallback="error")).status_code
        for number in range(130)
    ]
    assert answers == [202] * 130
    metric = migration.client.metric
    assert await metric("tidegate_telemetry_limited_total") == 0
    assert await metric("tidegate_telemetry_reports_total", component="orders", mode="streaming") == 130
    assert await metric("tidegate_telemetry_fallbacks_total", component="orders", reason="error") == 130
    assert await metric("tidegate_telemetry_unmatched_total") == 130
    assert len((await admin.get(f"{ORDERS}/telemetry")).json()["fallbacksByVersion"]) == 32


async def test_the_verdict_is_a_metric(migration: Migration) -> None:
    await migration.client.metric_becomes("tidegate_guard_verdict", 1, component="orders", verdict="no_data")
    assert await migration.client.metric("tidegate_guard_verdict", component="orders") == 1


async def test_a_component_without_a_flag_has_no_guard(admin: Operator) -> None:
    assert (await admin.get(GUARD.replace("orders", "billing"))).status_code == 404
