"""A relay between two logs: the same events, positions and epoch, whatever either side loses."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.memory import MemoryLog
from adapters.redis import Address, RedisConnection, RedisTarget
from gateway.core.errors import EpochChanged, LogError, TargetMoved, TrimmedError, UnknownPosition
from gateway.core.events import Cursor, Position, Record
from gateway.ports.clock import SystemClock
from gateway.ports.log import EventLog
from gateway.service.relay import Relay
from tests.support.clock import ManualClock
from tests.support.events import a_record, an_event
from tests.support.following import follow
from tests.support.loop import let_others_run
from tests.support.redis import opened, redis_server, redis_url, with_prefix
from tests.support.shaky_log import ShakyLog

DEADLINE_SECONDS = 60.0
LOCK_SECONDS = 0.5
TIMEOUT_SECONDS = 2.0


def a_source(max_events: int = 10_000) -> MemoryLog:
    return MemoryLog(ManualClock(), max_events=max_events, max_age_seconds=1e9, max_bytes=10**9)


@asynccontextmanager
async def a_target(url: str, max_events: int = 10_000) -> AsyncIterator[RedisTarget]:
    connection = RedisConnection(Address.parse(url), timeout_seconds=TIMEOUT_SECONDS)
    target = RedisTarget(connection, max_events=max_events, max_age_seconds=1e6)
    await target.start()
    try:
        yield target
    finally:
        await target.close()


@asynccontextmanager
async def relaying(
    source: EventLog, url: str, max_events: int = 10_000, lock_seconds: float = LOCK_SECONDS
) -> AsyncIterator[Relay]:
    """A relay that runs until the end, or until its task ends with an error, which is raised."""
    async with a_target(url, max_events) as target:
        relay = Relay(source, target, SystemClock(), lock_seconds=lock_seconds)
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def publish(log: EventLog, *numbers: int) -> list[Position]:
    return (await log.append([an_event(f"order:{number}") for number in numbers])).positions


def numbers(records: list[Record]) -> list[int]:
    return [int(record.event.entity_id or "") for record in records]


async def filled(url: str, source: EventLog) -> None:
    """Waits until the target has all that the source has."""
    head = Cursor(source.epoch, (await source.bounds()).head)
    async with a_target(url) as target, asyncio.timeout(DEADLINE_SECONDS):
        while await target.end() != head:
            await let_others_run()


async def held(url: str, source: EventLog) -> tuple[str, list[Record]]:
    """The epoch of the target and every record that it holds, once it has all that the source has."""
    await filled(url, source)
    async with opened(url) as log:
        return log.epoch, await log.read((await log.bounds()).floor, 100_000)


async def all_of(source: EventLog) -> tuple[str, list[Record]]:
    return source.epoch, await source.read((await source.bounds()).floor, 100_000)


async def test_events_positions_and_epoch_carry_over() -> None:
    source, url = a_source(), redis_url()
    await publish(source, *range(1500))
    async with relaying(source, url):
        await publish(source, *range(1500, 1510))
        assert await held(url, source) == await all_of(source)
        await publish(source, 1510)
        assert await held(url, source) == await all_of(source)


async def test_a_relay_goes_on_where_the_last_one_ended() -> None:
    source, url = a_source(), redis_url()
    await publish(source, *range(10))
    async with relaying(source, url):
        await filled(url, source)
    await publish(source, *range(10, 20))
    async with relaying(source, url) as relay:
        assert await held(url, source) == await all_of(source)
        assert relay.health().relayed == 10


async def test_several_relays_that_all_lead_double_nothing_and_leave_nothing_out() -> None:
    source, url = a_source(), redis_url()

    class Leaders(RedisTarget):
        async def lead(self, seconds: float) -> bool:
            return True

    async with asyncio.TaskGroup() as tasks:
        relays = []
        for _ in range(3):
            target = Leaders(RedisConnection(Address.parse(url)), max_events=10_000, max_age_seconds=1e6)
            await target.start()
            relay = Relay(source, target, SystemClock(), lock_seconds=LOCK_SECONDS)
            relays.append((tasks.create_task(relay.run()), target))
        for first in range(0, 600, 3):
            await publish(source, first, first + 1, first + 2)
            await let_others_run(random.Random(first).randrange(5))
        assert await held(url, source) == await all_of(source)
        for task, target in relays:
            task.cancel()
            await target.close()


async def test_one_relay_leads_and_another_takes_over_when_it_stops() -> None:
    source, url = a_source(), redis_url()
    async with a_target(url) as one, a_target(url) as other:
        assert await one.lead(60.0)
        assert not await other.lead(60.0)
        assert await one.lead(60.0)
        await other.resign()
        assert not await other.lead(60.0)
        await one.resign()
        assert await other.lead(60.0)
        await other.resign()
    # One that is slow loses a short lock, and then none leads for a moment, or both think that they do.
    async with (
        relaying(source, url, lock_seconds=60.0) as relay,
        relaying(source, url, lock_seconds=60.0) as standby,
    ):
        await publish(source, 1)
        await filled(url, source)
        assert sorted([relay.health().is_leader, standby.health().is_leader]) == [False, True]


async def test_an_append_elsewhere_than_at_the_end_is_refused_and_changes_nothing() -> None:
    url = redis_url()
    async with a_target(url) as target:
        start = Cursor("e", Position(1, 0))
        await target.begin(None, start)
        await target.append_at([a_record(2), a_record(3)], start)
        end = Cursor("e", Position(3, 0))
        for after in (start, Cursor("f", end.position), Cursor("e", Position(4, 0))):
            with pytest.raises(TargetMoved):
                await target.append_at([a_record(5)], after)
        with pytest.raises(TargetMoved):
            await target.begin(start, Cursor("e", Position(9, 0)))
        assert await target.end() == end


async def test_positions_of_64_bits_carry_over_exactly() -> None:
    url = redis_url()
    floor, last = Position(2**63, 2**64 - 2), Position(2**64 - 1, 2**64 - 1)
    records = [a_record(position) for position in (Position(2**63, 2**64 - 1), Position(2**63 + 1, 0), last)]
    async with a_target(url) as target:
        await target.begin(None, Cursor("e", floor))
        await target.append_at(records, Cursor("e", floor))
        assert await target.end() == Cursor("e", last)
    async with opened(url) as log:
        assert await log.bounds() == (floor, last)
        assert await log.read(floor, 10) == records
        assert await log.read(records[0].position, 10) == records[1:]


async def test_nobody_else_appends_to_a_log_that_a_relay_fills() -> None:
    source, url = a_source(), redis_url()
    async with relaying(source, url):
        await publish(source, 1)
        await filled(url, source)
        async with opened(url) as log:
            with pytest.raises(LogError, match="publish to the relay's source"):
                await publish(log, 2)


async def test_a_gateway_that_expects_a_relay_begins_no_log_without_one() -> None:
    source, url = a_source(), redis_url()
    await publish(source, 1)
    for _ in range(2):
        with pytest.raises(LogError, match="A relay fills this log"):
            async with opened(f"{url}&relayed=yes"):
                pass
    async with relaying(source, url):
        await filled(url, source)
        async with opened(f"{url}&relayed=yes") as log:
            assert log.epoch == source.epoch


async def test_a_log_with_events_of_its_own_is_left_alone_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, url = a_source(), redis_url()
    await publish(source, 1)
    async with opened(url) as log:
        await publish(log, 7)
        async with relaying(source, url) as relay:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while relay.health().failures < 3:
                    await let_others_run()
        assert numbers(await log.latest(10)) == [7]
        assert caplog.messages.count("relay_failed") == 1


async def test_a_gateway_that_was_there_before_the_relay_is_told_of_the_epoch() -> None:
    source, url = a_source(), redis_url()
    await publish(source, *range(3))
    async with opened(url, timeout_seconds=TIMEOUT_SECONDS) as log:
        tail = log.tail((await log.bounds()).head)
        waiting = asyncio.ensure_future(anext(tail))
        await let_others_run()
        async with relaying(source, url):
            with pytest.raises(EpochChanged):
                await waiting
            assert log.epoch == source.epoch
            assert numbers(await follow(log, (await log.bounds()).floor, 3)) == [0, 1, 2]


async def test_a_target_with_its_own_bounds_says_what_it_no_longer_holds() -> None:
    source, url = a_source(), redis_url()
    positions = await publish(source, *range(10))
    async with relaying(source, url, max_events=4):
        await filled(url, source)
    async with opened(url) as log:
        assert await log.bounds() == (positions[5], positions[9])
        with pytest.raises(TrimmedError):
            await log.read(positions[4], 10)


async def test_a_source_that_trimmed_what_the_target_lacks_raises_the_targets_floor() -> None:
    source, url = a_source(max_events=5), redis_url()
    positions = await publish(source, 0, 1)
    async with relaying(source, url):
        await filled(url, source)
    positions += await publish(source, *range(2, 12))
    async with relaying(source, url):
        assert await held(url, source) == await all_of(source)
    async with opened(url) as log:
        assert (await log.bounds()).floor == positions[6]
        for position in positions[:6]:
            with pytest.raises(TrimmedError):
                await log.read(position, 10)
        assert numbers(await log.read(positions[6], 10)) == [7, 8, 9, 10, 11]


async def test_another_source_is_another_epoch() -> None:
    url = redis_url()
    first, second = a_source(), a_source()
    await publish(first, 1, 2, 3)
    async with relaying(first, url):
        await filled(url, first)
    await publish(second, 4)
    async with opened(url) as log:
        (last,) = [record.position for record in await log.latest(1)]
        async with relaying(second, url):
            await filled(url, second)
            with pytest.raises(EpochChanged):
                await log.read(last, 10)
            assert log.epoch == second.epoch
            assert numbers(await log.latest(10)) == [4]


def put_back(last: int, *later: str) -> ShakyLog:
    """A source as a copy of it was: with the first events up to `last`, and others that came later."""
    source = ShakyLog()
    source.put_events(*(an_event(f"order:{number}") for number in range(1, last + 1)))
    source.put_events(*map(an_event, later))
    return source


@pytest.mark.parametrize(
    ("last", "later"),
    [(3, ()), (0, ()), (4, ("order:9",)), (3, ("order:9", "order:10", "order:11"))],
    ids=["behind", "empty", "as long", "longer"],
)
async def test_a_target_whose_source_was_put_back_is_begun_anew_and_that_is_told_once(
    last: int, later: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    url, whole = redis_url(), put_back(5)
    async with relaying(whole, url):
        await filled(url, whole)
    source = put_back(last, *later)
    caplog.clear()
    async with relaying(source, url) as relay, asyncio.timeout(DEADLINE_SECONDS):
        while await held(url, source) != await all_of(source):
            await let_others_run()
        source.put_events(an_event("order:12"))
        assert await held(url, source) == await all_of(source)
        assert relay.health().failures == 0
    assert [line.message for line in caplog.records].count("relay_starts_over") == 1


async def test_a_reader_is_told_where_the_source_of_its_log_was_put_back() -> None:
    url, whole, source = redis_url(), put_back(5), put_back(3)
    async with relaying(whole, url):
        await filled(url, whole)
    async with opened(url, timeout_seconds=TIMEOUT_SECONDS) as log:
        (*_, seen) = await log.latest(10)
        async with relaying(source, url):
            await filled(url, source)
            # As Postgres does, it gives no position to another event.
            source.put(a_record(7))
            source.put(a_record(8))
            with pytest.raises(UnknownPosition):
                await follow(log, seen.position, 1)


@pytest.mark.parametrize("options", [(), ("--appendonly", "yes", "--appendfsync", "always")])
async def test_a_redis_that_dies_under_load_is_filled_again_for_the_same_cursors(
    options: tuple[str, ...],
) -> None:
    source = a_source()
    positions = await publish(source, *range(100))
    with redis_server(*options) as server:
        async with relaying(source, server.url):
            await filled(server.url, source)
            async with opened(server.url, timeout_seconds=TIMEOUT_SECONDS) as log:
                reader = asyncio.create_task(follow(log, positions[9], 390))
                for first in range(100, 400, 20):
                    await publish(source, *range(first, first + 20))
                    await let_others_run()
                    if first in (160, 300):
                        server.kill()
                        await let_others_run()
                        server.start()
                assert numbers(await reader) == list(range(10, 400))
                assert log.epoch == source.epoch
            assert await held(server.url, source) == await all_of(source)


async def test_a_reader_waits_through_a_refill_that_has_not_come_to_it_yet() -> None:
    url = redis_url()
    records = [a_record(number) for number in range(2, 8)]
    start = Cursor("e", Position(1, 0))
    async with a_target(url) as target:
        await target.begin(None, start)
        await target.append_at(records[:4], start)
        async with opened(url, timeout_seconds=TIMEOUT_SECONDS) as log:
            assert await follow(log, start.position, 4) == records[:4]
            await target.begin(await target.end(), start)
            await target.append_at(records[:2], start)

            last = records[3].position
            assert await log.read(last, 10) == []
            reader = asyncio.create_task(follow(log, last, 2))
            await let_others_run()
            await target.append_at(records[2:3], Cursor("e", records[1].position))
            await let_others_run()
            await target.append_at(records[3:], Cursor("e", records[2].position))
            assert await reader == records[4:]
            assert log.epoch == "e"


async def test_a_redis_that_is_emptied_while_its_source_is_quiet_is_filled_again() -> None:
    source = a_source()
    positions = await publish(source, *range(50))
    with redis_server() as server:
        url = with_prefix(server.url, "quiet")
        async with relaying(source, url):
            await filled(url, source)
            async with opened(url, timeout_seconds=TIMEOUT_SECONDS) as log:
                reader = asyncio.create_task(follow(log, positions[49], 1))
                await let_others_run()
                with server.client() as client:
                    client.flushall()
                assert await held(url, source) == await all_of(source)
                await publish(source, 50)
                assert numbers(await reader) == [50]
                assert log.epoch == source.epoch


async def refill(url: str, records: list[Record], start: Cursor) -> None:
    """Makes a target hold these records after `start`, and nothing else."""
    async with a_target(url) as target:
        await target.begin(await target.end(), start)
        await target.append_at(records, start)


async def test_a_target_that_ends_with_an_event_that_the_source_has_not_there_is_filled_again() -> None:
    source, url = a_source(), redis_url()
    positions = await publish(source, 1, 2, 3)
    start = Cursor(source.epoch, (await source.bounds()).floor)
    await refill(url, [a_record(position, an_event("order:9")) for position in positions], start)
    async with relaying(source, url):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await held(url, source) != await all_of(source):
                await let_others_run()


async def test_a_target_whose_newest_event_became_another_is_filled_again_while_the_source_is_quiet() -> None:
    source, url = a_source(), redis_url()
    positions = await publish(source, 1, 2)
    start = Cursor(source.epoch, (await source.bounds()).floor)
    async with relaying(source, url):
        await filled(url, source)
        await refill(url, [a_record(position, an_event("order:9")) for position in positions], start)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await held(url, source) != await all_of(source):
                await let_others_run()


async def test_a_reader_is_told_where_its_newest_event_became_another() -> None:
    url = redis_url()
    start = Cursor("e", Position(1, 0))
    await refill(url, [a_record(2), a_record(3)], start)
    async with opened(url, timeout_seconds=TIMEOUT_SECONDS) as log:
        records = await follow(log, start.position, 2)
        await refill(url, [a_record(2), a_record(records[1].position, an_event("order:9"))], start)
        with pytest.raises(UnknownPosition):
            await follow(log, records[1].position, 1)
        assert log.epoch == "e"


async def test_a_reader_is_told_where_its_newest_event_does_not_come_again() -> None:
    url = redis_url()
    start = Cursor("e", Position(1, 0))
    await refill(url, [a_record(2), a_record(3)], start)
    async with opened(url, timeout_seconds=TIMEOUT_SECONDS) as log:
        records = await follow(log, start.position, 2)
        await refill(url, [a_record(2), a_record(4)], start)
        with pytest.raises(UnknownPosition):
            await follow(log, records[1].position, 1)
