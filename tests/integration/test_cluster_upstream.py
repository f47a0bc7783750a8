"""An upstream that several nodes stand before: one of them asks it, and all serve what it got."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from tests.support.api import Client, Stream, eventually
from tests.support.cluster import publish_last, toml
from tests.support.gateway import GatewayThread, ServedGateway, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import Upstream, held_until, plain, takes_writes, upstream

POLLS = "tidegate_upstream_polls_total"
INTERVAL_SECONDS = 0.2
GOOD_AGAIN = listed(order("A", orderStage="1"))


def route(url: str, **settings: Any) -> dict[str, Any]:
    return route_settings(url, INTERVAL_SECONDS, changes={"orderStage": "stage_change"}) | settings


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    async with upstream() as backend:
        backend.says(listed(order("A", orderStage="0")))
        yield backend


@pytest.fixture
def start_node(
    start_gateway: Callable[..., GatewayThread], log_url: str, backend: Upstream
) -> Callable[..., GatewayThread]:
    def start(**settings: Any) -> GatewayThread:
        return start_gateway(make_settings(log={"url": log_url}, legacy=[route(backend.url, **settings)]))

    return start


def stage(body: bytes) -> str:
    """The stage of the order that the upstream lists."""
    (only,) = orjson.loads(body)["docs"]
    return str(only["orderStage"])


async def shown(client: Client) -> tuple[str, str]:
    """What the node's legacy path shows, and its cursor."""
    response = await client.get(PATH)
    assert response.status == 200, response.body
    return stage(response.body), response.headers["Sync-Cursor"]


async def shows(client: Client, wanted: str) -> str:
    """Waits until the node shows that stage; gives the cursor."""
    cursor = ""

    async def holds() -> bool:
        nonlocal cursor
        found, cursor = await shown(client)
        return found == wanted

    await eventually(holds, f"the stage {wanted} is shown")
    return cursor


async def follows(client: Client) -> None:
    """Waits until the node has looked for another's answer."""

    async def holds() -> bool:
        return await client.metric("tidegate_upstream_shared_followed_total") > 0

    await eventually(holds, "the node follows another")


async def test_every_node_passes_on_what_the_upstream_says_and_leaves_it_alone(
    start_node: Callable[..., GatewayThread], backend: Upstream
) -> None:
    backend.says(b"later", status=429, Retry_After="3600", X_Why="so")
    one, other = [Client(start_node(write_poll_seconds=0.0).port) for _ in range(2)]

    for client in (one, other):
        got = await client.get(PATH)
        assert (got.status, got.body, got.headers["X-Why"]) == (429, b"later", "so")
        assert 3500 < int(got.headers["Retry-After"]) <= 3600
    backend.answering = plain(b"", status=201)
    assert (await other.request("POST", PATH)).status == 201
    assert (await other.get(PATH)).status == 429
    assert [asked.method for asked in backend.asked] == ["GET", "POST"]


async def test_every_node_serves_what_can_not_be_compared_and_none_loses_what_it_leads_to(
    start_node: Callable[..., GatewayThread], backend: Upstream
) -> None:
    clients = [Client(start_node().port) for _ in range(2)]
    for client in clients:
        await shows(client, "0")
    backend.says(b"<html>")
    for client in clients:
        assert await served(client, b"<html>") == "tidegate; fwd=stale; detail=unusable"
    async with clients[1].stream({"entity": "order"}) as stream:
        await stream.connected()
        backend.says(GOOD_AGAIN)
        for client in clients:
            assert "unusable" not in await served(client, GOOD_AGAIN)
        assert await stages(stream, "1") == steps(0, 1)


async def served(client: Client, wanted: bytes) -> str:
    """Waits until the node serves that body; gives its Cache-Status."""
    said = ""

    async def holds() -> bool:
        nonlocal said
        got = await client.get(PATH)
        said = got.headers["Cache-Status"]
        return bool(got.body == wanted)

    await eventually(holds, "the node serves what the upstream says")
    return said


async def stages(stream: Stream, last: str) -> list[tuple[str, str]]:
    """Where each event of the stream leads from and to, up to the stage `last`."""
    steps: list[tuple[str, str]] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not steps or steps[-1][1] != last:
            data = (await stream.until("stage_change")).data["data"]
            steps.append((data["previousStage"], data["newStage"]))
    return steps


def steps(first: int, last: int) -> list[tuple[str, str]]:
    return [(str(number), str(number + 1)) for number in range(first, last)]


async def test_of_two_nodes_with_pollers_and_streams_one_asks_the_upstream(start_node, backend):
    clients = [Client(start_node().port) for _ in range(2)]
    async with clients[0].stream({"entity": "order"}) as one, clients[1].stream({"entity": "order"}) as other:
        for stream in (one, other):
            await stream.connected()
        loop = asyncio.get_running_loop()
        await backend.was_asked(1)
        asked, began = len(backend.asked), loop.time()
        for number in range(1, 6):
            for client in clients:
                await shown(client)
            backend.says(listed(order("A", orderStage=str(number))))
            # What is asked after the next request begins shows the change; it is published before the third.
            await backend.asked_again(3)
        intervals = (loop.time() - began) / INTERVAL_SECONDS
        asked = len(backend.asked) - asked

        assert await stages(one, "5") == steps(0, 5)
        assert await stages(other, "5") == steps(0, 5)
        polls = [await client.metric(POLLS) for client in clients]
    # A poll may come early by a tenth of an interval, and the first one late.
    assert asked <= intervals / 0.9 + 2
    assert min(polls) == 0
    assert max(polls) >= asked


