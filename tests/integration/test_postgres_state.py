"""The state of captured tables: what a stream begins with, on a real Postgres."""

import os
from collections.abc import AsyncIterator, Callable

import pytest

from adapters.postgres.connection import connect
from adapters.postgres.log import PostgresLog
from adapters.postgres.state import PostgresState
from gateway.core.events import ORIGIN
from gateway.core.selectors import Selector
from gateway.ports.state import LogWithState, StateSource, StateUnknown
from tests.support.api import STATE, Client
from tests.support.capture import ORDERS, Shop, shop
from tests.support.clock import ManualClock
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import connected, execute
from tests.support.postgres_log import eventually, opened
from tests.support.state import items_of, selected, state_of

OPEN = """
select count(*)
from pg_stat_activity as a
where a.datname = current_database() and a.backend_xmin is not null and a.pid <> pg_backend_pid()
"""
ORDER = {"id": "A", "order_stage": "new", "total": 12.5}


@pytest.fixture
async def orders() -> AsyncIterator[Shop]:
    async with shop(ORDERS) as running:
        await running.capture(without=["card_token"], changes={"order_stage": "stage_change"})
        yield running


@pytest.fixture
async def log(orders: Shop) -> AsyncIterator[PostgresLog]:
    async with opened(orders.url) as log:
        source: StateSource = log.state
        assert source is log.state
        yield log


async def test_a_captured_table_is_known_by_its_entity_type(log: PostgresLog) -> None:
    assert isinstance(log, LogWithState)
    assert log.state.knows("order", Selector())
    assert not log.state.knows("invoice", Selector())


async def test_items_are_the_rows_as_their_events_have_them(orders: Shop, log: PostgresLog) -> None:
    orders.sql("set time zone 'Asia/Tokyo'; set datestyle = 'German'; set extra_float_digits = 0")
    orders.sql(
        "create table odd (id bigint primary key, moment timestamptz, day date, span interval, ratio float8,"
        " bytes bytea, tags text[], document jsonb)"
    )
    await orders.capture("odd", entity="odd")
    orders.sql(
        "insert into odd values (9007199254740993, '2026-11-27 12:00+09', '2026-11-27', '1 day 90 minutes',"
        " 0.1::float8 + 0.2::float8, '\\x00ff', '{a,b}', '{\"b\": 1, \"a\": null}')"
    )

    (event,) = orders.events()
    assert await state_of(log.state, "odd") == {"odd": {"9007199254740993": event.data}}


async def test_a_column_that_is_left_out_is_not_in_the_state(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50, 'secret')")

    assert await state_of(log.state, "order") == {"order": {"A": ORDER}}


async def test_many_rows_come_in_batches_whose_size_goes_by_that_of_the_rows(
    orders: Shop, log: PostgresLog
) -> None:
    orders.sql("insert into orders select n::text, repeat('x', 1000), n from generate_series(1, 3000) as n")

    sizes = []
    async with log.state.read(["order"], Selector()) as reading:
        async for entity_type, batch in reading.batches():
            assert entity_type == "order"
            sizes.append((len(batch), sum(len(item.data) for item in batch)))

    assert sum(count for count, _ in sizes) == 3000
    assert max(count for count, _ in sizes) <= 500
    assert max(size for _, size in sizes) < 1.1 * 131_072
    assert len(sizes) < 50


async def test_several_types_are_read_at_one_moment_and_in_their_order(
    orders: Shop, log: PostgresLog
) -> None:
    orders.sql("create table lines (id int primary key, order_id text)")
    await orders.capture("lines", entity="line")
    orders.sql("insert into orders values ('A', 'new', 12.50)")

    async with log.state.read(["line", "order"], Selector()) as reading:
        orders.sql("begin; delete from orders; insert into lines values (1, 'A'); commit")
        assert await items_of(reading) == {"order": {"A": ORDER}}
    assert await state_of(log.state, "line", "order") == {"line": {"1": {"id": 1, "order_id": "A"}}}


async def test_tables_of_one_type_are_its_state_together(orders: Shop, log: PostgresLog) -> None:
    orders.sql("create table archive (id text primary key)")
    await orders.capture("archive", entity="order")
    orders.sql("insert into archive values ('B'); insert into orders values ('A', 'new', 12.50)")

    assert await state_of(log.state, "order") == {"order": {"A": ORDER, "B": {"id": "B"}}}


async def test_partitions_are_read_with_their_table_and_once(orders: Shop, log: PostgresLog) -> None:
    orders.sql(
        "create table parts (id int primary key) partition by range (id);"
        "create table parts_1 partition of parts for values from (0) to (10);"
        "create table parts_2 partition of parts for values from (10) to (20)"
    )
    await orders.capture("parts", entity="part")
    orders.sql("insert into parts values (1), (11)")

    assert await state_of(log.state, "part") == {"part": {"1": {"id": 1}, "11": {"id": 11}}}


