"""A server that is not as it was: what was delivered is in the log, or every reader is told."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from adapters.postgres.log import PostgresLog
from gateway.core.errors import EpochChanged, UnknownPosition
from gateway.core.events import ORIGIN
from tests.support.api import Client, event, numbers
from tests.support.api import eventually as until
from tests.support.capture import Shop
from tests.support.events import an_event
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import (
    PostgresServer,
    connected,
    execute,
    own_server,
)
from tests.support.postgres_log import loss_of, names, next_of, numbered, opened, publish

INSERT = """
insert into sync_events (event_type, entity_type, entity_id, action)
values ('changed', 'order', %s, 'update')
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with own_server() as server:
        yield server


async def held(url: str) -> list[str | None]:
    """What the log holds, as a node that is started now sees it."""
    async with opened(url) as log:
        return names(await log.read(ORIGIN, 1000))


# Asynchronous commits


@pytest.fixture
def forgetful(server: PostgresServer) -> PostgresServer:
    """A server whose commits are not on the disk before long: `kill` takes them."""
    server.stop()
    server.configure("synchronous_commit = off\nwal_writer_delay = 10s\n")
    server.start()
    return server


async def test_a_crash_takes_nothing_that_was_delivered_though_commits_are_asynchronous(
    forgetful: PostgresServer, url: str
) -> None:
    async with opened(url) as log:
        epoch = log.epoch
        tail = aiter(log.tail(ORIGIN))
        with connected(url) as application:
            execute(application, "create table orders (id text primary key)")
            shop = Shop(url, application)
            await shop.capture()
            execute(application, "insert into orders values ('captured')")
            execute(application, INSERT, ["inserted"])
        await log.append([an_event("order:published")])
        delivered = names(await next_of(tail, 3))
    await asyncio.to_thread(forgetful.kill)
    await asyncio.to_thread(forgetful.start)
    assert await held(url) == delivered
    async with opened(url) as log:
        assert log.epoch == epoch


async def test_only_a_transaction_that_writes_events_waits_for_the_disk(
    forgetful: PostgresServer, url: str
) -> None:
    with connected(url) as application:
        execute(application, "begin")
        assert execute(application, "show synchronous_commit") == [("off",)]
        execute(application, INSERT, ["1"])
        assert execute(application, "show synchronous_commit") == [("local",)]
        execute(application, "commit")
        assert execute(application, "show synchronous_commit") == [("off",)]


# Copies that are put back

Way = Callable[[PostgresServer], Path]


def cold_copy(server: PostgresServer) -> Path:
    server.stop()
    kept = server.copy()
    server.start()
    return kept


@pytest.fixture(params=[cold_copy, PostgresServer.base_backup], ids=["cold copy", "base backup"])
def keep(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


def put_back(server: PostgresServer, kept: Path) -> None:
    server.stop()
    server.put_back(kept)
    server.start()


async def test_a_copy_put_back_under_running_nodes_is_told_to_every_reader(
    server: PostgresServer, url: str, keep: Way
) -> None:
    async with opened(url) as first, opened(url) as second:
        await publish(first, 3)
        kept = await asyncio.to_thread(keep, server)
        await publish(first, 5)
        tails = [aiter(first.tail(ORIGIN)), aiter(second.tail(ORIGIN))]
        for tail in tails:
            await next_of(tail, 8)
        epoch = first.epoch

        await asyncio.to_thread(put_back, server, kept)
        # The same transactions with the same numbers, before any node looks.
        with connected(url) as application:
            for number in range(5):
                execute(application, INSERT, [f"other {number}"])
        for tail in tails:
            error, records = await loss_of(tail)
            assert isinstance(error, EpochChanged)
            assert records == []
        assert first.epoch == second.epoch != epoch
        for log in (first, second):
            assert names(await log.read(ORIGIN, 100)) == ["0", "1", "2", *(f"other {n}" for n in range(5))]


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda log: log.bounds(), id="its bounds"),
        pytest.param(lambda log: log.latest(9), id="its newest events"),
        pytest.param(lambda log: log.append([an_event("order:late")]), id="an append"),
    ],
)
async def test_what_a_node_learns_of_a_copy_that_was_put_back_hides_no_loss(
    server: PostgresServer, url: str, look: Callable[[PostgresLog], Awaitable[object]]
) -> None:
    async with opened(url) as log:
        await publish(log, 3)
        kept = await asyncio.to_thread(cold_copy, server)
        await publish(log, 5)
        tail = aiter(log.tail(ORIGIN))
        lost = (await next_of(tail, 8))[-1]
        epoch = log.epoch

        await asyncio.to_thread(put_back, server, kept)
        with connected(url) as application:
            for number in range(20):
                execute(application, INSERT, [f"other {number}"])
        # Later than what was lost: that is not the newest event that this node knows of any more.
        await look(log)
        with pytest.raises(EpochChanged):
            await log.read(lost.position, 10)
        assert log.epoch != epoch


