"""What SQLite and the operating system say, as LogErrors: one sentence each, without the file's path."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.core.errors import LogError

_FULL = "The disk is full, or the log's file may not grow: free some space, and publishing works again."
_UNWRITABLE = "The log's file can't be written: this user may not, or the file system is read-only."
_NO_DIRECTORY = "The directory of the log's file does not exist: create it."
_DAMAGED = "The log's file is damaged: stop the gateway and restore a backup, or move the file away."

_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: "The log's file can't be opened: this user may not, or its directory is gone.",
    sqlite3.SQLITE_NOTADB: "The log's file is not an SQLite database: choose another path, or move it away.",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_IOERR: "The log's file can't be read or written: the disk or its quota gives an error.",
    sqlite3.SQLITE_BUSY: "Another program keeps the log's file locked: end it, or let it finish.",
}
"""By primary result code (sqlite.org/rescode.html)."""

_SYSTEM = {
    errno.ENOENT: _NO_DIRECTORY,
    errno.ENOTDIR: "What stands before the log's file in its path is not a directory.",
    errno.EACCES: _UNWRITABLE,
    errno.EPERM: _UNWRITABLE,
    errno.EROFS: _UNWRITABLE,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}


@contextmanager
def translated() -> Iterator[None]:
    """Turns what the driver and the operating system raise into LogErrors, the cause chained."""
    try:
        yield
    except sqlite3.Error as error:
        raise LogError(_of_sqlite(error)) from error
    except OSError as error:
        sentence = _SYSTEM.get(error.errno or 0) or f"The log's file can't be used: {error.strerror}."
        raise LogError(sentence) from error


def _of_sqlite(error: sqlite3.Error) -> str:
    # An extended result code holds the primary one in its lowest byte. Misuse has none.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _SQLITE.get(code) or f"SQLite refused: {error}."
