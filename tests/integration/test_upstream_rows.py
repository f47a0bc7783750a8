"""Paths with parameters: streams that say which rows they want keep these polled, and no others."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from tests.support.api import STATE, Client, eventually
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import listed, order, route_settings
from tests.support.migration import Migration, a_migration
from tests.support.tokens import auth_settings, mint
from tests.support.upstream import Upstream, upstream

PATH = "/api/v1/customers/{customer}/orders"


class Orders:
    """Orders by customer, as an upstream has them."""

    def __init__(self, backend: Upstream) -> None:
        self.backend = backend
        self.by_customer: dict[str, dict[str, Any]] = {}
        backend.answering = self._answer

    async def _answer(self, request: web.Request) -> web.Response:
        customer = request.match_info["path"].split("/")[1]
        orders = self.by_customer.get(customer, {})
        return web.Response(
            body=listed(*(order(key, **members) for key, members in orders.items())),
            content_type="application/json",
        )

    def has(self, customer: str, key: str, **members: Any) -> None:
        self.by_customer.setdefault(customer, {})[key] = members

    @property
    def asked(self) -> Counter[str]:
        return Counter(asked.target.split("/")[2] for asked in self.backend.asked)

    def settings(self, **settings: Any) -> dict[str, Any]:
        url = self.backend.url.removesuffix("/orders") + "/c/{customer}/orders"
        return route_settings(url, 0.05, **({"path": PATH, "key": ["customer", "orderID"]} | settings))


@pytest.fixture
async def orders():
    async with upstream() as backend:
        yield Orders(backend)


Start = Callable[..., GatewayThread]


@pytest.fixture
def gateway(start_gateway: Start, orders: Orders) -> GatewayThread:
    return start_gateway(make_settings(legacy=[orders.settings()]))


def of(customer: str) -> dict[str, str]:
    return {"entity": "order", "filter": f"customer={customer}"}


async def polled(orders: Orders, customer: str, times: int = 2) -> None:
    """Waits until that customer's orders were asked for so many times more."""
    wanted = orders.asked[customer] + times

    async def holds() -> bool:
        return orders.asked[customer] >= wanted

    await eventually(holds, f"the orders of {customer} are asked for")


@pytest.mark.parametrize("customer", ["eq.7", 'eq."7"', "in.(7,nobody)"])
async def test_a_stream_with_such_a_filter_gets_the_events_of_its_rows_alone(client, orders, customer):
    orders.has("7", "A", stage="0")
    orders.has("8", "B", stage="0")
    async with client.stream(of(customer)) as stream, client.stream(of("eq.8")) as other:
        await stream.connected()
        await other.connected()
        await polled(orders, "7")
        await polled(orders, "8")
        orders.has("8", "B", stage="1")
        assert (await other.until("order_updated")).data["entityId"] == "8:B"
        orders.has("7", "A", stage="1")
        updated = (await stream.until("order_updated")).data
        assert updated["entityId"] == "7:A"
        assert updated["data"] == {"orderID": "A", "stage": "1", "customer": "7"}


async def test_nobody_asks_for_rows_that_nobody_wants_any_more(client, orders):
    async with client.stream(of("eq.7")) as stream:
        await stream.connected()
        await polled(orders, "7")
    async with client.stream(of("eq.8")) as stream:
        await stream.connected()
        await polled(orders, "8")
        before = orders.asked["7"]
        await polled(orders, "8", 5)
        assert orders.asked["7"] <= before + 1


async def test_a_stream_without_such_a_filter_keeps_nothing_polled(client, orders):
    async with client.stream({"entity": "order"}) as stream, client.stream(of("eq.7")) as other:
        await stream.connected()
        await other.connected()
        await polled(orders, "7", 4)
        assert list(orders.asked) == ["7"]
        orders.has("7", "A")
        # It gets what others keep polled.
        assert (await stream.until("order_created")).data["entityId"] == "7:A"


async def test_what_changed_while_nobody_wanted_it_is_told_when_somebody_does(client, orders):
    orders.has("7", "A", stage="0")
    first = await client.get("/api/v1/customers/7/orders")
    link = first.headers["Link"]
    path = link[1 : link.index(">")]
    async with client.stream(of("eq.8")) as other:
        await other.connected()

        async def rests() -> bool:
            before = orders.asked["7"]
            await polled(orders, "8", 5)
            return orders.asked["7"] == before

        await eventually(rests, "nobody asks for the orders of 7")
        orders.has("7", "A", stage="1")
        async with client.stream(path=path) as stream:
            assert (await stream.connected()).data["recovered"] is True
            assert (await stream.until("order_updated")).data["data"]["stage"] == "1"


async def test_a_long_poll_wants_its_rows_too(client, orders):
    orders.has("7", "A", stage="0")
    begun = await client.poll(**of("eq.7"))
    await polled(orders, "7")
    waiting = asyncio.create_task(client.poll(**of("eq.7"), cursor=begun["cursor"], wait="30"))
    orders.has("7", "A", stage="1")
    assert [event["entityId"] for event in (await waiting)["events"]] == ["7:A"]


