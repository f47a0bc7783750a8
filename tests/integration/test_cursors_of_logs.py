"""Cursors that only the log can tell: while it holds delivery, and while it is out of reach."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.core.events import Cursor, Position
from tests.support.api import HISTORY, POLL, Client, assert_problem, event, eventually, numbers
from tests.support.cluster import breakable
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import connected, execute, log_schema

Start = Callable[..., GatewayThread]

COUNT = 20
HELD = 5
"""How many of COUNT events the node's history holds."""


async def test_the_cursor_of_a_201_is_waited_for_while_an_older_transaction_is_open(
    start_gateway: Start,
) -> None:
    async with log_schema() as url:
        gateway = start_gateway(make_settings(log={"url": url}))
        client = Client(gateway.port)
        await client.publish(event(1))
        with connected(url) as connection:
            execute(connection, "begin")
            execute(connection, "select pg_current_xact_id()")
            [_, cursor] = await client.publish(event(2), event(3))
            poll = asyncio.create_task(client.poll(cursor=cursor, wait="30"))
            stream = asyncio.create_task(first_of_stream(client, cursor))

            async def are_waited_for() -> bool:
                return gateway.call(lambda: gateway.parts.delivery.follower.waiting) == 2

            await eventually(are_waited_for, "both wait for the cursor")
            execute(connection, "commit")
            [last] = await client.publish(event(4))
        answer = await poll
        assert (numbers(answer["events"]), answer["cursor"], "reset" in answer) == ([4], last, False)
        assert await stream == (True, [4])


async def first_of_stream(client: Client, cursor: str) -> tuple[bool, list[int]]:
    """Whether a stream went on from the cursor, and the number of its first event."""
    async with client.stream({"lastEventId": cursor}) as stream:
        connected = await stream.connected()
        return connected.data["recovered"], numbers(await stream.take(1))


class Log(NamedTuple):
    """A log, and how it is put out of reach."""

    url: str
    stop: Callable[[], None]


@asynccontextmanager
async def log_of(kind: str, directory: Path) -> AsyncIterator[Log]:
    if kind == "sqlite":
        file = directory / "events.db"
        yield Log(f"sqlite:///{file}", lambda: file.rename(directory / "elsewhere"))
    else:
        async with breakable(kind) as broken:
            yield Log(broken.url, broken.server.stop)
            broken.server.start()


def moved(cursor: str, by: int) -> str:
    """The cursor of a position that many milliseconds, or transactions, later."""
    found = Cursor.parse(cursor)
    assert found is not None
    return str(Cursor(found.epoch, Position(found.position.major + by, found.position.minor)))


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
async def test_while_the_log_is_stopped_no_poll_is_taken_back(
    start_gateway: Start, kind: str, tmp_path: Path
) -> None:
    async with log_of(kind, tmp_path) as log:
        gateway = start_gateway(make_settings(log={"url": log.url}, history={"max_events": HELD}))
        client = Client(gateway.port)
        ids = await client.publish(*(event(number) for number in range(COUNT)))

        async def is_read() -> bool:
            return await client.now() == ids[-1]

        await eventually(is_read, "the node has read its events")
        log.stop()
        unread = moved(ids[-1], 100)
        for cursor in (ids[3], unread):
            for query in ({"cursor": cursor}, {"cursor": cursor, "wait": "1"}, {"lastEventId": cursor}):
                assert_problem(await client.get(POLL, query), 503)
            assert_problem(await client.get(POLL, headers=[("If-None-Match", f'"{cursor}"')]), 503)
        assert_problem(await client.get(HISTORY, {"limit": "10"}), 503)

        # What the history holds is served all the same, and no reset says otherwise.
        assert numbers((await client.poll(cursor=ids[-3]))["events"]) == [COUNT - 2, COUNT - 1]
        assert (await client.poll())["cursor"] == ids[-1]
        for cursor, reason in ((ids[3], "trimmed"), (unread, "unknown")):
            async with client.stream({"lastEventId": cursor}) as stream:
                assert (await stream.connected()).data["recovered"] is False
                reset = await stream.next()
                assert (reset.event, reset.data["reason"], reset.id) == ("reset", reason, ids[-1])
