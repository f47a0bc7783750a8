"""What parity proposes for a captured table makes its events the same as what an endpoint of DRF lists."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from flags.parity.canonical import canonical, differences
from flags.parity.kind_counts import KindCounts
from flags.parity.kinds import Kind
from flags.parity.proposals import Assessment, assess
from flags.parity.report import AGREEMENTS
from tests.support.admin import operator
from tests.support.capture import Shop, shop
from tests.support.gateway import GatewayThread
from tests.support.parity import PARITY, Comparison, a_comparison

TABLE = """
create table comments (
    id int primary key, ticket_id int, price numeric(8, 2), made timestamptz, took interval, body text
)
"""
ROWS = (
    (1, 7, Decimal("12.50"), "2026-11-27T16:00:00+00:00", timedelta(hours=1, minutes=30), "a"),
    (2, 8, Decimal("0.10"), "2026-06-01T08:00:00.123456+00:00", timedelta(seconds=5), "b"),
    (3, 9, Decimal("100.00"), "2026-01-01T00:00:00+00:00", timedelta(hours=23), None),
)
ZONE = timezone(timedelta(hours=-6))


def listed(row: tuple[Any, ...]) -> Mapping[str, Any]:
    """The item as a serializer of DRF gives it, with its decimals as text, and a TIME_ZONE."""
    key, ticket, price, made, took, body = row
    return {
        "id": key,
        "ticket": ticket,
        "price": str(price),
        "made": datetime.fromisoformat(made).astimezone(ZONE).isoformat(),
        "took": f"{int(took.total_seconds()) // 3600:02}:{int(took.total_seconds()) // 60 % 60:02}"
        f":{int(took.total_seconds()) % 60:02}",
        "body": body,
    }


def assessed(running: Shop) -> list[Assessment]:
    """What comes of comparing what was pushed since the log was emptied with what is listed."""
    counts = KindCounts()
    events = running.events()
    assert len(events) == len(ROWS)
    for event, row in zip(events, ROWS, strict=True):
        assert event.data is not None
        counts.add(differences(canonical(event.data), canonical(listed(row))))
    return assess(counts.latest())


async def test_parity_agrees_once_the_table_is_captured_as_it_proposes(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    table = 'create table orders ("orderID" text primary key, customer_id int, total numeric(8, 2))'
    async with shop(table) as running, a_comparison(start_gateway, tmp_path) as orders:
        await running.capture(key="orderID")
        running.sql("insert into orders values ('A', 7, 12.50)")
        orders.loses("B")
        orders.has("A", customer=7, total="12.50")
        await orders.begin()
        await change(running, orders, "13.00")
        await orders.settle_once()
        async with operator(orders.gateway.port) as admin:
            answer = (await admin.get(PARITY)).json()
        assert answer["consistency"] == 0
        proposals = {one["pointer"]: one["proposal"]["as"] for one in answer["kinds"]["order"]}
        assert proposals == {"/customer_id": "customer_id as customer", "/total": "total::text as total"}

        query = f'select "orderID", {", ".join(proposals.values())} from row'
        await running.capture(key="orderID", query=query)
        agreed = agreements(orders)
        await orders.change_flag(checkRatio=1)
        await change(running, orders, "14.00")
        await orders.becomes(lambda _: agreements(orders) > agreed, "it agrees")
        assert (orders.report().pending, orders.report().standing) == (0, 0)


async def change(running: Shop, orders: Comparison, total: str) -> None:
    """Changes the order in the table and in the list, pushes what capture made of that, and compares."""
    running.forget()
    running.sql("update orders set total = %s", total)
    (event,) = running.events()
    orders.has("A", customer=7, total=total)
    await orders.push("A", event=event.event_type, data=event.data, previous=event.previous)
    await orders.compared()


def agreements(orders: Comparison) -> int:
    return sum(orders.outcomes().get(outcome.value, 0) for outcome in AGREEMENTS)


async def test_the_proposals_taken_together_leave_no_difference() -> None:
    async with shop(TABLE) as running:
        await running.capture("comments", entity="comment")
        for row in ROWS:
            running.sql("insert into comments values (%s, %s, %s, %s, %s, %s)", *row)

        found = {one.pointer: one for one in assessed(running)}
        assert {pointer: (one.kind, one.share) for pointer, one in found.items()} == {
            "/ticket_id": (Kind.NAME, 1),
            "/price": (Kind.NUMBER_AS_TEXT, 1),
            "/made": (Kind.INSTANT, 1),
            "/took": (Kind.DURATION, 1),
        }

        proposals = [one.proposal.sql for one in found.values() if one.proposal and one.proposal.sql]
        query = f"select id, body, {', '.join(proposals)} from row"
        await running.capture("comments", entity="comment", query=query)
        running.sql("delete from comments")
        running.forget()
        for row in ROWS:
            running.sql("insert into comments values (%s, %s, %s, %s, %s, %s)", *row)

        assert assessed(running) == []
