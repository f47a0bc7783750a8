"""What statements do to a captured table becomes events, in the transaction that does it."""

import asyncio
import io
import os
from collections.abc import AsyncIterator

import psycopg2
import pytest

from adapters.postgres.log import PostgresLog, Timing
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN
from tests.support.capture import ORDERS, Shop, shop
from tests.support.postgres import DEADLINE_SECONDS, connected, execute


@pytest.fixture
async def orders() -> AsyncIterator[Shop]:
    """Orders, captured without the card's token, with one rule."""
    async with shop(ORDERS) as running:
        await running.capture(without=["card_token"], changes={"order_stage": "stage_change"})
        yield running


def item(key: str, stage: str | None = "new", total: float = 1) -> dict[str, object]:
    return {"id": key, "order_stage": stage, "total": total}


async def test_an_insert_is_a_created_entity(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00, 'secret')")

    (event,) = orders.events()
    assert (event.event_type, event.action) == ("order_created", "insert")
    assert (event.entity_type, event.entity_id) == ("order", "A")
    assert event.data == item("A")
    assert event.previous is None
    assert event.source == "capture:public.orders"
    assert event.metadata is None


async def test_a_changed_column_with_a_rule_tells_its_old_and_new_value(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00)")
    orders.forget()

    orders.sql("update orders set order_stage = 'paid'")

    (event,) = orders.events()
    assert (event.event_type, event.action) == ("stage_change", "update")
    assert event.data == item("A", "paid") | {"previousStage": "new", "newStage": "paid"}
    assert event.previous == item("A", "new")


async def test_columns_with_and_without_a_rule_changed_at_once_are_two_events(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00)")
    orders.forget()

    orders.sql("update orders set order_stage = null, total = 2")

    stage, rest = orders.events()
    assert stage.data == item("A", None, 2) | {"previousStage": "new", "newStage": None}
    assert (rest.event_type, rest.data, rest.previous) == ("order_updated", item("A", None, 2), item("A"))


async def test_a_deleted_row_is_told_with_what_it_was(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00)")
    orders.forget()

    orders.sql("delete from orders")

    (event,) = orders.events()
    assert (event.event_type, event.action) == ("order_deleted", "delete")
    assert event.data == event.previous == item("A")


async def test_a_row_whose_captured_columns_did_not_change_makes_no_event(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00, 'secret'), ('B', 'new', 1.00, 'secret')")
    orders.forget()

    orders.sql("update orders set card_token = 'other'")
    orders.sql("update orders set total = 1.000")
    orders.sql("update orders set total = 2 where id = 'no such order'")

    assert orders.events() == []


async def test_what_is_left_out_is_nowhere_in_the_log(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00, 'a-secret')")
    orders.sql("update orders set card_token = 'b-secret', total = 2")
    orders.sql("delete from orders")

    logged = str(orders.sql("select e::text from sync_events as e"))
    assert "order_deleted" in logged
    assert "secret" not in logged
    assert "card_token" not in logged


async def test_a_transaction_that_is_rolled_back_leaves_nothing(orders: Shop) -> None:
    orders.sql("begin")
    orders.sql("insert into orders values ('A')")
    orders.sql("savepoint half")
    orders.sql("insert into orders values ('B')")
    orders.sql("rollback to savepoint half")
    orders.sql("insert into orders values ('C')")
    assert orders.told() == [("order_created", "A"), ("order_created", "C")]

    orders.sql("rollback")

    assert orders.events() == []


async def test_an_event_has_the_transaction_of_its_change(orders: Shop) -> None:
    orders.sql("begin")
    orders.sql("insert into orders values ('A')")
    orders.sql("savepoint half")
    orders.sql("insert into orders values ('B')")
    ((xid,),) = orders.sql("select pg_current_xact_id()::text")
    orders.sql("commit")

    assert orders.sql("select distinct xid::text from sync_events") == [(xid,)]


async def test_a_changed_key_is_one_entity_gone_and_another_come(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1.00), ('B', 'new', 1.00)")
    orders.forget()

    orders.sql("update orders set id = case id when 'A' then 'C' else id end, order_stage = 'paid'")

    assert orders.told() == [("order_deleted", "A"), ("order_created", "C"), ("stage_change", "B")]


async def test_keys_that_are_swapped_are_two_changed_entities() -> None:
    async with shop("create table orders (id int primary key deferrable, total int)") as running:
        await running.capture()
        running.sql("insert into orders values (1, 10), (2, 20)")
        running.forget()

        running.sql("update orders set id = 3 - id")

        assert [(event.entity_id, event.data) for event in running.events()] == [
            ("2", {"id": 2, "total": 10}),
            ("1", {"id": 1, "total": 20}),
        ]


