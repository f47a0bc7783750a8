"""The Redis log when Redis, the network or somebody else does what it should not."""

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from adapters.redis import Address, RedisConnection, RedisLog
from adapters.redis.trimmer import Trimmer
from gateway.core.errors import EpochChanged, LogError, TrimmedError, UnknownPosition
from gateway.core.events import Position, Record, json_rest
from gateway.ports.log import ONCE_SECONDS
from gateway.runtime.log_pages import PAGE_BYTES
from tests.support.command import Relay, relay
from tests.support.events import an_event, large_events
from tests.support.following import follow
from tests.support.loop import in_time, let_others_run
from tests.support.redis import RedisServer, make_log, opened, redis_server, redis_url, with_prefix

DEADLINE_SECONDS = 60.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
SHORT_SECONDS = 2.0
"""For logs whose server is made to fail: how long they wait for an answer, which a busy disk may hold up."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server(*DURABLE) as server:
        yield server


@pytest.fixture
async def log(server: RedisServer) -> AsyncIterator[RedisLog]:
    async with opened(server.url, timeout_seconds=SHORT_SECONDS) as log:
        yield log


async def publish(log: RedisLog, *numbers: int) -> list[Position]:
    return (await log.append([an_event(f"order:{number}") for number in numbers])).positions


def numbers(records: list[Record]) -> list[int]:
    return [int(record.event.entity_id or "") for record in records]


async def first_error(log: RedisLog, after: Position) -> LogError:
    """What a tail that follows through every lost connection is raised in the end."""
    with pytest.raises((TrimmedError, EpochChanged)) as raised:
        await follow(log, after, 10**9)
    assert isinstance(raised.value, LogError)
    return raised.value


async def test_a_restart_with_its_data_goes_on_in_the_same_epoch(server: RedisServer, log: RedisLog) -> None:
    epoch, start = log.epoch, (await log.bounds()).head
    reader = asyncio.create_task(follow(log, start, 30))
    await publish(log, *range(10))
    server.kill()
    waiting = asyncio.create_task(publish(log, *range(10, 20)))
    server.start()
    await waiting
    await publish(log, *range(20, 30))

    assert numbers(await reader) == list(range(30))
    assert log.epoch == epoch


async def test_a_restart_without_its_data_is_a_new_epoch_and_its_readers_are_told(
    server: RedisServer, log: RedisLog
) -> None:
    epoch = log.epoch
    positions = await publish(log, *range(5))
    reader = asyncio.create_task(first_error(log, positions[-1]))
    server.kill()
    server.forget()
    server.start()

    assert isinstance(await reader, EpochChanged)
    assert log.epoch != epoch
    bounds = await log.bounds()
    assert bounds.floor == bounds.head > positions[-1]
    await publish(log, 7)
    assert numbers(await log.read(bounds.floor, 10)) == [7]


async def test_an_append_to_a_server_without_its_data_begins_the_new_epoch(
    server: RedisServer, log: RedisLog
) -> None:
    epoch = log.epoch
    (old,) = await publish(log, 1)
    tail = log.tail(old)
    server.kill()
    server.forget()
    server.start()
    await publish(log, 2)

    assert log.epoch != epoch
    with pytest.raises(EpochChanged):
        await anext(tail)
    with pytest.raises(TrimmedError):
        await log.read(old, 10)


@pytest.mark.parametrize("lacking", [1, 40, 400])
async def test_a_file_that_was_cut_off_holds_whole_batches_and_their_keys(
    server: RedisServer, log: RedisLog, lacking: int
) -> None:
    epoch = log.epoch
    for first in range(0, 6, 2):
        events = [an_event(f"order:{first}"), an_event(f"order:{first + 1}")]
        (_, last) = (await log.append_once(events, str(first), b"digest")).positions
    reader = asyncio.create_task(first_error(log, last))
    server.kill()
    (file,) = (server.directory / "appendonlydir").glob("*.incr.aof")
    os.truncate(file, file.stat().st_size - lacking)
    server.start()

    assert isinstance(await reader, EpochChanged)
    assert log.epoch != epoch
    held = numbers(await log.latest(10))
    assert held == list(range(len(held)))
    assert len(held) in (2, 4)
    for first in range(0, 6, 2):
        events = [an_event(f"order:{first}"), an_event(f"order:{first + 1}")]
        assert (await log.append_once(events, str(first), b"digest")).replayed is (first in held)
    assert numbers(await log.latest(10)) == list(range(6))


@pytest.mark.parametrize("others_append_first", [False, True])
async def test_a_server_that_lost_its_tail_is_a_new_epoch_that_keeps_the_rest(
    server: RedisServer, log: RedisLog, others_append_first: bool
) -> None:
    epoch, start = log.epoch, (await log.bounds()).head
    await publish(log, *range(5))
    saved = server.directory / "saved"
    shutil.copytree(server.directory / "appendonlydir", saved)
    positions = await publish(log, *range(5, 10))
    reader = asyncio.create_task(first_error(log, positions[-1]))
    server.kill()
    server.forget()
    saved.rename(server.directory / "appendonlydir")
    server.start()
    if others_append_first:
        async with opened(server.url) as other:
            await publish(other, *range(20, 30))

    assert isinstance(await reader, EpochChanged)
    assert log.epoch != epoch
    held = [0, 1, 2, 3, 4, *(range(20, 30) if others_append_first else ())]
    assert numbers(await log.read(start, 100)) == held


async def test_nodes_that_see_a_lost_tail_agree_on_the_new_epoch(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(opened(server.url, timeout_seconds=SHORT_SECONDS))
            for _ in range(3)
        ]
        start = (await nodes[0].bounds()).head
        await publish(nodes[0], 1)
        saved = server.directory / "saved"
        shutil.copytree(server.directory / "appendonlydir", saved)
        (last,) = await publish(nodes[0], 2)
        for node in nodes:
            assert numbers(await follow(node, start, 2)) == [1, 2]
        server.kill()
        server.forget()
        saved.rename(server.directory / "appendonlydir")
        server.start()
        for error in await asyncio.gather(*(first_error(node, last) for node in nodes)):
            assert isinstance(error, EpochChanged)

        assert len({node.epoch for node in nodes}) == 1
        assert numbers(await nodes[2].read(start, 10)) == [1]


async def test_what_a_tail_catches_up_with_is_decoded_in_small_pages(log: RedisLog) -> None:
    start = (await log.bounds()).head
    await log.append(large_events(500))
    batches: list[int] = []
    tail = log.tail(start)
    while sum(batches) < 500:
        batches.append(len(await anext(tail)))
    assert max(batches) * 6000 <= PAGE_BYTES
    assert sum(batches) == 500


async def test_a_tail_goes_on_over_a_connection_that_was_cut(server: RedisServer) -> None:
    async with behind_a_network(server) as (log, network):
        (start,) = await publish(log, 0)
        tail = log.tail(start)
        for number in range(3):
            waiting = asyncio.ensure_future(anext(tail))
            with server.client() as client:
                await in_time(lambda client=client: client.info()["blocked_clients"] == 1, "the tail waits")
            network.cut()
            await in_time(lambda number=number: log.reconnects == number + 1, "the tail reconnects")
            await publish(log, number)
            assert numbers(await waiting) == [number]


async def test_an_append_sees_that_the_tail_was_lost_before_it_hides_it(
    server: RedisServer, log: RedisLog
) -> None:
    epoch = log.epoch
    await publish(log, 1)
    saved = server.directory / "saved"
    shutil.copytree(server.directory / "appendonlydir", saved)
    await publish(log, 2)
    server.kill()
    server.forget()
    saved.rename(server.directory / "appendonlydir")
    server.start()
    await publish(log, 3)

    assert log.epoch != epoch
    assert numbers(await log.latest(10)) == [1, 3]


async def test_everything_is_flushed_under_a_reader(log: RedisLog, server: RedisServer) -> None:
    (position,) = await publish(log, 1)
    reader = asyncio.create_task(first_error(log, position))
    with server.client() as client:
        client.flushall()
    assert isinstance(await reader, EpochChanged)


@asynccontextmanager
async def behind_a_network(server: RedisServer) -> AsyncIterator[tuple[RedisLog, Relay]]:
    """A log, started, and the network between it and its server."""
    async with (
        relay(server.port) as network,
        opened(f"redis://127.0.0.1:{network.port}", timeout_seconds=2.0) as log,
    ):
        yield log, network


async def test_connections_are_cut_under_load_and_nothing_is_lost_or_doubled(server: RedisServer) -> None:
    async with behind_a_network(server) as (log, network):
        start = (await log.bounds()).head
        reader = asyncio.create_task(follow(log, start, 300))
        appends = []
        for number in range(300):
            appends.append(asyncio.create_task(publish(log, number)))
            await let_others_run()
            if number % 60 == 59:
                await appends[-5]
                network.cut()
        positions = [(await append)[0] for append in appends]
        records = await reader

    assert sorted(numbers(records)) == list(range(300))
    assert [record.position for record in records] == sorted(positions)


async def test_an_append_whose_answer_was_lost_is_not_done_twice(server: RedisServer) -> None:
    async with behind_a_network(server) as (log, network):
        (start,) = await publish(log, 0)
        network.hold_answers()
        append = asyncio.create_task(publish(log, 1, 2, 3))
        with server.client() as client:
            await in_time(lambda: client.xlen(f"tidegate:events:{log.epoch}") == 4, "it is appended")
        network.cut()
        network.let_answers_through()
        positions = await append

        assert [record.position for record in await log.read(start, 10)] == positions


async def test_a_server_that_stands_still_gets_what_waits_once(server: RedisServer, log: RedisLog) -> None:
    start = (await log.bounds()).head
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    with pytest.raises(LogError, match="does not answer in time"):
        await log.read(start, 10)
    append = asyncio.create_task(publish(log, 1))
    with pytest.raises(LogError, match="does not answer in time"):
        await log.bounds()
    server.process.send_signal(signal.SIGCONT)
    positions = await append

    assert [record.position for record in await log.read(start, 10)] == positions


async def test_an_append_is_given_up_in_the_end_and_says_why(server: RedisServer) -> None:
    log = make_log(server.url, timeout_seconds=SHORT_SECONDS, append_seconds=0.0)
    await log.start()
    server.kill()
    with pytest.raises(LogError, match="can't be reached"):
        await publish(log, 1)
    await log.close()


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 20])
async def test_closing_ends_an_append_that_waits_for_its_server(
    server: RedisServer, log: RedisLog, turns: int
) -> None:
    server.kill()
    append = asyncio.create_task(publish(log, 1))
    await let_others_run(turns)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await log.close()
        with pytest.raises(LogError, match="closed"):
            await append


async def test_a_full_server_takes_all_of_a_batch_or_nothing(server: RedisServer, log: RedisLog) -> None:
    start = (await log.bounds()).head
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(LogError, match="out of memory"):
            await publish(log, 1, 2)
        client.config_set("maxmemory", "0")
    assert await log.read(start, 10) == []
    await publish(log, 3)
    assert numbers(await log.read(start, 10)) == [3]


async def test_a_full_server_keeps_no_key_and_forgets_none(server: RedisServer, log: RedisLog) -> None:
    first = await log.append_once([an_event("order:1")], "kept", b"digest")
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(LogError, match="out of memory"):
            await log.append_once([an_event("order:2")], "refused", b"digest")
        again = await log.append_once([an_event("order:1")], "kept", b"digest")
        assert (again.replayed, again.positions) == (True, first.positions)
        client.config_set("maxmemory", "0")
    assert not (await log.append_once([an_event("order:2")], "refused", b"digest")).replayed
    assert numbers(await log.latest(10)) == [1, 2]


async def test_a_full_server_can_be_read_and_followed_also_by_whoever_comes(
    server: RedisServer, log: RedisLog
) -> None:
    start = (await log.bounds()).head
    await publish(log, 1)
    (last,) = await publish(log, 2)
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        async with opened(server.url) as other:
            for reader in (log, other):
                with pytest.raises(LogError, match="out of memory"):
                    await publish(reader, 3)
                assert (await reader.bounds()).head == last
                assert numbers(await reader.latest(10)) == [1, 2]
                assert numbers(await reader.read(start, 10)) == [1, 2]
                assert numbers(await anext(reader.tail(start))) == [1, 2]
        client.config_set("maxmemory", "0")


async def test_the_bounds_wait_for_a_server_that_is_away_and_say_nothing(
    server: RedisServer, log: RedisLog
) -> None:
    connection = RedisConnection(Address.parse(server.url), timeout_seconds=SHORT_SECONDS)
    trimmer = Trimmer(connection, max_events=2, max_age_seconds=1e6)
    await publish(log, 1, 2, 3)
    server.kill()
    running = asyncio.create_task(trimmer.run(lambda: log.epoch, 0.01))
    done, _ = await asyncio.wait([running], timeout=0.5)
    server.start()
    try:
        assert not done, "it goes on"
        async with asyncio.timeout(DEADLINE_SECONDS):
            while numbers(await log.latest(10)) != [2, 3]:
                await let_others_run()
    finally:
        running.cancel()
        await connection.close()


async def test_a_key_is_remembered_for_at_least_as_long_as_the_port_says(
    server: RedisServer, log: RedisLog
) -> None:
    await log.append_once([an_event()], "k", b"digest")
    with server.client() as client:
        (key,) = client.keys("tidegate:once:*")
        assert client.pttl(key) > ONCE_SECONDS * 1000


async def test_a_repeated_request_with_another_time_in_its_event_is_no_sign_of_a_loss(log: RedisLog) -> None:
    start, epoch = (await log.bounds()).head, log.epoch
    for timestamp in ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"):
        await log.append_once([replace(an_event("order:1"), timestamp=timestamp)], "k", b"digest")
    assert numbers(await follow(log, start, 1)) == [1]
    assert numbers(await log.latest(10)) == [1]
    assert log.epoch == epoch


async def test_a_server_that_takes_nothing_is_told_of_once_and_at_its_end(
    server: RedisServer, log: RedisLog, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client, caplog.at_level(logging.INFO):
        client.config_set("maxmemory", "1mb")
        for number in range(20):
            with pytest.raises(LogError, match="out of memory"):
                await publish(log, number)
        (warning,) = log.warnings()
        assert warning.startswith(f"Publishing fails: Redis at 127.0.0.1:{server.port} is out of memory")
        client.config_set("maxmemory", "0")
        await publish(log, 1)
        assert log.warnings() == []
    lines = [record.message for record in caplog.records if record.name.startswith("adapters.redis")]
    assert lines == ["redis_append_failed", "redis_append_recovered"]


async def test_a_server_that_is_away_and_comes_back_gets_no_line_of_the_log(
    server: RedisServer, log: RedisLog, caplog: pytest.LogCaptureFixture
) -> None:
    """The follower and the relay tell of it, once."""
    with caplog.at_level(logging.INFO):
        reader = asyncio.create_task(follow(log, (await log.bounds()).head, 1))
        server.kill()
        append = asyncio.create_task(publish(log, 1))
        await in_time(lambda: log.figures()[1].value > 0, "it is tried again")
        server.start()
        await append
        await reader
    assert [record.message for record in caplog.records if record.name.startswith("adapters.redis")] == []


async def test_scripts_that_the_server_has_forgotten_are_given_to_it_again(
    server: RedisServer, log: RedisLog
) -> None:
    with server.client() as client:
        for number in range(3):
            client.script_flush()
            await publish(log, number)
    assert numbers(await log.latest(10)) == [0, 1, 2]


async def test_too_few_replicas_are_waited_for(server: RedisServer, log: RedisLog) -> None:
    with server.client() as client:
        client.config_set("min-replicas-to-write", "1")
        append = asyncio.create_task(publish(log, 1))
        await in_time(lambda: log.figures()[1].value > 0, "it is tried again")
        client.config_set("min-replicas-to-write", "0")
    await append
    assert numbers(await log.latest(10)) == [1]


async def test_a_position_that_the_log_never_held_is_unknown(log: RedisLog) -> None:
    await publish(log, 0)
    (last,) = await publish(log, 1)
    beside = Position(last.major, last.minor - 1)
    with pytest.raises(UnknownPosition):
        await log.read(beside, 10)
    with pytest.raises(UnknownPosition):
        await anext(log.tail(beside))


class TestOthersDelete:
    """Somebody deletes entries of the stream: whoever would have got them is told, and the log lives on."""

    async def test_one_in_the_middle(self, server: RedisServer, log: RedisLog) -> None:
        positions = await publish(log, *range(6))
        self._delete(server, log, positions[2])

        with pytest.raises(TrimmedError):
            await log.read(positions[0], 10)
        bounds = await log.bounds()
        assert positions[2] <= bounds.floor < positions[3]
        assert numbers(await log.read(bounds.floor, 10)) == [3, 4, 5]
        assert numbers(await follow(log, bounds.floor, 3)) == [3, 4, 5]
        assert numbers(await log.read(positions[3], 10)) == [4, 5]

    async def test_one_that_a_tail_comes_to(self, server: RedisServer, log: RedisLog) -> None:
        positions = await publish(log, *range(6))
        self._delete(server, log, positions[2])
        assert isinstance(await first_error(log, positions[0]), TrimmedError)
        assert numbers(await follow(log, (await log.bounds()).floor, 3)) == [3, 4, 5]

    async def test_the_first_ones(self, server: RedisServer, log: RedisLog) -> None:
        start = (await log.bounds()).floor
        positions = await publish(log, *range(6))
        with server.client() as client:
            client.xtrim(f"tidegate:events:{log.epoch}", maxlen=3, approximate=False)

        assert positions[2] <= (await log.bounds()).floor < positions[3]
        with pytest.raises(TrimmedError):
            await log.read(start, 10)
        assert numbers(await log.read(positions[3], 10)) == [4, 5]

    async def test_the_last_one(self, server: RedisServer, log: RedisLog) -> None:
        positions = await publish(log, *range(3))
        self._delete(server, log, positions[2])

        with pytest.raises(TrimmedError):
            await log.read(positions[1], 10)
        await publish(log, 3)
        assert numbers(await log.read(positions[2], 10)) == [3]

    async def test_the_whole_stream(self, server: RedisServer, log: RedisLog) -> None:
        start = (await log.bounds()).floor
        positions = await publish(log, *range(3))
        with server.client() as client:
            client.delete(f"tidegate:events:{log.epoch}")

        assert await log.bounds() == (positions[2], positions[2])
        with pytest.raises(TrimmedError):
            await log.read(start, 10)
        await publish(log, 3)
        assert numbers(await follow(log, positions[2], 1)) == [3]

    async def test_the_newest_are_given_without_what_stands_before_the_hole(
        self, server: RedisServer, log: RedisLog
    ) -> None:
        positions = await publish(log, *range(6))
        self._delete(server, log, positions[3])
        assert numbers(await log.latest(10)) == [4, 5]

    async def test_an_entry_of_somebody_else_is_refused(self, server: RedisServer, log: RedisLog) -> None:
        (position,) = await publish(log, 1)
        with server.client() as client:
            client.xadd(f"tidegate:events:{log.epoch}", {"hello": "world"})
        with pytest.raises(LogError, match="not written by Tidegate"):
            await log.read(position, 10)

    async def test_an_entry_of_somebody_else_is_trimmed_as_any_other(self, server: RedisServer) -> None:
        async with opened(server.url, max_events=3) as log:
            with server.client() as client:
                client.xadd(f"tidegate:events:{log.epoch}", {"e": "world"}, id="1-1")
            await publish(log, 1)
            positions = await publish(log, 2, 3, 4)
            assert (await log.bounds()).floor < positions[0]
            assert numbers(await log.latest(10)) == [2, 3, 4]

    @staticmethod
    def _delete(server: RedisServer, log: RedisLog, position: Position) -> None:
        with server.client() as client:
            assert client.xdel(f"tidegate:events:{log.epoch}", str(position)) == 1


async def test_two_nodes_read_what_either_appends() -> None:
    url = redis_url()
    async with opened(url) as one, opened(url) as other:
        assert one.epoch == other.epoch
        start = (await one.bounds()).head
        readers = [asyncio.create_task(follow(log, start, 20)) for log in (one, other)]
        for number in range(20):
            await publish(one if number % 3 else other, number)
        for reader in readers:
            assert numbers(await reader) == list(range(20))


async def test_the_json_of_an_event_comes_along_to_the_node_that_appended_it() -> None:
    url = redis_url()
    events = [an_event("order:1", data={"a": 1}), an_event("order:2", data={"a": 2})]
    made = [json_rest(event) for event in events]
    async with opened(url) as one, opened(url) as other:
        start = (await one.bounds()).head
        await one.append(events[:1])
        await one.append_once(events[1:], "key", b"digest")
        own, others = [await follow(log, start, 2) for log in (one, other)]
    assert [record.event.rest for record in own] == made
    assert all(record.event.rest is rest for record, rest in zip(own, made, strict=True))
    assert own == others
    assert [record.recorded_ms for record in own] == [record.recorded_ms for record in others]


async def test_nodes_that_start_together_agree_on_the_epoch() -> None:
    url = redis_url()
    logs = [make_log(url) for _ in range(10)]
    await asyncio.gather(*(log.start() for log in logs))
    assert len({log.epoch for log in logs}) == 1
    for log in logs:
        await log.close()


async def test_logs_with_different_prefixes_have_nothing_in_common(server: RedisServer) -> None:
    async with (
        opened(with_prefix(server.url, "a")) as one,
        opened(with_prefix(server.url, "b")) as other,
    ):
        start = (await other.bounds()).head
        await publish(one, 1)
        assert one.epoch != other.epoch
        assert await other.read(start, 10) == []


async def test_what_is_too_old_goes_although_nobody_appends() -> None:
    url = redis_url()
    async with opened(url) as log:
        positions = await publish(log, *range(2500))
        assert (await log.bounds()).floor < positions[0]
    # Whatever was appended before the next minute is too old: no clock has to go on for that.
    async with opened(url, max_age_seconds=-60.0) as log:
        await log.trim()
        assert (await log.bounds()).floor == positions[-1]
        with pytest.raises(TrimmedError):
            await log.read(positions[-2], 10)
        assert await log.read(positions[-1], 10) == []


async def test_the_floor_is_the_last_event_that_went() -> None:
    async with opened(redis_url(), max_events=5) as log:
        positions = await publish(log, *range(3))
        positions += await publish(log, *range(3, 8))
        assert await log.bounds() == (positions[2], positions[7])
        assert numbers(await log.read(positions[2], 10)) == [3, 4, 5, 6, 7]
        with pytest.raises(TrimmedError):
            await log.read(positions[1], 10)
