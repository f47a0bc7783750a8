"""Logs that can't be used: `tidegate serve` ends with 2 and one sentence, or `/readyz` says why."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from adapters.postgres.migrations import newest_version
from adapters.redis.connection import require_usable
from gateway.core.errors import LogError
from tests.support.api import Client, event, eventually
from tests.support.command import command
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import (
    PASSWORD_USER,
    PostgresServer,
    connected,
    database_of,
    execute,
    fresh_database,
    make_read_only,
    new_server,
    through,
)
from tests.support.redis import redis_server
from tests.support.tcp_proxy import tcp_proxy

SECRET = "sw0rd fish/!"
TABLES = "select count(*) from pg_class where relname like 'sync_%' or relname like 'tidegate_%'"
READ_ONLY = "This Postgres is read-only, as a replica is: the log needs the primary."


async def refused(url: str, directory: Path) -> str:
    """What `serve` says of a log that it can't use; it leaves nothing behind."""
    file = directory / "tidegate.toml"
    file.write_text("")
    arguments = ("serve", "--config", str(file), "--port", "0", "--log-level", "error")
    async with command(*arguments, TIDEGATE_LOG__URL=url) as gateway:
        code, out, err = await gateway.end()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert list_names(directory) == [file.name]
    assert not any(secret in err for secret in (SECRET, quote(SECRET), quote(SECRET, safe="")))
    assert err.startswith("tidegate: log.url: ")
    return err.removeprefix("tidegate: log.url: ").removesuffix("\n")


def list_names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_a_wrong_password_of_postgres(server: PostgresServer, url: str, tmp_path: Path) -> None:
    with connected(url) as connection:
        execute(connection, f"create role {PASSWORD_USER} login password 'another'")
    async with tcp_proxy(server.socket) as proxy:
        there = f"{PASSWORD_USER}:{quote(SECRET, safe='')}@127.0.0.1:{proxy.port}/{database_of(url)}"
        assert await refused(f"postgres://{there}", tmp_path) == (
            f'Postgres refuses the connection: password authentication failed for user "{PASSWORD_USER}".'
        )


async def test_a_database_without_the_tables_is_left_as_it_is(server: PostgresServer, tmp_path: Path) -> None:
    with fresh_database(server.url()) as url, connected(url) as connection:
        assert await refused(url, tmp_path) == (
            "The log's tables are missing in this database: run `tidegate postgres install`."
        )
        assert execute(connection, TABLES) == [(0,)]


async def test_a_schema_of_a_newer_release(url: str, tmp_path: Path) -> None:
    with connected(url) as connection:
        execute(connection, "insert into tidegate_schema (version, name) values (999, 'later')")
    assert await refused(url, tmp_path) == (
        f"The log's schema has version 999, and this release knows {newest_version()}: it was installed by a"
        " newer Tidegate; upgrade this one."
    )


async def test_a_schema_of_an_older_release(url: str, tmp_path: Path) -> None:
    with connected(url) as connection:
        execute(connection, f"delete from tidegate_schema where version = {newest_version()}")
    assert await refused(url, tmp_path) == (
        "The log's schema is older than this release: run `tidegate postgres install`."
    )


async def test_a_replica_of_postgres(server: PostgresServer, url: str, tmp_path: Path) -> None:
    standby = new_server()
    try:
        standby.create_standby(server)
        standby.start()
        assert await refused(standby.url(database_of(url)), tmp_path) == (READ_ONLY)
    finally:
        standby.remove()


