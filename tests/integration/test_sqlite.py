"""A gateway on an SQLite log: what its clients see of restarts, of sudden ends and of a full disk."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.api import EVENTS, HISTORY, Client, assert_problem, event, eventually, numbers
from tests.support.command import run
from tests.support.gateway import GatewayThread, ServedGateway, make_settings
from tests.support.legacy import PATH, listed, order
from tests.support.sqlite import everything, opened
from tests.support.upstream import upstream

BATCH = 3
ROUNDS = 5
WRITERS = 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


def on(path: Path) -> str:
    """A configuration with its log at `path`."""
    return f'[log]\nurl = "sqlite:///{path}"\n'


async def caught_up(client: Client, cursor: str) -> None:
    """Waits until the gateway has brought its history up to `cursor`."""

    async def holds() -> bool:
        return bool((await client.poll())["cursor"] == cursor)

    await eventually(holds, f"the history reaches {cursor}")


async def test_a_client_resumes_across_a_restart_without_loss_double_or_reset(
    path: Path, start_gateway: Callable[..., GatewayThread]
) -> None:
    settings = make_settings(log={"url": f"sqlite:///{path}"})
    first = start_gateway(settings)
    client = Client(first.port)
    await client.publish(*(event(number) for number in range(5)))
    async with client.stream({"lastEventId": "earliest"}) as stream:
        await stream.connected()
        seen = numbers(await stream.take(3))
        cursor = stream.last_event_id
    ids = await client.publish(*(event(number) for number in range(5, 10)))
    first.stop()

    client = Client(start_gateway(settings).port)
    await caught_up(client, ids[-1])
    async with client.stream(headers=[("Last-Event-ID", str(cursor))]) as stream:
        assert (await stream.connected()).data["recovered"] is True
        seen += numbers(await stream.take(7))
        await client.publish(event(10))
        seen += numbers(await stream.take(1))

    assert seen == list(range(11))


async def test_a_poller_goes_on_across_a_restart(
    path: Path, start_gateway: Callable[..., GatewayThread]
) -> None:
    settings = make_settings(log={"url": f"sqlite:///{path}"})
    first = start_gateway(settings)
    ids = await Client(first.port).publish(*(event(number) for number in range(4)))
    first.stop()

    client = Client(start_gateway(settings).port)
    await caught_up(client, ids[-1])
    answer = await client.poll(cursor=ids[1])

    assert numbers(answer["events"]) == [2, 3]
    assert "reset" not in answer
    assert [given["id"] for given in (await client.get(HISTORY)).json["events"]] == ids


async def test_what_changed_upstream_while_the_gateway_was_down_is_an_event(
    path: Path, start_gateway: Callable[..., GatewayThread]
) -> None:
    async with upstream() as backend:
        route = {
            "component": "orders",
            "path": PATH,
            "upstream": backend.url,
            "entity": "order",
            "items": "/docs",
            "key": "orderID",
            "interval_seconds": 0.05,
            "shared": True,
        }
        settings = make_settings(log={"url": f"sqlite:///{path}"}, legacy=[route])
        backend.says(listed(order("A", stage="open"), order("B", stage="open")))
        first = start_gateway(settings)
        answer = await Client(first.port).get(PATH)
        first.stop()

        backend.says(listed(order("A", stage="paid"), order("C", stage="open")))
        client = Client(start_gateway(settings).port)
        async with client.stream(headers=[("Last-Event-ID", answer.headers["Sync-Cursor"])]) as stream:
            assert (await stream.connected()).data["recovered"] is True
            events = await stream.take(3)

    assert sorted((event["eventType"], event["entityId"]) for event in events) == [
        ("order_created", "C"),
        ("order_deleted", "B"),
        ("order_updated", "A"),
    ]


async def test_a_client_of_a_file_that_was_copied_back_is_told(
    path: Path, start_gateway: Callable[..., GatewayThread]
) -> None:
    settings = make_settings(log={"url": f"sqlite:///{path}"})
    first = start_gateway(settings)
    await Client(first.port).publish(event(0))
    first.stop()
    backup = await asyncio.to_thread(path.read_bytes)
    second = start_gateway(settings)
    (cursor,) = await Client(second.port).publish(event(1))
    second.stop()
    await asyncio.to_thread(path.write_bytes, backup)

    client = Client(start_gateway(settings).port)
    async with client.stream(headers=[("Last-Event-ID", cursor)]) as stream:
        assert (await stream.connected()).data["recovered"] is False
        assert (await stream.until("reset")).data["reason"] == "epoch"


async def write_until_the_end(client: Client, writer: int, acknowledged: list[list[str]]) -> None:
    """Publishes batches, one after the other, until the gateway is gone."""
    batch = 0
    while True:
        events = [event(batch, of=f"{writer}-{batch}") for _ in range(BATCH)]
        try:
            response = await client.post(events)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            return
        assert response.status == 201
        acknowledged.append(response.json["ids"])
        batch += 1


async def test_nothing_that_was_acknowledged_is_lost_by_sudden_ends(
    path: Path, serve: Callable[..., ServedGateway]
) -> None:
    draw = random.Random(20261120)
    acknowledged: list[list[str]] = []
    for _ in range(ROUNDS):
        gateway = serve(on(path))
        until = len(acknowledged) + draw.randrange(1, 150)
        async with asyncio.TaskGroup() as writers:
            for writer in range(WRITERS):
                writers.create_task(write_until_the_end(Client(gateway.port), writer, acknowledged))

            async def killed(gateway: ServedGateway = gateway, until: int = until) -> bool:
                if len(acknowledged) < until:
                    return False
                await asyncio.to_thread(gateway.kill)
                return True

            await eventually(killed, f"{until} batches acknowledged")

    async with opened(path) as log:
        records = await everything(log)
        held = [f"{log.epoch}.{record.position}" for record in records]
    assert held == sorted(held, key=lambda cursor: [int(n) for n in cursor.partition(".")[2].split("-")])
    place = {cursor: index for index, cursor in enumerate(held)}
    for ids in acknowledged:
        first = place[ids[0]]
        assert held[first : first + BATCH] == ids
    # What was written and not acknowledged is there whole or not at all.
    entities = [record.event.entity_id for record in records]
    assert len(entities) % BATCH == 0
    assert all(len(set(entities[start : start + BATCH])) == 1 for start in range(0, len(entities), BATCH))


async def test_a_full_disk_is_a_503_and_readers_go_on(
    path: Path, serve: Callable[..., ServedGateway]
) -> None:
    gateway = serve(on(path))
    client = Client(gateway.port)
    process = psutil.Process(gateway.process.pid)
    unlimited = process.rlimit(psutil.RLIMIT_FSIZE)
    # The kernel refuses what grows a file beyond that.
    process.rlimit(psutil.RLIMIT_FSIZE, (400_000, unlimited[1]))
    ids: list[str] = []

    async def fill() -> Any:
        while (response := await client.post([event(1, data={"n": "x" * 20_000})])).status == 201:
            ids.extend(response.json["ids"])
        return response

    refused = await asyncio.wait_for(fill(), 60)
    assert_problem(refused, 503)
    assert refused.json["type"] == "urn:tidegate:problem:log-unavailable"
    assert str(path) not in refused.body.decode()
    ready = await client.get("/readyz")
    warning = f"Publishing fails: {refused.json['detail']}"
    assert (ready.status, ready.json["warnings"]) == (200, [warning])
    await caught_up(client, ids[-1])
    async with client.stream({"lastEventId": ids[0]}) as stream:
        await stream.connected()
        assert [given["id"] for given in await stream.take(len(ids) - 1)] == ids[1:]
        process.rlimit(psutil.RLIMIT_FSIZE, unlimited)
        (after,) = await client.publish(event(2))
        assert [given["id"] for given in await stream.take(1)] == [after]
    assert (await client.get("/readyz")).json["warnings"] == []
    assert gateway.log().count("event=sqlite_log_failed") == 1


async def test_a_file_deleted_underneath_is_a_503_and_not_ready(
    path: Path, serve: Callable[..., ServedGateway]
) -> None:
    client = Client(serve(on(path)).port)
    await client.publish(event(0))
    await asyncio.to_thread(path.unlink)

    assert_problem(await client.post([event(1)]), 503)

    async def is_not_ready() -> bool:
        return (await client.get("/readyz")).status == 503

    await eventually(is_not_ready, "the gateway says that it is not ready")


async def test_a_second_gateway_on_the_file_is_one_sentence_and_exit_code_2(
    path: Path, tmp_path: Path, serve: Callable[..., ServedGateway]
) -> None:
    client = Client(serve(on(path)).port)
    file = tmp_path / "second.toml"
    file.write_text(on(path))

    code, out, err = await run("serve", "--config", str(file), "--port", "0")

    assert (code, out) == (2, "")
    assert err == (
        "tidegate: log.url: Another process uses the log's file: an SQLite log is for one gateway with one "
        "worker.\n"
    )
    assert (await client.get(EVENTS.replace("events", "poll"))).status == 200
    await client.publish(event(0))


async def test_a_log_that_can_not_be_used_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text('[log]\nurl = "sqlite:///nowhere/events.db"\n')

    code, out, err = await run("serve", "--config", str(file), "--port", "0")

    assert (code, out) == (2, "")
    assert err == "tidegate: log.url: The directory of the log's file does not exist: create it.\n"


def test_a_relative_path_is_relative_to_the_configuration_file(serve: Callable[..., ServedGateway]) -> None:
    gateway = serve('[log]\nurl = "sqlite:///events.db"\n')

    assert (gateway.directory / "events.db").is_file()
