"""adapters/sqlite: what the SQLite log promises beyond every log (tests/conformance)."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite import SqliteLog
from adapters.sqlite.file import TRIM_BATCH, connect
from gateway.core.errors import IdempotencyConflict, LogError, NoRoomForKey, TrimmedError, UnknownPosition
from gateway.core.events import ORIGIN, Position, Record, json_rest
from gateway.ports.log import ONCE_SECONDS, Appended, Bounds
from tests.support.clock import ManualClock
from tests.support.loop import let_others_run
from tests.support.sqlite import everything, make_log, mark_of, numbered, opened, refusal

DEADLINE_SECONDS = 60.0

Open = Callable[..., Awaitable[SqliteLog]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def open_log(path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """Opens the log at `path` with large bounds, or those that are given; it is closed with the test."""
    async with AsyncExitStack() as stack:

        async def open_it(**options: Any) -> SqliteLog:
            log = make_log(path, clock, **options)
            stack.push_async_callback(log.close)
            await log.start()
            return log

        yield open_it


@asynccontextmanager
async def tailing(log: SqliteLog, after: Position) -> AsyncIterator[AsyncIterator[list[Record]]]:
    """A tail that has begun to wait for its first batch only where the caller asks for it."""
    tail = log.tail(after)
    try:
        yield tail
    finally:
        await tail.aclose()  # type: ignore[attr-defined]


def remove(path: Path) -> None:
    path.unlink()


class CommitWithoutMark:
    """Connects to the log's file; while it is `armed`, the mark is away once a transaction is committed."""

    def __init__(self, path: Path) -> None:
        self._mark = mark_of(path)
        self._elsewhere = path.with_name("elsewhere")
        self._is_armed = False

    def __call__(self, path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(self._at)
        return connection

    def _at(self, statement: str) -> None:
        if self._is_armed and statement == "commit":
            self._mark.rename(self._elsewhere)

    @contextmanager
    def armed(self) -> Iterator[None]:
        self._is_armed = True
        try:
            yield
        finally:
            self._is_armed = False
            self._elsewhere.rename(self._mark)


async def test_what_was_appended_is_there_after_a_restart(open_log: Open) -> None:
    log = await open_log()
    await log.append(numbered(3))
    before = (log.epoch, await log.bounds(), await everything(log))
    await log.close()

    log = await open_log()

    assert (log.epoch, await log.bounds(), await everything(log)) == before


async def test_a_record_says_when_its_event_was_appended_also_after_a_restart(
    open_log: Open, clock: ManualClock
) -> None:
    log = await open_log()
    began_ms = clock.wall_ms()
    await log.append(numbered(1))
    clock.advance(2.5)
    async with tailing(log, ORIGIN) as tail:
        tailed = await anext(tail)
        await log.append(numbered(1))
        tailed += await anext(tail)
    kept = await everything(log)
    await log.close()
    log = await open_log()

    for records in (tailed, kept, await everything(log), await log.latest(2)):
        assert [record.recorded_ms for record in records] == [began_ms, began_ms + 2500]


async def test_positions_grow_across_a_restart_and_a_clock_set_back(
    open_log: Open, clock: ManualClock
) -> None:
    log = await open_log()
    positions = (await log.append(numbered(2))).positions
    await log.close()
    clock.set_wall_ms(1000)
    log = await open_log()
    positions += (await log.append(numbered(2))).positions
    clock.set_wall_ms(positions[-1].major + 5)
    positions += (await log.append(numbered(1))).positions

    assert all(earlier < later for earlier, later in pairwise(positions))
    assert positions[-1].major == clock.wall_ms()


async def test_positions_grow_also_where_every_event_is_gone(open_log: Open, clock: ManualClock) -> None:
    log = await open_log(max_age_seconds=10)
    (last,) = (await log.append(numbered(1))).positions
    clock.advance(11)
    await log.trim()
    assert await log.bounds() == Bounds(last, last)
    await log.close()
    clock.set_wall_ms(1000)

    log = await open_log(max_age_seconds=10)

    assert await log.bounds() == Bounds(last, last)
    assert (await log.append(numbered(1))).positions[0] > last


async def test_a_new_file_is_a_new_epoch(open_log: Open, path: Path) -> None:
    log = await open_log()
    epoch = log.epoch
    await log.append(numbered(1))
    await log.close()
    remove(path)

    log = await open_log()

    assert log.epoch != epoch
    assert await everything(log) == []


async def test_a_file_copied_back_from_before_is_a_new_epoch_with_its_events(
    open_log: Open, path: Path, tmp_path: Path
) -> None:
    log = await open_log()
    kept = (await log.append(numbered(2))).positions
    await log.close()
    shutil.copy(path, tmp_path / "backup")
    log = await open_log()
    epoch = log.epoch
    await log.append(numbered(1))
    await log.close()
    shutil.copy(tmp_path / "backup", path)

    log = await open_log()

    assert log.epoch != epoch
    assert [record.position for record in await everything(log)] == kept
    after = log.epoch
    await log.close()
    assert (await open_log()).epoch == after


async def test_after_a_whole_disk_was_put_back_the_position_of_a_lost_event_is_unknown(
    open_log: Open, path: Path, tmp_path: Path, clock: ManualClock
) -> None:
    log = await open_log()
    kept = (await log.append(numbered(2))).positions
    await log.close()
    for file in (path, mark_of(path)):
        shutil.copy(file, file.with_name(f"{file.name}.old"))
    log = await open_log()
    clock.advance(1)
    lost = (await log.append(numbered(3, 2))).positions
    await log.close()
    for file in (path, mark_of(path)):
        shutil.copy(file.with_name(f"{file.name}.old"), file)
    clock.advance(1)

    log = await open_log()
    new = (await log.append(numbered(2, 5))).positions

    for position in lost:
        with pytest.raises(UnknownPosition):
            await log.read(position, 10)
    assert [record.position for record in await log.read(kept[-1], 10)] == new


async def test_the_mark_outlives_a_power_failure_from_the_start_on(
    open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await open_log()
    assert {mark_of(path).stat().st_ino, path.parent.stat().st_ino} <= set(synced)


async def test_a_copy_that_lacks_nothing_goes_on_in_its_epoch(
    open_log: Open, path: Path, tmp_path: Path
) -> None:
    log = await open_log()
    await log.append(numbered(2))
    epoch = log.epoch
    await log.close()
    shutil.copy(path, tmp_path / "backup")
    shutil.copy(tmp_path / "backup", path)

    assert (await open_log()).epoch == epoch


async def test_a_file_moved_with_its_mark_goes_on_in_its_epoch(open_log: Open, path: Path) -> None:
    log = await open_log()
    await log.append(numbered(2))
    await log.close()
    moved = path.with_name("moved.db")
    for old, new in ((path, moved), (mark_of(path), mark_of(moved))):
        shutil.move(old, new)

    async with opened(moved) as again:
        assert again.epoch == log.epoch
        assert len(await everything(again)) == 2


@pytest.mark.parametrize("left", [None, b"", b"what is this?\n", b"other00000.1-0".ljust(127) + b"\n"])
async def test_a_file_without_its_mark_is_a_new_epoch(open_log: Open, path: Path, left: bytes | None) -> None:
    log = await open_log()
    await log.append(numbered(2))
    epoch = log.epoch
    await log.close()
    mark_of(path).unlink()
    if left is not None:
        mark_of(path).write_bytes(left)

    log = await open_log()

    assert log.epoch != epoch
    assert len(await everything(log)) == 2


async def test_a_mark_with_a_colon_as_before_version_2_is_read(open_log: Open, path: Path) -> None:
    log = await open_log()
    await log.append(numbered(2))
    epoch = log.epoch
    await log.close()
    written = mark_of(path).read_bytes()
    mark_of(path).write_bytes(written.replace(b".", b":"))

    log = await open_log()
    await log.close()

    assert log.epoch == epoch
    assert mark_of(path).read_bytes() == written


async def test_a_backup_is_made_while_the_log_is_in_use(open_log: Open, path: Path, tmp_path: Path) -> None:
    log = await open_log()
    await log.append(numbered(3))
    with closing(connect(path)) as other:
        other.execute("vacuum into ?", (str(tmp_path / "backup.db"),))
    await log.append(numbered(1, 3))

    async with opened(tmp_path / "backup.db") as backup:
        assert [record.event.entity_id for record in await everything(backup)] == ["0", "1", "2"]
        assert backup.epoch != log.epoch


async def test_appends_that_wait_together_share_a_commit(open_log: Open) -> None:
    commits: list[str] = []

    def traced(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(lambda text: commits.append(text) if text == "commit" else None)
        return connection

    log = await open_log(connect=traced)
    commits.clear()
    await asyncio.gather(*(log.append(numbered(2)) for _ in range(100)))

    assert len(await everything(log)) == 200
    assert 1 <= len(commits) <= 10


async def test_the_json_of_an_event_comes_along_to_a_reader_at_the_head(open_log: Open) -> None:
    log = await open_log()
    (event,) = numbered(1)
    made = json_rest(event)
    async with tailing(log, ORIGIN) as tail:
        first = asyncio.ensure_future(anext(tail))
        await let_others_run()
        await log.append([event])
        (record,) = await first
    assert record.event.rest is made


async def test_what_has_come_before_the_log_is_closed_is_kept(open_log: Open, path: Path) -> None:
    log = await open_log()
    appends = [asyncio.create_task(log.append(numbered(2000))) for _ in range(4)]
    await let_others_run(1)
    await log.close()

    given = [position for append in appends for position in (await append).positions]
    async with opened(path) as again:
        assert [record.position for record in await everything(again)] == given


async def test_too_many_events_are_let_go_of_in_batches_and_the_bounds_stay_exact(open_log: Open) -> None:
    log = await open_log()
    positions = (await log.append(numbered(3 * TRIM_BATCH))).positions
    await log.close()

    log = await open_log(max_events=10)

    assert await log.bounds() == Bounds(positions[-11], positions[-1])
    assert [record.position for record in await everything(log)] == positions[-10:]
    with pytest.raises(TrimmedError):
        await log.read(positions[-12], 1)
    assert len(await log.read(positions[-11], 100)) == 10


async def test_an_append_of_more_than_the_bound_keeps_the_newest(open_log: Open) -> None:
    log = await open_log(max_events=10)
    positions = (await log.append(numbered(50))).positions

    assert await log.bounds() == Bounds(positions[39], positions[49])


async def test_events_go_when_they_are_too_old(open_log: Open, clock: ManualClock) -> None:
    log = await open_log(max_age_seconds=60)
    (old,) = (await log.append(numbered(1))).positions
    clock.advance(50)
    (young,) = (await log.append(numbered(1, 1))).positions
    clock.advance(11)
    await log.trim()

    assert await log.bounds() == Bounds(old, young)
    assert [record.position for record in await everything(log)] == [young]


async def test_what_a_tail_has_not_given_out_is_kept(open_log: Open) -> None:
    log = await open_log(max_events=5)
    async with tailing(log, ORIGIN) as tail:
        positions = (await log.append(numbered(1))).positions
        given = await anext(tail)
        positions += (await log.append(numbered(3000, 1))).positions
        positions += (await log.append(numbered(30, 3001))).positions
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(given) < 3031:
                given += await anext(tail)
    await log.trim()

    assert [record.position for record in given] == positions
    assert (await log.bounds()).floor == positions[-6]


async def test_an_append_waits_while_a_tail_is_far_behind(open_log: Open) -> None:
    log = await open_log()
    async with tailing(log, ORIGIN) as tail:
        first = asyncio.ensure_future(anext(tail))
        await let_others_run()
        await log.append(numbered(1))
        await first
        await log.append(numbered(10_001, 1))
        late = asyncio.create_task(log.append(numbered(1, 10_002)))
        await let_others_run()
        assert not late.done()
        while not late.done():
            await anext(tail)
    assert (await late).positions[0] == (await log.bounds()).head


async def test_a_tail_that_still_reads_old_events_holds_no_append_up(open_log: Open) -> None:
    log = await open_log()
    await log.append(numbered(20_000))
    async with tailing(log, ORIGIN) as tail:
        await anext(tail)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await log.append(numbered(1, 20_000))


async def test_an_append_that_failed_after_its_commit_is_given_out_once_and_in_order(
    open_log: Open, path: Path
) -> None:
    connect_to = CommitWithoutMark(path)
    log = await open_log(connect=connect_to)
    async with tailing(log, ORIGIN) as tail:
        first = asyncio.ensure_future(anext(tail))
        await let_others_run()
        await log.append(numbered(2))
        given = await first
        await log.append(numbered(1, 2))
        with connect_to.armed(), pytest.raises(LogError):
            await log.append(numbered(3, 3))
        await log.append(numbered(1, 6))
        held = await everything(log)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(given) < 7:
                given += await anext(tail)
            # Where a tail begins makes no difference: not all of these were in memory.
            for index, record in enumerate(held[:-1]):
                async with tailing(log, record.position) as later:
                    assert (await anext(later))[0] == held[index + 1]

    assert [record.event.entity_id for record in held] == [str(number) for number in range(7)]
    assert given == held


async def test_every_commit_is_synced_to_the_disk(open_log: Open) -> None:
    connections: list[sqlite3.Connection] = []

    def shared(path: Path) -> sqlite3.Connection:
        connections.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        return connections[0]

    await open_log(connect=shared)

    # 2 is full (sqlite.org/pragma.html#pragma_synchronous).
    assert connections[0].execute("pragma synchronous").fetchone() == (2,)


async def test_the_newest_are_given_up_to_the_limit(open_log: Open) -> None:
    log = await open_log(max_events=5)
    positions = (await log.append(numbered(8))).positions

    assert [record.position for record in await log.latest(2)] == positions[-2:]
    assert [record.position for record in await log.latest(100)] == positions[-5:]


async def test_a_position_of_any_size_can_be_asked_for(open_log: Open) -> None:
    log = await open_log()
    positions = (await log.append(numbered(1))).positions
    largest = 2**64 - 1

    assert await log.read(Position(largest, largest), 10) == []
    with pytest.raises(UnknownPosition):
        await log.read(Position(positions[0].major - 1, largest), 10)


async def test_a_second_opening_is_refused_and_hinders_nobody(open_log: Open, path: Path) -> None:
    log = await open_log()
    other = make_log(path)

    assert await refusal(other) == (
        "Another process uses the log's file: an SQLite log is for one gateway with one worker."
    )
    await log.append(numbered(1))
    await log.close()
    assert len(await everything(await open_log())) == 1


async def test_a_link_to_the_file_leads_to_the_same_lock(open_log: Open, path: Path, tmp_path: Path) -> None:
    await open_log()
    link = tmp_path / "link.db"
    link.symlink_to(path)

    other = make_log(link)

    assert "Another process uses" in await refusal(other)


async def test_a_key_is_known_after_a_restart_for_as_long_as_it_is_promised(
    open_log: Open, clock: ManualClock
) -> None:
    log = await open_log()
    first = await log.append_once(numbered(3), "key", b"digest")
    await log.close()
    clock.advance(ONCE_SECONDS - 1)

    again = await open_log()
    repeated = await again.append_once(numbered(3), "key", b"digest")
    with pytest.raises(IdempotencyConflict):
        await again.append_once(numbered(1), "key", b"another")

    assert repeated == first._replace(replayed=True)
    assert len(await everything(again)) == 3


async def test_no_number_of_other_keys_pushes_one_out_also_over_a_restart(open_log: Open) -> None:
    log = await open_log()
    first = await log.append_once(numbered(2), "key", b"digest")
    for start in range(0, 12_000, 3000):
        await asyncio.gather(
            *(log.append_once(numbered(1), f"{number}", b"d") for number in range(start, start + 3000))
        )
    assert await log.append_once(numbered(2), "key", b"digest") == first._replace(replayed=True)
    await log.close()
    log = await open_log()
    assert await log.append_once(numbered(2), "key", b"digest") == first._replace(replayed=True)
    assert {figure.name: figure.value for figure in log.figures()}["keys"] == 12_001


async def test_where_the_file_has_no_room_for_a_key_it_is_refused_and_all_else_goes_on(
    open_log: Open, clock: ManualClock
) -> None:
    log = await open_log(max_keys=3)
    for key in ("a", "b"):
        await log.append_once(numbered(1), key, b"digest")
        clock.advance(100.0)

    third, repeated, refused, plain = await asyncio.gather(
        log.append_once(numbered(1), "c", b"digest"),
        log.append_once(numbered(1), "a", b"digest"),
        log.append_once(numbered(1), "d", b"digest"),
        log.append(numbered(1)),
        return_exceptions=True,
    )

    assert isinstance(third, Appended)
    assert isinstance(repeated, Appended)
    assert isinstance(plain, Appended)
    assert (third.replayed, repeated.replayed) == (False, True)
    assert isinstance(refused, NoRoomForKey)
    assert refused.headers["Retry-After"] == "400"
    assert len(await everything(log)) == 4
    clock.advance(400.001)
    assert not (await log.append_once(numbered(1), "d", b"digest")).replayed
    assert (await log.append_once(numbered(1), "b", b"digest")).replayed


async def test_a_key_whose_append_failed_after_its_commit_is_known(open_log: Open, path: Path) -> None:
    connect_to = CommitWithoutMark(path)
    log = await open_log(connect=connect_to)
    with connect_to.armed(), pytest.raises(LogError):
        await log.append_once(numbered(3), "key", b"digest")

    again = await log.append_once(numbered(3), "key", b"digest")

    held = [record.position for record in await everything(log)]
    assert (again.replayed, again.positions) == (True, held)
    assert len(held) == 3


async def test_a_clock_that_is_set_makes_no_key_older_or_immortal(open_log: Open, clock: ManualClock) -> None:
    log = await open_log()
    wall_ms = clock.wall_ms()
    await log.append_once(numbered(1), "a", b"digest")
    for jump in (3_600_000, -3_600_000):
        clock.set_wall_ms(wall_ms + jump)
        assert (await log.append_once(numbered(1), "a", b"digest")).replayed
        assert not (await log.append_once(numbered(1), f"{jump}", b"digest")).replayed
    await log.close()

    # Set back over the restart: the key is kept a little longer, and not for the hour.
    log = await open_log()
    assert (await log.append_once(numbered(1), "a", b"digest")).replayed
    clock.advance(ONCE_SECONDS + 1)
    assert not (await log.append_once(numbered(1), "a", b"digest")).replayed


async def test_a_file_without_the_index_of_its_keys_gets_one(open_log: Open, path: Path) -> None:
    log = await open_log()
    await log.append_once(numbered(1), "a", b"digest")
    await log.close()
    with closing(connect(path)) as connection:
        connection.execute("drop index once_at")
    assert (await (await open_log()).append_once(numbered(1), "a", b"digest")).replayed
    with closing(connect(path)) as connection:
        assert connection.execute("select count(*) from pragma_index_list('once')").fetchone() == (2,)


async def test_a_retry_after_a_backup_without_its_events_is_a_new_request(
    open_log: Open, path: Path, tmp_path: Path
) -> None:
    log = await open_log()
    kept = await log.append_once(numbered(1), "kept", b"digest")
    await log.close()
    shutil.copy(path, tmp_path / "backup")
    log = await open_log()
    lost = await log.append_once(numbered(1, 1), "lost", b"digest")
    await log.close()
    shutil.copy(tmp_path / "backup", path)

    log = await open_log()
    again = await log.append_once(numbered(1, 1), "lost", b"digest")

    assert (again.replayed, again.epoch) == (False, log.epoch)
    assert log.epoch != lost.epoch
    # What the file holds is not published again: it stands in the new epoch now.
    repeated = await log.append_once(numbered(1), "kept", b"digest")
    assert repeated == Appended(log.epoch, kept.positions, replayed=True)
    assert [record.event.entity_id for record in await everything(log)] == ["0", "1"]


async def test_a_key_whose_time_is_over_is_new_also_while_it_is_still_there(
    open_log: Open, clock: ManualClock
) -> None:
    log = await open_log(max_keys=2500)
    await asyncio.gather(*(log.append_once(numbered(1), f"{n}", b"d") for n in range(2500)))
    clock.advance(ONCE_SECONDS + 1)
    for _ in range(2):
        assert not (await log.append_once(numbered(1), "2499", b"another")).replayed
        clock.advance(ONCE_SECONDS + 1)
    await asyncio.gather(*(log.append_once(numbered(1), f"new {n}", b"d") for n in range(2500)))
    with pytest.raises(NoRoomForKey):
        await log.append_once(numbered(1), "one more", b"d")


async def test_keys_whose_time_is_over_are_let_go_of_in_batches(open_log: Open, clock: ManualClock) -> None:
    log = await open_log()
    await asyncio.gather(*(log.append_once(numbered(1), f"{n}", b"d") for n in range(2500)))
    await log.close()
    clock.advance(ONCE_SECONDS + 1)

    log = await open_log()

    assert {figure.name: figure.value for figure in log.figures()}["keys"] == 0


async def test_a_key_is_forgotten_after_its_time(open_log: Open, clock: ManualClock) -> None:
    log = await open_log()
    await log.append_once(numbered(1), "key", b"digest")
    await log.close()
    clock.advance(ONCE_SECONDS + 1)

    again = await open_log()

    assert not (await again.append_once(numbered(1), "key", b"another")).replayed
