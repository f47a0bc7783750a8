"""What workers write while the log's server is away: a line when that begins, and one when it is over."""

import asyncio
import shlex
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from tests.support.api import Client, event, eventually
from tests.support.cluster import breakable, publish_once, toml
from tests.support.gateway import ServedGateway
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import upstream

WORKERS = 2
RETRIES = 6
"""How often each worker has to have tried in vain: some seconds of an outage."""
ROUTE = """
[[legacy]]
component = "orders"
path = "{path}"
upstream = "{upstream}"
entity = "order"
items = "/docs"
key = "orderID"
interval_seconds = 0.2
shared = true
"""

TOLD = {"log_failed": 1, "log_recovered": 1}
"""What each worker tells, although its flags and what it polls upstream need the same server."""
OF_REQUESTS = "request_refused"
"""Comes once a second at most, while somebody publishes."""


def lines_by_worker(text: str) -> dict[str, Counter[str]]:
    """How often each worker told of each event."""
    found: dict[str, Counter[str]] = {}
    for line in text.splitlines():
        fields = dict(part.split("=", 1) for part in shlex.split(line))
        found.setdefault(fields.get("worker", ""), Counter())[fields["event"]] += 1
    return found


async def retried(client: Client, times: int) -> None:
    """Waits until the follower of each worker has tried that often in vain."""

    async def holds() -> bool:
        name, task = "tidegate_task_retries_total", "follower"
        tried = [await client.metric(name, task=task, worker=str(n)) for n in range(1, WORKERS + 1)]
        return min(tried) >= times

    await eventually(holds, "each worker has tried in vain")


async def ready(client: Client) -> None:
    """Waits until the worker that answers is ready, so many times in a row that all of them are."""
    in_a_row = 0

    async def holds() -> bool:
        nonlocal in_a_row
        in_a_row = in_a_row + 1 if (await client.get("/readyz")).status == 200 else 0
        return in_a_row >= 20

    await eventually(holds, "all workers are ready")


async def publish_in_vain(client: Client, is_over: asyncio.Event) -> None:
    """Publishes one event after the other, and gives up each after the server's answer."""
    number = 0
    while not is_over.is_set():
        number += 1
        answer = await publish_once([client.port], [event(number)], f"in vain {number}")
        assert answer.status in (201, 503), answer.body


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_an_outage_is_a_line_when_it_begins_and_one_when_it_is_over_of_each_worker(serve, kind):
    async with breakable(kind) as log, upstream() as backend, AsyncExitStack() as stack:
        backend.says(listed(order("A", orderStage="0")))
        config = toml(server={"workers": WORKERS}, log={"url": log.url}, flags={"store": kind})
        config += ROUTE.format(path=PATH, upstream=backend.url)
        served: ServedGateway = await asyncio.to_thread(serve, config)
        client = Client(served.port)
        for _ in range(4 * WORKERS):
            stream = await stack.enter_async_context(client.stream({"entity": "order"}))
            await stream.connected()
        await backend.was_asked(2)
        before, began = served.log(), asyncio.get_running_loop().time()

        await asyncio.to_thread(log.server.stop)
        is_over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publish_in_vain(client, is_over))
            await retried(client, RETRIES)
            await asyncio.to_thread(log.server.start)
            await ready(client)
            is_over.set()

        async def told() -> bool:
            return served.log().count("event=log_recovered") == WORKERS

        await eventually(told, "each worker told of the end")
        served.terminate()
        assert await served.exit_code() == 0
        seconds = asyncio.get_running_loop().time() - began

    told_of = lines_by_worker(served.log().removeprefix(before))
    for number in range(1, WORKERS + 1):
        events = told_of[str(number)]
        refused = events.pop(OF_REQUESTS, 0)
        assert refused <= seconds + 1, "a line a second"
        assert events - Counter(stopping=1) == TOLD, served.log()
