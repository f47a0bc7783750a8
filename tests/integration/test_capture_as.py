"""Table capture with a query of the row: what is pushed has the shape that is polled."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.postgres.capture import CaptureError
from adapters.postgres.shape import ShapeError
from tests.support.capture import Shop, shop
from tests.support.postgres_log import opened
from tests.support.state import state_of

TICKETS = """
create table customers (id int primary key, name text);
insert into customers values (7, 'Ann'), (8, 'Bob');
create table tickets (
    id int primary key, customer_id int, price numeric(8, 2), span interval, made timestamptz, secret text
);
"""
AS_POLLED = """
select
    id, row.customer_id as customer, price::text as price, to_char(made, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as made
from row -- as the endpoint gives them
"""
ROW = "insert into tickets values (1, 7, 12.50, '90 minutes', '2026-11-27 10:00:00-06', 'secret')"
ITEM = {"id": 1, "customer": 7, "price": "12.50", "made": "2026-11-27T16:00:00Z"}


@pytest.fixture
async def tickets() -> AsyncIterator[Shop]:
    async with shop(TICKETS) as running:
        yield running


async def captured(running: Shop, query: str, **wanted: Any) -> None:
    await running.capture("tickets", entity="ticket", without=["secret"], query=query, **wanted)


async def test_events_and_state_have_the_shape_of_the_query(tickets: Shop) -> None:
    await captured(tickets, AS_POLLED)
    tickets.sql(ROW)
    tickets.sql("update tickets set price = 13")
    tickets.sql("delete from tickets")

    created, updated, deleted = tickets.events()
    assert (created.event_type, created.entity_id, created.data) == ("ticket_created", "1", ITEM)
    assert (updated.event_type, updated.data, updated.previous) == (
        "ticket_updated",
        ITEM | {"price": "13.00"},
        ITEM,
    )
    assert deleted.data == deleted.previous == ITEM | {"price": "13.00"}
    tickets.sql(ROW)
    async with opened(tickets.url) as log:
        assert await state_of(log.state, "ticket") == {"ticket": {"1": ITEM}}


async def test_a_change_that_the_query_does_not_show_makes_no_event(tickets: Shop) -> None:
    await captured(tickets, AS_POLLED)
    tickets.sql(ROW)
    tickets.forget()

    tickets.sql("update tickets set span = '2 hours'")

    assert tickets.events() == []


async def test_rules_are_of_the_members_that_the_query_gives(tickets: Shop) -> None:
    await captured(tickets, AS_POLLED, changes={"customer": "owner_change"})
    tickets.sql(ROW)
    tickets.forget()

    tickets.sql("update tickets set customer_id = 8")

    (event,) = tickets.events()
    assert event.event_type == "owner_change"
    assert event.data == ITEM | {"customer": 8, "previousCustomer": 7, "newCustomer": 8}


async def test_a_key_may_have_another_name_in_the_shape(tickets: Shop) -> None:
    tickets.sql(ROW)
    await captured(tickets, 'select id as "ticketID" from row')
    tickets.sql("update tickets set id = 2")

    gone, come = tickets.events()
    assert (gone.event_type, gone.entity_id, gone.data) == ("ticket_deleted", "1", {"ticketID": 1})
    assert (come.event_type, come.entity_id, come.data) == ("ticket_created", "2", {"ticketID": 2})


async def test_a_row_for_which_the_query_gives_nothing_is_not_there(tickets: Shop) -> None:
    await captured(tickets, "select id, price::text as price from row where customer_id = 7")
    tickets.sql(ROW)
    tickets.sql("update tickets set customer_id = 8")
    tickets.sql("update tickets set price = 13")
    tickets.sql("update tickets set customer_id = 7")
    tickets.sql("delete from tickets")

    assert tickets.told() == [
        ("ticket_created", "1"),
        ("ticket_deleted", "1"),
        ("ticket_created", "1"),
        ("ticket_deleted", "1"),
    ]


async def test_what_is_left_out_is_not_there_for_the_query_either(tickets: Shop) -> None:
    with pytest.raises(ShapeError, match="secret"):
        await captured(tickets, "select id, secret from row")
    await captured(tickets, "select row.*")
    tickets.sql(ROW)

    assert "secret" not in str(tickets.sql("select e::text from sync_events as e"))


async def test_a_query_may_join_other_tables_and_their_changes_are_not_seen(tickets: Shop) -> None:
    await captured(
        tickets, "select row.id, c.name as customer from public.customers as c where c.id = row.customer_id"
    )
    tickets.sql(ROW)
    tickets.sql("update customers set name = 'Anna' where id = 7")
    tickets.sql("update tickets set customer_id = 8")

    created, updated = tickets.events()
    assert created.data == {"id": 1, "customer": "Ann"}
    assert (updated.previous, updated.data) == ({"id": 1, "customer": "Anna"}, {"id": 1, "customer": "Bob"})


async def test_a_view_of_the_table_gives_events_without_previous(tickets: Shop) -> None:
    tickets.sql(
        "create view open_tickets as select t.id, t.price::text as price, c.name as customer"
        " from tickets as t join customers as c on c.id = t.customer_id where t.price > 0"
    )
    await captured(tickets, "select * from public.open_tickets where id = row.id")
    tickets.sql(ROW)
    tickets.sql("update tickets set customer_id = 8")
    tickets.sql("update tickets set customer_id = 8")
    tickets.sql("update tickets set price = 0")
    tickets.sql("insert into tickets values (2, 7, 0)")
    tickets.sql("delete from tickets where id = 1")

    shown = {"id": 1, "price": "12.50", "customer": "Ann"}
    assert [(event.event_type, event.data, event.previous, event.metadata) for event in tickets.events()] == [
        ("ticket_created", shown, None, None),
        ("ticket_updated", shown | {"customer": "Bob"}, None, {"omitted": ["previous"]}),
        ("ticket_deleted", None, None, {"omitted": ["data", "previous"]}),
        ("ticket_deleted", None, None, {"omitted": ["data", "previous"]}),
    ]
    tickets.sql("update tickets set price = 1")
    async with opened(tickets.url) as log:
        item = {"id": 2, "price": "1.00", "customer": "Ann"}
        assert await state_of(log.state, "ticket") == {"ticket": {"2": item}}


async def test_a_query_that_fails_on_a_row_leaves_its_key_and_the_write_goes_on(tickets: Shop) -> None:
    await captured(tickets, "select id, 100 / price as share from row")
    tickets.sql(ROW)
    tickets.sql("update tickets set price = 0")

    assert [(event.event_type, event.metadata) for event in tickets.events()] == [
        ("ticket_created", None),
        ("ticket_updated", {"omitted": ["data"]}),
    ]
    assert tickets.sql("select price from tickets") == [(0,)]


async def test_a_query_whose_table_is_gone_leaves_keys(tickets: Shop) -> None:
    await captured(tickets, "select row.id, c.name from public.customers as c where c.id = row.customer_id")
    tickets.sql("drop table customers")
    tickets.sql(ROW)
    tickets.sql("delete from tickets")

    assert tickets.told() == [("ticket_created", "1"), ("ticket_deleted", "1")]
    assert all(event.metadata == {"omitted": ["data"]} for event in tickets.events())


async def test_many_rows_and_a_truncate_have_the_shape_too(tickets: Shop) -> None:
    await captured(tickets, AS_POLLED)
    tickets.sql("insert into tickets (id, price) select n, n from generate_series(1, 2500) as n")
    tickets.sql("truncate tickets")

    events = tickets.events()
    assert len(events) == 5000
    assert events[1].data == {"id": 2, "customer": None, "price": "2.00", "made": None}
    assert events[-1].data == {"id": 2500, "customer": None, "price": "2500.00", "made": None}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "is empty"),
        ("select id from", "syntax error"),
        ("select id from row;", "syntax error"),
        ("delete from public.customers", "syntax error"),
        ("select nothing from row", 'column "nothing" does not exist. `row` has the captured columns'),
        ("select id from customer", 'relation "customer" does not exist. Write names with their schema'),
        ("select id, price + 1 from row", "has no name"),
        ("select id, id from row", 'column "id" specified more than once'),
        ("select id, random() as luck from row", "calls random"),
        ("select id, (select max(random()) from row) as luck from row", "calls random"),
        ("select price from row", "no member of it has the value of the key id"),
        ("select row.id from public.customers", "several rows for one row"),
        ("select id, 1 / (id - 1) as share from row", "fails on a row of the table (22012)"),
    ],
)
async def test_a_query_that_can_not_be_meant_is_refused(tickets: Shop, query: str, reason: str) -> None:
    tickets.sql(ROW)
    with pytest.raises((CaptureError, ShapeError)) as refused:
        await captured(tickets, query)
    assert reason in refused.value.detail
    assert "12.50" not in refused.value.detail
    assert (await tickets.status()).tables == ()


async def test_event_types_are_refused_where_no_change_can_be_told(tickets: Shop) -> None:
    with pytest.raises(CaptureError, match="no customer_id; it gives id, customer, price, made"):
        await captured(tickets, AS_POLLED, changes={"customer_id": "owner_change"})
    with pytest.raises(CaptureError, match=r"reads public\.tickets itself"):
        await captured(
            tickets, "select t.id from public.tickets as t where t.id = row.id", changes={"id2": "x"}
        )


async def test_status_shows_the_query_and_capturing_again_replaces_it(tickets: Shop) -> None:
    await captured(tickets, AS_POLLED)
    (table,) = (await tickets.status()).tables
    assert (table.query, table.problems) == (AS_POLLED, ())

    await tickets.capture("tickets", entity="ticket")
    (table,) = (await tickets.status()).tables
    assert table.query is None
    await captured(tickets, AS_POLLED)
    await tickets.uncapture("tickets")
    assert (await tickets.status()).tables == ()


async def test_a_column_named_row_is_no_trouble(tickets: Shop) -> None:
    tickets.sql('create table seats (id int primary key, "row" int, seat int)')
    await tickets.capture("seats", entity="seat", query="select id, row.row as rank, seat from row")
    tickets.sql("insert into seats values (1, 2, 3)")

    (event,) = tickets.events()
    assert event.data == {"id": 1, "rank": 2, "seat": 3}
