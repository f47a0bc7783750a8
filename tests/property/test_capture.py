"""Whatever statements do to a captured table, its events lead from what it held to what it holds."""

from collections.abc import Iterator
from typing import Any

import orjson
import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.changes import member_suffix
from tests.support.capture import Shop, captured_shop
from tests.support.comparing import compare, extract
from tests.support.legacy import legacy_route, listed, order

TABLE = "create table orders (id int primary key deferrable, order_stage text, total int, card_token text)"
NOW_MS = 1_732_098_600_123
LIMIT = 65_536

KEYS = st.integers(1, 6)
STATEMENTS = st.one_of(
    st.builds("insert into orders values ({}, '{}', {}, 'secret')".format, KEYS, st.sampled_from("ab"), KEYS),
    st.builds("insert into orders select n, 'a', n from generate_series({}, {}) as n".format, KEYS, KEYS),
    st.builds("update orders set order_stage = '{}' where id > {}".format, st.sampled_from("ab"), KEYS),
    st.builds("update orders set total = nullif(total + 1, {}), order_stage = 'c'".format, KEYS),
    st.builds("update orders set card_token = 'more secret' where id > {}".format, KEYS),
    st.builds("update orders set id = 7 - id where id <> {}".format, KEYS),
    st.builds("update orders set id = id + {}".format, KEYS),
    st.builds("delete from orders where id <= {}".format, KEYS),
    st.just("truncate orders"),
)
TRANSACTIONS = st.lists(st.tuples(st.lists(STATEMENTS, max_size=4), st.booleans()), max_size=5)

# Postgres' jsonb has no NUL, and compares decimals where Python compares doubles.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(-1e12, 1e12)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.none() | st.dictionaries(
    st.sampled_from(["orderStage", "paymentStatus", "note", "total", "previousStage"]), VALUES, max_size=4
)


@pytest.fixture(scope="module")
def running() -> Iterator[Shop]:
    with captured_shop(TABLE, without=["card_token"], changes={"order_stage": "stage_change"}) as shop:
        yield shop


@given(TRANSACTIONS)
def test_folding_the_events_gives_the_table(
    running: Shop, transactions: list[tuple[list[str], bool]]
) -> None:
    # An example that failed may have left its transaction open.
    running.sql("rollback")
    running.sql("truncate orders; truncate sync_events")
    for statements, commits in transactions:
        running.sql("begin")
        for statement in statements:
            running.sql("savepoint before")
            try:
                running.sql(statement)
            except psycopg2.errors.UniqueViolation:
                running.sql("rollback to savepoint before")
        running.sql("commit" if commits else "rollback")

    state: dict[str | None, Any] = {}
    for event in running.events():
        if event.action == "insert":
            assert event.entity_id not in state
            state[event.entity_id] = event.data
        elif event.action == "delete":
            assert state.pop(event.entity_id) == event.data == event.previous
        else:
            assert event.previous is not None
            state[event.entity_id] = event.data and {name: event.data[name] for name in event.previous}

    rows = running.sql("select id, order_stage, total from orders")
    assert state == {
        str(key): {"id": key, "order_stage": stage, "total": total} for key, stage, total in rows
    }


@given(ITEMS, ITEMS)
def test_a_changed_row_gives_the_events_that_a_poll_would(
    running: Shop, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    route = legacy_route(max_event_bytes=LIMIT)
    old, new = ([] if item is None else [order("A", **item)] for item in (before, after))
    polled = compare(extract(listed(*old), route), extract(listed(*new), route), route, NOW_MS).events
    options = {
        "entity": route.entity,
        "maxEventBytes": LIMIT,
        "changes": [
            {"member": name, "eventType": kind, "suffix": member_suffix(name, route.entity)}
            for name, kind in route.changes.items()
        ],
    }

    captured = running.sql(
        "select c.event_type, c.action, c.data::text, c.previous::text"
        " from tidegate_changes('A', %s, %s, %s) as c where %s or %s order by c.part",
        *(orjson.dumps(item[0]).decode() if item else None for item in (old, new)),
        orjson.dumps(options).decode(),
        bool(old),
        bool(new),
    )

    assert [
        (kind, action, orjson.loads(data), previous and orjson.loads(previous))
        for kind, action, data, previous in captured
    ] == [(event.event_type, event.action, event.data, event.previous) for event in polled]