async def test_cursors_of_what_a_copy_lacks_are_told_apart_though_no_node_ran(
    server: PostgresServer, url: str, keep: Way
) -> None:
    async with opened(url) as log:
        common = await publish(log, 3)
        kept = await asyncio.to_thread(keep, server)
        lost = await publish(log, 5)
    await asyncio.to_thread(put_back, server, kept)
    async with opened(url) as log:
        again = await publish(log, 8)
        assert {position.major for position in again} & {position.major for position in lost}
        for position in lost:
            with pytest.raises(UnknownPosition):
                await log.read(position, 10)
        for position in common:
            assert (await log.read(position, 100))[-1].position == again[-1]


async def test_open_streams_of_two_nodes_get_one_reset_and_all_that_comes_then(
    server: PostgresServer, url: str, start_gateway: Callable[..., GatewayThread]
) -> None:
    nodes = [start_gateway(make_settings(log={"url": url})) for _ in range(2)]
    clients = [Client(node.port) for node in nodes]
    (start,) = await clients[0].publish(event(0))
    kept = await asyncio.to_thread(cold_copy, server)
    # From there on: the second node may have yet to come to it.
    resume = {"lastEventId": start}
    async with clients[0].stream(resume) as first, clients[1].stream(resume) as second:
        for stream in (first, second):
            await stream.connected()
        await published(clients[0], 1)
        for stream in (first, second):
            assert numbers(await stream.take(1)) == [1]
        await asyncio.to_thread(put_back, server, kept)
        with connected(url) as application:
            execute(application, INSERT, ["in the place of the lost one"])
        cursors = set()
        for stream in (first, second):
            told = await stream.until("reset")
            assert told.data["reason"] == "epoch"
            cursors.add(told.id)
        assert len(cursors) == 1
        await published(clients[1], 2)
        for stream in (first, second):
            assert numbers(await stream.take(1)) == [2]
    for node in nodes:
        node.stop()


async def test_a_client_with_the_cursor_of_an_event_that_a_copy_lacks_gets_a_reset_though_no_node_ran(
    server: PostgresServer, url: str, start_gateway: Callable[..., GatewayThread]
) -> None:
    node = start_gateway(make_settings(log={"url": url}))
    await Client(node.port).publish(event(0))
    node.stop()
    kept = await asyncio.to_thread(cold_copy, server)
    node = start_gateway(make_settings(log={"url": url}))
    (lost,) = await Client(node.port).publish(event(1))
    node.stop()
    await asyncio.to_thread(put_back, server, kept)

    client = Client(start_gateway(make_settings(log={"url": url})).port)
    (other,) = await client.publish(event(2))
    assert other.partition(".")[0] == lost.partition(".")[0]
    await client.publish(event(3))
    for cursor, reason in ((lost, "unknown"), (other, None)):
        async with client.stream({"lastEventId": cursor}) as stream:
            assert (await stream.connected()).data["recovered"] is (reason is None)
            if reason is None:
                assert numbers(await stream.take(1)) == [3]
            else:
                assert (await stream.until("reset")).data["reason"] == reason


async def published(client: Client, number: int) -> None:
    """Publishes once the node has found the server again."""

    async def is_taken() -> bool:
        return (await client.post(event(number))).status == 201

    await until(is_taken, "the log takes the event")


async def test_what_an_append_gave_and_a_copy_lacks_is_noticed_though_it_was_never_read(
    server: PostgresServer, url: str
) -> None:
    async with opened(url) as log:
        (first,) = await publish(log, 1)
        kept = await asyncio.to_thread(cold_copy, server)
        await publish(log, 1)
        await asyncio.to_thread(put_back, server, kept)
        with pytest.raises(EpochChanged):
            await log.read(first, 10)


async def test_an_idempotency_key_is_known_where_its_events_are(server: PostgresServer, url: str) -> None:
    async with opened(url) as log:
        kept_events = await log.append_once(numbered(1), "kept", b"1")
        kept = await asyncio.to_thread(cold_copy, server)
        await log.append_once(numbered(2), "lost", b"2")
        await asyncio.to_thread(put_back, server, kept)
        with pytest.raises(EpochChanged):
            await log.read(kept_events.positions[0], 10)
        again = await log.append_once(numbered(1), "kept", b"1")
        assert again == (log.epoch, kept_events.positions, True)
        assert not (await log.append_once(numbered(2), "lost", b"2")).replayed
        assert names(await log.read(ORIGIN, 10)) == ["1", "2"]


async def test_after_a_truncated_table_a_key_stands_for_a_new_request(url: str) -> None:
    async with opened(url) as log:
        before = await log.append_once(numbered(1), "key", b"1")
        with connected(url) as connection:
            execute(connection, "truncate sync_events")
        after = await log.append_once(numbered(1), "key", b"1")
        assert not after.replayed
        assert after.epoch != before.epoch
        assert [record.position for record in await log.latest(10)] == after.positions
        assert after.epoch == log.epoch
