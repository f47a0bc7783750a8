"""adapters/sqlite: what is said, and what stays true, where the file can't be used."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapters.sqlite.file import connect
from gateway.core.errors import LogError, NoRoomForKey
from gateway.core.events import ORIGIN, Position
from gateway.ports.log import Appended, Bounds
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.sqlite import everything, make_log, mark_of, numbered, opened, refusal
from tests.support.users import without_privileges

FULL = "The disk is full, or the log's file may not grow: free some space, and publishing works again."
LOST = (
    "The log's file, its -wal or its .mark was deleted or replaced while in use: put back the same one, or "
    "restart the gateway, which goes on with what it finds."
)
UNWRITABLE = "The log's file can't be written: this user may not, or the file system is read-only."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


def content(path: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def _text(path: Path) -> None:
    path.write_text("eventType,entityType\n" * 100)


def _other_program(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("create table event (id text)")


def _newer(path: Path) -> None:
    _other_program(path)
    with closing(connect(path)) as connection:
        connection.execute("pragma application_id = 1413762119")
        connection.execute("pragma user_version = 2")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (Path.mkdir, "The log's path is a directory: name a file."),
        (os.mkfifo, "The log's path is no ordinary file: name a file."),
        (_text, "The log's file is not an SQLite database: choose another path, or move it away."),
        (_other_program, "The log's file is a database of another program: choose another path."),
        (
            _newer,
            "The log's file was written by a newer Tidegate (schema 2; this one knows 1): "
            "install that one, or choose another path.",
        ),
    ],
)
async def test_a_file_that_can_not_be_used_is_one_sentence_and_left_as_it_was(
    path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(path)
    before = content(path.parent)

    assert await refusal(make_log(path)) == sentence

    assert content(path.parent) == before


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("nowhere/events.db", "The directory of the log's file does not exist: create it."),
        ("file/events.db", "What stands before the log's file in its path is not a directory."),
        ("loop/events.db", "The log's file can't be used: Too many levels of symbolic links."),
        ("x" * 300, "The log's file can't be used: File name too long."),
    ],
)
async def test_a_path_that_leads_nowhere_is_one_sentence(tmp_path: Path, place: str, sentence: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")

    assert await refusal(make_log(tmp_path / place)) == sentence


async def test_a_directory_without_the_right_to_write_is_one_sentence(path: Path) -> None:
    path.parent.chmod(0o500)
    with without_privileges():
        assert await refusal(make_log(path)) == UNWRITABLE


async def test_a_file_without_the_right_to_write_is_one_sentence() -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "events.db")
        async with opened(path) as log:
            await log.append(numbered(1))
        for name, mode in ((path.parent, 0o777), (path, 0o444), (mark_of(path), 0o666)):
            name.chmod(mode)
        before = content(path.parent)
        with without_privileges():
            assert await refusal(make_log(path)) == UNWRITABLE
        assert content(path.parent) == before


async def test_a_damaged_file_is_one_sentence(path: Path) -> None:
    async with opened(path) as log:
        await log.append(numbered(500))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 8)

    assert await refusal(make_log(path)) == (
        "The log's file is damaged: stop the gateway and restore a backup, or move the file away."
    )


class Disk:
    """A disk that is as full as a test says: a limit of the file's pages."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None

    def connect(self, path: Path) -> sqlite3.Connection:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        return self.connection

    def allow(self, pages: int) -> None:
        assert self.connection is not None
        self.connection.execute(f"pragma max_page_count = {pages}")


async def test_a_full_disk_refuses_whole_batches_and_keeps_what_was_acknowledged(path: Path) -> None:
    disk = Disk()
    large = [an_event(f"order:{number}", data={"x": "y" * 3000}) for number in range(5)]
    kept: list[Position] = []
    async with opened(path, connect=disk.connect) as log:
        disk.allow(30)

        async def fill() -> None:
            for _ in range(30):
                kept.extend((await log.append(large)).positions)

        with pytest.raises(LogError) as failure:
            await fill()
        assert failure.value.detail == FULL
        assert isinstance(failure.value.__cause__, sqlite3.Error)
        assert [record.position for record in await everything(log)] == kept
        assert (await log.bounds()).head == kept[-1]

        disk.allow(10_000)
        kept += (await log.append(large)).positions
    async with opened(path) as log:
        assert [record.position for record in await everything(log)] == kept
        assert len(kept) % 5 == 0