async def test_who_comes_to_another_node_while_the_first_answer_is_under_way_waits_for_it(
    start_node, backend
):
    answers = asyncio.Event()
    backend.answering = held_until(answers, listed(order("A", orderStage="0")))
    clients = [Client(start_node(interval_seconds=60.0).port) for _ in range(2)]
    first = asyncio.create_task(clients[0].get(PATH))
    await backend.was_asked(1)
    second = asyncio.create_task(clients[1].get(PATH))
    await follows(clients[1])
    answers.set()

    one, other = await first, await second
    assert (one.status, other.status) == (200, 200)
    assert other.body == one.body
    for name in ("ETag", "Sync-Cursor"):
        assert other.headers[name] == one.headers[name]
    assert len(backend.asked) == 1


async def test_a_stream_goes_on_from_the_snapshot_of_another_node_and_misses_nothing(start_node, backend):
    holder, other = Client(start_node().port), Client(start_node().port)
    await shown(holder)
    async with AsyncExitStack() as stack:
        resumed = []
        for number in range(1, 8):
            # Whether the snapshot shows this change yet is a matter of luck: what follows it has to fit.
            backend.says(listed(order("A", orderStage=str(number))))
            await backend.asked_again()
            found, cursor = await shown(other)
            query = {"entity": "order", "lastEventId": cursor}
            resumed.append((int(found), await stack.enter_async_context(holder.stream(query))))
        backend.says(listed(order("A", orderStage="8")))
        for found, stream in resumed:
            assert (await stream.connected()).data["recovered"] is True
            assert await stages(stream, "8") == steps(found, 8)
    assert await other.metric(POLLS) == 0


@pytest.mark.parametrize("seen", [True, False], ids=["after-a-get", "before-any-get"])
async def test_a_write_through_another_node_is_shown_at_once(start_node, backend, seen):
    """The interval is so long that nothing but the write brings the change."""
    clients = [Client(start_node(interval_seconds=600.0).port) for _ in range(2)]
    holder, other = clients
    await shown(holder)
    if seen:
        await shown(other)
    async with holder.stream({"entity": "order"}) as stream:
        await stream.connected()
        changed = listed(order("A", orderStage="1"))
        backend.answering = takes_writes(backend.answering, lambda: backend.says(changed))
        assert (await other.request("POST", PATH, body=b"")).status == 200
        assert await stages(stream, "1") == steps(0, 1)
        assert (await shown(other))[0] == "1"
        # The holder learns of it when it looks, within a second.
        await shows(holder, "1")
    assert await Client(holder.port).metric(POLLS) == 1


async def test_a_write_is_shown_although_an_older_answer_comes_in_between(start_node, backend):
    """The interval is so long that nothing but the write brings the change."""
    holder, other = (Client(start_node(interval_seconds=600.0).port) for _ in range(2))
    old, new = asyncio.Event(), asyncio.Event()
    backend.answering = held_until(old, listed(order("A", orderStage="0")))
    first = asyncio.create_task(holder.get(PATH))
    await backend.was_asked(1)
    backend.answering = takes_writes(held_until(new, listed(order("A", orderStage="1"))))
    assert (await other.request("POST", PATH, body=b"")).status == 200
    second = asyncio.create_task(other.get(PATH))
    await backend.was_asked(3)

    old.set()
    assert stage((await first).body) == "0"
    new.set()

    assert stage((await second).body) == "1"


async def test_a_restart_of_all_nodes_loses_no_change(start_node, backend):
    nodes = [start_node(), start_node()]
    cursor = (await shown(Client(nodes[0].port)))[1]
    await shown(Client(nodes[1].port))
    for node in nodes:
        node.stop()
    backend.says(listed(order("A", orderStage="1")))

    client = Client(start_node().port)
    async with client.stream({"entity": "order", "lastEventId": cursor}) as stream:
        assert await stages(stream, "1") == steps(0, 1)


async def test_when_the_node_that_asks_is_killed_another_goes_on_within_seconds(
    serve: Callable[[str], ServedGateway], log_url: str, backend: Upstream
):
    config = toml(log={"url": log_url}) + legacy_toml(route(backend.url))
    nodes = await asyncio.gather(*(asyncio.to_thread(serve, config) for _ in range(2)))
    clients = [Client(node.port) for node in nodes]
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.stream({"entity": "order"})) for client in clients]
        await backend.was_asked(3)
        holder = await who_asks(clients)
        other, stream = clients[1 - holder], streams[1 - holder]
        await stream.connected()
        backend.says(listed(order("A", orderStage="1")))
        assert await stages(stream, "1") == steps(0, 1)

        nodes[holder].process.kill()
        await nodes[holder].exit_code()
        asked = len(backend.asked)
        backend.says(listed(order("A", orderStage="2")))
        await shown(other)
        assert await stages(stream, "2") == steps(1, 2)
        await backend.was_asked(asked + 3)
        assert (await shown(other))[0] == "2"
        last = await publish_last(other.port)
        assert (await stream.next()).id == last


async def who_asks(clients: list[Client]) -> int:
    """Which node asks the upstream, once one of them does: one that was slow may have lost that right."""
    leading: list[float] = []

    async def holds() -> bool:
        leading[:] = [await client.metric("tidegate_upstream_shared_leading") for client in clients]
        return sum(leading) == 1

    await eventually(holds, "one node asks the upstream")
    return leading.index(1)


def legacy_toml(settings: dict[str, Any]) -> str:
    changes = settings.pop("changes")
    lines = ["[[legacy]]", *(f"{name} = {orjson.dumps(value).decode()}" for name, value in settings.items())]
    lines += ["[legacy.changes]", *(f'{member} = "{given}"' for member, given in changes.items())]
    return "\n".join([*lines, ""])
