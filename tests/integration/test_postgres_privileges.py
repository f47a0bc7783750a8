"""The roles that docs/operations.md gives: each can do what it is for, and no more."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's name of the class
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.core.selectors import Selector
from gateway.ports.state import StateUnknown
from tests.support.api import Client, event, eventually
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import connected, execute, fresh_database
from tests.support.postgres_log import opened
from tests.support.state import state_of

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
CAPTURE = ("capture", "shop.orders", "--entity", "order", "--key", "id", "--schema", "tidegate")
TRIGGER = {
    "entity": "order",
    "key": "id",
    "columns": ["id", "order_stage"],
    "leftOut": [],
    "changes": [],
    "source": "capture:shop.orders",
    "maxEventBytes": 65536,
    "notify": "never",
}
"""The argument of a plain capture's triggers."""
SLY = """
create function shop.sly({arguments}) returns {type} language plpgsql as $$
begin
    insert into shop.ran values (current_user);
    return {value};
end
$$
"""
"""A function that leaves behind as whom it ran."""


class Site:
    """A database with an application's table, and the page's roles under names of its own."""

    def __init__(self, url: str, admin: Connection) -> None:
        self._url = url
        self._admin = admin
        self._suffix = f"_{os.getpid()}"
        self.roles = [self._named(role) for role in ("tidegate_owner", "tidegate_capture", "tidegate_serve")]
        self.shop = f"shopkeeper{self._suffix}"
        self.make, self.install, self.table = map(self._named, self._blocks())

    def url(self, role: str) -> str:
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role}@{host}"))

    def sql(self, text: str, role: str | None = None) -> list[tuple[object, ...]]:
        """What `role` runs, by default the superuser."""
        if role is None:
            return execute(self._admin, text)
        with connected(self.url(role)) as connection:
            return execute(connection, text)

    def postgres(self, role: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["postgres", *arguments, "--url", self.url(role)])

    def trigger(self, relation: str = "shop.orders", **options: object) -> None:
        """The table's owner, who may use what plain captures use, writes such a trigger by hand."""
        _, capturer, _ = self.roles
        self.sql(f"grant {capturer} to {self.shop}")
        rows = "" if "view" in relation else "referencing new table as tidegate_new"
        argument = json.dumps(TRIGGER | options).replace("'", "''")
        self.sql(
            f"create trigger tidegate_insert after insert on {relation} {rows} for each statement"
            f" execute function tidegate.tidegate_capture('{argument}')",
            self.shop,
        )

    def _blocks(self) -> list[str]:
        section = PAGE.partition("### Table capture")[2].partition("\n### ")[0]
        found = re.findall(r"^```sql\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
        assert len(found) == 3
        return found

    def _named(self, text: str) -> str:
        # The function of that name stays as it is.
        return re.sub(r"(?<!\.)\btidegate_(owner|capture|serve)\b", rf"tidegate_\1{self._suffix}", text)


@pytest.fixture
def site() -> Iterator[Site]:
    with fresh_database() as url, connected(url) as admin:
        site = Site(url, admin)
        try:
            site.sql(f"create role {site.shop} login; create schema shop authorization {site.shop}")
            site.sql("create table shop.orders (id text primary key, order_stage text)", site.shop)
            site.sql(site.make)
            yield site
        finally:
            for role in (*site.roles, site.shop):
                execute(admin, f"drop owned by {role} cascade; drop role {role}")


@pytest.fixture
def installed(site: Site) -> Site:
    owner, _, _ = site.roles
    done = site.postgres(owner, "install", "--schema", "tidegate")
    assert (done.exit_code, done.stderr) == (0, "")
    site.sql(site.install, owner)
    site.sql(site.table, site.shop)
    return site


def test_everything_is_in_the_schema_that_is_named(installed: Site) -> None:
    found = installed.sql(
        "select relnamespace::regnamespace::text from pg_class where relname = 'sync_events'"
    )
    assert found == [("tidegate",)]


def test_a_schema_that_is_not_there_is_no_reason_to_take_another(site: Site) -> None:
    done = site.postgres(site.roles[0], "install", "--schema", "tidgate")
    assert (done.exit_code, "There is no schema tidgate" in done.stderr) == (2, True)
    assert site.sql("select to_regclass('public.sync_events')") == [(None,)]


def test_the_printed_sql_goes_into_the_schema_too(site: Site) -> None:
    owner, _, _ = site.roles
    site.sql(site.postgres(owner, "install", "--schema", "tidegate", "--dry-run").stdout, owner)
    assert site.postgres(owner, "install", "--schema", "tidegate").stdout.startswith("schema version ")


def test_who_may_put_triggers_on_can_capture_and_only_the_owner_again(installed: Site) -> None:
    _, capturer, _ = installed.roles
    done = installed.postgres(capturer, *CAPTURE)
    assert (done.exit_code, done.stderr) == (0, "")

    again = installed.postgres(capturer, *CAPTURE)
    assert (again.exit_code, "This user may not do that" in again.stderr) == (2, True)
    assert installed.postgres(installed.shop, *CAPTURE).exit_code != 0, "without the log's grants"
    installed.sql(f"grant {capturer} to {installed.shop}")
    assert installed.postgres(installed.shop, *CAPTURE).exit_code == 0
    assert (
        installed.postgres(installed.shop, "uncapture", "shop.orders", "--schema", "tidegate").exit_code == 0
    )


def test_who_may_insert_events_can_write_no_revocation_and_no_trigger_can_for_it(installed: Site) -> None:
    shop = installed.shop
    installed.sql(f"grant usage on schema tidegate to {shop}")
    installed.sql(f"grant insert on tidegate.sync_events to {shop}")
    installed.sql(f"grant usage on all sequences in schema tidegate to {shop}")
    insert = "insert into tidegate.sync_events (event_type, action) values ('{}', 'signal')"
    installed.sql(insert.format("menu_changed"), shop)
    with pytest.raises(psycopg2.errors.CheckViolation):
        installed.sql(insert.format("tidegate.revocation"), shop)
    # A function that has its owner's rights, as that of captured tables has.
    owner = installed.roles[0]
    installed.sql(
        "create function tidegate.sly() returns void language sql security definer as"
        f" $$ {insert.format('tidegate.revocation')} $$",
        owner,
    )
    with pytest.raises(psycopg2.errors.CheckViolation):
        installed.sql("select tidegate.sly()", shop)
    installed.sql(insert.format("tidegate.revocation"), installed.roles[2])


async def test_a_gateway_reads_the_captured_columns_of_captured_tables_alone(installed: Site) -> None:
    owner, capturer, server = installed.roles
    installed.sql("alter table shop.orders add column card_token text", installed.shop)
    installed.sql("insert into shop.orders values ('A', 'new', 'secret')", installed.shop)
    done = await asyncio.to_thread(installed.postgres, capturer, *CAPTURE, "--without", "card_token")
    assert done.exit_code == 0
    async with opened(installed.url(server)) as log:
        assert await state_of(log.state, "order") == {"order": {"A": {"id": "A", "order_stage": "new"}}}
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            installed.sql("select id from shop.orders", server)
        with pytest.raises(psycopg2.errors.RaiseException):
            installed.sql("select tidegate_state('sync_events'::regclass, null)", server)

        installed.sql(f"revoke select on shop.orders from {owner}")
        with pytest.raises(StateUnknown):
            await state_of(log.state, "order")
        assert not log.state.knows("order", Selector())
    status = await asyncio.to_thread(installed.postgres, server, "status", "--schema", "tidegate")
    assert f"{owner} may not read it" in status.stdout


def test_a_query_takes_the_right_to_run_one_as_the_owner_of_the_log(installed: Site) -> None:
    owner, capturer, _ = installed.roles
    installed.sql("create table shop.stages (id text primary key, title text)", installed.shop)
    query = "select o.id, s.title from row as o left join shop.stages as s on s.id = o.order_stage"
    shaped = (*CAPTURE, "--as", query)

    refused = installed.postgres(capturer, *shaped)
    assert refused.exit_code == 2
    assert f"{owner}, who owns the log and runs it, may not read" in refused.stderr
    installed.sql(f"grant select on shop.stages to {owner}", installed.shop)
    refused = installed.postgres(capturer, *shaped)
    assert refused.exit_code == 2
    assert "permission denied for function tidegate.tidegate_capture_as" in refused.stderr

    installed.sql(f"grant execute on function tidegate.tidegate_capture_as() to {capturer}", owner)
    done = installed.postgres(capturer, *shaped)
    assert (done.exit_code, done.stderr) == (0, "")
    installed.sql(
        "insert into shop.stages values ('n', 'New'); insert into shop.orders values ('A', 'n')",
        installed.shop,
    )
    assert installed.sql("select data ->> 'title' from tidegate.sync_events") == [("New",)]


@pytest.fixture
def watched(installed: Site) -> Site:
    """With a table `shop.ran`, into which everybody may write as whom a function ran."""
    installed.sql(
        "create table shop.ran (role text); grant insert on shop.ran to public;"
        " grant usage on schema shop to public",
        installed.shop,
    )
    return installed


def ran_as(site: Site) -> set[object]:
    """As whom functions of the table's owner ran, but for that owner itself."""
    return {role for (role,) in site.sql("select role from shop.ran")} - {site.shop}


async def state_at(site: Site, entity: str = "order") -> dict[str, object]:
    async with opened(site.url(site.roles[2])) as log:
        return (await state_of(log.state, entity))["order"]


async def test_no_query_of_a_plain_captures_trigger_is_run(installed: Site) -> None:
    installed.sql("create table tidegate.vault as select 'treasure' as secret", installed.roles[0])
    installed.trigger(**{"as": "select row.id, v.secret from tidegate.vault as v"})
    installed.sql("insert into shop.orders values ('A', 'new')", installed.shop)

    item = {"id": "A", "order_stage": "new"}
    assert installed.sql("select data from tidegate.sync_events") == [(item,)]
    assert await state_at(installed) == {"A": item}


async def test_a_view_has_no_state_whatever_triggers_it_has(watched: Site) -> None:
    owner = watched.roles[0]
    watched.sql(SLY.format(arguments="", type="text", value="'new'"), watched.shop)
    watched.sql(
        "create view shop.order_view as select 'A'::text as id, shop.sly() as order_stage;"
        f" grant select on shop.order_view to {owner}",
        watched.shop,
    )
    watched.trigger("shop.order_view")

    async with opened(watched.url(watched.roles[2])) as log:
        assert not log.state.knows("order", Selector())
    assert ran_as(watched) == set()


@pytest.mark.parametrize(
    ("type_of_column", "shown"),
    [("mood", "calm"), ("mood_of_day", "calm"), ("mood[]", "{calm}"), ("moods", "(calm)")],
)
async def test_a_cast_of_the_tables_owner_never_runs_with_others_rights(
    watched: Site, type_of_column: str, shown: str
) -> None:
    watched.sql(
        "create type shop.mood as enum ('calm'); create domain shop.mood_of_day as shop.mood;"
        " create type shop.moods as (now shop.mood)",
        watched.shop,
    )
    watched.sql(SLY.format(arguments="shop.mood", type="json", value="to_json(1)"), watched.shop)
    watched.sql("create cast (shop.mood as json) with function shop.sly(shop.mood)", watched.shop)
    watched.sql(f"alter table shop.orders add column how shop.{type_of_column}", watched.shop)
    watched.trigger(columns=["id", "how"])
    watched.sql(f"insert into shop.orders values ('A', 'new', '{shown}'), ('B', 'new', null)", watched.shop)

    items = {"A": {"id": "A", "how": shown}, "B": {"id": "B", "how": None}}
    told = watched.sql("select entity_id, data from tidegate.sync_events")
    assert dict(told) == items  # type: ignore[call-overload]
    assert await state_at(watched) == items
    assert ran_as(watched) == set()


async def test_the_check_of_a_keys_domain_never_runs_with_others_rights(watched: Site) -> None:
    watched.sql(SLY.format(arguments="text", type="boolean", value="true"), watched.shop)
    watched.sql("create domain shop.order_id as text check (shop.sly(value))", watched.shop)
    watched.sql("alter table shop.orders alter id type shop.order_id", watched.shop)
    watched.trigger()
    watched.sql("insert into shop.orders values ('A', 'new'), ('B', 'new')", watched.shop)

    assert await state_at(watched, "order:A") == {"A": {"id": "A", "order_stage": "new"}}
    assert ran_as(watched) == set()


async def test_a_gateway_serves_publishes_and_keeps_its_flags(
    installed: Site, start_gateway: Callable[..., GatewayThread]
) -> None:
    _, capturer, server = installed.roles
    assert (await asyncio.to_thread(installed.postgres, capturer, *CAPTURE)).exit_code == 0
    url = installed.url(server)
    gateway = start_gateway(
        make_settings(
            log={"url": url, "bookkeeping_seconds": 0.1, "max_events": 1000},
            flags={"store": "postgres"},
            components={"orders": {"entities": ["order"]}},
        )
    )
    client = Client(gateway.port)
    async with client.stream() as stream:
        await stream.connected()
        installed.sql("insert into shop.orders values ('A', 'new')", installed.shop)
        assert (await stream.until("order_created")).data["entityId"] == "A"
        await client.publish(event(1))
        await stream.until("stage_change")
        installed.sql("truncate shop.orders", installed.shop)
        assert (await stream.until("order_deleted")).data["entityId"] == "A"
    answer = await client.request(
        "PUT",
        "/api/v1/admin/flags/orders",
        headers=[("Content-Type", "application/json")],
        body=b'{"stage": "shadow", "reason": "r"}',
    )
    assert answer.status == 201

    async def has_books() -> bool:
        query = "select count(processed_at) from tidegate.sync_events"
        return installed.sql(query) == [(3,)]

    await eventually(has_books, "the bookkeeping is written")
    done = await asyncio.to_thread(installed.postgres, server, "status", "--schema", "tidegate")
    assert (done.exit_code, "no captured tables" in done.stdout) == (0, False)
    outcome = await asyncio.to_thread(installed.postgres, server, *CAPTURE)
    assert outcome.exit_code != 0, "who serves captures nothing"
