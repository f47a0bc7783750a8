"""What carries the nodes' messages, over servers and networks that are not as they should be."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.postgres.node_messages import PostgresNodeLinks
from adapters.redis import Address, RedisConnection, RedisNodeLinks
from gateway.core.node_packets import NODE_BYTES, Packet
from gateway.ports.clock import SystemClock
from gateway.ports.node_messages import NodeMessages
from gateway.runtime.node_carrier import NodeCarrier, NodeLinks
from tests.conformance.node_carriers import postgres_node, redis_node
from tests.support.node_messages import Listening, Untroubled, until
from tests.support.postgres import (
    connected,
    execute,
    fresh_database,
    log_database,
    log_schema,
    no_standby_answers,
    own_server,
    through,
)
from tests.support.redis import redis_server
from tests.support.redis_pair import promote, replicated
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"
STRANGERS_PACKETS = (b"", b"look", b"tgn2", Packet(bytes(NODE_BYTES), 1, (b"cut",)).pack()[:-1])
STRANGERS_PARTS = ("", "look", "1:0:1:???", "1:1:2:QUI=", "1:0:1:QUI=", "1:0:2:QUI=")


@asynccontextmanager
async def started(*nodes: NodeMessages) -> AsyncIterator[list[Listening]]:
    listening = [Listening(node) for node in nodes]
    try:
        for node in listening:
            await node.start()
        yield listening
    finally:
        for node in listening:
            await node.messages.close()


async def are_heard_again(speaker: Listening, listener: Listening, message: bytes) -> None:
    def holds() -> bool:
        speaker.messages.send(message)
        return message in listener.heard

    await until(holds)


async def test_what_others_publish_on_the_channel_in_redis_is_ignored_and_counted() -> None:
    with redis_server() as server:
        async with started(redis_node(server.url), redis_node(server.url)) as (first, second):
            with server.client() as client:
                for packet in STRANGERS_PACKETS:
                    assert client.publish("tidegate:nodes:0", packet) == 2
            first.messages.send(b"good")

            await second.hears(b"good")
            assert second.messages.counts["ignored"] == len(STRANGERS_PACKETS)


async def test_what_others_notify_on_the_channel_in_postgres_is_ignored_and_counted() -> None:
    async with log_schema() as url, started(postgres_node(url), postgres_node(url)) as (first, second):
        with connected(url) as connection:
            ((channel,),) = execute(connection, "select 'tidegate_nodes_' || md5(current_schema())")
            for part in STRANGERS_PARTS:
                execute(connection, "select pg_notify(%s, %s)", (channel, part))
        first.messages.send(b"good")

        await second.hears(b"good")
        # The last of them may yet be followed by its other part.
        assert second.messages.counts["ignored"] == len(STRANGERS_PARTS) - 1


async def test_nodes_follow_a_promotion_of_redis() -> None:
    with replicated() as (master, replica):
        async with tcp_proxy(master.directory / "socket") as proxy:
            own = f"redis://127.0.0.1:{proxy.port}"
            async with started(redis_node(own), redis_node(own)) as (first, second):
                first.messages.send(b"before")
                await second.hears(b"before")

                proxy.redirect(replica.directory / "socket")
                promote(replica)
                proxy.cut()

                await are_heard_again(first, second, b"after")
                await are_heard_again(second, first, b"after")


async def test_a_master_that_was_made_a_replica_carries_nothing() -> None:
    """Its own nodes would hear one another there, and those of the new master would not hear them."""
    trouble = Untroubled()
    with redis_server() as server, redis_server() as other:
        links = RedisNodeLinks(RedisConnection(Address.parse(server.url)))
        async with started(NodeCarrier(links, SystemClock(), trouble)) as (node,):
            node.messages.send(b"before")
            await until(lambda: node.messages.counts["sent"] == 1)
            with server.client() as client:
                client.replicaof("127.0.0.1", str(other.port))

            node.messages.send(b"after")
            await until(lambda: node.messages.counts["lost"] == 1)
            await until(lambda: trouble.lasts)
            assert "read-only replica" in trouble.told[0]

            with server.client() as client:
                client.replicaof("NO", "ONE")
            await until(lambda: not trouble.lasts)


async def test_a_user_of_redis_needs_the_rights_that_the_manual_names_for_this() -> None:
    ((rights, for_nodes),) = re.findall(
        r"The user needs `(.*?)` on\nthe keys .*?, and for what the nodes say in passing `(.*?)`",
        MANUAL.read_text(),
    )
    trouble = Untroubled()
    with redis_server() as server, server.client() as client:
        no_channels = ("~tidegate:*", "resetchannels")
        client.execute_command("ACL", "SETUSER", "ann", "on", ">secret", *no_channels, *rights.split())
        address = Address.parse(server.url.replace("redis://", "redis://ann:secret@"))
        links = RedisNodeLinks(RedisConnection(address))
        async with started(NodeCarrier(links, SystemClock(), trouble), redis_node(server.url)) as nodes:
            assert "lets its URL's user do too little" in trouble.told[0]
            assert "secret" not in trouble.told[0]

            client.execute_command("ACL", "SETUSER", "ann", *for_nodes.replace("PREFIX", "tidegate").split())
            await are_heard_again(nodes[0], nodes[1], b"allowed")


Break = Callable[[TcpProxy], None]
BREAKS = {"cut": TcpProxy.cut, "silent": TcpProxy.silence}


def impatient(links: NodeLinks) -> NodeCarrier:
    """A node that notices soon when nothing comes back."""
    return NodeCarrier(links, SystemClock(), Untroubled(), probe_seconds=0.1, echo_seconds=1.0)


@pytest.mark.parametrize("break_", BREAKS.values(), ids=BREAKS.keys())
async def test_connections_to_redis_that_break_are_replaced(break_: Break) -> None:
    with redis_server() as server:
        async with tcp_proxy(server.directory / "socket") as proxy:
            address = Address.parse(f"redis://127.0.0.1:{proxy.port}")
            behind, direct = RedisConnection(address), redis_node(server.url)
            async with started(impatient(RedisNodeLinks(behind)), direct) as nodes:
                await _break_and_hear_again(nodes, proxy, break_)


@pytest.mark.parametrize("break_", BREAKS.values(), ids=BREAKS.keys())
async def test_a_session_of_postgres_that_breaks_is_replaced(break_: Break) -> None:
    with own_server() as server:
        async with log_database(server.url()) as direct, tcp_proxy(server.socket) as proxy:
            links = PostgresNodeLinks(through(proxy, direct))
            async with started(impatient(links), postgres_node(direct)) as nodes:
                await _break_and_hear_again(nodes, proxy, break_)


async def _break_and_hear_again(nodes: list[Listening], proxy: TcpProxy, break_: Break) -> None:
    first, second = nodes
    await are_heard_again(first, second, b"before")
    connections = proxy.connections

    break_(proxy)

    await are_heard_again(first, second, b"after")
    await are_heard_again(second, first, b"after")
    assert proxy.connections > connections


async def test_a_session_that_the_server_ends_is_replaced() -> None:
    async with log_schema() as url, started(postgres_node(url), postgres_node(url)) as (first, second):
        with connected(url) as connection:
            ended = execute(
                connection,
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query like '%tidegate_nodes_%' and pid <> pg_backend_pid()",
            )
        assert ended == [(True,), (True,)]

        await are_heard_again(first, second, b"after")
        await are_heard_again(second, first, b"after")


async def test_a_log_in_postgres_that_was_never_installed_is_told() -> None:
    trouble = Untroubled()
    with fresh_database() as url:
        async with started(NodeCarrier(PostgresNodeLinks(url), SystemClock(), trouble)):
            assert "run `tidegate postgres install`" in trouble.told[0]


async def test_what_nodes_tell_one_another_waits_for_no_standby() -> None:
    """All that notify commit one after the other, and delivery waits for each: none may take long."""
    with own_server() as server:
        async with log_database(server.url()) as url:
            nodes = started(postgres_node(url), postgres_node(url))
            with no_standby_answers(server), connected(url) as connection:
                named = "show synchronous_standby_names"
                await until(lambda: execute(connection, named) == [("nobody",)])
                async with nodes as (first, second):
                    first.messages.send(bytes(30_000))

                    await second.hears(bytes(30_000))
