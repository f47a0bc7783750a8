"""A Redis that can't hold a log, or is not there: one clear sentence each, and ways to reach one that can."""

import asyncio
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from adapters.redis import RedisLog
from gateway.core.errors import LogError
from tests.support.debian import install, missing
from tests.support.events import an_event
from tests.support.loop import in_time
from tests.support.ports import own_port
from tests.support.redis import RedisServer, find_binary, make_log, opened, redis_server

SECRET = "open-sesame"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


async def refusal(url: str) -> str:
    """Why a log at that URL does not start; it never shows the password."""
    log = make_log(url, timeout_seconds=2.0)
    with pytest.raises(LogError) as raised:
        await log.start()
    await log.close()
    assert SECRET not in raised.value.detail
    return raised.value.detail


async def works(log: RedisLog) -> bool:
    (position,) = (await log.append([an_event()])).positions
    return (await log.bounds()).head == position


async def test_no_server_is_a_clear_sentence() -> None:
    with own_port() as port:
        said = await refusal(f"redis://:{SECRET}@127.0.0.1:{port}")
    assert said.startswith(f"Redis at 127.0.0.1:{port} can't be reached: ")


async def test_a_host_that_does_not_exist_is_a_clear_sentence() -> None:
    assert "can't be reached" in await refusal(f"redis://:{SECRET}@redis.invalid")


@pytest.mark.parametrize("credentials", [f"{SECRET}2", f"ann:{SECRET}", None])
async def test_a_wrong_password_is_a_clear_sentence(credentials: str | None) -> None:
    with redis_server("--requirepass", SECRET) as server:
        where = f"127.0.0.1:{server.port}"
        user = "" if credentials is None else f"{credentials}@" if ":" in credentials else f":{credentials}@"
        said = await refusal(f"redis://{user}{where}")
        assert said == f"Redis at {where} refuses the user or the password of its URL."
        async with opened(f"redis://:{SECRET}@{where}") as log:
            assert await works(log)


async def test_a_user_that_may_too_little_is_a_clear_sentence() -> None:
    with redis_server() as server:
        with server.client() as client:
            client.acl_setuser("ann", enabled=True, passwords=[f"+{SECRET}"], categories=["+@read"], keys="*")
        said = await refusal(f"redis://ann:{SECRET}@127.0.0.1:{server.port}")
        assert "lets its URL's user do too little" in said


async def test_the_rights_that_the_manual_names_are_enough() -> None:
    (rights,) = re.findall(r"The user needs `(.*?)`", OPERATIONS.read_text())
    with redis_server() as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", f">{SECRET}", "~tidegate:*", *rights.split())
        async with opened(f"redis://ann:{SECRET}@127.0.0.1:{server.port}", timeout_seconds=2.0) as log:
            (start,) = (await log.append([an_event()])).positions
            tail = log.tail(start)
            waiting = asyncio.ensure_future(anext(tail))
            await in_time(lambda: client.info()["blocked_clients"] == 1, "the tail waits")
            assert await works(log)
            assert len(await waiting) == 1
            await log.trim()


async def test_a_replica_is_refused() -> None:
    with redis_server() as master, redis_server("--replicaof", "127.0.0.1", str(master.port)) as replica:
        assert "is a read-only replica" in await refusal(replica.url)


async def test_cluster_mode_is_refused() -> None:
    with redis_server("--cluster-enabled", "yes") as server:
        assert "runs in cluster mode" in await refusal(server.url)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru"])
async def test_a_server_that_evicts_events_or_idempotency_keys_is_refused(policy: str) -> None:
    with redis_server("--maxmemory", "50mb", "--maxmemory-policy", policy) as server:
        assert "set maxmemory-policy to noeviction" in await refusal(server.url)


