"""A file that is replaced as a whole, by programs that take turns and by people who do not. Blocking I/O.

The file is never seen half written, whenever a writer dies: what is new is written beside it, synced, and
renamed over it. Programs take turns by a lock on a file beside it (`flags.json.lock`), which the system
releases when they die.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from flags.errors import StoreUnreadable, StoreUnwritable

MAX_BYTES = 64 * 1024 * 1024

_LOCK_PAUSE_SECONDS = 0.01


class FileStamp(NamedTuple):
    """Tells one content of the file from another, without reading it. `error` is why even that failed.

    Stamps are compared for being equal, never for being later: clocks are set back, and deployments keep the
    times of what they copy. Two contents may have one stamp where both were written in place within one tick
    of the file system's clock (some milliseconds), so a stamp can be relied on when it was seen twice.
    """

    device: int = 0
    inode: int = 0
    size: int = 0
    modified_ns: int = 0
    changed_ns: int = 0
    error: int = 0


class FileChanged(Exception):
    """Somebody else replaced the file since it was read."""


class NotSynced(Exception):
    """The file is replaced, and readers see it; but it may be the old one after a loss of power."""


class LockTaken(StoreUnwritable):
    """Another program is at the file, for longer than the patience."""


class FlagsFile:
    """The file at `path`, which may be a symbolic link: then it is the target that is replaced.

    `fsync` and `replace` are the system's, which a test records, or lets fail.
    """

    def __init__(
        self,
        path: Path,
        *,
        fsync: Callable[[int], None] = os.fsync,
        replace: Callable[[Path, Path], None] = os.replace,
    ) -> None:
        self._path = path
        self._fsync = fsync
        self._replace_by = replace

    def link_target(self) -> Path | None:
        """Where the file really is, if `path` is a symbolic link; None if it is the file itself."""
        return self._target() if self._path.is_symlink() else None

    def stamp(self) -> FileStamp | None:
        """What the file looks like now; None where there is none."""
        try:
            return _stamp(os.stat(self._path))
        except FileNotFoundError:
            return None
        except OSError as error:
            return FileStamp(error=error.errno or -1)

    def read(self) -> tuple[bytes, FileStamp] | None:
        """The content and its stamp; None where there is no file.

        Raises StoreUnreadable where it is no regular file, is too large, or the system refuses.
        """
        try:
            # Without O_NONBLOCK, opening a named pipe waits for its writer.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(error) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StoreUnreadable("it is no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(error) from error
        finally:
            os.close(descriptor)
        if len(content) > MAX_BYTES:
            raise StoreUnreadable(f"it is larger than {MAX_BYTES} bytes")
        return content, _stamp(found)

    @contextlib.contextmanager
    def locked(self, patience_seconds: float) -> Iterator[None]:
        """Holds the lock.

        Raises LockTaken where another program keeps it, StoreUnwritable where the system refuses.
        """
        try:
            # Reading suffices for a lock, and works where the lock file is another user's.
            descriptor = os.open(self._beside(".lock"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(error) from error
        try:
            _lock(descriptor, patience_seconds)
            yield
        finally:
            os.close(descriptor)

    def write(self, content: bytes, read: FileStamp | None) -> FileStamp:
        """Replaces the file, durably, and gives the new stamp; to be called with the lock held.

        `read` is the stamp of what `content` was made from. Raises FileChanged where that is no longer what
        is there, StoreUnwritable where the system refuses; the file is then as it was. Raises NotSynced where
        it is the new one, but the directory could not be synced.
        """
        if len(content) > MAX_BYTES:
            raise StoreUnwritable(f"The flags and their history would take more than {MAX_BYTES} bytes.")
        try:
            return self._replace(content, read)
        except OSError as error:
            raise _unwritable(error) from error

    def keep_aside(self, content: bytes) -> Path:
        """Writes `content` beside the file, over what was kept before, and gives the path."""
        path = self._beside(".refused")
        try:
            path.write_bytes(content)
        except OSError as error:
            raise _unwritable(error) from error
        return path

    def _beside(self, suffix: str) -> Path:
        target = self._target()
        return target.with_name(target.name + suffix)

    def _target(self) -> Path:
        return Path(os.path.realpath(self._path))

    def _replace(self, content: bytes, read: FileStamp | None) -> FileStamp:
        target = self._target()
        if target.exists() and not os.access(target, os.W_OK):
            raise StoreUnwritable("The flags could not be written: the file is read-only.")
        # One name, so that a writer that is killed leaves one file at most. The lock makes it ours.
        fresh = self._beside(".new")
        fresh.unlink(missing_ok=True)
        try:
            with open(fresh, "xb") as file:
                file.write(content)
                file.flush()
                _take_permissions(file.fileno(), target)
                self._fsync(file.fileno())
                if self.stamp() != read:
                    raise FileChanged
                self._replace_by(fresh, target)
                # After the rename, which changes the times that a stamp is made of.
                stamp = _stamp(os.fstat(file.fileno()))
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        self.sync_directory()
        return stamp

    def sync_directory(self) -> None:
        """Makes the last rename durable. Raises NotSynced."""
        try:
            descriptor = os.open(self._target().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotSynced(os.strerror(error.errno or 0)) from error


def _stamp(found: os.stat_result) -> FileStamp:
    return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _lock(descriptor: int, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockTaken("The flags could not be written: another program is at it.") from None
            time.sleep(_LOCK_PAUSE_SECONDS)
        except OSError as error:
            raise _unwritable(error) from error
        else:
            return


def _take_permissions(descriptor: int, target: Path) -> None:
    """Gives the new file the mode of the old one, and its owner as far as the system allows that."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _unreadable(error: OSError) -> StoreUnreadable:
    return StoreUnreadable(f"it can't be read: {os.strerror(error.errno or 0)}")


def _unwritable(error: OSError) -> StoreUnwritable:
    return StoreUnwritable(f"The flags could not be written: {os.strerror(error.errno or 0)}.")
