"""A captured table changes its columns: no statement of the application fails, and no secret gets out."""

from collections.abc import AsyncIterator

import pytest

from adapters.postgres.capture import Capture, apply, capture
from adapters.postgres.connection import connect
from tests.support.capture import ORDERS, Shop, shop


@pytest.fixture
async def orders() -> AsyncIterator[Shop]:
    """An order, captured without its token; the application has written before, so its session has plans."""
    async with shop(ORDERS) as running:
        await running.capture(without=["card_token"], changes={"order_stage": "stage_change"})
        running.sql("insert into orders values ('A', 'new', 1, 'secret')")
        running.sql("update orders set total = 2")
        running.forget()
        yield running


async def problems(running: Shop) -> list[str]:
    (table,) = (await running.status()).tables
    return list(table.problems)


async def test_a_dropped_column_is_gone_from_the_events(orders: Shop) -> None:
    orders.sql("alter table orders drop column total")
    orders.sql("update orders set order_stage = 'paid'")

    (event,) = orders.events()
    assert (event.event_type, event.previous) == ("stage_change", {"id": "A", "order_stage": "new"})
    assert await problems(orders) == ["its column total is gone from the events"]


async def test_a_new_column_stays_out_until_the_table_is_captured_again(orders: Shop) -> None:
    orders.sql("alter table orders add column note text default 'private'")
    orders.sql("update orders set note = 'more private'")
    assert orders.events() == []
    assert await problems(orders) == ["its new column note is not in the events"]

    await orders.capture(without=["card_token"])
    orders.sql("update orders set note = 'public'")

    (event,) = orders.events()
    assert event.data is not None
    assert event.data["note"] == "public"
    assert await problems(orders) == []


async def test_a_column_that_is_left_out_stays_out_under_a_new_name(orders: Shop) -> None:
    orders.sql("alter table orders rename column card_token to token")
    orders.sql("update orders set token = 'b-secret', total = 3")

    assert "secret" not in str(orders.events())
    assert await problems(orders) == ["its new column token is not in the events"]


async def test_a_renamed_column_is_gone_until_the_table_is_captured_again(orders: Shop) -> None:
    orders.sql("alter table orders rename column order_stage to stage")
    orders.sql("update orders set stage = 'paid', total = 3")

    (event,) = orders.events()
    assert (event.event_type, event.data) == ("order_updated", {"id": "A", "total": 3})
    assert await problems(orders) == [
        "its column order_stage is gone from the events",
        "its new column stage is not in the events",
    ]


async def test_a_column_of_another_type_is_told_as_it_is_now(orders: Shop) -> None:
    orders.sql("alter table orders alter column total type text")
    orders.forget()
    orders.sql("update orders set total = 'much'")

    (event,) = orders.events()
    assert event.data == {"id": "A", "order_stage": "new", "total": "much"}


@pytest.mark.parametrize("change", ["rename column id to number", "drop column id"])
async def test_a_table_that_lost_its_key_is_written_to_and_says_that_it_makes_no_events(
    orders: Shop, change: str
) -> None:
    orders.sql(f"alter table orders {change}")
    orders.sql("update orders set total = 3")
    orders.sql("truncate orders")

    assert [(event.event_type, event.data and event.data["reason"]) for event in orders.events()] == [
        ("capture_gap", "no_key"),
        ("capture_gap", "no_key"),
    ]
    found = await problems(orders)
    assert found[0] == "its key id is gone, so its changes make no events"
    assert (await orders.status()).log.gaps == 2


async def test_keys_that_are_no_longer_unique_pair_row_by_row(orders: Shop) -> None:
    orders.sql("alter table orders drop constraint orders_pkey, alter column id drop not null")
    orders.sql("insert into orders values ('A', 'new', 7), (null, 'new', 7)")
    orders.forget()
    orders.sql("update orders set total = total + 1")

    told = [(event.event_type, event.data and event.data["total"]) for event in orders.events()[:2]]
    assert sorted(told) == [("order_updated", 3), ("order_updated", 8)]
    assert orders.told()[2:] == [("capture_gap", None)]
    assert await problems(orders) == ["its key id is no longer unique and not null"]


async def test_a_renamed_table_is_still_captured(orders: Shop) -> None:
    orders.sql(
        "create schema archive; alter table orders set schema archive; alter table archive.orders rename to o"
    )
    orders.sql("update archive.o set total = 3")

    assert orders.told() == [("order_updated", "A")]
    assert (await orders.status()).tables[0].table == "archive.o"


async def test_a_partition_that_came_later_is_named_until_the_table_is_captured_again() -> None:
    async with shop(
        "create table orders (id int primary key, total int) partition by range (id)",
        "create table low partition of orders for values from (0) to (100)",
    ) as running:
        await running.capture()
        running.sql("create table high partition of orders for values from (100) to (200)")
        running.sql("insert into high values (100)")
        running.sql("insert into orders values (101)")
        root = (await running.status()).tables[0]
        assert (root.table, root.problems) == (
            "public.orders",
            ("its partition public.high is not captured",),
        )

        await running.capture()
        running.sql("insert into high values (102)")

        assert running.told() == [("order_created", "101"), ("order_created", "102")]
        assert [table.part_of for table in (await running.status()).tables] == [
            None,
            "public.orders",
            "public.orders",
        ]


async def test_triggers_that_somebody_dropped_or_disabled_are_named(orders: Shop) -> None:
    orders.sql("drop trigger tidegate_delete on orders; alter table orders disable trigger tidegate_update")

    assert await problems(orders) == ["its trigger tidegate_delete is gone", "a trigger of it is disabled"]


async def test_without_the_log_the_application_goes_on_with_a_warning(orders: Shop) -> None:
    orders.sql("alter table sync_events rename to elsewhere")
    orders.application.notices.clear()

    orders.sql("update orders set total = 3")

    assert "there is no table sync_events" in "".join(orders.application.notices)


async def test_a_table_that_was_captured_when_members_were_named_otherwise_is_a_problem() -> None:
    async with shop("create table orders (id text primary key, payment_status text)") as running:
        rules = {"payment_status": "payment_update"}
        session = await connect(running.url)
        statements = await capture(session, "orders", Capture(entity="order", key="id", changes=rules))
        old = [sql.replace('"PaymentStatus"', '"Payment_status"') for sql in statements]
        await apply(session, old, lock_seconds=5)
        session.close()
        assert await problems(running) == [
            "its events say previousPayment_status, as those of an older release: capture it again"
        ]

        await running.capture(changes=rules)
        running.sql("insert into orders values ('A', 'due')")
        running.sql("update orders set payment_status = 'paid'")

        assert await problems(running) == []
        data = running.events()[-1].data
        assert data is not None
        assert (data["previousPaymentStatus"], data["newPaymentStatus"]) == ("due", "paid")
