"""`tidegate postgres` against a real server: what it says and does, and that it does nothing by halves."""

import json
import os
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tests.support.capture import ORDERS, Shop
from tests.support.postgres import connected, execute, fresh_database

TRIGGERS = "select count(*) from pg_trigger where not tgisinternal and tgname like 'tidegate%'"


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A database with orders, where nothing is installed yet."""
    with fresh_database() as url, connected(url) as application:
        execute(application, ORDERS)
        yield Shop(url, application)


@pytest.fixture
def installed(shop: Shop) -> Shop:
    assert postgres(shop.url, "install").exit_code == 0
    return shop


def postgres(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["postgres", *arguments, "--url", url])


def capture(url: str, *arguments: str) -> Result:
    """`capture` of orders by their id, or as `arguments` have it."""
    table = [] if arguments and not arguments[0].startswith("-") else ["orders"]
    return postgres(url, "capture", *table, *arguments, "--entity", "order")


def test_the_status_of_a_new_log_knows_that_it_is_empty(installed: Shop) -> None:
    lines = [line.split(maxsplit=1) for line in postgres(installed.url, "status").stdout.splitlines()]
    assert any(words[0] == "size" and words[1].endswith("MiB, 0 events") for words in lines if words)
    assert ["holds", "nothing"] in lines
    assert json.loads(postgres(installed.url, "status", "--json").stdout)["log"]["estimatedEvents"] == 0


def test_install_says_what_it_made_and_then_makes_nothing_more(shop: Shop) -> None:
    first, second = postgres(shop.url, "install"), postgres(shop.url, "install")

    assert first.exit_code == second.exit_code == 0
    assert first.stdout.splitlines()[:2] == ["installed 1: sync_events", "installed 2: capture"]
    assert second.stdout == first.stdout.splitlines()[-1] + "\n"


def test_the_printed_sql_of_install_installs(shop: Shop) -> None:
    printed = postgres(shop.url, "install", "--dry-run").stdout
    assert shop.sql("select to_regclass('sync_events')") == [(None,)]

    shop.sql(printed)

    assert postgres(shop.url, "install").stdout.startswith("schema version ")
    assert postgres(shop.url, "install", "--dry-run").stdout == ""


def test_the_printed_sql_of_capture_and_uncapture_does_it(installed: Shop) -> None:
    installed.sql(capture(installed.url, "--key", "id", "--without", "card_token", "--dry-run").stdout)
    installed.sql("insert into orders values ('A', 'new', 1, 'secret')")
    installed.sql(postgres(installed.url, "uncapture", "orders", "--dry-run").stdout)
    installed.sql("insert into orders values ('B', 'new', 1, 'secret')")

    (event,) = installed.events()
    assert event.data == {"id": "A", "order_stage": "new", "total": 1}


def test_a_table_is_captured_and_let_go(installed: Shop) -> None:
    types = "order_stage=stage_change, total=total_change"
    done = capture(installed.url, "--key", "id", "--columns", "order_stage, total", "--event-types", types)
    installed.sql("insert into orders values ('A', 'new', 1)")
    installed.sql("update orders set order_stage = 'paid', total = 2")
    gone = postgres(installed.url, "uncapture", "orders")
    installed.sql("delete from orders")

    assert (done.exit_code, done.stdout) == (0, "captured orders as order\n")
    assert (gone.exit_code, gone.stdout) == (0, "no longer captured: orders\n")
    assert installed.told() == [("order_created", "A"), ("stage_change", "A"), ("total_change", "A")]


def test_a_query_of_the_row_is_taken_shown_and_refused_in_a_sentence(installed: Shop) -> None:
    url = installed.url
    refused = capture(url, "--key", "id", "--as", "select id, random() as luck from row")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("tidegate: as: it calls random, which may give another value each time")

    done = capture(url, "--key", "id", "--as", "select id,\n total::text as total from row")
    assert (done.exit_code, done.stdout) == (0, "captured orders as order\n")
    lines = postgres(url, "status").stdout.splitlines()
    shown = r"  public.orders: select id,\n total::text as total from row"
    assert lines[lines.index("given as") + 1 :] == [shown]

    view = "select o.id from public.orders as o where o.id = row.id"
    assert capture(url, "--key", "id", "--as", view).exit_code == 0
    (table,) = json.loads(postgres(url, "status", "--json").stdout)["tables"]
    assert (table["as"], table["readsTable"]) == (view, True)
    assert f"events have no previous): {view}" in postgres(url, "status").stdout


def test_the_url_may_stand_in_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_LOG__URL", shop.url)

    assert CliRunner().invoke(app, ["postgres", "install"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "--key", "id"], "there is no table nowhere in this database"),
        (["a.b.c.d", "--key", "id"], "'a.b.c.d' is no table's name"),
        (["sync_events", "--key", "id"], "public.sync_events is Tidegate's own"),
        (["shown", "--key", "id"], "public.shown is a view: only tables can be captured"),
        (["part", "--key", "id"], "public.part is a partition: capture the table that it is a part of"),
        (["passing", "--key", "id"], "passing is a temporary table"),
        (["pg_catalog.pg_class", "--key", "oid"], "pg_catalog.pg_class is a system table"),
        (
            ["--key", "number"],
            "key: public.orders has no column number; it has id, order_stage, total, card_token",
        ),
        (["--key", "total"], "key: total may be null in public.orders"),
        (["loose", "--key", "id"], "key: nothing keeps two rows of public.loose from having the same id"),
        (["pairs", "--key", "a"], "key: nothing keeps two rows of public.pairs from having the same a"),
        (["lists", "--key", "id"], "key: id is a integer[], which can't be an entity's id"),
        (["--key", "id", "--columns", "id,colour"], "columns: public.orders has no column colour"),
        (["--key", "id", "--without", "colour"], "without: public.orders has no column colour"),
        (["--key", "id", "--without", "id"], "without: id is the key, and every event has it"),
        (["--key", "id", "--columns", "total", "--without", "card_token"], "not both"),
        (["--key", "id", "--event-types", "colour=x"], "event-types: public.orders has no column colour"),
        (["--key", "id", "--event-types", "id=x"], "event-types: id is the key"),
        (["--key", "id", "--event-types", "total"], "event-types: must be COLUMN=TYPE, and is 'total'"),
        (["--key", "id", "--event-types", "total=reset"], "event-types: 'reset' can't be an event type"),
        (["--key", "id", "--event-types", "total=a b"], "event-types: 'a b' can't be an event type"),
        (
            ["--key", "id", "--columns", "order_stage", "--event-types", "total=x"],
            "event-types: total is left out",
        ),
        (["--key", "id", "--without", "total", "--event-types", "total=x"], "event-types: total is left out"),
        (["--key", "id", "--columns", ""], "columns: has an empty name"),
        (["--key", "id", "--without", "total,,card_token"], "without: has an empty name"),
        (["--key", "id", "--max-event-bytes", "100"], "max-event-bytes: must be at least 2048"),
    ],
)
def test_what_can_not_be_captured_is_refused_in_a_sentence(
    installed: Shop, arguments: list[str], sentence: str
) -> None:
    installed.sql(
        "create view shown as select * from orders; create table loose (id int not null);"
        "create unique index on loose (id) where id > 0; create table lists (id int[] primary key);"
        "create table pairs (a int, b int, primary key (a, b));"
        "create table whole (id int primary key) partition by hash (id);"
        "create table part partition of whole for values with (modulus 1, remainder 0)"
    )
    # Only the connection that made it sees a temporary table, unless it is named with its schema.
    installed.sql("create temporary table passing (id int primary key)")
    if arguments[0] == "passing":
        ((schema,),) = installed.sql("select nspname from pg_namespace where oid = pg_my_temp_schema()")
        arguments = [f"{schema}.passing", *arguments[1:]]

    result = capture(installed.url, *arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert installed.sql(TRIGGERS) == [(0,)]


@pytest.mark.parametrize("entity", ["", "an order", "o" * 57])
def test_an_entity_that_is_no_name_is_refused(installed: Shop, entity: str) -> None:
    result = postgres(installed.url, "capture", "orders", "--key", "id", "--entity", entity)

    assert (result.exit_code, "entity: must be 1 to 56" in result.stderr) == (2, True)


def test_a_refused_change_leaves_the_capture_as_it_was(installed: Shop) -> None:
    capture(installed.url, "--key", "id")

    assert capture(installed.url, "--key", "id", "--columns", "colour").exit_code == 2

    installed.sql("insert into orders (id) values ('A')")
    assert installed.told() == [("order_created", "A")]


def test_uncapture_of_what_is_not_captured_says_so(installed: Shop) -> None:
    result = postgres(installed.url, "uncapture", "orders")

    assert (result.exit_code, result.stderr) == (2, "tidegate: public.orders is not captured.\n")


@pytest.mark.parametrize("command", [["status"], ["capture", "orders", "--entity", "o", "--key", "id"]])
def test_without_the_schema_the_command_says_to_install_it(shop: Shop, command: list[str]) -> None:
    result = postgres(shop.url, *command)

    assert result.exit_code == 2
    assert "run `tidegate postgres install`" in result.stderr


@pytest.mark.parametrize(
    "command", [["install"], ["install", "--dry-run"], ["status"], ["uncapture", "orders"]]
)
def test_a_schema_of_a_newer_release_is_left_alone(installed: Shop, command: list[str]) -> None:
    installed.sql("insert into tidegate_schema (version, name) values (999, 'later')")

    result = postgres(installed.url, *command)

    assert result.exit_code == 2
    assert "The log's schema has version 999" in result.stderr


def test_a_url_of_something_else_is_refused_without_its_password() -> None:
    result = postgres("mysql://root:hunter2@127.0.0.1/x", "status")

    assert result.exit_code == 2
    assert "must begin with postgres://" in result.stderr
    assert "hunter2" not in result.output


def test_a_server_that_is_not_there_is_out_of_reach() -> None:
    result = postgres("postgres://somebody:hunter2@/x?host=/nowhere", "status")

    assert result.exit_code == 4
    assert "Postgres is out of reach" in result.stderr
    assert "hunter2" not in result.output


def test_a_read_only_server_is_refused(shop: Shop) -> None:
    ((name,),) = shop.sql("select current_database()")
    shop.sql(f"alter database {name} set default_transaction_read_only = on")

    result = postgres(shop.url, "install")

    assert result.exit_code == 4
    assert "read-only" in result.stderr


def test_a_table_of_another_owner_is_refused(installed: Shop) -> None:
    role = f"tidegate_test_reader_{os.getpid()}"
    installed.sql(f"create role {role}; grant select on tidegate_schema to {role}")
    ((name,),) = installed.sql("select current_database()")
    try:
        installed.sql(f"grant execute on function pg_control_system() to {role}")
        installed.sql(f"alter role current_user in database {name} set role = {role}")
        result = capture(installed.url, "--key", "id")
    finally:
        installed.sql(f"alter role current_user in database {name} reset role")
        installed.sql(f"drop owned by {role}; drop role {role}")

    assert result.exit_code == 2
    assert "This user may not do that" in result.stderr
    assert installed.sql(TRIGGERS) == [(0,)]


def test_status_shows_what_is_captured_and_what_is_wrong(installed: Shop) -> None:
    capture(
        installed.url, "--key", "id", "--without", "card_token", "--event-types", "order_stage=stage_change"
    )
    installed.sql("alter table orders drop column total")

    lines = postgres(installed.url, "status").stdout.splitlines()

    assert "  public.orders  order   id   id, order_stage, total  order_stage=stage_change" in lines
    assert lines[-1] == "  public.orders: its column total is gone from the events"


def test_status_names_the_transaction_that_holds_delivery_and_what_waits(installed: Shop) -> None:
    capture(installed.url, "--key", "id")
    with connected(installed.url) as other:
        execute(other, "set application_name = 'nightly job'; begin; create table half_done ()")
        ((pid,),) = execute(other, "select pg_backend_pid()")
        installed.sql("insert into orders (id) values ('A')")

        held = json.loads(postgres(installed.url, "status", "--json").stdout)
        told = postgres(installed.url, "status").stdout
        execute(other, "rollback")

    free = json.loads(postgres(installed.url, "status", "--json").stdout)
    assert held["log"]["waitingEvents"] == 1
    assert held["log"]["waitingSeconds"] >= 0
    assert (held["blocking"]["pid"], held["blocking"]["application"]) == (pid, "nightly job")
    assert f"pid {pid}, open for" in told
    assert free["log"]["waitingEvents"] == 0
    assert free["log"]["newest"] is not None
    assert free["tables"][0]["columns"] == ["id", "order_stage", "total", "card_token"]


def test_a_prepared_transaction_is_told_as_what_holds_delivery(installed: Shop) -> None:
    if installed.sql("show max_prepared_transactions") == [("0",)]:
        pytest.skip("this server has no two-phase commits")
    capture(installed.url, "--key", "id")
    installed.sql("begin")
    installed.sql("insert into orders (id) values ('A')")
    gid = f"tidegate-{os.getpid()}"
    installed.sql(f"prepare transaction '{gid}'")
    try:
        blocking = json.loads(postgres(installed.url, "status", "--json").stdout)["blocking"]
    finally:
        installed.sql(f"commit prepared '{gid}'")

    assert (blocking["gid"], blocking["state"]) == (gid, "prepared")
    assert installed.told() == [("order_created", "A")]


@pytest.mark.parametrize(("notify", "count"), [("always", 1), ("never", 0)])
def test_a_capture_wakes_the_readers_as_it_was_told_to(installed: Shop, notify: str, count: int) -> None:
    capture(installed.url, "--key", "id", "--notify", notify)
    installed.sql("listen sync_events")

    installed.sql("insert into orders (id) values ('A')")
    installed.sql("update orders set total = total")
    installed.application.poll()

    assert len(installed.application.notifies) == count
