"""What clients of a gateway see when the log's server breaks: a stream is open and events are published."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.postgres.log import PostgresLog
from tests.support.api import Client, Stream, event, eventually, numbers
from tests.support.cluster import breakable, publish_once
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.redis import RedisServer


@pytest.fixture
def start_node(start_gateway: Callable[..., GatewayThread]) -> Callable[..., GatewayThread]:
    def start(url: str, max_events: int = 100_000, **sections: Any) -> GatewayThread:
        return start_gateway(make_settings(log={"url": url, "max_events": max_events}, **sections))

    return start


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


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_a_server_that_comes_back_with_its_data_costs_no_event(start_node, kind, end):
    async with breakable(kind) as log:
        node = start_node(log.url)
        async with under_load(Client(node.port)):
            await log.restart(getattr(log.server, end))
        node.stop()


async def test_a_redis_that_comes_back_empty_is_a_reset_and_the_stream_lives_on(start_node):
    async with breakable("redis") as log:
        node = start_node(log.url)
        client = Client(node.port)
        async with client.stream({"entity": "order"}) as stream:
            before = (await stream.connected()).id
            await publish(client, 1)
            assert numbers(await stream.take(1)) == [1]

            def end() -> None:
                assert isinstance(log.server, RedisServer)
                log.server.stop()
                log.server.forget()

            await log.restart(end)
            told = await stream.until("reset")
            assert told.data["reason"] == "epoch"
            await publish(client, 2)
            assert numbers(await stream.take(1)) == [2]

        async with client.stream({"lastEventId": before}) as stream:
            assert (await stream.connected()).data["recovered"] is False
            assert (await stream.until("reset")).data["reason"] == "epoch"
        async with client.stream({"lastEventId": told.id}) as stream:
            assert (await stream.connected()).data["recovered"] is True
            assert numbers(await stream.take(1)) == [2]
        node.stop()


async def test_a_slow_reader_that_retention_passes_is_told_and_lives_on(start_node, log_url):
    count = 400
    # However long it takes to publish all that: who does not read meanwhile is not sent away.
    patient = {"stall_seconds": 3600.0}
    node = start_node(log_url, max_events=20, history={"max_events": 10}, stream=patient)
    client = Client(node.port)
    async with client.stream({"entity": "order"}, receive_buffer=4096) as stream:
        await stream.connected()
        for number in range(count):
            await client.publish(event(number, data={"n": number, "text": "x" * 50_000}))
        await trimmed(node)

        got: list[int] = []
        resets, may_miss = 0, False
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not got or got[-1] < count:
                frame = await stream.next()
                if frame.event == "reset":
                    assert frame.data["reason"] == "trimmed"
                    # It goes on from then: there may be nothing to come but what is published now.
                    await client.publish(event(count + resets))
                    resets, may_miss = resets + 1, True
                else:
                    number = frame.data["data"]["n"]
                    following = got[-1] + 1 if got else 0
                    assert number == following or (may_miss and number > following)
                    got.append(number)
                    may_miss = False
    assert resets >= 1
    assert len(got) < got[-1] + 1, "a reset stands for something that was missed"


async def trimmed(node: GatewayThread) -> None:
    """Lets a log that drops events by the clock do so now."""
    log = node.parts.stored.log
    if isinstance(log, PostgresLog):
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(log.prune(), node.loop))