async def test_only_selected_ids_are_read(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50), ('B', 'new', 1), ('C', 'new', 1)")

    assert list((await state_of(log.state, "order:A", "order:X"))["order"]) == ["A"]
    assert await state_of(log.state, "order:X") == {}
    assert list((await state_of(log.state, "order:A", "order"))["order"]) == ["A", "B", "C"]


async def test_rows_that_are_not_selected_are_not_looked_at(orders: Shop, log: PostgresLog) -> None:
    orders.sql("create table lines (id int primary key, n int)")
    await orders.capture("lines", entity="line", query="select id, 10 / n as share from row")
    orders.sql("insert into lines values (1, 0), (2, 5)")

    assert await state_of(log.state, "line:2") == {"line": {"2": {"id": 2, "share": 2}}}
    with pytest.raises(StateUnknown):
        await state_of(log.state, "line")


@pytest.mark.parametrize(
    ("type_", "key", "others"),
    [
        ("int", "7", ["07", " 7", "x", "99999999999"]),
        ("uuid", "00000000-0000-0000-0000-00000000000a", ["00000000-0000-0000-0000-00000000000A", "a"]),
        ("numeric", "1.50", ["1.5", "NaN"]),
        ("date", "2026-11-27", ["27.11.2026", "2026-02-30", "today"]),
        ("timestamptz", "2026-11-27T16:00:00+00:00", ["2026-11-27T16:00:00Z"]),
        ("boolean", "true", ["t", "yes"]),
        ("float8", "0.1", ["0.10", "1e400"]),
        ("char(3)", "ab ", ["ab"]),
        ("varchar(3)", "abc", ["abcd"]),
    ],
)
async def test_an_id_is_a_key_as_events_write_it(
    orders: Shop, log: PostgresLog, type_: str, key: str, others: list[str]
) -> None:
    orders.sql(f"create table keyed (id {type_} primary key)")
    await orders.capture("keyed", entity="keyed")
    orders.sql("insert into keyed values (%s)", key)
    assert orders.told() == [("keyed_created", key)]

    for other in others:
        assert await state_of(log.state, f"keyed:{other}") in ({}, {"keyed": {}})
    selector = Selector(entities=frozenset(("keyed", name) for name in [key, *others]))
    async with log.state.read(["keyed"], selector) as reading:
        assert list((await items_of(reading))["keyed"]) == [key]


async def test_a_row_whose_key_is_no_id_is_no_item(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50), ('', 'new', 1), (E'a\\tb', 'new', 1)")

    assert list((await state_of(log.state, "order"))["order"]) == ["A"]


async def test_what_no_json_reader_takes_is_left_out_of_its_item(orders: Shop, log: PostgresLog) -> None:
    orders.sql("create table big (id int primary key, size numeric)")
    await orders.capture("big", entity="big")
    orders.sql("insert into big values (1, 1e400), (2, 1)")

    assert await state_of(log.state, "big") == {"big": {"1": {"id": 1}, "2": {"id": 2, "size": 1}}}


async def test_the_cursor_is_the_newest_event_that_readers_may_have(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50)")
    head = (await log.bounds()).head
    with connected(orders.url) as other:
        execute(other, "begin; insert into orders values ('B', 'new', 1)")
        orders.sql("insert into orders values ('C', 'new', 1)")

        async with log.state.read(["order"], Selector()) as reading:
            cursor, items = reading.cursor, await items_of(reading)
        execute(other, "commit")

    assert (cursor.epoch, cursor.position) == (log.epoch, head)
    assert list(items["order"]) == ["A", "C"], "C is repeated by the stream, behind the open transaction"
    assert {record.event.entity_id for record in await log.read(cursor.position, 10)} == {"B", "C"}


async def test_the_cursor_of_an_empty_log_is_its_floor(orders: Shop, log: PostgresLog) -> None:
    async with log.state.read(["order"], Selector()) as reading:
        assert reading.cursor.position == ORIGIN
        assert await items_of(reading) == {}


async def test_the_cursor_is_never_an_event_that_cannot_be_delivered(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50)")
    head = (await log.bounds()).head
    for _ in range(2):
        orders.sql(
            "insert into sync_events (event_type, action, data) values ('odd', 'signal', '{\"a\": 1e999}')"
        )

    async with log.state.read(["order"], Selector()) as reading:
        assert reading.cursor.position == head


async def test_there_is_a_version_while_nothing_is_committed(orders: Shop, log: PostgresLog) -> None:
    async def version(*entities: str) -> str | None:
        async with log.state.read(["order"], selected(*entities)) as reading:
            return reading.version

    first = await version("order")
    assert await version("order") == first
    assert await version("order:A") != first
    orders.sql("insert into orders values ('A', 'new', 12.50)")
    assert await version("order") is None
    assert await version("order") not in (None, first)


