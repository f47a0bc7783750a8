"""json-server as it is: an Express application with pages in Link fields, and weak ETags."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.ports.legacy_route import Pages
from tests.support.clock import ManualClock
from tests.support.legacy import PATH
from tests.support.npm import require
from tests.support.ports import own_port
from tests.support.upstream import PATIENCE_SECONDS, Gateway, in_front_of

PAGED = {"query": "_page=1&_limit=2", "pages": Pages(link=True)}


@pytest.fixture
async def orders(json_server: Path, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a list of five orders."""
    database = tmp_path / "db.json"
    database.write_text(json.dumps({"orders": [{"id": number, "stage": "new"} for number in range(1, 6)]}))
    with own_port() as port:
        process = await asyncio.create_subprocess_exec(
            *(require("node"), str(json_server), str(database), "--host", "127.0.0.1", "--port", str(port)),
            cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await listens(port)
            yield f"http://127.0.0.1:{port}/orders"
        finally:
            process.kill()
            await process.wait()


async def listens(port: int) -> None:
    """Returns once somebody takes connections there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def route(upstream: str, **settings: Any) -> AsyncIterator[Gateway]:
    given = {"items": "", "key": "id", "interval_seconds": 3600.0, "write_poll_seconds": 0.0} | settings
    async with in_front_of(upstream, ManualClock(), **given) as one:
        yield one


async def told(one: Gateway) -> list[tuple[str, str | None]]:
    return [(event.event_type, event.entity_id) for event in await one.events()]


@pytest.mark.parametrize("public_url", [None, "https://api.shop.example"])
async def test_the_links_in_its_header_lead_through_all_pages(orders: str, public_url: str | None) -> None:
    async with route(orders, public_url=public_url, **PAGED) as one:
        got = await one.get()
        assert [item["id"] for item in json.loads(got.body)] == [1, 2]

        # One after the other: a list that moves while its pages are asked for can lack an item for once.
        await one.request("PATCH", f"{PATH}/5", json={"stage": "sent"})
        await one.get()
        await one.request("POST", PATH, json={"stage": "new"})
        await one.get()
        await one.request("DELETE", f"{PATH}/3")
        await one.get()

        assert await told(one) == [("order_updated", "5"), ("order_created", "6"), ("order_deleted", "3")]
        assert one.source.counters[PATH].bad_answers == {}


async def test_a_list_that_did_not_change_is_not_sent_again(orders: str) -> None:
    async with route(orders) as one:
        await one.get()
        poller = one.source.poller(one.route)
        assert poller is not None
        poller.written()
        await one.get()

        counters = one.source.counters[PATH]
        assert (counters.polls, counters.not_modified) == (2, 1)


async def test_lists_that_belong_together_are_one(orders: str) -> None:
    async with route(orders + "?stage=new", also=["?stage=sent"]) as one:
        await one.get()
        await one.request("PATCH", f"{PATH}/5", json={"stage": "sent"})
        got = await one.get()

        assert [item["id"] for item in json.loads(got.body)] == [1, 2, 3, 4]
        assert await told(one) == [("order_updated", "5")]
