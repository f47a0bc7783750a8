"""Django REST Framework as it is: pages whose links are made of Host, ETags, compression, and a token."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.ports.legacy_route import Pages
from tests.support.clock import ManualClock
from tests.support.legacy import PATH
from tests.support.upstream import PATIENCE_SECONDS, Gateway, in_front_of

APP = Path(__file__).parent / "backends" / "drf_orders.py"
TOKEN = {"Authorization": "Token hush"}


@pytest.fixture
async def drf(django: Mapping[str, str]) -> AsyncIterator[str]:
    """The backend's URL, on a free port of the loopback."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(APP)),
        env=django,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def route(upstream: str, **settings: Any) -> AsyncIterator[Gateway]:
    given = {
        "items": "",
        "key": "id",
        "headers": TOKEN,
        "interval_seconds": 3600.0,
        "write_poll_seconds": 0.0,
    } | settings
    async with in_front_of(upstream, ManualClock(), **given) as one:
        yield one


async def staged(one: Gateway, number: int, stage: str) -> None:
    """Somebody writes through the gateway, with a token of their own."""
    answer = await one.request("PATCH", f"{PATH}/{number}/", json={"stage": stage}, headers=TOKEN)
    assert answer.status == 200, answer.body


async def test_events_come_of_all_pages_and_callers_get_the_first_one(drf: str) -> None:
    public = "https://api.shop.example"
    async with route(f"{drf}/orders/", items="/results", pages=Pages(next="/next"), public_url=public) as one:
        got = await one.get()
        page = orjson.loads(got.body)
        assert [item["id"] for item in page["results"]] == [1, 2]
        assert page["next"] == f"{public}/orders/?page=2"
        await staged(one, 5, "sent")
        await one.get()

        assert one.source.counters[PATH].bad_answers == {}
        ((event_type, entity_id),) = [(event.event_type, event.entity_id) for event in await one.events()]
        assert (event_type, entity_id) == ("order_updated", "5")


async def test_without_a_token_of_its_own_callers_get_what_the_upstream_says(drf: str) -> None:
    async with route(f"{drf}/orders/", headers={}) as one:
        got = await one.get()

        assert (got.status, got.headers["WWW-Authenticate"]) == (401, "Token")
        assert orjson.loads(got.body) == {"detail": "No valid token."}


async def test_a_list_that_did_not_change_is_not_sent_again(drf: str) -> None:
    async with route(f"{drf}/all/") as one:
        await one.get()
        poller = one.source.poller(one.route)
        assert poller is not None
        poller.written()
        await one.get()
        await staged(one, 3, "sent")
        await one.get()

        counters = one.source.counters[PATH]
        assert (counters.polls, counters.not_modified, counters.changed) == (3, 1, 1)


async def test_what_it_compresses_is_passed_on_compressed_and_compared(drf: str) -> None:
    async with route(f"{drf}/all/") as one:
        plain = await one.get(**{"Accept-Encoding": "identity"})
        packed = await one.get(**{"Accept-Encoding": "gzip"})
        await staged(one, 1, "sent")
        await one.get()

        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert [event.entity_id for event in await one.events()] == ["1"]
        assert packed.headers["ETag"] != plain.headers["ETag"]
        # The client has taken the coding off.
        assert packed.body == plain.body
