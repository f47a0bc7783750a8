"""Streams that begin with the rows of a captured table, while statements change it."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tests.support.api import STATE, Client, eventually
from tests.support.capture import ORDERS, Shop, shop
from tests.support.gateway import make_settings

QUERY = {"entity": "order", "state": "with"}


@pytest.fixture
async def orders() -> AsyncIterator[Shop]:
    async with shop(ORDERS) as running:
        await running.capture(without=["card_token"])
        yield running


async def whole_of(client: Client) -> dict:
    answer = await client.get(STATE, {"entity": "order"})
    assert answer.status == 200, answer.body
    return {item["entityId"]: item["data"] for item in answer.json["items"]}


class Page:
    """A page that shows the orders, of one EventSource alone."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.shown: dict = {}
        self.is_whole = False

    async def follow(self) -> None:
        async with self._client.stream(QUERY) as stream:
            while True:
                frame = await stream.any()
                if frame.event == "state":
                    assert not self.is_whole
                    self.shown |= {item["entityId"]: item["data"] for item in frame.data["items"]}
                    self.is_whole = frame.data["last"]
                elif frame.event not in ("connected", "heartbeat"):
                    assert self.is_whole, f"{frame.event} before the state was whole"
                    if frame.data["action"] == "delete":
                        self.shown.pop(frame.data["entityId"], None)
                    else:
                        self.shown[frame.data["entityId"]] = frame.data["data"]


def change(orders: Shop, draw: random.Random) -> None:
    key = draw.randrange(40)
    orders.sql(
        draw.choice(
            (
                f"insert into orders values ('{key}', 'new', {draw.randrange(100)}) on conflict do nothing",
                f"update orders set total = {draw.randrange(100)} where id = '{key}'",
                f"delete from orders where id = '{key}'",
            )
        )
    )


async def test_pages_that_come_while_rows_change_end_with_what_the_table_holds(start_gateway, orders):
    draw = random.Random(14)
    orders.sql("insert into orders select n::text, 'new', n from generate_series(1, 20) as n")
    client = Client(start_gateway(make_settings(log={"url": orders.url})).port)
    pages = [Page(client) for _ in range(12)]
    async with asyncio.TaskGroup() as group:
        following = []
        for page in pages:
            for _ in range(10):
                await asyncio.to_thread(change, orders, draw)
            following.append(group.create_task(page.follow()))
        for _ in range(20):
            await asyncio.to_thread(change, orders, draw)
        table = await whole_of(client)

        async def are_whole() -> bool:
            return all(page.is_whole and page.shown == table for page in pages)

        await eventually(are_whole, "every page shows what the table holds")
        for task in following:
            task.cancel()
    assert len(table) > 5


async def test_filters_and_ids_of_rows(start_gateway, orders):
    orders.sql("insert into orders select n::text, 'new', n from generate_series(1, 20) as n")
    client = Client(start_gateway(make_settings(log={"url": orders.url})).port)
    answer = await client.get(STATE, {"entity": "order", "filter": "total=gt.18"})
    assert sorted(item["entityId"] for item in answer.json["items"]) == ["19", "20"]
    answer = await client.get(STATE, {"entity": "order:7"})
    assert [item["entityId"] for item in answer.json["items"]] == ["7"]
