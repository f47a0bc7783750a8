"""Streams that begin with the rows of a captured table, while statements change it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.support.api import STATE, Client, eventually
from tests.support.capture import ORDERS, Shop, shop
from tests.support.gateway import make_settings
from tests.support.proxy import cutting_proxy

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
    """A page that shows the orders, of one EventSource alone, which comes back where it is cut off."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.shown: dict = {}
        self.is_whole = False
        self.last_id: str | None = None

    async def follow(self) -> None:
        while True:
            query = QUERY if self.last_id is None else QUERY | {"lastEventId": self.last_id}
            with suppress(EOFError, OSError, ValueError):
                async with self._client.stream(query) as stream:
                    await self._show(stream)

    async def _show(self, stream) -> None:
        while True:
            frame = await stream.any()
            if frame.data.get("state") is True:
                self.shown, self.is_whole = {}, False
            elif frame.event == "state":
                assert not self.is_whole
                self.shown |= {item["entityId"]: item["data"] for item in frame.data["items"]}
                self.is_whole = frame.data["last"]
            elif frame.event not in ("connected", "heartbeat"):
                assert self.is_whole, f"{frame.event} before the state was whole"
                if frame.data["action"] == "delete":
                    self.shown.pop(frame.data["entityId"], None)
                else:
                    self.shown[frame.data["entityId"]] = frame.data["data"]
            self.last_id = frame.id or self.last_id


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


@pytest.mark.parametrize("cuts", [(400, 700, 30_000, 150_000), (70_000, 140_000, 210_000)], ids=str)
async def test_a_page_that_is_cut_off_within_its_state_begins_anew_and_ends_whole(
    start_gateway, orders, cuts
):
    draw = random.Random(15)
    orders.sql("insert into orders select n::text, repeat('x', 200), n from generate_series(1, 1000) as n")
    client = Client(start_gateway(make_settings(log={"url": orders.url}, stream={"retry_ms": 20})).port)
    async with cutting_proxy(client.port, cuts) as proxy:
        page = Page(Client(proxy.port))
        following = asyncio.create_task(page.follow())
        try:
            for _ in range(30):
                await asyncio.to_thread(change, orders, draw)

            async def has_come_back() -> bool:
                return len(proxy.requests) > len(cuts)

            await eventually(has_come_back, "the page was cut off as often as it should be")
            table = await whole_of(client)

            async def is_whole() -> bool:
                return page.is_whole and page.shown == table

            await eventually(is_whole, "the page shows what the table holds")
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def test_filters_and_ids_of_rows(start_gateway, orders):
    orders.sql("insert into orders select n::text, 'new', n from generate_series(1, 20) as n")
    client = Client(start_gateway(make_settings(log={"url": orders.url})).port)
    answer = await client.get(STATE, {"entity": "order", "filter": "total=gt.18"})
    assert sorted(item["entityId"] for item in answer.json["items"]) == ["19", "20"]
    answer = await client.get(STATE, {"entity": "order:7"})
    assert [item["entityId"] for item in answer.json["items"]] == ["7"]