async def test_events_of_one_statement_are_in_the_order_of_its_rows(orders: Shop) -> None:
    keys = [f"{number:03}" for number in range(200)]
    shuffled = keys[::2] + keys[::-2]

    orders.sql("insert into orders select unnest(%s::text[])", shuffled)

    assert [event.entity_id for event in orders.events()] == shuffled


async def test_a_statement_of_many_rows_is_told_whole_and_in_order(orders: Shop) -> None:
    orders.sql("insert into orders select n::text, 'new', n from generate_series(1, 2500) as n")
    created = orders.told()
    orders.forget()
    orders.sql("update orders set order_stage = 'paid', total = total + 1")

    assert created == [("order_created", str(number)) for number in range(1, 2501)]
    events = orders.events()
    assert len(events) == 5000
    assert {event.entity_id for event in events} == {str(number) for number in range(1, 2501)}
    assert all(event.previous is not None for event in events)


async def test_copy_is_captured(orders: Shop) -> None:
    with orders.application.cursor() as cursor:
        cursor.copy_expert("copy orders (id, total) from stdin", io.StringIO("A\t1\nB\t2\n"))

    assert orders.told() == [("order_created", "A"), ("order_created", "B")]


async def test_an_upsert_is_told_as_what_it_did_to_each_row(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1), ('B', 'new', 1)")
    orders.forget()

    orders.sql(
        "insert into orders values ('A', 'paid', 1), ('B', 'new', 1), ('C', 'new', 1)"
        " on conflict (id) do update set order_stage = excluded.order_stage"
    )

    assert sorted(orders.told()) == [("order_created", "C"), ("stage_change", "A")]


async def test_merge_is_told_as_what_it_did_to_each_row(orders: Shop) -> None:
    if orders.application.server_version < 150_000:
        pytest.skip("MERGE is Postgres 15's")
    orders.sql("insert into orders values ('A', 'new', 1), ('B', 'new', 1)")
    orders.forget()

    orders.sql(
        "merge into orders using (values ('A'), ('B'), ('C')) as given (id) on orders.id = given.id"
        " when matched and given.id = 'A' then delete"
        " when matched then update set order_stage = 'paid'"
        " when not matched then insert values (given.id)"
    )

    assert sorted(orders.told()) == [("order_created", "C"), ("order_deleted", "A"), ("stage_change", "B")]


async def test_what_a_foreign_key_deletes_is_told() -> None:
    lines = "create table lines (id int primary key, order_id text references orders on delete cascade)"
    async with shop(ORDERS, lines) as running:
        await running.capture("lines", entity="line")
        running.sql("insert into orders values ('A'), ('B')")
        running.sql("insert into lines values (1, 'A'), (2, 'A'), (3, 'B')")
        running.forget()

        running.sql("delete from orders where id = 'A'")

        assert running.told() == [("line_deleted", "1"), ("line_deleted", "2")]


async def test_truncate_is_told_as_deletions(orders: Shop) -> None:
    orders.sql("insert into orders values ('A', 'new', 1), ('B', 'new', 1)")
    orders.forget()

    orders.sql("truncate orders")

    assert orders.told() == [("order_deleted", "A"), ("order_deleted", "B")]
    assert orders.events()[0].previous == item("A")


async def test_truncating_more_rows_than_that_is_one_gap(orders: Shop) -> None:
    orders.sql("insert into orders select n::text from generate_series(1, 10001) as n")
    orders.forget()

    orders.sql("truncate orders")

    (event,) = orders.events()
    assert (event.event_type, event.entity_type, event.action) == ("capture_gap", None, "signal")
    assert event.data == {
        "table": "public.orders",
        "entity": "order",
        "operation": "truncate",
        "reason": "truncated",
    }


async def test_truncating_rows_that_the_logs_role_may_not_see_is_one_gap(orders: Shop) -> None:
    role = f"tidegate_test_log_{os.getpid()}"
    orders.sql("insert into orders values ('A')")
    orders.forget()
    orders.sql(
        f"create role {role}; grant insert on sync_events to {role}; grant select on orders to {role};"
        f"alter table orders enable row level security; grant create on schema public to {role};"
        f"alter function tidegate_capture() owner to {role}"
    )
    try:
        orders.sql("truncate orders")
    finally:
        orders.sql("alter function tidegate_capture() owner to current_user")
        orders.sql(f"drop owned by {role}; drop role {role}")

    (event,) = orders.events()
    assert event.data is not None
    assert (event.event_type, event.data["reason"]) == ("capture_gap", "42501")


async def test_what_a_session_applies_as_a_replica_is_not_captured(orders: Shop) -> None:
    orders.sql("set session_replication_role = replica")
    orders.sql("insert into orders values ('A')")
    orders.sql("set session_replication_role = origin")
    orders.sql("insert into orders values ('B')")

    assert orders.told() == [("order_created", "B")]