async def test_a_stream_begins_with_the_state_and_goes_on(
    orders: Shop, start_gateway: Callable[..., GatewayThread]
) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50, 'secret'), ('B', 'paid', 1, 'secret')")
    gateway = start_gateway(make_settings(log={"url": orders.url}))
    client = Client(gateway.port)

    answer = await client.get(STATE, {"entity": "order", "filter": "order_stage=eq.new"})
    assert [(item["entityId"], item["data"]) for item in answer.json["items"]] == [("A", ORDER)]
    assert (await client.get(STATE, {"entity": "invoice"})).status == 404
    async with client.stream({"entity": "order", "state": "with"}) as stream:
        assert (await stream.connected()).data["state"] is True
        part = await stream.next()
        assert (part.event, part.data["last"], part.id) == ("state", True, part.data["cursor"])
        assert [item["entityId"] for item in part.data["items"]] == ["A", "B"]
        orders.sql("update orders set order_stage = 'paid' where id = 'A'")
        assert (await stream.until("stage_change")).data["data"]["newStage"] == "paid"


async def test_a_reading_holds_no_delivery_up(orders: Shop, log: PostgresLog) -> None:
    async with log.state.read(["order"], Selector()):
        before = (await log.bounds()).head
        orders.sql("insert into orders values ('A', 'new', 12.50)")
        assert (await log.bounds()).head > before


async def test_a_reading_that_takes_too_long_ends(orders: Shop) -> None:
    clock = ManualClock()
    state = PostgresState(lambda: connect(orders.url), reading_seconds=60, now=clock.monotonic)
    orders.sql("insert into orders select n::text, 'new', n from generate_series(1, 100) as n")

    async def read_slowly() -> None:
        async with state.read(["order"], Selector()) as reading:
            async for _ in reading.batches():
                clock.advance(61)

    try:
        with pytest.raises(StateUnknown, match="ask for fewer"):
            await read_slowly()
        assert await state_of(state, "order"), "the next one has a transaction of its own"
    finally:
        await state.close()


async def test_who_stops_in_the_middle_leaves_no_transaction_open(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders select n::text, 'new', n from generate_series(1, 100) as n")

    async with log.state.read(["order"], Selector()) as reading:
        async for _ in reading.batches():
            break
    with pytest.raises(ZeroDivisionError):
        async with log.state.read(["order"], Selector()):
            raise ZeroDivisionError

    open_ones = (
        "select count(*) from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()"
    )
    await eventually(
        lambda: orders.sql(open_ones + " and datname = current_database()") == [(0,)], "none is open"
    )
    assert len((await state_of(log.state, "order"))["order"]) == 100


async def test_what_is_captured_later_becomes_known_and_what_no_longer_is_unknown(orders: Shop) -> None:
    state = PostgresState(lambda: connect(orders.url))
    try:
        await state.refresh()
        orders.sql("create table lines (id int primary key)")
        await orders.capture("lines", entity="line")
        await orders.uncapture("orders")
        assert state.knows("order", Selector())
        with pytest.raises(StateUnknown, match="No table is captured as order"):
            await state_of(state, "order")
        await state.refresh()
        assert state.knows("line", Selector())
        assert not state.knows("order", Selector())
    finally:
        await state.close()


async def test_sessions_that_were_cut_off_meanwhile_are_no_trouble(orders: Shop, log: PostgresLog) -> None:
    orders.sql("insert into orders values ('A', 'new', 12.50)")
    async with log.state.read(["order"], Selector()), log.state.read(["order"], Selector()):
        pass
    orders.sql(
        "select pg_terminate_backend(a.pid, 60000) from pg_stat_activity as a"
        " where a.datname = current_database() and a.pid <> pg_backend_pid()"
    )

    assert await state_of(log.state, "order") == {"order": {"A": ORDER}}


async def test_a_gateway_starts_where_it_may_not_look_for_captures(orders: Shop) -> None:
    role = f"tidegate_narrow_{os.getpid()}"
    orders.sql(
        f"create role {role} login; grant select, insert, delete on all tables in schema public to {role}"
    )
    orders.sql("revoke execute on all functions in schema public from public")
    try:
        async with opened(orders.url.replace("//tidegate@", f"//{role}@")) as log:
            assert not log.state.knows("order", Selector())
            assert (await log.bounds()).head == ORIGIN
    finally:
        orders.sql(f"drop owned by {role}; drop role {role}")


async def test_a_server_that_is_out_of_reach_is_no_state_yet(orders: Shop) -> None:
    state = PostgresState(lambda: connect("postgres://tidegate@/none?host=/nowhere"))
    with pytest.raises(StateUnknown, match="ask again"):
        await state_of(state, "order")
