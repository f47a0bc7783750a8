"""`tidegate relay` as a process, on real servers: from Postgres to Redis, killed and cut in between."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from adapters.postgres.log import PostgresLog
from gateway.core.events import Position, Record
from tests.support.command import command, relay, run
from tests.support.events import an_event
from tests.support.loop import in_time, let_others_run
from tests.support.postgres import log_database
from tests.support.redis import opened, redis_server, redis_url

DEADLINE_SECONDS = 60.0
LOCK = ("--lock-seconds", "0.5")


@pytest.fixture
async def database() -> AsyncIterator[str]:
    async with log_database() as url:
        yield url


@pytest.fixture
async def source(database: str) -> AsyncIterator[PostgresLog]:
    log = PostgresLog(database, max_events=10_000, max_age_seconds=1e9)
    await log.start()
    yield log
    await log.close()


async def publish(log: PostgresLog, *numbers: int) -> list[Position]:
    return (
        await log.append([an_event(f"order:{number}", data={"n": number}) for number in numbers])
    ).positions


async def relayed(source: PostgresLog, url: str) -> tuple[str, list[Record]]:
    """The epoch and all records of the target, once it ends where the source does."""
    head = (await source.bounds()).head
    async with asyncio.timeout(DEADLINE_SECONDS), opened(url) as log:
        while log.epoch != source.epoch or (await log.bounds()).head < head:
            # A log that was opened before the relay began it learns of the epoch when it looks.
            await log.close()
            return await relayed(source, url)
        return log.epoch, await log.read((await log.bounds()).floor, 100_000)


async def everything(source: PostgresLog) -> tuple[str, list[Record]]:
    return source.epoch, await source.read((await source.bounds()).floor, 100_000)


async def test_a_relay_killed_between_append_and_acknowledgement_loses_and_doubles_nothing(
    database: str, source: PostgresLog
) -> None:
    await publish(source, *range(10))
    async with AsyncExitStack() as stack:
        server = stack.enter_context(redis_server())
        network = await stack.enter_async_context(relay(server.port))
        cut = f"redis://127.0.0.1:{network.port}"
        first = await stack.enter_async_context(command("relay", "--from", database, "--to", cut, *LOCK))
        assert await first.line() == "tidegate relaying"
        assert await relayed(source, server.url) == await everything(source)
        second = await stack.enter_async_context(
            command("relay", "--from", database, "--to", server.url, *LOCK)
        )
        assert await second.line() == "tidegate relaying"

        network.hold_answers()
        await publish(source, 10, 11, 12)
        client = stack.enter_context(server.client())
        stream = f"tidegate:events:{source.epoch}"
        await in_time(lambda: client.xlen(stream) == 13, "the relay has appended")
        first.signal(signal.SIGKILL)
        await publish(source, *range(13, 30))

        assert await relayed(source, server.url) == await everything(source)
        second.signal(signal.SIGTERM)
        code, out, _ = await second.end()
        assert (code, out) == (0, "")


@pytest.mark.parametrize("keeps_its_data", [True, False])
async def test_two_relays_and_a_redis_that_restarts_account_for_every_event(
    database: str, source: PostgresLog, keeps_its_data: bool
) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always") if keeps_its_data else ()
    with redis_server(*options) as server:
        arguments = ("relay", "--from", database, "--to", server.url, *LOCK)
        async with command(*arguments) as first, command(*arguments) as second:
            for running in (first, second):
                assert await running.line() == "tidegate relaying"
            for start in range(0, 300, 20):
                await publish(source, *range(start, start + 20))
                await let_others_run()
                if start == 100:
                    server.kill()
                    await publish(source, *range(1000, 1010))
                    server.start()
                if start == 200:
                    first.signal(signal.SIGKILL)
            assert await relayed(source, server.url) == await everything(source)
            second.signal(signal.SIGTERM)
            assert (await second.end())[0] == 0


async def test_a_relay_that_is_stopped_gives_up_its_lead_at_once(database: str) -> None:
    url = redis_url()
    arguments = ("relay", "--from", database, "--to", url, "--lock-seconds", "600")
    async with command(*arguments) as first:
        assert await first.line() == "tidegate relaying"
        await first.note("relay_starts_over")
        first.signal(signal.SIGTERM)
        code, _, err = await first.end()
    assert code == 0
    assert "event=stopping is_leader=True" in err
    async with command(*arguments) as second:
        log = PostgresLog(database, max_events=10, max_age_seconds=1e9)
        await log.start()
        await publish(log, 1)
        assert await relayed(log, url) == await everything(log)
        await log.close()
        second.signal(signal.SIGTERM)
        assert (await second.end())[0] == 0


@pytest.mark.parametrize(
    ("source", "target", "code", "sentence"),
    [
        ("sqlite:///x", "redis://a", 2, "--from must be a URL such as postgres://host/name."),
        ("postgres://a/b", "http://a", 2, "--to must be a URL such as redis://host."),
        ("postgres://a/b", "redis://a?colour=red", 2, "--to: The URL of Redis is wrong: there is no option"),
    ],
)
async def test_a_wrong_url_is_one_sentence(source: str, target: str, code: int, sentence: str) -> None:
    ended, out, err = await run("relay", "--from", source, "--to", target)
    assert (ended, out) == (code, "")
    assert err.startswith(f"tidegate: {sentence}")
    assert err.count("\n") == 1


async def test_a_server_that_is_not_there_is_one_sentence_and_exit_code_4(database: str) -> None:
    with redis_server() as server:
        server.stop()
        code, out, err = await run("relay", "--from", database, "--to", f"{server.url}")
    assert (code, out) == (4, "")
    assert err.startswith(f"tidegate: Redis at 127.0.0.1:{server.port} can't be reached: ")
