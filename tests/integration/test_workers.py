"""`tidegate serve --workers`: several processes that serve one address."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.support.admin import ORDERS, operator
from tests.support.api import POLL, Client, event, eventually
from tests.support.cluster import Wanderer, position, publish_last, toml
from tests.support.command import run
from tests.support.gateway import ServedGateway
from tests.support.http import DEADLINE_SECONDS
from tests.support.postgres import PASSWORD_USER, connected, execute, own_server
from tests.support.redis import redis_server
from tests.support.tokens import auth_settings, bearer, mint, static_key

COUNT = 3

ONE_LOG = pytest.mark.parametrize("log_url", ["redis"], indirect=True)
"""For what is the same whichever log the workers share."""


@pytest.fixture
async def served(serve: Callable[[str], ServedGateway], log_url: str) -> AsyncIterator[ServedGateway]:
    """Workers, all of which serve. Whatever becomes of the first process, none is left behind."""
    gateway = await asyncio.to_thread(serve, toml(server={"workers": COUNT}, log={"url": log_url}))
    started = processes(gateway)
    yield gateway
    started += processes(gateway)
    gateway.kill()
    _, alive = psutil.wait_procs(started, DEADLINE_SECONDS)
    for process in alive:
        process.kill()
    assert not alive, "the workers ended with the first process"


def processes(gateway: ServedGateway) -> list[psutil.Process]:
    """The workers' processes, as long as the first one lives."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(gateway.process.pid).children()
    return []


@ONE_LOG
async def test_all_take_the_same_tokens_and_keys(serve: Callable[[str], ServedGateway], log_url: str) -> None:
    key, table = static_key("ci", subscribe=["order"])
    auth = toml(**{"auth": auth_settings(), "[auth.keys]": table})
    gateway = await asyncio.to_thread(serve, toml(server={"workers": 2}, log={"url": log_url}) + auth)
    for credentials in (key, mint(subscribe=["order"])):
        # Each is a connection of its own, which either of the workers may get.
        polls = [Client(gateway.port).get(POLL, headers=[bearer(credentials)]) for _ in range(16)]
        assert {answer.status for answer in await asyncio.gather(*polls)} == {200}


@ONE_LOG
async def test_all_serve_one_address_and_metrics_are_those_of_all(served: ServedGateway):
    client = Client(served.port)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8 * COUNT):
            stream = await stack.enter_async_context(client.stream())
            await stream.connected()
        holders = {
            process.pid
            for process in processes(served)
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == served.port
        }
        await client.publish(event(1))
        assert len(holders) > 1, "24 connections all reached one worker of 3: once in 10^10 runs"
        # A worker that is slow to answer is left out.
        await client.metric_becomes("tidegate_worker_up", COUNT)
        for number in range(1, COUNT + 1):
            await client.metric_becomes("tidegate_worker_up", 1, worker=str(number))
        await client.metric_becomes("tidegate_streams", 8 * COUNT)
        await client.metric_becomes("tidegate_published_events_total", 1)


@ONE_LOG
async def test_figures_say_which_worker_they_are_of(served: ServedGateway):
    async with operator(served.port) as admin:
        await admin.make()
        process = (await admin.get(f"{ORDERS}/guard")).json()["answeredBy"]
    assert process["worker"] in range(1, COUNT + 1)
    assert (process["workers"], process["sharesLog"]) == (COUNT, True)


async def test_a_kill_that_is_held_reaches_every_worker_also_one_that_is_started_later(
    serve: Callable[[str], ServedGateway], tmp_path: Path
):
    with redis_server() as redis:
        path = tmp_path / "flags.json"
        # With a directory in the lock's place the store can be read, and takes nothing.
        path.with_name("flags.json.lock").mkdir()
        path.write_text('{"version": 1, "flags": {"orders": {"stage": "live", "percentage": 100}}}')
        config = toml(server={"workers": COUNT}, log={"url": redis.url}, flags={"store": f"file:{path}"})
        gateway = await asyncio.to_thread(serve, config)

        async def modes() -> set[str]:
            """How a fresh connection is decided, each of which any worker may get."""
            client = Client(gateway.port)
            asked = [client.get("/api/v1/sync/fetch-mode", {"component": "orders"}) for _ in range(8 * COUNT)]
            return {answer.json["mode"] for answer in await asyncio.gather(*asked)}

        async with operator(gateway.port) as admin:
            killed = (await admin.post(f"{ORDERS}/kill", local=True)).json()
        assert (killed["local"], killed["missedWorkers"]) == (True, [])
        assert await modes() == {"polling"}
        held = gateway.log().count("event=local_kill_held")
        assert held == COUNT

        processes(gateway)[0].kill()

        async def is_told() -> bool:
            return gateway.log().count("event=local_kill_held") == held + 1

        await eventually(is_told, "the worker that was started anew has asked the others")
        assert await modes() == {"polling"}