async def test_a_partitioned_table_is_captured_through_any_name() -> None:
    async with shop(
        "create table orders (id int, total int, primary key (id)) partition by range (id)",
        "create table orders_low partition of orders for values from (0) to (100)",
        "create table orders_high (total int, id int not null)",
        "alter table orders attach partition orders_high for values from (100) to (200)",
    ) as running:
        await running.capture()
        running.sql("insert into orders values (1, 10), (101, 10)")
        running.sql("insert into orders_low values (2, 10)")
        running.sql("update orders set id = id + 100 where id = 2")
        running.sql("update orders_high set total = 11 where id = 101")
        running.sql("delete from orders where id = 101")
        running.sql("truncate orders")

        assert running.told() == [
            ("order_created", "1"),
            ("order_created", "101"),
            ("order_created", "2"),
            ("order_deleted", "2"),
            ("order_created", "102"),
            ("order_updated", "101"),
            ("order_deleted", "101"),
            *sorted([("order_deleted", "1"), ("order_deleted", "102")]),
        ]


async def test_a_gateway_that_listens_gets_what_an_application_did() -> None:
    async with shop(ORDERS) as running:
        await running.capture(notify="always")
        # Without a notification it would look again in an hour.
        timing = Timing(notified=3600.0)
        log = PostgresLog(running.url, max_events=100, max_age_seconds=3600, timing=timing)
        await log.start()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                tail = log.tail(ORIGIN)
                while not log.health().is_listening:
                    await log.bounds()
                waiting = asyncio.ensure_future(anext(tail))
                running.sql("insert into orders values ('A', 'new', 1)")
                (record,) = await waiting
        finally:
            await log.close()

        assert (record.event.event_type, record.event.data) == (
            "order_created",
            item("A") | {"card_token": None},
        )


async def test_names_that_need_quotes_are_captured() -> None:
    table = '"Sh op"."We%ird ""orders"""'
    create = f'create table {table} ("K ey" int primary key, "a%b" text)'
    async with shop('create schema "Sh op"', create) as running:
        await running.capture(table, key="K ey", changes={"a%b": "renamed"})
        running.sql(f"insert into {table} values (7, 'x')")
        running.sql(f"update {table} set \"a%b\" = 'y'")

        created, renamed = running.events()
        assert created.entity_id == "7"
        assert created.data == {"K ey": 7, "a%b": "x"}
        assert renamed.data == {"K ey": 7, "a%b": "y", "previousA%b": "x", "newA%b": "y"}


async def test_the_application_needs_no_right_to_the_log(orders: Shop) -> None:
    role = f"tidegate_test_application_{os.getpid()}"
    orders.sql(f"create role {role}; grant select, insert, update on orders to {role}")
    try:
        orders.sql(f"set role {role}")
        orders.sql("insert into orders values ('A')")
    finally:
        orders.sql(f"reset role; drop owned by {role}; drop role {role}")

    assert orders.told() == [("order_created", "A")]


async def test_no_other_role_can_use_the_trigger_to_make_up_events(orders: Shop) -> None:
    role = f"tidegate_test_forger_{os.getpid()}"
    orders.sql(f"create role {role}; grant create on schema public to {role}")
    try:
        orders.sql(f"set role {role}")
        orders.sql("create table fake (id int)")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            orders.sql("create trigger t after insert on fake execute function tidegate_capture('{}')")
    finally:
        orders.sql(f"reset role; drop owned by {role}; drop role {role}")


async def test_an_application_can_not_turn_the_events_aside(orders: Shop) -> None:
    orders.sql("create temporary table sync_events (like public.sync_events)")
    orders.sql("create temporary table tidegate_new (id text)")
    orders.sql("insert into orders values ('A')")

    with connected(orders.url) as other:
        assert execute(other, "select entity_id from sync_events") == [("A",)]


async def test_capturing_again_replaces_how_a_table_was_captured(orders: Shop) -> None:
    await orders.capture(entity="purchase", columns=["total"])

    orders.sql("insert into orders values ('A', 'new', 1)")

    (event,) = orders.events()
    assert (event.event_type, event.data) == ("purchase_created", {"id": "A", "total": 1})


async def test_a_table_that_is_no_longer_captured_makes_no_events(orders: Shop) -> None:
    await orders.uncapture()

    orders.sql("insert into orders values ('A'); truncate orders")

    assert orders.events() == []


async def test_a_table_that_others_hold_is_given_up_and_nothing_is_changed() -> None:
    async with shop(ORDERS) as running:
        running.sql("begin; lock table orders in access exclusive mode")
        with pytest.raises(LogError, match="nothing was changed: try again later"):
            await running.capture(lock_seconds=0.05)
        running.sql("rollback")

        running.sql("insert into orders values ('A')")
        assert running.events() == []