@pytest.mark.parametrize("credentials", ["", f":{quote(SECRET, safe='')}@", f"ann:{quote(SECRET, safe='')}@"])
async def test_a_wrong_password_of_redis(credentials: str, tmp_path: Path) -> None:
    with redis_server("--requirepass", "another") as server:
        where = f"127.0.0.1:{server.port}"
        assert await refused(f"redis://{credentials}{where}", tmp_path) == (
            f"Redis at {where} refuses the user or the password of its URL."
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cluster-enabled", "yes"), "runs in cluster mode: a log needs one server, or Sentinel."),
        (
            ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"),
            "deletes anything when its memory is full (maxmemory-policy allkeys-lru): "
            "set maxmemory-policy to noeviction.",
        ),
    ],
    ids=["cluster", "evicting"],
)
async def test_a_redis_that_can_not_hold_a_log_is_left_as_it_is(
    options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with redis_server(*options) as server, server.client() as client:
        assert await refused(server.url, tmp_path) == f"Redis at 127.0.0.1:{server.port} {said}"
        assert client.dbsize() == 0


async def test_a_replica_of_redis(tmp_path: Path) -> None:
    with redis_server() as master, redis_server("--replicaof", "127.0.0.1", str(master.port)) as replica:
        assert await refused(replica.url, tmp_path) == (
            f"Redis at 127.0.0.1:{replica.port} is a read-only replica: name the master, or its Sentinels."
        )


@pytest.mark.parametrize("version", ["2.8.24", "6.0.16"])
def test_a_redis_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(LogError) as failure:
        require_usable(info(redis_version=version), "cache:6379")
    assert failure.value.detail == f"Redis at cache:6379 is version {version}: Tidegate needs 6.2 or newer."


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "10.0.1"])
def test_the_oldest_redis_that_will_do_and_newer_ones_are_taken(version: str) -> None:
    require_usable(info(redis_version=version), "cache:6379")


def info(**members: str) -> dict[str, Any]:
    """What a real server says of itself, but for `members`."""
    with redis_server() as server, server.client() as client:
        return {**client.info(), **members}


async def test_a_directory_of_an_sqlite_log_that_is_not_there(tmp_path: Path) -> None:
    assert await refused(f"sqlite:///{tmp_path}/nowhere/events.db", tmp_path) == (
        "The directory of the log's file does not exist: create it."
    )


async def is_unready_for(client: Client, reason: str) -> None:
    """Waits until `/readyz` is 503 for that one reason."""

    async def holds() -> bool:
        answer = await client.get("/readyz")
        return answer.status == 503 and answer.json["reasons"] == [reason]

    await eventually(holds, reason)


async def test_a_postgres_that_becomes_read_only_makes_a_running_gateway_unready_until_it_is_not(
    server: PostgresServer, url: str, start_gateway: Callable[..., GatewayThread]
) -> None:
    async with tcp_proxy(server.socket) as proxy:
        # It connects as it starts, and this loop is the proxy's.
        settings = make_settings(log={"url": through(proxy, url)})
        client = Client((await asyncio.to_thread(start_gateway, settings)).port)

        async def is_ready() -> bool:
            return (await client.get("/readyz")).status == 200

        with connected(url) as connection:
            make_read_only(connection, proxy)
            await is_unready_for(client, f"The log is out of reach: {READ_ONLY}")
            assert (await client.post([event(1)])).status == 503
            execute(connection, f"alter database {database_of(url)} reset all")
            await eventually(is_ready, "the gateway is ready again")
        await client.publish(event(1))


async def test_a_table_that_is_dropped_makes_a_running_gateway_unready_with_what_to_do(
    url: str, start_gateway: Callable[..., GatewayThread]
) -> None:
    client = Client(start_gateway(make_settings(log={"url": url})).port)
    with connected(url) as connection:
        execute(connection, "drop table sync_events")
    await is_unready_for(
        client,
        "The log is out of reach: A table of the log is missing: run `tidegate postgres install`.",
    )


async def test_a_wrong_log_ends_every_worker_with_one_sentence(tmp_path: Path) -> None:
    with redis_server("--requirepass", "another") as server:
        where = f"127.0.0.1:{server.port}"
        environ = {"TIDEGATE_LOG__URL": f"redis://:{quote(SECRET, safe='')}@{where}"}
        arguments = ("serve", "--port", "0", "--workers", "2", "--log-level", "error")
        async with command(
            *arguments, TIDEGATE_FLAGS__STORE=f"file:{tmp_path}/flags.json", **environ
        ) as gateway:
            code, out, err = await gateway.end()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.endswith(f": log.url: Redis at {where} refuses the user or the password of its URL.\n")
