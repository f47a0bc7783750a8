"""The Redis log when another server takes the master's place, or an older state of it comes back.

What must hold: what was acknowledged is in the log, or every reader was told; and no cursor names two events.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from adapters.redis import RedisLog
from gateway.core.errors import EpochChanged, LogError, UnknownPosition
from gateway.core.events import Position
from tests.support.command import relay
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.redis import RedisServer, opened, redis_server
from tests.support.redis_pair import (
    DEADLINE_SECONDS,
    TIMEOUT_SECONDS,
    Ledger,
    agree,
    in_sync,
    names_held,
    node,
    promote,
    replicated,
)


async def first_gap(log: RedisLog) -> LogError:
    """What a reader that waits at the end of the log is told, in the end, through every lost connection."""
    after: Position | None = None
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                after = after or (await log.bounds()).head
                async for _ in log.tail(after):
                    raise AssertionError("nobody appends")
            except (EpochChanged, UnknownPosition) as gap:
                return gap
            except LogError:
                await let_others_run()


async def publish_apart(ledger: Ledger, one: RedisLog, other: RedisLog) -> None:
    """Both publish at the same time; the other one more of it."""

    async def publish(log: RedisLog, count: int) -> None:
        for _ in range(100):
            await ledger.publish(log, count)

    await asyncio.gather(publish(one, 2), publish(other, 8))


async def expect_nothing_lost_unseen(ledger: Ledger, log: RedisLog) -> None:
    held = await names_held(log)
    assert ledger.lost_without_a_reset(held) == []
    assert ledger.cursors_of_two() == []
    assert [await reader.skipped(log) for reader in ledger.readers] == [[] for _ in ledger.readers]
    assert len(held) == len(set(held))


async def test_two_masters_with_nodes_on_either_side_lose_nothing_without_a_reset() -> None:
    ledger = Ledger()
    with replicated() as (old, new):
        async with (
            node(old) as a,
            node(old) as b,
            ledger.reading(a.log) as on_a,
            ledger.reading(b.log) as on_b,
        ):
            await ledger.publish(a.log, 20)
            await ledger.publish(b.log, 20)
            in_sync(old)
            promote(new)
            b.move(new)
            await publish_apart(ledger, a.log, b.log)
            assert len(ledger.acknowledged) == 40 + 200 + 800
            a.move(new)
            await agree(ledger, b.log, a.log)

            await expect_nothing_lost_unseen(ledger, b.log)
            assert set(map(str, range(40))) <= set(await names_held(b.log))
            # Once for the new master, and once more for what the old one had acknowledged since.
            assert (len(on_a.resets), len(on_b.resets)) == (1, 2)


@contextmanager
def copied(server: RedisServer) -> Iterator[RedisServer]:
    """Another server with a copy of what the first one keeps, as of a replica that was set up as a master."""
    with redis_server("--appendonly", "yes") as copy:
        copy.kill()
        copy.forget()
        shutil.copytree(server.directory / "appendonlydir", copy.directory / "appendonlydir")
        copy.start()
        yield copy


async def test_two_servers_with_one_epoch_of_which_neither_was_promoted_give_no_cursor_twice() -> None:
    ledger = Ledger()
    with redis_server("--appendonly", "yes") as old:
        async with node(old) as a, node(old) as b, ledger.reading(a.log), ledger.reading(b.log):
            await ledger.publish(a.log, 20)
            with copied(old) as new:
                b.move(new)
                await publish_apart(ledger, a.log, b.log)
                assert a.log.epoch == b.log.epoch
                a.move(new)
                await agree(ledger, b.log, a.log)
                await expect_nothing_lost_unseen(ledger, b.log)


async def test_a_cursor_of_a_lost_event_is_unknown_to_a_node_that_never_saw_it() -> None:
    with redis_server("--appendonly", "yes") as old:
        async with node(old) as dying:
            (kept,) = (await dying.log.append([an_event("order:1")])).positions
            with copied(old) as new:
                lost = (await dying.log.append([an_event("order:2")])).positions[0]
                async with opened(new.url) as log:
                    assert log.epoch == dying.log.epoch
                    assert await log.read(lost, 10) == []
                    await log.append([an_event("order:3")])
                    with pytest.raises(UnknownPosition):
                        await log.read(lost, 10)
                    assert len(await log.read(kept, 10)) == 1


@asynccontextmanager
async def promoted() -> AsyncIterator[tuple[RedisLog, RedisLog, list[str]]]:
    """A node whose server was replaced by its replica, one that starts then, and what the log holds."""
    ledger = Ledger()
    with replicated() as (old, new):
        async with node(old) as before:
            await ledger.publish(before.log, 5)
            in_sync(old)
            promote(new)
            before.move(new)
            async with opened(new.url, timeout_seconds=TIMEOUT_SECONDS) as after:
                yield before.log, after, list(ledger.acknowledged)


async def test_every_promotion_is_a_new_epoch_that_keeps_what_is_left_and_all_are_told_once() -> None:
    async with promoted() as (before, after, names):
        epoch = before.epoch
        assert isinstance(await first_gap(before), EpochChanged)
        assert before.epoch == after.epoch != epoch
        assert await names_held(before) == await names_held(after) == names
        appended = await before.append([an_event("order:9")])
        assert appended.epoch == after.epoch
        assert len(await after.read((await after.bounds()).floor, 100)) == 6


async def test_no_append_is_made_in_the_epoch_of_the_server_before() -> None:
    ledger = Ledger()
    with replicated() as (old, new):
        async with node(old) as one, node(old) as other:
            await ledger.publish(one.log)
            in_sync(old)
            promote(new)
            one.move(new)
            other.move(new)
            epoch = one.log.epoch
            appended = await asyncio.gather(
                one.log.append([an_event()]),
                other.log.append([an_event()]),
                one.log.append_once([an_event()], "k", b"digest"),
            )
            assert {each.epoch for each in appended} == {one.log.epoch} == {other.log.epoch}
            assert one.log.epoch != epoch
            assert len({position for each in appended for position in each.positions}) == 3


async def test_a_key_counts_on_over_a_promotion_as_long_as_its_events_are_there() -> None:
    ledger = Ledger()
    with replicated() as (old, new):
        async with node(old) as one, node(old) as other:
            kept = await one.log.append_once([an_event("order:1")], "kept", b"digest")
            in_sync(old)
            promote(new)
            await one.log.append_once([an_event("order:2")], "lost", b"digest")
            other.move(new)
            again = await other.log.append_once([an_event("order:1")], "kept", b"digest")
            anew = await other.log.append_once([an_event("order:2")], "lost", b"digest")

            assert (again.replayed, again.positions) == (True, kept.positions)
            assert again.epoch == anew.epoch == other.log.epoch != kept.epoch
            assert not anew.replayed
            assert await names_held(other.log) == ["1", "2"]
            assert ledger.cursors_of_two() == []


async def test_a_key_of_a_log_that_lost_everything_is_a_new_request() -> None:
    with redis_server() as server:
        async with opened(server.url, timeout_seconds=TIMEOUT_SECONDS) as log:
            first = await log.append_once([an_event("order:1")], "k", b"digest")
            with server.client() as client:
                client.delete("tidegate:state")
            again = await log.append_once([an_event("order:1")], "k", b"digest")
            assert not again.replayed
            assert again.epoch != first.epoch
            assert await names_held(log) == ["1"]


async def test_a_master_that_starts_again_with_its_data_keeps_its_epoch() -> None:
    with replicated() as (master, _):
        async with node(master) as one:
            epoch = one.log.epoch
            await one.log.append([an_event("order:1")])
            for end in (master.kill, master.stop):
                end()
                master.start()
                one.network.target_port = master.port
                await one.log.append([an_event("order:1")])
            assert one.log.epoch == epoch
            assert await names_held(one.log) == ["1", "1", "1"]


async def test_a_server_that_loads_its_data_anew_keeps_its_epoch() -> None:
    with redis_server("--enable-debug-command", "yes") as server:
        async with opened(server.url, timeout_seconds=TIMEOUT_SECONDS) as log:
            epoch = log.epoch
            await log.append([an_event("order:1")])
            with server.client() as client:
                client.execute_command("DEBUG", "RELOAD")
            await log.append([an_event("order:2")])
            assert await names_held(log) == ["1", "2"]
            assert log.epoch == epoch


async def test_connections_to_the_server_before_are_closed_once_one_reaches_another() -> None:
    with replicated() as (old, new):
        async with AsyncExitStack() as stack:
            network = await stack.enter_async_context(relay(old.port))
            url = f"redis://127.0.0.1:{network.port}"
            log = await stack.enter_async_context(opened(url, timeout_seconds=TIMEOUT_SECONDS))
            epoch = log.epoch
            waiting = asyncio.create_task(first_gap(log))
            with old.client() as client:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while client.info("clients")["blocked_clients"] != 1:
                        await let_others_run()
            promote(new)
            # Nothing is cut: what is connected to the old server stays so.
            network.target_port = new.port
            await asyncio.gather(*(log.bounds() for _ in range(10)), return_exceptions=True)

            assert isinstance(await waiting, EpochChanged)
            assert log.epoch != epoch
            with old.client() as client:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while any(each["name"] == "tidegate" for each in client.client_list()):
                        await let_others_run()


async def test_a_server_that_was_made_a_replica_is_not_read_from() -> None:
    with redis_server() as server, redis_server() as other:
        async with opened(server.url, timeout_seconds=TIMEOUT_SECONDS) as log:
            (after,) = (await log.append([an_event()])).positions
            with server.client() as client:
                client.replicaof("127.0.0.1", str(other.port))
            async with asyncio.timeout(DEADLINE_SECONDS):
                with pytest.raises(LogError, match="replica"):
                    async for _ in log.tail(after):
                        pass
            with pytest.raises(LogError, match="is a read-only replica: name the master"):
                await log.bounds()
