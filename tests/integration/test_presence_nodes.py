"""Presence and broadcast over all nodes of a log, and all workers of an address."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.support.api import Client, Stream, assert_problem, eventually
from tests.support.channels import Room, put_meta, say, users
from tests.support.cluster import breakable, toml
from tests.support.gateway import GatewayThread, ServedGateway, make_settings
from tests.support.tokens import auth_settings, mint

HEARTBEAT_SECONDS = 1.0
"""So that what takes two of them does not take long."""
PORTAL = "portal"

StartNode = Callable[..., GatewayThread]
Serve = Callable[[str], ServedGateway]


@pytest.fixture
def start_node(start_gateway: Callable[..., GatewayThread], log_url: str) -> StartNode:
    """Starts nodes of one log."""

    def start(**sections: Any) -> GatewayThread:
        stream = {"heartbeat_seconds": HEARTBEAT_SECONDS}
        return start_gateway(make_settings(log={"url": log_url}, stream=stream, **sections))

    return start


@pytest.fixture
def nodes(start_node: StartNode) -> list[Client]:
    """Clients of two nodes of one log."""
    return [Client(start_node().port) for _ in range(2)]


def there(user: str) -> dict[str, str]:
    return {"presence": PORTAL, "channel": PORTAL, "clientId": user}


@asynccontextmanager
async def present(client: Client, user: str) -> AsyncIterator[Room]:
    """The user has a stream while the context lasts, and reads there who is present."""
    async with client.stream(there(user)) as stream:
        await stream.connected()
        yield Room(stream, PORTAL)


async def are_listed(client: Client, connections: dict[str, int]) -> None:
    async def holds() -> bool:
        found = await users(client, PORTAL)
        return {user: told["connections"] for user, told in found.items()} == connections

    await eventually(holds, f"{connections} are listed")


async def next_said(stream: Stream) -> Any:
    return (await stream.until("broadcast")).data


async def test_who_comes_to_one_node_is_seen_at_the_other_and_so_is_who_leaves(nodes: list[Client]) -> None:
    one, other = nodes
    async with present(one, "ana") as anas:
        async with present(other, "ben") as bens:
            await anas.becomes({"ana": {}, "ben": {}})
            await bens.becomes({"ana": {}, "ben": {}})
            await are_listed(one, {"ana": 1, "ben": 1})
            await are_listed(other, {"ana": 1, "ben": 1})
        await anas.becomes({"ana": {}})
        await are_listed(other, {"ana": 1})


async def test_a_user_at_two_nodes_is_there_once_until_its_last_connection_ends(nodes: list[Client]) -> None:
    one, other = nodes
    async with present(one, "ana") as anas, AsyncExitStack() as second:
        async with present(other, "ben"):
            await second.enter_async_context(present(one, "ben"))
            await anas.becomes({"ana": {}, "ben": {}})
            await are_listed(one, {"ana": 1, "ben": 2})
            await are_listed(other, {"ana": 1, "ben": 2})
        await are_listed(other, {"ana": 1, "ben": 1})
        assert "leave" not in anas.kinds
        await second.aclose()
        await anas.becomes({"ana": {}})


async def test_what_a_user_says_of_itself_at_any_node_is_seen_at_all(nodes: list[Client]) -> None:
    one, other = nodes
    async with present(one, "ana") as anas, present(other, "ben") as bens:
        for name, client in (("first", one), ("second", other), ("third", one)):
            assert (await put_meta(client, PORTAL, {"name": name}, user="ana")).status == 204
            await anas.becomes({"ana": {"name": name}, "ben": {}})
            await bens.becomes({"ana": {"name": name}, "ben": {}})


async def test_who_comes_to_a_node_that_is_new_is_told_of_all(start_node: StartNode) -> None:
    one = Client(start_node().port)
    async with present(one, "ana") as anas:
        await put_meta(one, PORTAL, {"name": "Ana"}, user="ana")
        await anas.becomes({"ana": {"name": "Ana"}})

        new = Client(start_node().port)

        async with present(new, "ben") as bens:
            await bens.becomes({"ana": {"name": "Ana"}, "ben": {}})
            await anas.becomes({"ana": {"name": "Ana"}, "ben": {}})


async def test_a_broadcast_reaches_the_readers_at_all_nodes_once_each_and_in_order(
    nodes: list[Client],
) -> None:
    one, other = nodes
    async with one.stream(there("ana")) as ana, other.stream(there("ben")) as ben:
        for stream in (ana, ben):
            await stream.connected()
        for number in range(20):
            assert (await say(one, PORTAL, "n", {"n": number}, user="ana")).status == 202
        expected = [{"channel": PORTAL, "event": "n", "payload": {"n": n}, "from": "ana"} for n in range(20)]

        assert [await next_said(ana) for _ in range(20)] == expected
        assert [await next_said(ben) for _ in range(20)] == expected
        await say(other, PORTAL, "end", {}, user="ben")
        assert (await next_said(ana))["event"] == (await next_said(ben))["event"] == "end"


async def test_the_largest_payload_and_meta_reach_the_other_node(nodes: list[Client]) -> None:
    one, other = nodes
    payload, meta = {"text": "é" * 4090}, {"text": "é" * 506}
    async with other.stream(there("ben")) as ben:
        await ben.connected()
        assert (await say(one, PORTAL, "long", payload, user="ana")).status == 202
        assert (await next_said(ben))["payload"] == payload
    async with present(one, "ana"), present(other, "ben") as bens:
        assert (await put_meta(one, PORTAL, meta, user="ana")).status == 204
        await bens.becomes({"ana": meta, "ben": {}})


async def test_grants_count_at_every_node(start_node: StartNode) -> None:
    one, other = (start_node(auth=auth_settings()).port for _ in range(2))
    ana = Client(one, mint("ana", subscribe=["order"], presence=[PORTAL], broadcast=[PORTAL]))
    ben = Client(other, mint("ben", subscribe=["order"], presence=[PORTAL]))
    stranger = Client(other, mint("eve", subscribe=["order"], presence=["lobby"], broadcast=["lobby"]))
    here = {"presence": PORTAL}
    async with ana.stream(here | {"channel": PORTAL}) as anas, ben.stream(here) as bens:
        await anas.connected()
        await bens.connected()
        await Room(anas, PORTAL).becomes({"ana": {}, "ben": {}})
        await Room(bens, PORTAL).becomes({"ana": {}, "ben": {}})

        assert_problem(await say(ben, PORTAL, "typing", {}), 403)
        assert_problem(await put_meta(stranger, PORTAL, {}), 403)
        assert_problem(await say(stranger, PORTAL, "typing", {}), 403)
        assert (await say(ana, PORTAL, "typing", {})).status == 202
        assert (await next_said(anas))["from"] == "ana"


async def test_nobody_hears_of_a_channel_of_another_log(
    start_gateway: Callable[..., GatewayThread], start_node: StartNode
) -> None:
    one, alone = Client(start_node().port), Client(start_gateway().port)
    async with present(one, "ana") as anas, present(alone, "ben") as bens:
        await anas.becomes({"ana": {}})
        await bens.becomes({"ben": {}})
        await are_listed(one, {"ana": 1})
        await are_listed(alone, {"ben": 1})


async def test_the_users_of_a_node_that_is_killed_leave(serve: Serve, log_url: str) -> None:
    config = toml(log={"url": log_url}, stream={"heartbeat_seconds": HEARTBEAT_SECONDS})
    dying, staying = await asyncio.gather(*(asyncio.to_thread(serve, config) for _ in range(2)))
    one, other = Client(dying.port), Client(staying.port)
    async with present(other, "ben") as bens, AsyncExitStack() as there_too:
        await there_too.enter_async_context(present(one, "ana"))
        await bens.becomes({"ana": {}, "ben": {}})

        dying.kill()

        await bens.becomes({"ben": {}})
        await are_listed(other, {"ben": 1})


async def test_the_users_of_a_node_that_is_stopped_leave_or_move(serve: Serve, log_url: str) -> None:
    config = toml(log={"url": log_url}, stream={"heartbeat_seconds": 60})
    stopping, staying = await asyncio.gather(*(asyncio.to_thread(serve, config) for _ in range(2)))
    one, other = Client(stopping.port), Client(staying.port)
    async with present(other, "ben") as bens, AsyncExitStack() as there_too:
        await there_too.enter_async_context(present(one, "ana"))
        await bens.becomes({"ana": {}, "ben": {}})

        stopping.terminate()

        # Long before two heartbeats: it has said so.
        await bens.becomes({"ben": {}})
        assert await stopping.exit_code() == 0


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_all_is_as_it_was_once_a_server_that_was_killed_is_back(
    kind: str, start_gateway: Callable[..., GatewayThread]
) -> None:
    async with breakable(kind) as broken:
        settings = make_settings(log={"url": broken.url}, stream={"heartbeat_seconds": HEARTBEAT_SECONDS})
        gateways = [start_gateway(settings) for _ in range(2)]
        one, other = (Client(gateway.port) for gateway in gateways)
        async with present(one, "ana"), present(other, "ben"):
            await are_listed(one, {"ana": 1, "ben": 1})
            await are_listed(other, {"ana": 1, "ben": 1})

            await asyncio.to_thread(broken.server.kill)
            await put_meta(one, PORTAL, {"while": "away"}, user="ana")
            # Neither hears of the other, so each is gone to the other.
            await are_listed(one, {"ana": 1})
            await are_listed(other, {"ben": 1})
            await asyncio.to_thread(broken.server.start)

            await are_listed(one, {"ana": 1, "ben": 1})
            await are_listed(other, {"ana": 1, "ben": 1})
            assert (await users(other, PORTAL))["ana"]["meta"] == {"while": "away"}
        for gateway in gateways:
            gateway.stop()


async def test_workers_of_one_address_are_nodes_too(serve: Serve, log_url: str) -> None:
    config = toml(
        server={"workers": 2}, log={"url": log_url}, stream={"heartbeat_seconds": HEARTBEAT_SECONDS}
    )
    gateway = await asyncio.to_thread(serve, config)
    client = Client(gateway.port)
    names = [f"user-{number:02}" for number in range(12)]
    async with AsyncExitStack() as stack:
        # The kernel spreads them: that all are at one worker is one in two thousand.
        streams = [await stack.enter_async_context(client.stream(there(name))) for name in names]
        for stream in streams:
            await Room(stream, PORTAL).becomes({name: {} for name in names})
        assert (await say(client, PORTAL, "hello", {}, user=names[0])).status == 202
        assert [(await next_said(stream))["from"] for stream in streams] == [names[0]] * len(names)
    await are_listed(client, {})


async def test_what_nodes_say_is_counted(nodes: list[Client]) -> None:
    one, other = nodes
    async with other.stream(there("ben")) as ben:
        await ben.connected()
        await say(one, PORTAL, "hello", {}, user="ana")
        await next_said(ben)

    assert await one.metric("tidegate_node_messages_total", kind="lost") == 0
    assert await one.metric("tidegate_node_messages_total", kind="ignored") == 0
    assert await other.metric("tidegate_node_messages_total", kind="heard") > 0