@ONE_LOG
async def test_each_line_names_its_worker_and_has_a_time_in_utc(served: ServedGateway):
    served.terminate()
    await served.exit_code()

    stopping = [line for line in served.log().splitlines() if "event=stopping" in line]
    for number in range(1, COUNT + 1):
        line_of_worker = rf"time=\S+T\S+\.\d\d\dZ level=info worker={number} event=stopping .*"
        assert any(re.fullmatch(line_of_worker, line) for line in stopping), served.log()


async def test_a_worker_that_is_killed_is_started_again_and_its_clients_lose_nothing(served: ServedGateway):
    client = Client(served.port)
    cursor = await client.now()
    clients = [Wanderer(cursor) for _ in range(6)]
    published: list[str] = []

    async def read(wanderer: Wanderer) -> None:
        while not wanderer.is_over:
            await wanderer.stream(served.port)

    async def publish(count: int) -> None:
        for number in range(count):
            published.extend(await client.publish(event(number)))

    async def all_read() -> bool:
        return all(wanderer.ids == published for wanderer in clients)

    async with asyncio.TaskGroup() as tasks:
        for wanderer in clients:
            tasks.create_task(read(wanderer))
        await publish(10)
        await eventually(all_read, "all clients read")
        for killed in processes(served):
            killed.kill()
            await started_again(served, killed)
            await publish(10)
        published.append(await publish_last(served.port))

    assert [wanderer.ids for wanderer in clients] == [published] * len(clients)
    assert published == sorted(published, key=position)


async def started_again(gateway: ServedGateway, killed: psutil.Process) -> None:
    """Returns once all workers answer, and the killed one is not among them."""

    async def holds() -> bool:
        pids = {process.pid for process in processes(gateway)}
        if killed.pid in pids or len(pids) < COUNT:
            return False
        return await Client(gateway.port).metric("tidegate_worker_up") == COUNT

    await eventually(holds, "another worker is in the place of the one that was killed")


@ONE_LOG
async def test_sigterm_sends_the_streams_of_all_away_and_ends_with_0(served: ServedGateway):
    client = Client(served.port)
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.stream()) for _ in range(6)]
        for stream in streams:
            await stream.connected()
        workers = processes(served)
        served.terminate()
        for stream in streams:
            assert (await stream.until("bye")).data["reason"] == "drain"
            assert await stream.rest() == []
    assert await served.exit_code() == 0
    assert not any(worker.is_running() for worker in workers)


@ONE_LOG
async def test_where_the_first_process_is_killed_the_workers_drain_and_end(served: ServedGateway):
    async with Client(served.port).stream() as stream:
        await stream.connected()
        workers = processes(served)
        served.process.kill()
        assert (await stream.until("bye")).data["reason"] == "drain"
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, DEADLINE_SECONDS)
    assert alive == []


@pytest.mark.parametrize("log", ["memory://", "sqlite:///events.db"])
async def test_a_log_of_one_process_is_refused_in_one_sentence(tmp_path: Path, log: str):
    file = tmp_path / "tidegate.toml"
    file.write_text(toml(log={"url": log}))

    code, out, err = await run("serve", "--workers", "2", "--config", str(file), "--port", "0")

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        f"tidegate: server.workers on the command line is 2, but must be 1 with log.url {log}"
    )


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_a_wrong_password_is_one_sentence_and_exit_code_2(tmp_path: Path, kind: str):
    file = tmp_path / "tidegate.toml"
    with wrong_password(kind) as url:
        file.write_text(toml(log={"url": url}))
        code, out, err = await run("serve", "--workers", "3", "--config", str(file), "--port", "0")
    assert (code, out) == (2, "")
    assert [line for line in err.splitlines() if line.startswith("tidegate: ")] == err.splitlines()
    assert err.count("\n") == 1
    assert "password" in err
    assert "not-this" not in err


@contextlib.contextmanager
def wrong_password(kind: str):
    """The URL of a server that wants another password than the URL's."""
    if kind == "redis":
        with redis_server("--requirepass", "this") as server:
            yield f"redis://:not-this@127.0.0.1:{server.port}"
    else:
        with own_server() as server:
            with connected(server.url()) as connection:
                execute(connection, f"create role {PASSWORD_USER} login password 'this'")
            yield server.url(user=f"{PASSWORD_USER}:not-this")