async def test_a_stream_whose_grants_say_its_rows_keeps_them_polled(start_gateway, orders):
    orders.has("7", "A", stage="0")
    settings = make_settings(auth=auth_settings(), legacy=[orders.settings()])
    gateway = start_gateway(settings)
    token = mint(subscribe=['order:customer=eq."7"'])
    client = Client(gateway.port, token)
    async with client.stream({"entity": "order"}) as stream:
        await stream.connected()
        await polled(orders, "7")
        orders.has("7", "A", stage="1")
        assert (await stream.until("order_updated")).data["entityId"] == "7:A"
    assert list(orders.asked) == ["7"]


async def test_the_state_of_rows_is_that_of_their_lists(client, orders):
    orders.has("7", "A", stage="0")
    orders.has("8", "A", stage="1")
    answer = await client.get(STATE, of("in.(7,8)"))
    assert [(item["entityId"], item["data"]["stage"]) for item in answer.json["items"]] == [
        ("7:A", "0"),
        ("8:A", "1"),
    ]
    assert (await client.get(STATE, {"entity": "order"})).status == 404
    assert (await client.get(STATE, of("eq.a/b"))).status == 404


async def test_a_stream_begins_with_the_state_of_its_rows(client, orders):
    orders.has("7", "A", stage="0")
    orders.has("8", "B", stage="0")
    async with client.stream(of("eq.7") | {"state": "with"}) as stream:
        assert (await stream.connected()).data["state"] is True
        items = (await stream.until("state")).data["items"]
        assert [item["entityId"] for item in items] == ["7:A"]
        orders.has("7", "A", stage="1")
        assert (await stream.until("order_updated")).data["entityId"] == "7:A"


async def test_more_rows_than_there_is_room_for_are_counted_and_polled_once_there_is(start_gateway, orders):
    gateway = start_gateway(make_settings(legacy=[orders.settings(max_variants=2)]))
    client = Client(gateway.port)
    async with AsyncExitStack() as first, AsyncExitStack() as late:
        await (await first.enter_async_context(client.stream(of("in.(1,2)")))).connected()
        await polled(orders, "1")
        waiting = await late.enter_async_context(client.stream(of("eq.3")))
        await waiting.connected()
        await client.metric_becomes("tidegate_upstream_lists_refused_total", 1.0, path=PATH)
        through = await client.get("/api/v1/customers/4/orders")
        assert through.headers["Cache-Status"] == "tidegate; fwd=bypass"
        assert await client.metric("tidegate_upstream_lists", path=PATH) == 2
        assert orders.asked["3"] == 0
        await first.aclose()
        gap = (await waiting.until("poll_gap")).data
        assert (gap["action"], gap["entityId"]) == ("signal", "3")
        await polled(orders, "3")


@pytest.mark.parametrize("events", ["poll", "external"])
async def test_who_streams_keeps_an_upstream_asked(start_gateway, orders, events):
    gateway = start_gateway(make_settings(legacy=[orders.settings(events=events)]))
    async with Client(gateway.port).stream(of("eq.7")) as stream:
        await stream.connected()
        await polled(orders, "7", 3)


async def test_a_complete_component_with_events_of_its_own_is_asked_for_state_alone(start_gateway, tmp_path):
    async with a_migration(start_gateway, tmp_path, interval_seconds=0.05) as migration:
        client, backend = migration.client, migration.backend
        async with client.stream({"entity": "order"}) as stream:
            await stream.connected()
            await backend.was_asked(3)
            await migration.change(stage="complete")

            async def rests() -> bool:
                (health,) = migration.gateway.call(migration.gateway.parts.upstreams.source.health)
                return bool(health.state == "idle")

            await eventually(rests, "the upstream is left alone")
            assert (await client.get(STATE, {"entity": "order"})).status == 200
            await eventually(rests, "it is left alone again")
            asked = len(backend.asked)
            await migration.change(stage="live", percentage=100)
            await backend.was_asked(asked + 3)


async def test_once_polling_is_over_a_path_names_the_state_and_the_stream_of_its_rows(
    start_gateway, tmp_path, orders
):
    orders.has("7", "A", stage="0")
    orders.has("8", "B", stage="0")
    flags = {"store": f"file:{tmp_path / 'flags.json'}"}
    gateway = start_gateway(make_settings(flags=flags, legacy=[orders.settings()]))
    migration = Migration(gateway, orders.backend, tmp_path / "flags.json")
    await migration.change(stage="complete")
    gone = await migration.client.get("/api/v1/customers/7/orders")
    assert gone.status == 410
    state = await migration.client.get(gone.json["stateUrl"])
    assert [item["entityId"] for item in state.json["items"]] == ["7:A"]
    stream_of = gone.headers["Link"].split(">")[0].removeprefix("<")
    async with migration.client.stream(path=stream_of) as stream:
        await stream.connected()
        await polled(orders, "7")
        orders.has("7", "A", stage="1")
        assert (await stream.until("order_updated")).data["entityId"] == "7:A"
