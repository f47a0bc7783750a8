"""flags/store/local_kills.py: kills that hold while the store takes nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from flags.decide.flag import Flags
from flags.errors import InvalidFlag, NotFound, StoreUnwritable
from flags.store.file_store import file_flag_store
from flags.store.local_kills import HeldKill, LocalKills
from flags.store.port import FlagStore
from tests.support.flags import NEVER_SECONDS, NOW_MS, Told, stored
from tests.support.loop import in_time


class Disk:
    """The disk that a flags file is on. While it is full, nobody gets the lock, and nothing is changed."""

    def __init__(self, path: Path) -> None:
        self._lock = path.with_name("flags.json.lock")

    def fill(self) -> None:
        self._lock.unlink()
        self._lock.mkdir()

    def clear(self) -> None:
        self._lock.rmdir()


class Worker:
    """Another worker, that keeps what it is told, or does not answer."""

    def __init__(self) -> None:
        self.told: list[tuple[str | None, bool]] = []
        self.missed: Sequence[int] = ()

    async def spread(self, component: str | None, held: HeldKill | None) -> Sequence[int]:
        self.told.append((component, held is not None))
        return self.missed


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


@pytest.fixture
def disk(path: Path) -> Disk:
    return Disk(path)


@pytest.fixture
def store(path: Path, told: Told) -> FlagStore:
    return file_flag_store(path, tell=told, now_ms=lambda: NOW_MS, poll_seconds=NEVER_SECONDS)


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def kills(store: FlagStore, disk: Disk, worker: Worker, told: Told) -> AsyncIterator[LocalKills]:
    """Over a store with a live flag, whose disk is full from then on."""
    kills = LocalKills(
        store, tell=told, others=worker, now_ms=lambda: NOW_MS, retry_seconds=0.001, write_seconds=0.01
    )
    await kills.start()
    await kills.change("orders", {"stage": "live"}, expected_revision=0, who="ann", reason="start")
    disk.fill()
    yield kills
    await kills.close()


def is_killed(flags: Flags) -> bool:
    flag = flags.get("orders")
    assert flag is not None
    return flag.killed


async def kill(kills: LocalKills, component: str | None = "orders") -> Sequence[int]:
    return await kills.kill_here(component, who="ann", reason="fire")


async def test_a_kill_holds_although_the_store_takes_nothing(kills: LocalKills, path: Path) -> None:
    heard: list[Flags] = []
    kills.subscribe(lambda before, after: heard.append(after))

    await kill(kills)

    assert is_killed(kills.snapshot())
    assert [is_killed(flags) for flags in heard] == [True]
    assert not stored(path).flags["orders"].killed
    assert list(kills.held) == ["orders"]


async def test_it_is_written_once_the_store_is_back(
    kills: LocalKills, disk: Disk, path: Path, told: Told
) -> None:
    await kill(kills)
    await kill(kills, None)
    await in_time(lambda: "local_kills_failed" in told.events, "the store took nothing")

    disk.clear()
    await in_time(lambda: not kills.held, "the store has both")

    assert stored(path).flags["orders"].killed
    assert stored(path).kill_all
    entry = kills.revisions("orders").entries[-1]
    assert (entry.revision, entry.who, entry.why) == (2, "ann", "fire")
    assert is_killed(kills.snapshot())
    assert told.events.count("local_kill_written") == 2
    assert "local_kills_recovered" in told.events


async def test_everything_is_killed_and_lifted_here(kills: LocalKills) -> None:
    await kill(kills, None)
    assert kills.snapshot().kill_all
    await kills.lift_here(None)
    assert not kills.snapshot().kill_all


async def test_an_unkill_that_the_store_took_lifts_what_is_held(
    kills: LocalKills, disk: Disk, path: Path
) -> None:
    await kill(kills)
    with pytest.raises(StoreUnwritable):
        await kills.change("orders", {"killed": False}, expected_revision=None, who="bob", reason="out")
    assert is_killed(kills.snapshot()), "who could not be heard has changed nothing"

    disk.clear()
    await kills.change("orders", {"killed": False}, expected_revision=None, who="bob", reason="out")

    assert not kills.held
    assert not is_killed(kills.snapshot())
    assert not stored(path).flags["orders"].killed


async def test_other_changes_do_not_lift_it(kills: LocalKills, disk: Disk) -> None:
    await kill(kills)
    with pytest.raises(InvalidFlag):
        await kills.remove("orders", who="bob", reason="away with it")
    disk.clear()
    await kills.change("orders", {"percentage": 5}, expected_revision=None, who="bob", reason="more")
    await in_time(lambda: not kills.held, "the store has it")
    assert is_killed(kills.snapshot())


async def test_what_has_no_flag_or_no_reason_is_not_held(kills: LocalKills) -> None:
    with pytest.raises(NotFound):
        await kill(kills, "invoices")
    with pytest.raises(InvalidFlag):
        await kills.kill_here("orders", who="ann", reason="")
    assert not kills.held


async def test_the_other_workers_are_told_and_those_that_did_not_answer_named(
    kills: LocalKills, worker: Worker
) -> None:
    worker.missed = [3]
    assert await kill(kills) == [3]
    assert await kills.lift_here("orders") == [3]
    assert worker.told == [("orders", True), ("orders", False)]


async def test_a_flag_that_was_removed_meanwhile_is_killed_no_more(
    kills: LocalKills, store: FlagStore, disk: Disk, told: Told
) -> None:
    await kill(kills)
    async with asyncio.timeout(60), kills._turn:
        # Not before: a write that is under way would come in between.
        disk.clear()
        await store.remove("orders", who="bob", reason="away")
    await in_time(lambda: not kills.held, "nothing is left to kill")
    assert "local_kill_without_flag" in told.events
