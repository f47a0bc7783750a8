"""A file that is replaced as a whole: its marks, its lock, and what refuses to be written."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from flags.errors import StoreUnreadable, StoreUnwritable
from flags.store.flags_file import FileChanged, FlagsFile, LockTaken, NotSynced


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


def written(path: Path, content: bytes) -> None:
    """Writes as the store does: with the lock held, over what is there."""
    file = FlagsFile(path)
    with file.locked(0):
        file.write(content, file.stamp())


def read(path: Path) -> bytes:
    found = FlagsFile(path).read()
    assert found is not None
    return found[0]


def test_where_there_is_no_file_there_is_nothing_to_read(path: Path) -> None:
    assert FlagsFile(path).read() is None
    assert FlagsFile(path).stamp() is None


def test_what_was_written_is_read_with_the_mark_that_writing_gave(path: Path) -> None:
    file = FlagsFile(path)
    with file.locked(0):
        stamp = file.write(b"one", None)

    assert file.read() == (b"one", stamp)
    assert file.stamp() == stamp


def test_a_write_leaves_only_the_file_and_its_lock(path: Path) -> None:
    written(path, b"one")
    written(path, b"two")

    assert sorted(entry.name for entry in path.parent.iterdir()) == ["flags.json", "flags.json.lock"]


class Disk:
    """The system's part in writing: its steps in their order. The disk refuses those in `fails`."""

    def __init__(self, path: Path, *fails: str) -> None:
        self.steps: list[str] = []
        self._directory = path.parent
        self._fails = fails
        self.file = FlagsFile(path, fsync=self._fsync, replace=self._replace)

    def _fsync(self, descriptor: int) -> None:
        found = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if found == self._directory:
            self._do("sync the directory")
        else:
            self._do(f"sync {found.name} of {found.stat().st_size} bytes")
        os.fsync(descriptor)

    def _replace(self, fresh: Path, target: Path) -> None:
        self._do(f"rename {fresh.name} to {target.name}")
        os.replace(fresh, target)

    def _do(self, step: str) -> None:
        self.steps.append(step)
        if step in self._fails:
            raise OSError(errno.ENOSPC, "full")


def test_what_is_written_is_on_the_disk_before_it_has_the_name_and_the_name_before_it_is_acknowledged(
    path: Path,
) -> None:
    disk = Disk(path)
    with disk.file.locked(0):
        disk.file.write(b"three bytes more", None)
        disk.steps.append("acknowledged")

    assert disk.steps == [
        "sync flags.json.new of 16 bytes",
        "rename flags.json.new to flags.json",
        "sync the directory",
        "acknowledged",
    ]


@pytest.mark.parametrize("step", ["sync flags.json.new of 3 bytes", "rename flags.json.new to flags.json"])
def test_where_the_disk_refuses_before_the_rename_the_file_is_as_it_was(path: Path, step: str) -> None:
    written(path, b"one")
    disk = Disk(path, step)

    with pytest.raises(StoreUnwritable, match="No space left on device"), disk.file.locked(0):
        disk.file.write(b"two", disk.file.stamp())

    assert read(path) == b"one"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["flags.json", "flags.json.lock"]


def test_where_the_directory_can_not_be_synced_the_file_is_new_and_that_is_said(path: Path) -> None:
    written(path, b"one")
    disk = Disk(path, "sync the directory")

    with pytest.raises(NotSynced, match="No space left on device"), disk.file.locked(0):
        disk.file.write(b"two", disk.file.stamp())

    assert read(path) == b"two"


def test_permissions_are_kept(path: Path) -> None:
    written(path, b"one")
    path.chmod(0o640)
    written(path, b"two")

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_a_writer_that_died_left_behind_is_no_hindrance(path: Path) -> None:
    path.with_name("flags.json.new").write_bytes(b"half of it")
    path.with_name("flags.json.new").chmod(0o400)

    written(path, b"whole")

    assert read(path) == b"whole"


