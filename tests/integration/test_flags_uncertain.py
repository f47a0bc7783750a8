"""A change of the flags whose answer is lost on the way: what a node says of it is what happened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from tests.integration.test_cluster_flags import decides, flags_in
from tests.support.admin import KILL_ALL, ORDERS, Operator, operator, refused
from tests.support.api import Client, eventually
from tests.support.cluster import Broken, breakable
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import PostgresServer, connected, database_of, execute
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

PREFERENCE = "/api/v1/sync/preference?clientId=c7"
MARKER = "a reason that nobody else has"


class Node(NamedTuple):
    """A gateway that reaches its flags through a proxy."""

    server: Broken
    proxy: TcpProxy
    client: Client
    admin: Operator


@pytest.fixture(params=["postgres", "redis"])
async def node(
    request: pytest.FixtureRequest, start_gateway: Callable[..., GatewayThread]
) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(breakable(request.param))
        if isinstance(log.server, PostgresServer):
            proxy = await stack.enter_async_context(tcp_proxy(log.server.socket))
            url = f"postgres://tidegate@127.0.0.1:{proxy.port}/{database_of(log.url)}"
        else:
            proxy = await stack.enter_async_context(tcp_proxy(log.server.directory / "socket"))
            url = f"redis://127.0.0.1:{proxy.port}"
        settings = make_settings(
            log={"url": url},
            flags={"store": flags_in(url)},
            components={"orders": {"entities": ["order"]}},
        )
        # The proxy runs in this loop.
        gateway = await asyncio.to_thread(start_gateway, settings)
        yield Node(log, proxy, Client(gateway.port), await stack.enter_async_context(operator(gateway.port)))
        await asyncio.to_thread(gateway.stop)


async def revisions(admin: Operator) -> list[int]:
    answer = (await admin.get(f"{ORDERS}/revisions")).json()
    return [entry["revision"] for entry in answer["revisions"]]


async def test_a_change_whose_answer_was_cut_is_answered_as_made(node: Node) -> None:
    await node.admin.make(stage="live", percentage=5)
    node.proxy.lose_answer_to(MARKER.encode())

    response = await node.admin.post(f"{ORDERS}/kill", MARKER)

    assert (response.status_code, response.json()["killed"], response.headers["ETag"]) == (200, True, '"2"')
    assert await revisions(node.admin) == [1, 2]
    await decides(node.client, cause="kill_switch")


async def test_a_preference_whose_answer_was_cut_is_answered_as_kept(node: Node) -> None:
    node.proxy.lose_answer_to(b"streaming")

    response = await node.admin.send("PUT", PREFERENCE, {"delivery": "streaming"})

    assert (response.status_code, response.json()) == (200, {"delivery": "streaming"})
    assert (await node.admin.get(PREFERENCE)).json() == {"delivery": "streaming"}


async def test_where_nobody_can_be_asked_a_preference_may_have_been_kept(node: Node) -> None:
    node.proxy.lose_answer_to(b"streaming", and_close=True)

    problem = refused(await node.admin.send("PUT", PREFERENCE, {"delivery": "streaming"}), 503)

    assert problem["type"].endswith("preference-uncertain")
    node.proxy.open()

    async def is_kept() -> bool:
        return (await node.admin.get(PREFERENCE)).json() == {"delivery": "streaming"}

    await eventually(is_kept, "the preference is there")


async def test_everything_is_killed_also_where_the_answer_was_cut(node: Node) -> None:
    node.proxy.lose_answer_to(MARKER.encode())

    assert (await node.admin.post(KILL_ALL, MARKER)).json() == {"killAll": True}

    assert (await node.admin.get(KILL_ALL)).json()["total"] == 1


async def test_where_nobody_can_be_asked_the_answer_says_that_the_change_may_have_been_made(
    node: Node,
) -> None:
    await node.admin.make(stage="live", percentage=5)
    node.proxy.lose_answer_to(MARKER.encode(), and_close=True)

    problem = refused(await node.admin.post(f"{ORDERS}/kill", MARKER), 503)

    assert problem["type"].endswith("flags-uncertain")
    assert problem["detail"].startswith("Whether the flags were changed is not known: ")
    node.proxy.open()
    await decides(node.client, cause="kill_switch")
    assert await revisions(node.admin) == [1, 2]


async def test_where_the_server_refuses_the_answer_says_that_nothing_has_changed(node: Node) -> None:
    await node.admin.make(stage="live", percentage=5)
    await asyncio.to_thread(refuse_writes, node.server)

    problem = refused(await node.admin.post(f"{ORDERS}/kill", MARKER), 503)

    assert problem["type"].endswith("flags-unavailable")
    assert await revisions(node.admin) == [1]
    choice = await node.admin.send("PUT", PREFERENCE, {"delivery": "polling"})
    assert refused(choice, 503)["type"].endswith("preference-not-kept")


def refuse_writes(log: Broken) -> None:
    """Lets the server say no to whatever would change something that nodes share."""
    if isinstance(log.server, PostgresServer):
        with connected(log.url) as connection:
            execute(connection, "alter table tidegate_shared add constraint no_room check (false) not valid")
    else:
        with log.server.client() as client:
            client.config_set("maxmemory", "1")


async def test_before_anything_was_sent_the_answer_says_that_nothing_has_changed(node: Node) -> None:
    await node.admin.make(stage="live", percentage=5)
    node.proxy.lose_answer_to(b"", and_close=True)

    async def is_out_of_reach() -> bool:
        return bool((await node.admin.get("/api/v1/admin/flags")).json()["stale"])

    await eventually(is_out_of_reach, "the server is out of reach")
    problem = refused(await node.admin.post(f"{ORDERS}/kill", MARKER), 503)

    assert problem["type"].endswith("flags-unavailable")
    node.proxy.open()
    await decides(node.client, reason="SPLIT")
    assert await revisions(node.admin) == [1]