@pytest.mark.parametrize(
    ("options", "event"),
    [
        (("--maxmemory-policy", "volatile-lru"), "redis_may_evict"),
        (("--maxmemory-policy", "allkeys-lru"), "redis_may_evict"),
        ((), "redis_without_aof"),
    ],
)
async def test_a_server_that_may_lose_events_is_warned_of(
    options: tuple[str, ...], event: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(*options) as server, caplog.at_level(logging.WARNING):
        async with opened(server.url):
            pass
    assert event in caplog.messages


async def test_a_server_that_keeps_everything_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server("--appendonly", "yes") as server, caplog.at_level(logging.WARNING):
        async with opened(server.url):
            pass
    assert caplog.messages == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with key.pem and cert.pem for 127.0.0.1."""
    if shutil.which("openssl") is None and not install("openssl"):
        missing("needs openssl to make a certificate")
    directory = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        (
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        ),
        cwd=directory,
        check=True,
        capture_output=True,
    )
    return directory


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[RedisServer]:
    cert = str(certificate / "cert.pem")
    options = ("--tls-cert-file", cert, "--tls-key-file", str(certificate / "key.pem"))
    with redis_server(*options, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no") as server:
        yield server


async def test_tls_trusts_the_certificates_of_the_url_and_no_others(
    tls_server: RedisServer, certificate: Path
) -> None:
    url = f"rediss://127.0.0.1:{tls_server.port}"
    assert "can't be reached" in await refusal(url)
    async with opened(f"{url}?ca_file={certificate / 'cert.pem'}") as log:
        assert await works(log)


@contextmanager
def sentinel(master: RedisServer, directory: Path) -> Iterator[RedisServer]:
    """A Sentinel, which knows the server as `tides`."""
    file = directory / "sentinel.conf"
    file.write_text(
        f"sentinel monitor tides 127.0.0.1 {master.port} 1\n"
        f"sentinel auth-pass tides {SECRET}\n"
        "sentinel down-after-milliseconds tides 300\n"
        "sentinel failover-timeout tides 3000\n"
    )
    server = RedisServer(find_binary(), config=file)
    try:
        server.start()
        yield server
    finally:
        server.remove()


PASSWORD = ("--requirepass", SECRET, "--masterauth", SECRET, "--repl-diskless-sync-delay", "0")


async def test_a_master_that_sentinel_does_not_know_is_a_clear_sentence(tmp_path: Path) -> None:
    with redis_server(*PASSWORD) as master, sentinel(master, tmp_path) as guard:
        where = f"127.0.0.1:{guard.port}"
        said = await refusal(f"redis+sentinel://:{SECRET}@{where}/other")
    assert said == (
        f"Redis at other at the Sentinels {where} can't be reached: "
        "no Sentinel answers, or none knows a master of that name; check both in the URL."
    )


def is_replicated(master: Redis) -> bool:
    """Waits until the replica has all that the master has now: WAIT looks at the same client's writes."""
    return bool(master.set("written", 1)) and master.wait(1, 30_000) == 1


async def test_the_master_that_sentinel_promotes_is_gone_on_with_in_a_new_epoch(tmp_path: Path) -> None:
    with (
        redis_server(*PASSWORD) as master,
        redis_server(*PASSWORD, "--replicaof", "127.0.0.1", str(master.port)) as replica,
        master.client() as on_master,
        replica.client() as on_replica,
        sentinel(master, tmp_path) as guard,
        guard.client() as on_guard,
    ):
        await in_time(lambda: len(on_guard.sentinel_slaves("tides")) == 1, "Sentinel knows the replica")
        assert is_replicated(on_master)
        url = f"redis+sentinel://:{SECRET}@127.0.0.1:{guard.port}/tides"
        async with opened(url, timeout_seconds=2.0) as log:
            epoch = log.epoch
            positions = (await log.append([an_event("order:1"), an_event("order:2")])).positions
            assert is_replicated(on_master)
            tail = log.tail(positions[0])
            assert [record.position for record in await anext(tail)] == positions[1:]
            master.kill()
            appended = await log.append([an_event("order:3")])
            positions += appended.positions

            assert appended.epoch == log.epoch != epoch
            assert on_replica.info()["role"] == "master"
            assert [record.position for record in await log.read(positions[0], 10)] == positions[1:]
            await tail.aclose()  # type: ignore[attr-defined]