def test_the_file_behind_a_symbolic_link_is_replaced_and_not_the_link(path: Path) -> None:
    target = path.parent / "release-7" / "flags.json"
    target.parent.mkdir()
    target.write_bytes(b"one")
    path.symlink_to(target)

    written(path, b"two")

    assert path.is_symlink()
    assert target.read_bytes() == b"two"


def test_a_link_that_is_turned_elsewhere_has_another_mark(path: Path) -> None:
    for name in ("a", "b"):
        (path.parent / name).write_bytes(b"same")
    path.symlink_to("a")
    before = FlagsFile(path).stamp()
    path.unlink()
    path.symlink_to("b")

    assert FlagsFile(path).stamp() != before


def test_a_change_of_equal_length_that_keeps_the_old_times_has_another_mark(path: Path) -> None:
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    before = FlagsFile(path).stamp()
    path.with_name("copy").write_bytes(b"two")
    os.utime(path.with_name("copy"), ns=(10**18, 10**18))
    path.with_name("copy").replace(path)

    assert FlagsFile(path).stamp() != before


def test_a_file_that_changed_since_it_was_read_is_not_replaced(path: Path) -> None:
    file = FlagsFile(path)
    path.write_bytes(b"one")
    stamp = file.stamp()
    path.write_bytes(b"an edit")

    with file.locked(0), pytest.raises(FileChanged):
        file.write(b"two", stamp)

    assert path.read_bytes() == b"an edit"


def test_only_one_at_a_time_has_the_lock(path: Path) -> None:
    with FlagsFile(path).locked(0), pytest.raises(LockTaken), FlagsFile(path).locked(0):
        pass
    with FlagsFile(path).locked(0):
        pass


def test_whoever_is_patient_gets_the_lock(path: Path) -> None:
    waiting = threading.Event()
    got: list[bool] = []

    def wait() -> None:
        waiting.set()
        with FlagsFile(path).locked(60):
            got.append(True)

    thread = threading.Thread(target=wait)
    with FlagsFile(path).locked(0):
        thread.start()
        assert waiting.wait(30)
        assert got == []
    thread.join(30)

    assert got == [True]


def test_a_directory_in_the_files_place_can_not_be_read(path: Path) -> None:
    path.mkdir()

    with pytest.raises(StoreUnreadable, match="no regular file"):
        FlagsFile(path).read()


def test_a_named_pipe_in_the_files_place_is_refused_without_waiting_for_a_writer(path: Path) -> None:
    os.mkfifo(path)

    with pytest.raises(StoreUnreadable, match="no regular file"):
        FlagsFile(path).read()


def test_a_link_to_itself_can_not_be_read(path: Path) -> None:
    path.symlink_to(path)

    with pytest.raises(StoreUnreadable, match="can't be read: Too many levels of symbolic links"):
        FlagsFile(path).read()
    assert FlagsFile(path).stamp() is not None


def test_a_file_of_a_size_that_no_flags_have_is_refused(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)

    with pytest.raises(StoreUnreadable, match="larger than"):
        FlagsFile(path).read()
    with FlagsFile(path).locked(0), pytest.raises(StoreUnwritable, match="more than"):
        FlagsFile(path).write(bytes(64 * 1024 * 1024 + 1), FlagsFile(path).stamp())


def test_where_the_directory_is_gone_nothing_can_be_written(path: Path) -> None:
    file = FlagsFile(path.parent / "gone" / "flags.json")

    with pytest.raises(StoreUnwritable, match="No such file or directory"), file.locked(0):
        pass


def test_a_write_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    written(path, b"one")
    path.with_name("flags.json.new").mkdir()

    with pytest.raises(StoreUnwritable) as caught:
        written(path, b"two")

    assert path.read_bytes() == b"one"
    assert str(path.parent) not in caught.value.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_is_marked_read_only_is_not_replaced(path: Path) -> None:
    path.write_bytes(b"one")
    path.chmod(0o444)

    with pytest.raises(StoreUnwritable, match="read-only"):
        written(path, b"two")
