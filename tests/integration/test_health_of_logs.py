"""What an operator sees of a durable log on `/metrics` and `/readyz`, on real servers."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.postgres.log import PostgresLog, Timing
from tests.support.admin import ORDERS, operator
from tests.support.api import Client, event, eventually
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH
from tests.support.postgres import connected, execute, log_schema
from tests.support.redis import redis_server
from tests.support.upstream import upstream

Start = Callable[..., GatewayThread]
QUICK = Timing(watch=0.01, patience=0.001)
WRITTEN_BEFORE = """
insert into sync_events (event_type, action, "timestamp", recorded_at)
values ('changed', 'signal', clock_timestamp() - %s::interval, clock_timestamp() - %s::interval)
"""


async def warnings(client: Client) -> list[str]:
    """What `/readyz` warns of, once the gateway follows its log: it is ready all the same."""

    async def is_ready() -> bool:
        return (await client.get("/readyz")).status == 200

    await eventually(is_ready, "the gateway is ready")
    response = await client.get("/readyz")
    assert (response.status, response.json["status"]) == (200, "ready")
    return list(response.json["warnings"])


async def warned(client: Client) -> str:
    """The one warning, once there is one."""

    async def holds() -> bool:
        return len(await warnings(client)) == 1

    await eventually(holds, "/readyz warns")
    return (await warnings(client))[0]


async def test_a_gateway_in_memory_has_nothing_to_warn_of(client: Client) -> None:
    assert await warnings(client) == []


async def test_an_open_transaction_that_holds_delivery_is_a_warning_until_it_ends(
    start_gateway: Start,
) -> None:
    async with log_schema() as url:
        log = PostgresLog(url, max_events=1000, max_age_seconds=1e6, timing=QUICK)
        client = Client(start_gateway(log=log).port)
        with connected(url) as connection:
            execute(connection, "begin")
            execute(connection, "select pg_current_xact_id()")
            await client.publish(event(1))
            said = await warned(client)
            assert said.startswith(
                "An open transaction that has written holds delivery until it ends: it is "
            )
            assert await client.metric("tidegate_log_blocking_seconds") > 0
            execute(connection, "rollback")

        async def is_over() -> bool:
            return await warnings(client) == []

        await eventually(is_over, "the warning goes")
        await client.metric_becomes("tidegate_log_held_seconds", 0)
        assert await client.metric("tidegate_log_reachable") == 1


async def test_delivery_is_from_the_row_to_the_streams_and_push_lag_from_the_events_own_time(
    start_gateway: Start,
) -> None:
    async with log_schema() as url:
        log = PostgresLog(url, max_events=1000, max_age_seconds=1e6, timing=QUICK)
        client = Client(start_gateway(log=log).port)
        async with client.stream() as stream:
            await stream.connected()
            with connected(url) as connection:
                execute(connection, WRITTEN_BEFORE, ("1 hour", "20 s"))
            await stream.take(1)
            await client.metric_becomes("tidegate_delivery_seconds_count", 1)
        async with client.stream({"lastEventId": "earliest"}) as stream:
            await stream.connected()
            await stream.take(1)

        assert await client.metric("tidegate_push_lag_seconds_sum") >= 3600
        assert 20 <= await client.metric("tidegate_delivery_seconds_sum") < 3600
        assert await client.metric("tidegate_delivery_seconds_count") == 1


async def test_a_redis_that_may_lose_events_is_a_warning(start_gateway: Start) -> None:
    with redis_server() as server:
        client = Client(start_gateway(make_settings(log={"url": server.url})).port)
        assert await warnings(client) == [
            f"Redis at 127.0.0.1:{server.port} forgets events when it restarts: set appendonly to yes."
        ]


async def test_a_redis_that_keeps_everything_is_none_and_its_cut_connections_are_counted(
    start_gateway: Start,
) -> None:
    with redis_server("--appendonly", "yes") as server, server.client() as on_server:
        client = Client(start_gateway(make_settings(log={"url": server.url})).port)
        assert await warnings(client) == []
        assert await client.metric("tidegate_log_reconnects_total") == 0

        async def is_waiting() -> bool:
            return bool(on_server.info()["blocked_clients"] == 1)

        await eventually(is_waiting, "the gateway reads")
        on_server.client_kill_filter(_type="normal", skipme=True)
        await client.metric_becomes("tidegate_log_reconnects_total", 1)


async def test_a_redis_that_is_gone_makes_the_gateway_unready_with_the_reason(start_gateway: Start) -> None:
    with redis_server("--appendonly", "yes") as server:
        client = Client(start_gateway(make_settings(log={"url": server.url})).port)
        server.kill()
        reason = f"The log is out of reach: Redis at 127.0.0.1:{server.port} can't be reached: "

        async def is_unready() -> bool:
            answer = await client.get("/readyz")
            return answer.status == 503 and answer.json["reasons"][0].startswith(reason)

        await eventually(is_unready, "/readyz is 503, and says why")


async def test_what_is_killed_on_this_node_alone_is_said_beside_why_it_is_not_ready(
    start_gateway: Start,
) -> None:
    with redis_server("--appendonly", "yes") as server:
        settings = make_settings(log={"url": server.url}, flags={"store": "redis"})
        gateway = start_gateway(settings)
        async with operator(gateway.port) as admin:
            await admin.make(stage="live", percentage=100)
            server.kill()
            assert (await admin.post(f"{ORDERS}/kill", local=True)).json()["local"] is True
            client = Client(gateway.port)

            async def is_unready() -> bool:
                return (await client.get("/readyz")).status == 503

            await eventually(is_unready, "/readyz is 503")
            said = (await client.get("/readyz")).json["warnings"]
            assert "Killed on this node alone, until the flags' store takes it: orders." in said


async def test_an_outage_of_redis_is_one_line_at_its_beginning_and_one_at_its_end(
    start_gateway: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server("--appendonly", "yes") as server:
        client = Client(start_gateway(make_settings(log={"url": server.url})).port)
        await client.publish(event(1))
        caplog.clear()
        with caplog.at_level(logging.INFO):
            server.kill()

            async def is_tried_again() -> bool:
                return await client.metric("tidegate_task_retries_total", task="follower") > 2

            await eventually(is_tried_again, "the log was looked for several times")
            server.start()
            await client.publish(event(2))

            async def is_over() -> bool:
                return "log_recovered" in caplog.messages

            await eventually(is_over, "the log is followed again")
        told = [message for message in caplog.messages if message != "request_refused"]
        assert told == ["log_failed", "log_recovered"]


async def test_an_sqlite_log_that_takes_nothing_shows_it_until_it_does_again(
    tmp_path: Path, start_gateway: Start
) -> None:
    path = tmp_path / "events.db"
    client = Client(start_gateway(make_settings(log={"url": f"sqlite:///{path}"})).port)
    await client.publish(event(1))
    assert (await client.metric("tidegate_log_events"), await warnings(client)) == (1, [])
    assert await client.metric("tidegate_log_file_bytes") > 0

    os.rename(path, tmp_path / "elsewhere.db")
    assert (await client.post([event(2)])).status == 503
    assert await client.metric("tidegate_log_failing") == 1
    assert await client.metric("tidegate_log_failed_commits_total") == 1
    os.rename(tmp_path / "elsewhere.db", path)
    await client.publish(event(3))
    assert await client.metric("tidegate_log_failing") == 0


def on_redis(url: str, upstream_url: str) -> dict[str, object]:
    """Sections of settings: a log in Redis, and a route that nodes share."""
    route = {
        "component": "orders",
        "path": PATH,
        "upstream": upstream_url,
        "entity": "order",
        "items": "/docs",
        "key": "orderID",
        "shared": True,
        "interval_seconds": 0.1,
    }
    return {"log": {"url": url}, "legacy": [route]}


async def test_the_node_that_asks_an_upstream_for_all_says_so(start_gateway: Start) -> None:
    with redis_server() as server:
        async with upstream() as backend:
            client = Client(start_gateway(make_settings(**on_redis(server.url, backend.url))).port)
            assert (await client.get(PATH)).status == 200

            assert await client.metric("tidegate_upstream_shared_leading", path=PATH) == 1
            assert await client.metric("tidegate_upstream_shared_led_total", path=PATH) >= 1
            assert await client.metric("tidegate_upstream_shared_followed_total", path=PATH) == 0


async def test_without_the_logs_server_the_last_answer_of_an_upstream_is_served_as_stale(
    start_gateway: Start,
) -> None:
    with redis_server() as server:
        async with upstream() as backend:
            client = Client(start_gateway(make_settings(**on_redis(server.url, backend.url))).port)
            before = await client.get(PATH)
            server.kill()

            async def is_stale() -> bool:
                answer = await client.get(PATH)
                assert (answer.status, answer.body) == (200, before.body)
                return "fwd=stale" in answer.headers["Cache-Status"]

            await eventually(is_stale, "the answer is stale")
