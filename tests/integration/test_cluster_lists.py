"""Routes of many lists that several nodes serve: one of them asks for each, and all serve what it got."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from tests.support.api import Client, eventually
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import Upstream, upstream

CUSTOMERS = "/api/v1/customers/{customer}/orders"
NEVER = 600.0


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    async with upstream() as backend:
        yield backend


@pytest.fixture
def start_node(start_gateway: Callable[..., GatewayThread], log_url: str) -> Callable[..., Client]:
    def start(settings: dict[str, Any]) -> Client:
        return Client(start_gateway(make_settings(log={"url": log_url}, legacy=[settings])).port)

    return start


def of_customers(backend: Upstream, interval_seconds: float, **settings: Any) -> dict[str, Any]:
    url = backend.url.removesuffix("/orders") + "/c/{customer}/orders"
    return route_settings(url, interval_seconds, path=CUSTOMERS, key=["customer", "orderID"]) | settings


def targets(backend: Upstream) -> Counter[str]:
    return Counter(asked.target for asked in backend.asked)


async def test_each_query_and_each_path_is_asked_for_by_one_node(start_node, backend):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=listed(order("A", target=request.raw_path)), content_type="application/json")

    backend.answering = answer
    settings = of_customers(backend, NEVER, vary_query=["status"])
    clients = [start_node(settings) for _ in range(2)]
    long = "%C3%A9" * 200
    tails = [f"{customer}/orders{query}" for customer in ("7", "8", long) for query in ("", "?status=a%20b")]
    for tail in tails:
        for client in clients:
            shown = await client.get(f"/api/v1/customers/{tail}")
            assert shown.status == 200, shown.body
            assert shown.body == listed(order("A", target=f"/c/{tail}"))
    assert targets(backend) == {f"/c/{tail}": 1 for tail in tails}


async def test_a_change_of_rows_that_streams_of_several_nodes_want_is_told_once(start_node, backend):
    backend.says(listed(order("A", stage="0")))
    clients = [start_node(of_customers(backend, 0.2)) for _ in range(2)]
    query = {"entity": "order", "filter": "customer=eq.7"}
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.stream(query)) for client in clients]
        for stream in streams:
            await stream.connected()
        await backend.was_asked(2)
        for number in range(1, 4):
            backend.says(listed(order("A", stage=str(number))))
            for stream in streams:
                updated = (await stream.until("order_updated")).data
                assert (updated["entityId"], updated["data"]["stage"]) == ("7:A", str(number))
                assert updated["data"]["customer"] == "7"


async def test_what_a_stopped_node_had_of_a_path_is_what_the_next_one_compares_with(
    start_gateway, log_url, backend
):
    backend.says(listed(order("A", stage="0")))
    settings = make_settings(log={"url": log_url}, legacy=[of_customers(backend, 0.2)])
    node = start_gateway(settings)
    first = await Client(node.port).get("/api/v1/customers/7/orders")
    node.stop()
    backend.says(listed(order("A", stage="1")))

    link = first.headers["Link"]
    client = Client(start_gateway(settings).port)
    async with client.stream(path=link[1 : link.index(">")]) as stream:
        assert (await stream.connected()).data["recovered"] is True
        assert (await stream.until("order_updated")).data["data"]["stage"] == "1"


async def test_the_query_that_a_node_drops_goes_on_at_the_others(start_node, backend):
    backend.says(listed(order("A")))
    settings = route_settings(backend.url, 0.2, vary_query=["status"])
    one, other = start_node(settings), start_node(settings)
    for client in (one, other):
        assert (await client.get(f"{PATH}?status=a")).status == 200
    # Nobody asks the first node any more, which asked the upstream until now.
    backend.says(listed(order("B")))

    async def holds() -> bool:
        return (await other.get(f"{PATH}?status=a")).body == listed(order("B"))

    await eventually(holds, "the other node has the newer answer")
    asked = targets(backend)["/orders?status=a"]

    async def goes_on() -> bool:
        await other.get(f"{PATH}?status=a")
        return targets(backend)["/orders?status=a"] > asked + 8

    await eventually(goes_on, "the upstream is asked on")
