"""A captured table may have columns of any name: none is mistaken for a name in the trigger's own SQL."""

import json
import re
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.connection import connect
from adapters.postgres.migrations import install, migrations, script
from tests.support.capture import Shop, shop
from tests.support.comparing import compare, extract
from tests.support.legacy import legacy_route, listed, order
from tests.support.postgres import connected, fresh_database
from tests.support.vectors import MEMBER_SUFFIXES

WORDS = (
    "select p.prosrc || ' ' || coalesce(array_to_string(p.proargnames, ' '), '')"
    " from pg_proc as p where p.proname like 'tidegate%'"
)
AWKWARD = [
    *(
        "C",
        "Item",
        "SELECT",
        "tidegate_new.c",
        "c.*",
        "$1",
        "%s",
        "%I",
        "?",
        "a b",
        " ",
        "'",
        '"',
        '""',
        "\\",
    ),
    *("\\'", "a,b", "()", "--", "/*", ";", "$query$", "$$", "{", "é", "🙂", "x" * 63, "é" * 31, "a\nb", ":x"),
]
SUFFIXES_OF_ORDER = [
    (member, suffix) for member, entity, suffix in MEMBER_SUFFIXES if entity == "order" and member
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
async def empty() -> AsyncIterator[Shop]:
    async with shop() as running:
        yield running


def names_of_ours(running: Shop) -> list[str]:
    """Every word of the SQL that a change runs through: aliases, variables and parameters are among them."""
    words = {word for (text,) in running.sql(WORDS) for word in re.findall(r"[A-Za-z_][A-Za-z_0-9]*", text)}
    system = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
    return sorted(word for word in {*words, *AWKWARD} - system if len(word.encode()) < 64)


def make_table(running: Shop, names: list[str], key: str) -> None:
    columns = ", ".join(f"{quoted(name)} text{' primary key' if name == key else ''}" for name in names)
    running.sql(f"create table things ({columns})")


async def test_a_column_with_any_name_that_our_sql_uses_is_told_as_any_other(empty: Shop) -> None:
    names = names_of_ours(empty)
    assert {"c", "item", "options", "max_rows_at_once", "row_count", "tidegate_new", "e", "id"} <= {*names}
    make_table(empty, names, "id")
    await empty.capture("things", entity="thing", changes={"c": "c_change"})
    row = {name: f"value of {name}" for name in names} | {"id": "1"}
    values = ", ".join(["%s"] * len(names))

    empty.sql(f"insert into things values ({values})", *(row[name] for name in names))
    empty.sql("update things set c = 'new', row_count = 'new'")
    empty.sql("delete from things")
    empty.sql("insert into things (id) select n::text from generate_series(1, 1001) as n")
    empty.sql("delete from things where id <> '1001'; truncate things")

    ((*problems,),) = [table.problems for table in (await empty.status()).tables]
    assert problems == []
    events = empty.events()
    created, changed, updated, deleted = events[:4]
    assert (created.event_type, created.entity_id, created.data) == ("thing_created", "1", row)
    after = row | {"c": "new", "row_count": "new"}
    assert (changed.event_type, changed.previous) == ("c_change", row)
    assert changed.data == after | {"previousC": row["c"], "newC": "new"}
    assert (updated.event_type, updated.data, updated.previous) == ("thing_updated", after, row)
    assert (deleted.event_type, deleted.data) == ("thing_deleted", after)
    ids = [str(number) for number in range(1, 1002)]
    assert sorted(event.entity_id or "" for event in events[4:]) == sorted([*ids, *ids])
    assert {event.event_type for event in events[4:]} == {"thing_created", "thing_deleted"}


@pytest.mark.parametrize(
    "key", ["c", "item", "number", "nth", "options", "key", "columns", "changes", "row_count", "$1", "a b"]
)
async def test_a_key_of_any_name_names_the_entity(empty: Shop, key: str) -> None:
    make_table(empty, sorted({"id", "c", "item", "number", key}), key)
    await empty.capture("things", entity="thing", key=key)
    empty.sql(f"insert into things ({quoted(key)}) values ('A')")
    empty.sql(f"update things set {quoted(key)} = 'B'")
    empty.sql("truncate things")

    assert empty.told() == [
        *(("thing_created", "A"), ("thing_deleted", "A"), ("thing_created", "B")),
        ("thing_deleted", "B"),
    ]


@pytest.mark.parametrize(
    "table",
    [
        *("tidegate_new", "tidegate_old", "pairs", "c", "some_rows", "pg_class", "$1", "%s", "sync_events "),
        *('"', "a.b", "x" * 63),
    ],
)
async def test_a_table_of_any_name_is_captured(empty: Shop, table: str) -> None:
    empty.sql(f"create table public.{quoted(table)} (id int primary key, c text)")
    await empty.capture(f"public.{quoted(table)}")
    for statement in ("insert into {} values (1, 'x')", "update {} set c = 'y'", "truncate {}"):
        empty.sql(statement.format(f"public.{quoted(table)}"))

    assert [event.event_type for event in empty.events()] == [
        *("order_created", "order_updated", "order_deleted")
    ]


async def test_a_document_in_a_column_is_never_taken_for_the_row(empty: Shop) -> None:
    empty.sql("create type pair as (id int, c int)")
    empty.sql("create table things (id int primary key, c jsonb, item pair)")
    await empty.capture("things", entity="thing")
    empty.sql("""insert into things values (1, '{"id": 777}', row(888, 999))""")

    (event,) = empty.events()
    assert event.entity_id == "1"
    assert event.data == {"id": 1, "c": {"id": 777}, "item": {"id": 888, "c": 999}}


async def test_tables_that_were_captured_before_are_mended_by_the_upgrade() -> None:
    with fresh_database() as url, connected(url) as application:
        running = Shop(url, application)
        session = await connect(url)
        await session.fetch(script([step for step in migrations() if step.version < 6]))
        running.sql(
            "create table plain (id int primary key, c text, max_rows_at_once text, payment_status text)"
        )
        await running.capture("plain", changes={"payment_status": "payment_update"})
        # As captures were made when names in snake case kept their underscores.
        ((trigger,),) = running.sql(
            "select pg_get_triggerdef(t.oid) from pg_trigger as t where t.tgname = 'tidegate_update'"
        )
        assert '"suffix": "PaymentStatus"' in trigger
        running.sql("drop trigger tidegate_update on plain")
        running.sql(trigger.replace('"PaymentStatus"', '"Payment_status"'))

        # The application's session has its plans from before the upgrade, and goes on.
        running.sql("insert into plain values (0, 'x', 'y', 'open')")
        assert running.told() == [("capture_gap", None)]
        running.forget()

        await install(session)
        session.close()

        running.sql("insert into plain values (1, 'x', 'y', 'open')")
        running.sql("update plain set payment_status = 'paid' where id = 1")
        created, updated = running.events()
        row = {"id": 1, "c": "x", "max_rows_at_once": "y", "payment_status": "open"}
        assert (created.event_type, created.entity_id, created.data) == ("order_created", "1", row)
        assert updated.event_type == "payment_update"
        assert updated.data == row | {
            "payment_status": "paid",
            "previousPaymentStatus": "open",
            "newPaymentStatus": "paid",
        }


async def test_a_changed_column_and_a_polled_member_of_its_name_are_told_alike(empty: Shop) -> None:
    rules = {member: f"change.{number}" for number, (member, _) in enumerate(SUFFIXES_OF_ORDER)}
    columns = ", ".join(f"{quoted(member)} text default 'old'" for member in rules)
    empty.sql(f'create table orders ("orderID" text primary key, {columns})')
    await empty.capture(key="orderID", changes=rules)
    route = legacy_route(changes=rules)
    old, new = (dict.fromkeys(rules, state) for state in ("old", "new"))

    empty.sql("""insert into orders ("orderID") values ('A')""")
    empty.sql("update orders set " + ", ".join(f"{quoted(member)} = 'new'" for member in rules))

    captured = [(event.event_type, event.data) for event in empty.events()[1:]]
    before, after = (extract(listed(order("A", **item)), route) for item in (old, new))
    polled = [(event.event_type, event.data) for event in compare(before, after, route, 0).events]
    expected = [
        (rules[member], order("A", **new) | {f"previous{suffix}": "old", f"new{suffix}": "new"})
        for member, suffix in SUFFIXES_OF_ORDER
    ]
    assert captured == polled == expected


async def test_a_suffix_that_the_upgrade_mends_is_the_one_that_is_made(empty: Shop) -> None:
    whole = [
        (member, suffix) for member, suffix in SUFFIXES_OF_ORDER if not member.lower().startswith("order")
    ]
    options = {"changes": [{"suffix": member[:1].upper() + member[1:]} for member, _ in whole]}

    ((mended,),) = empty.sql("select tidegate_options(%s)", json.dumps(options))

    assert [change["suffix"] for change in mended["changes"]] == [suffix for _, suffix in whole]