async def test_all_that_share_a_commit_hear_that_it_failed(path: Path) -> None:
    disk = Disk()
    large = [an_event(data={"x": "y" * 60_000})]
    async with opened(path, connect=disk.connect) as log:
        disk.allow(20)
        outcomes = await asyncio.gather(*(log.append(large) for _ in range(20)), return_exceptions=True)
        appended = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
        acknowledged = [position for outcome in appended for position in outcome.positions]
        assert all(isinstance(outcome, Appended | LogError) for outcome in outcomes)
        assert len(acknowledged) < 20
        assert [record.position for record in await everything(log)] == acknowledged


async def test_a_key_whose_append_failed_is_new_and_takes_no_room(path: Path) -> None:
    disk = Disk()
    large = [an_event(data={"x": "y" * 60_000})]
    async with opened(path, connect=disk.connect, max_keys=2) as log:
        disk.allow(20)
        for _ in range(5):
            with pytest.raises(LogError, match="disk is full"):
                await log.append_once(large, "a", b"digest")
        disk.allow(10_000)
        for key in ("a", "b"):
            assert not (await log.append_once(large, key, b"digest")).replayed
        with pytest.raises(NoRoomForKey):
            await log.append_once(large, "c", b"digest")
        assert len(await everything(log)) == 2


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.ENOSPC, FULL), (errno.EIO, "The log's file can't be used: Input/output error.")],
)
async def test_a_mark_that_can_not_be_written_fails_the_append_and_a_retry_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    async with opened(path) as log:
        await log.append(numbered(1))
        with monkeypatch.context() as broken:
            broken.setattr(os, "pwrite", fail)
            with pytest.raises(LogError) as failure:
                await log.append_once(numbered(2, 1), "a", b"digest")
            assert failure.value.detail == sentence
        again = await log.append_once(numbered(2, 1), "a", b"digest")
        held = [record.position for record in await everything(log)]
        assert (again.replayed, again.positions) == (True, held[1:])
        assert len(held) == 3
        epoch = log.epoch
    async with opened(path) as log:
        assert log.epoch == epoch
        assert [record.position for record in await everything(log)] == held


@contextmanager
def _away(path: Path) -> Iterator[None]:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(path)


@pytest.mark.parametrize("suffix", ["", "-wal", ".mark"])
async def test_a_file_deleted_underneath_is_told_to_all_until_it_is_back(path: Path, suffix: str) -> None:
    gone = path.with_name(path.name + suffix)
    async with opened(path) as log:
        kept = (await log.append(numbered(2))).positions
        tail = log.tail(ORIGIN)
        assert len(await anext(tail)) == 2
        reader = asyncio.ensure_future(anext(tail))
        await let_others_run()
        with _away(gone):
            for attempt in (log.append(numbered(1)), reader, log.bounds(), log.read(ORIGIN, 1), log.trim()):
                with pytest.raises(LogError) as failure:
                    await attempt
                assert failure.value.detail == LOST
        kept += (await log.append(numbered(1))).positions
        assert [record.position for record in await everything(log)] == kept
        assert (await log.bounds()).head == kept[-1]


async def test_a_quiet_log_notices_that_its_file_is_gone(path: Path) -> None:
    async with opened(path) as log:
        reader = asyncio.ensure_future(anext(log.tail(ORIGIN)))
        await let_others_run()
        with _away(path):
            with pytest.raises(LogError):
                await log.trim()
            with pytest.raises(LogError, match="deleted or replaced"):
                await reader
        await log.trim()
        assert await log.bounds() == Bounds(ORIGIN, ORIGIN)


async def test_a_file_that_another_program_keeps_locked_is_one_sentence(path: Path) -> None:
    def impatient(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=0, isolation_level=None)

    async with opened(path, connect=impatient) as log:
        with closing(connect(path)) as other:
            other.execute("begin immediate")
            with pytest.raises(LogError) as failure:
                await log.append(numbered(1))
        assert failure.value.detail == (
            "Another program keeps the log's file locked: end it, or let it finish."
        )
        await log.append(numbered(1))


async def test_a_failure_and_its_end_are_one_log_line_each(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with opened(path) as log:
        with _away(path):
            for _ in range(3):
                with pytest.raises(LogError):
                    await log.append(numbered(1))
        await log.append(numbered(1))

    lines = [record.message for record in caplog.records if record.message.startswith("sqlite_log")]
    assert lines == ["sqlite_log_opened", "sqlite_log_failed", "sqlite_log_recovered"]


async def test_a_failure_that_lasts_is_a_log_line_a_minute(
    path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(path, clock) as log:
        with _away(path):
            for _ in range(13):
                with pytest.raises(LogError):
                    await log.append(numbered(1))
                clock.advance(10)

    lines = [record.message for record in caplog.records if "fail" in record.message]
    assert lines == ["sqlite_log_failed", "sqlite_log_still_failing", "sqlite_log_still_failing"]
