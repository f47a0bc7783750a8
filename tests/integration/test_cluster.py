"""Several nodes on one log: any node serves any cursor, and what one is told the others know."""

import asyncio
import random
from collections.abc import Callable
from itertools import count

import pytest

from tests.support.api import Client, event, eventually
from tests.support.cluster import Wanderer, position, publish_last, publish_once, toml
from tests.support.gateway import GatewayThread, ServedGateway, make_settings
from tests.support.loop import let_others_run

EVENTS = 10_000
BATCH = 50
SEED = 20261120


@pytest.fixture
def start_node(start_gateway: Callable[..., GatewayThread], log_url: str) -> Callable[..., GatewayThread]:
    """Starts nodes of one log, whose histories hold a small part of it."""

    def start(**sections: object) -> GatewayThread:
        return start_gateway(make_settings(log={"url": log_url}, history={"max_events": 1000}, **sections))

    return start


async def publish_all(nodes: list[GatewayThread], draw: random.Random) -> list[str]:
    """Publishes EVENTS events, each batch at any node, and LAST at the end; gives their ids."""
    numbers = count()
    ids: list[str] = []

    async def publish(batches: int) -> None:
        for _ in range(batches):
            events = [event(next(numbers)) for _ in range(BATCH)]
            ids.extend(await Client(draw.choice(nodes).port).publish(*events))

    writers = 2
    await asyncio.gather(*(publish(EVENTS // BATCH // writers) for _ in range(writers)))
    return [*ids, await publish_last(nodes[0].port)]


async def test_a_client_that_hops_between_nodes_gets_every_event_once_and_in_order(start_node):
    draw = random.Random(SEED)
    nodes = [start_node(), start_node()]
    wanderer = Wanderer(await Client(nodes[0].port).now())

    async def wander() -> None:
        while not wanderer.is_over:
            port = draw.choice(nodes).port
            if draw.random() < 0.5:
                await wanderer.stream(port, draw.randint(1, 400))
            else:
                await wanderer.poll(port, draw.randint(1, 400))

    ids, _ = await asyncio.gather(publish_all(nodes, random.Random(SEED)), wander())

    assert len(ids) == EVENTS + 1
    assert wanderer.ids == sorted(ids, key=position)


async def test_a_node_is_killed_and_its_clients_lose_nothing_on_another(
    serve: Callable[[str], ServedGateway], log_url: str
):
    config = toml(log={"url": log_url}, history={"max_events": 100})
    dying, other = await asyncio.gather(*(asyncio.to_thread(serve, config) for _ in range(2)))
    cursor = await Client(dying.port).now()
    clients = [Wanderer(cursor) for _ in range(5)]
    published: list[str] = []

    async def publish() -> None:
        events = [event(number) for number in range(10)]
        answer = await publish_once([dying.port, other.port], events, f"batch {len(published)}")
        assert answer.status in (200, 201)
        published.extend(answer.json["ids"])

    async def read(client: Wanderer) -> None:
        await client.stream(dying.port)
        await client.stream(other.port)

    async def all_read_there() -> bool:
        return all(client.ids == published for client in clients)

    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(read(client)) for client in clients]
        for _ in range(10):
            await publish()
        await eventually(all_read_there, "all clients read at the node that is going to die")
        under_way = tasks.create_task(publish())
        await let_others_run()
        dying.process.kill()
        await under_way
        for _ in range(10):
            await publish()
        published.append(await publish_last(other.port))
        await asyncio.gather(*reading)

    assert [client.ids for client in clients] == [published] * len(clients)


async def test_a_request_repeated_at_another_node_publishes_nothing_new(start_node):
    ports = [start_node().port, start_node().port]
    events = [event(1), event(2)]
    start = await Client(ports[0]).now()

    first = await publish_once(ports[:1], events, "order 17")
    again = await publish_once(ports[1:], events, "order 17")
    other = await publish_once(ports[1:], [event(3)], "order 17")

    assert (first.status, again.status, other.status) == (201, 200, 422)
    assert again.body == first.body
    last = (await Client(ports[1]).publish(event(4)))[-1]
    for port in ports:
        client = Wanderer(start)
        while client.ids[-1:] != [last]:
            await client.poll(port, 100)
        assert client.ids == [*first.json["ids"], last]


async def test_one_key_at_several_nodes_at_the_same_time_publishes_once(start_node):
    ports = [start_node().port, start_node().port]

    answers = await asyncio.gather(
        *(publish_once([ports[n % 2]], [event(1), event(2)], "order 18") for n in range(10))
    )

    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert len({answer.body for answer in answers}) == 1
