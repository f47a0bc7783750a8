"""A small file beside the log: its lock, and its newest cursor, by which a copied-back backup is known."""

import contextlib
import fcntl
import os
import re
from pathlib import Path

from gateway.core.errors import LogError
from gateway.core.events import Cursor, Position

_LENGTH = 128
# Before version 2 a colon stood after the epoch.
_LINE = re.compile(rb"([a-z0-9]{1,64})[.:](\d{1,20})-(\d{1,20}) *\n\Z")


class MarkFile:
    """A lock, and the cursor of the newest event, in `path`.

    The lock keeps a second process off: positions and wake-ups are of one process. The cursor tells a file
    that went on from one that was copied back from a backup: the copy is behind its mark, or has none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._is_new = False

    def take(self) -> Cursor | None:
        """Takes the lock and gives the cursor, None where there is none yet.

        Raises LogError where another process has the lock, OSError where the file can't be used.
        """
        self._is_new = not self._path.exists()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._is_new = False
            self.release()
            raise LogError(
                "Another process uses the log's file: an SQLite log is for one gateway with one worker."
            ) from None
        if not self.is_in_place():
            # The one who had the lock before took the file away between the two calls above.
            self.release()
            raise LogError("Another process has just let go of the log's file: try again.")
        found = _LINE.match(os.pread(self._descriptor, _LENGTH, 0))
        return None if found is None else Cursor(found[1].decode(), Position(int(found[2]), int(found[3])))

    def is_in_place(self) -> bool:
        """Whether the lock's file is still the one at its path: else it keeps nobody off."""
        return self._descriptor is not None and is_at(self._path, os.fstat(self._descriptor))

    def write(self, cursor: Cursor, *, durably: bool = False) -> None:
        """Notes the cursor.

        It outlives the process at once. It outlives a power failure where it is written `durably`; an older
        cursor of the same epoch is then found otherwise, which is never wrong, only less telling.
        """
        assert self._descriptor is not None, "written by whoever took it"
        # Always as long, so that writing over it needs no room on a full disk.
        os.pwrite(self._descriptor, f"{cursor}".ljust(_LENGTH - 1).encode() + b"\n", 0)
        if durably:
            os.fsync(self._descriptor)
            _sync_directory(self._path.parent)

    def discard(self) -> None:
        """Releases the lock, and takes the file away where `take` made it: nothing came of it."""
        if self._is_new and self.is_in_place():
            with contextlib.suppress(OSError):
                self._path.unlink()
        self.release()

    def release(self) -> None:
        """Releases the lock. Twice does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def is_at(path: Path, known: os.stat_result) -> bool:
    """Whether `path` is still the file that `known` was taken of."""
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
