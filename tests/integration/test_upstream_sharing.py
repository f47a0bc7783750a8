"""Several routes into one answer of an upstream, and functions between the two."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import orjson
import psutil
import pytest

from adapters.memory import MemoryLog
from adapters.upstream import Poller, UpstreamSource
from gateway.core.events import Cursor
from gateway.ports.legacy_route import Functions, LegacyRoute
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, legacy_route, order
from tests.support.loop import in_time
from tests.support.upstream import Upstream, in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

INTERVAL = 3600.0


class Two(NamedTuple):
    """Two routes of one source, in front of one upstream."""

    log: MemoryLog
    clock: ManualClock
    source: UpstreamSource
    orders: Poller
    carts: Poller


def both(*, orders: str, carts: str) -> bytes:
    return orjson.dumps({"docs": [order("A", stage=orders)], "carts": [order("B", stage=carts)]})


@contextlib.asynccontextmanager
async def two(backend: Upstream) -> AsyncIterator[Two]:
    clock = ManualClock()
    log = MemoryLog(clock, max_events=10_000, max_age_seconds=1e9, max_bytes=2**26)
    orders = legacy_route(upstream=backend.url, interval_seconds=INTERVAL)
    carts = legacy_route(
        upstream=backend.url, interval_seconds=INTERVAL, path="/carts", entity="cart", items="/carts"
    )
    source = UpstreamSource([orders, carts], log, lambda entity: False, clock)
    await log.start()
    await source.start()
    try:
        yield Two(log, clock, source, poller_of(source, orders), poller_of(source, carts))
    finally:
        await source.close()
        await log.close()


def poller_of(source: UpstreamSource, route: LegacyRoute) -> Poller:
    poller = source.poller(route)
    assert poller is not None
    return poller


async def events(log: MemoryLog) -> list[tuple[str, str | None]]:
    floor = (await log.bounds()).floor
    return [(one.event.event_type, one.event.entity_id) for one in await log.read(floor, 100)]


async def test_two_lists_of_one_answer_cost_one_request(backend: Upstream) -> None:
    backend.says(both(orders="1", carts="1"))
    async with two(backend) as here:
        await asyncio.gather(here.orders.answer(), here.carts.answer())

        assert len(backend.asked) == 1
        assert here.source.requests_of("orders") == 1


async def test_what_changed_in_either_is_published_once(backend: Upstream) -> None:
    backend.says(both(orders="1", carts="1"))
    async with two(backend) as here:
        await asyncio.gather(here.orders.answer(), here.carts.answer())
        backend.says(both(orders="2", carts="2"))
        here.clock.advance(INTERVAL)
        here.orders.written()
        here.carts.written()
        await asyncio.gather(here.orders.answer(), here.carts.answer())

        assert sorted(await events(here.log)) == [("cart_updated", "B"), ("order_updated", "A")]


async def test_after_a_write_no_answer_from_before_is_served(backend: Upstream) -> None:
    backend.says(both(orders="1", carts="1"))
    async with two(backend) as here:
        await here.orders.answer()
        await here.carts.answer()
        backend.says(both(orders="1", carts="2"))

        here.carts.written()
        served = await here.carts.answer()

        assert served.snapshot.body == both(orders="1", carts="2")
        assert len(backend.asked) == 2


async def test_a_cursor_is_that_of_when_the_answer_was_asked_for(backend: Upstream) -> None:
    backend.says(both(orders="1", carts="1"))
    async with two(backend) as here:
        first = await here.orders.answer()
        backend.says(both(orders="2", carts="1"))
        here.clock.advance(1.0)
        here.orders.written()
        second = await here.orders.answer()
        # The event of the order stands behind what the carts' answer was asked for at.
        carts = await here.carts.answer()

        assert await events(here.log) == [("order_updated", "A")]
        assert carts.snapshot.body == both(orders="2", carts="1")
        before, after = Cursor.parse(carts.snapshot.cursor), Cursor.parse(second.snapshot.cursor)
        assert before is not None
        assert after is not None
        assert before.position < after.position
        assert carts.snapshot.cursor == first.snapshot.cursor
        assert carts.snapshot.asked_at == second.snapshot.asked_at


async def test_a_table_becomes_items_of_the_shape_that_is_pushed(backend: Upstream) -> None:
    backend.says(b"orderID,price\n1,2.50\n", Content_Type="text/csv")
    functions = Functions("tests.support.shop_functions:rows", "tests.support.shop_functions:cents")
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=INTERVAL, items="", functions=functions
    ) as one:
        got = await one.get()
        assert (got.status, got.body) == (200, b"orderID,price\n1,2.50\n")
        assert got.headers["Content-Type"] == "text/csv"
        backend.says(b"orderID,price\n1,3\n2,x\n3,4\n", Content_Type="text/csv")
        poller_of(one.source, one.route).written()
        await one.get()

        made = [(event.event_type, event.data) for event in await one.events()]
        assert made == [
            ("order_updated", {"orderID": "1", "cents": 300}),
            ("order_created", {"orderID": "3", "cents": 400}),
        ]
        assert one.source.counters[PATH].bad_items == {"not_an_object": 1}


async def test_an_answer_that_the_function_fails_on_is_served_as_it_came(backend: Upstream) -> None:
    backend.says(b"<html>", Content_Type="text/html")
    functions = Functions("tests.support.shop_functions:rows")
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=INTERVAL, items="", functions=functions
    ) as one:
        got = await one.get()

        assert (got.status, got.body) == (200, b"<html>")
        assert got.cache_status == "tidegate; fwd=stale; detail=unusable"
        assert one.source.counters[PATH].bad_answers == {"decode": 1}


async def test_lists_that_belong_together_may_have_one_item_both(backend: Upstream) -> None:
    backend.says(b"orderID,price\n1,2.50\n", Content_Type="text/csv")
    functions = Functions("tests.support.shop_functions:rows")
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=INTERVAL, items="", functions=functions, also=["/more"]
    ) as one:
        got = await one.get()

        assert got.cache_status == "tidegate; fwd=miss"
        assert one.source.counters[PATH].bad_answers == {}


async def test_closing_ends_the_processes_of_functions(backend: Upstream) -> None:
    backend.says(b"orderID\n1\n", Content_Type="text/csv")
    functions = Functions("tests.support.shop_functions:rows")
    before = {child.pid for child in psutil.Process().children()}
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=INTERVAL, items="", functions=functions
    ) as one:
        await one.get()
        assert len({child.pid for child in psutil.Process().children()} - before) == 1

    await in_time(
        lambda: {child.pid for child in psutil.Process().children()} <= before, "the process has ended"
    )
