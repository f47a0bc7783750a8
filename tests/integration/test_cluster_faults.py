"""What clients of a gateway see when the log's server breaks: a stream is open and events are published."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from adapters.postgres.log import PostgresLog
from tests.support.api import Client, Stream, event, eventually, numbers
from tests.support.cluster import publish_once
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.postgres import PostgresServer, log_database, new_server
from tests.support.redis import RedisServer, find_binary

Starter = Callable[..., GatewayThread]


class Broken(NamedTuple):
    """A server of the log, and how a test breaks it."""

    url: str
    server: PostgresServer | RedisServer

    async def restart(self, end: Callable[[], None]) -> None:
        """Ends the server in that way, and starts it again."""
        await asyncio.to_thread(end)
        await asyncio.to_thread(self.server.start)


@pytest.fixture
async def postgres() -> AsyncIterator[Broken]:
    server = new_server()
    try:
        server.create()
        server.start()
        async with log_database(server.url()) as url:
            yield Broken(url, server)
    finally:
        server.remove()


@pytest.fixture
async def redis() -> AsyncIterator[Broken]:
    server = RedisServer(find_binary(), "--appendonly", "yes", "--appendfsync", "always")
    try:
        server.start()
        yield Broken(server.url, server)
    finally:
        server.remove()


@pytest.fixture
async def broken(request: pytest.FixtureRequest, kind: str) -> Broken:
    found: Broken = request.getfixturevalue(kind)
    return found


def node(start_gateway: Starter, url: str, **sections: Any) -> GatewayThread:
    return start_gateway(make_settings(log={"url": url}, **sections))


async def publish(client: Client, number: int) -> None:
    """Publishes an event, again and again under one key until the log has taken it."""

    async def holds() -> bool:
        answer = await publish_once([client.port], [event(number)], f"number {number}")
        assert answer.status in (200, 201, 503), answer.body
        return answer.status != 503

    await eventually(holds, "the log takes the event")


@asynccontextmanager
async def under_load(client: Client) -> AsyncIterator[Stream]:
    """A stream while somebody publishes one event after the other; at the end each came once, in order."""
    published = 0
    is_over = asyncio.Event()

    async def load() -> None:
        nonlocal published
        while not is_over.is_set():
            await publish(client, published)
            published += 1

    async def more(count: int) -> None:
        wanted = published + count

        async def holds() -> bool:
            return published >= wanted

        await eventually(holds, "events are published")

    async with client.stream({"entity": "order"}) as stream, asyncio.TaskGroup() as tasks:
        await stream.connected()
        loading = tasks.create_task(load())
        await more(20)
        yield stream
        await more(20)
        is_over.set()
        await loading
        assert numbers(await stream.take(published)) == list(range(published))


@pytest.mark.parametrize(
    ("kind", "end"),
    [("postgres", "stop"), ("postgres", "kill"), ("redis", "stop"), ("redis", "kill")],
)
async def test_a_server_that_comes_back_with_its_data_costs_no_event(start_gateway, broken, end):
    gateway = node(start_gateway, broken.url)
    async with under_load(Client(gateway.port)):
        await broken.restart(getattr(broken.server, end))
    gateway.stop()


async def test_a_redis_that_comes_back_empty_is_a_reset_and_the_stream_lives_on(start_gateway, redis):
    gateway = node(start_gateway, redis.url)
    client = Client(gateway.port)
    async with client.stream({"entity": "order"}) as stream:
        before = (await stream.connected()).id
        await publish(client, 1)
        assert numbers(await stream.take(1)) == [1]

        def end() -> None:
            assert isinstance(redis.server, RedisServer)
            redis.server.stop()
            redis.server.forget()

        await redis.restart(end)
        told = await within(stream.until("reset"))
        assert told.data["reason"] == "epoch"
        await publish(client, 2)
        assert numbers(await within(stream.take(1))) == [2]

    async with client.stream({"lastEventId": before}) as stream:
        assert (await stream.connected()).data["recovered"] is False
        assert (await stream.until("reset")).data["reason"] == "epoch"
    async with client.stream({"lastEventId": told.id}) as stream:
        assert (await stream.connected()).data["recovered"] is True
        assert numbers(await stream.take(1)) == [2]
    gateway.stop()


async def within(waits: Coroutine[Any, Any, Any]) -> Any:
    """What it gives; heartbeats alone do not keep a test waiting for ever."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await waits


@pytest.mark.parametrize("log_url", ["postgres", "redis"], indirect=True)
async def test_a_slow_reader_that_retention_passes_is_told_and_lives_on(start_gateway, log_url):
    kept = 20
    gateway = node(
        start_gateway,
        log_url,
        history={"max_events": 10},
    )
    gateway.stop()
    gateway = start_gateway(
        make_settings(log={"url": log_url, "max_events": kept}, history={"max_events": 10})
    )
    client = Client(gateway.port)
    large = "x" * 50_000
    async with client.stream({"entity": "order"}, receive_buffer=4096) as stream:
        await stream.connected()
        for number in range(400):
            await client.publish(event(number, data={"n": number, "text": large}))
        await retained(gateway)
        seen = []
        while not seen or seen[-1] != "reset":
            frame = await within(stream.next())
            if frame.event != "heartbeat":
                seen.append("reset" if frame.event == "reset" else frame.data["data"]["n"])
        assert frame.data["reason"] == "trimmed"
        got = seen[:-1]
        assert got == list(range(len(got))), "without a gap up to where it was told of one"
        assert len(got) < 400 - kept
        await client.publish(event(400))
        after = numbers(await within(stream.take(1)))
        assert after == [400]


async def retained(gateway: GatewayThread) -> None:
    """Lets a log that lets go of events by the clock do so now."""
    log = gateway.parts.log
    if isinstance(log, PostgresLog):
        future = asyncio.run_coroutine_threadsafe(log.prune(), gateway.loop)
        await asyncio.wrap_future(future)
