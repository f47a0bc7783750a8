"""Whatever a row holds, the application's statement succeeds and every event in the log can be delivered."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from multidict import MultiDict

from gateway.core.selectors import Match, event_keys, parse_selector
from tests.support.capture import ORDERS, Shop, shop

WAYWARD = """
create table orders (
    id int primary key,
    amount numeric, ratio double precision, made timestamptz, day date, span interval, raw bytea,
    tags text[], document jsonb, text_document json, state boolean, label text
)
"""


async def told(column: str, value: str) -> Any:
    """What the event of an insert says of a column that is given an SQL expression."""
    async with shop(WAYWARD) as running:
        await running.capture()
        running.sql(f"insert into orders (id, {column}) values (1, {value})")
        (event,) = running.events()
        assert event.data is not None, event.metadata
        return event.data[column]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("amount", "12345678901234567890.50", 12345678901234567890.5),
        ("amount", "'NaN'", "NaN"),
        ("ratio", "'Infinity'", "Infinity"),
        ("ratio", "0.1", 0.1),
        ("made", "'2026-11-20 10:30:00.123+02'", "2026-11-20T08:30:00.123+00:00"),
        ("made", "'infinity'", "infinity"),
        ("day", "'2026-11-20'", "2026-11-20"),
        ("span", "'1 day 2 hours'", "P1DT2H"),
        ("raw", r"'\x00ff'", r"\x00ff"),
        ("tags", "array['a', null, 'c d']", ["a", None, "c d"]),
        ("document", """'{"a": [1, {"b": null}]}'""", {"a": [1, {"b": None}]}),
        ("text_document", """'{"z": 1, "a": "\\u00e9"}'""", {"z": 1, "a": "é"}),
        ("state", "true", True),
        ("label", "E'tab\\t, bell \\x07, \\x7f and é'", "tab\t, bell \x07, \x7f and é"),
        ("label", "null", None),
    ],
)
async def test_a_column_is_told_as_json(column: str, value: str, expected: Any) -> None:
    assert await told(column, value) == expected


@pytest.mark.parametrize(
    ("value", "comparison", "expected"),
    [
        ("18446744073709551617", "eq.18446744073709551617", True),
        ("18446744073709551617", "eq.18446744073709551616", True),
        ("18446744073709551617", "in.(18446744073709551617,7)", True),
        ("18446744073709551617", "gt.18446744073709551615", True),
        ("18446744073709551615", "eq.18446744073709551615", True),
        ("18446744073709551615", "eq.18446744073709551614", False),
        ("-9223372036854775809", "eq.-9223372036854775809", True),
        ("123456789012345678901234567890", 'eq."123456789012345678901234567890"', False),
    ],
)
async def test_a_captured_number_beyond_64_bits_compares_as_a_published_one(
    value: str, comparison: str, expected: bool
) -> None:
    selector = parse_selector(MultiDict(filter=f"amount={comparison}"), {})
    async with shop(WAYWARD) as running:
        await running.capture()
        running.sql(f"insert into orders (id, amount) values (1, {value})")
        (captured,) = running.events()
    published = replace(captured, data=orjson.loads(f'{{"amount":{value}}}'))

    for event in (captured, published):
        assert (selector.match(event) is Match.DELIVER) is expected
        is_filed = bool({*selector.index_keys()} & {*event_keys(event, [("amount",)])})
        assert is_filed or not expected


async def test_what_is_told_does_not_depend_on_the_session_that_wrote_it() -> None:
    async with shop(WAYWARD) as running:
        await running.capture()
        running.sql(
            "set timezone = 'Asia/Tokyo'; set intervalstyle = 'sql_standard'; set bytea_output = 'escape';"
            "set datestyle = 'German'; set extra_float_digits = -5; set standard_conforming_strings = off"
        )
        running.application.notices.clear()
        running.sql(
            "insert into orders (id, span, made, raw, ratio)"
            " values (1, '1 day 2 hours', '2026-11-20 10:30:00+02', decode('00ff', 'hex'), 0.1::float8 + 0.2)"
        )

        (event,) = running.events()
        assert event.data is not None
        assert [event.data[name] for name in ("span", "made", "raw", "ratio")] == [
            "P1DT2H",
            "2026-11-20T08:30:00+00:00",
            r"\x00ff",
            0.1 + 0.2,
        ]
        assert running.application.notices == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount", "'1e400'"),
        ("document", "'{\"deep\": [-1e400]}'"),
        ("document", "(repeat('[', 400) || repeat(']', 400))::jsonb"),
        ("label", "repeat('x', 70000)"),
        ("tags", "array_fill('x'::text, array[30000])"),
    ],
)
async def test_what_no_event_can_hold_is_left_out_and_the_event_says_so(column: str, value: str) -> None:
    async with shop(WAYWARD) as running:
        await running.capture()
        running.sql(f"insert into orders (id, {column}) values (1, {value})")
        running.sql(f"update orders set state = true, {column} = null")
        running.sql("delete from orders")

        created, updated, deleted = running.events()
        assert (created.event_type, created.data) == ("order_created", None)
        assert created.metadata == {"omitted": ["data"]}
        assert updated.data is not None
        assert (updated.previous, updated.metadata) == (None, {"omitted": ["previous"]})
        assert deleted.metadata is None


async def test_the_size_limit_is_the_captures_own() -> None:
    async with shop(ORDERS) as running:
        await running.capture(max_event_bytes=4096)
        running.sql("insert into orders values ('A', repeat('x', 2000)), ('B', repeat('x', 5000))")
        running.sql("update orders set total = 1 where id = 'A'")

        small, large, changed = running.events()
        assert small.metadata is None
        assert large.metadata == {"omitted": ["data"]}
        assert changed.data is not None
        assert changed.metadata == {"omitted": ["previous"]}


@pytest.mark.parametrize("key", ["''", "repeat('k', 257)", "E'a\\nb'", "E'a\\x7fb'", "U&'\\0085'"])
async def test_rows_whose_key_is_no_entity_id_are_one_gap_and_the_others_are_told(key: str) -> None:
    async with shop(ORDERS) as running:
        await running.capture()
        running.sql(f"insert into orders values ('A'), ({key}), ('B')")
        running.sql("update orders set total = 1")

        assert running.told() == [
            ("order_created", "A"),
            ("order_created", "B"),
            ("capture_gap", None),
            ("order_updated", "A"),
            ("order_updated", "B"),
            ("capture_gap", None),
        ]
        assert running.events()[2].data == {
            "table": "public.orders",
            "entity": "order",
            "operation": "insert",
            "reason": "bad_key",
            "rows": 1,
        }


async def fails_to_be_told(running: Shop) -> None:
    """Gives orders a column whose cast to JSON fails for some values."""
    running.sql("""
        create type stubborn as enum ('good', 'bad');
        create function as_json(stubborn) returns json language plpgsql as $$
            begin
                if $1 = 'bad' then raise division_by_zero; end if;
                return to_json($1::text);
            end $$;
        create cast (stubborn as json) with function as_json(stubborn);
        alter table orders add column odd stubborn default 'good';
    """)


@pytest.mark.parametrize("count", [1, 1500])
async def test_rows_with_a_value_that_fails_are_told_by_their_key(count: int) -> None:
    async with shop(ORDERS) as running:
        await fails_to_be_told(running)
        await running.capture()
        running.sql(f"insert into orders select n::text from generate_series(1, {count}) as n")
        assert all(event.data is not None for event in running.events())
        running.forget()

        running.sql("update orders set odd = 'bad', total = 1")
        running.sql("update orders set total = 2, id = 'new' where id = '1'")
        running.sql("delete from orders where id = 'new'")

        events = running.events()
        assert running.told()[:count] == [("order_updated", str(n)) for n in range(1, count + 1)]
        assert running.told()[count:] == [
            ("order_deleted", "1"),
            ("order_created", "new"),
            ("order_deleted", "new"),
        ]
        assert all(event.data is None and event.metadata == {"omitted": ["data"]} for event in events)


async def test_a_document_that_no_json_text_can_carry_is_left_out() -> None:
    async with shop(WAYWARD) as running:
        await running.capture()
        running.sql("""insert into orders (id, text_document) values (1, '"\\ud800"')""")

        assert running.told() == [("order_created", "1")]


async def test_up_to_a_thousand_rows_cost_no_subtransaction() -> None:
    async with shop(ORDERS) as running:
        await running.capture()
        running.sql("begin")
        for number in range(3):
            running.sql("insert into orders values (%s)", str(number))
        running.sql("insert into orders select n::text from generate_series(1001, 2000) as n")
        running.sql("commit")

        # A row that a subtransaction wrote carries its id.
        ((writers,),) = running.sql("select array_agg(distinct e.xmin::text) from sync_events as e")
        assert writers == [running.sql("select xid::xid::text from sync_events limit 1")[0][0]]


async def test_more_rows_than_that_are_not_held_in_memory_together() -> None:
    async with shop(ORDERS) as running:
        await running.capture()
        running.sql("insert into orders select n::text from generate_series(1, 1001) as n")

        # Written part by part while the rest is still to come, which takes a subtransaction.
        assert running.sql("select count(*) from sync_events as e where e.xmin = e.xid::xid") == [(0,)]
        assert len(running.events()) == 1001
