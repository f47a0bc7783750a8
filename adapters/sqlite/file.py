"""The SQLite file and what is kept in it. Blocking: everything but `state` is for one thread alone."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from adapters.sqlite.keys import Key, Keys, run_of
from adapters.sqlite.mark_file import MarkFile, is_at
from adapters.sqlite.problems import translated
from adapters.sqlite.statements import statement
from gateway.core.errors import IdempotencyConflict, LogError, NoRoomForKey
from gateway.core.events import ORIGIN, Cursor, Position, Record
from gateway.core.log_payload import from_payload
from gateway.ports.clock import Clock
from gateway.ports.log import trimmed, unknown

SCHEMA_VERSION = 1
TRIM_BATCH = 1000
"""How many events one transaction drops, beside as many as it appends."""

BUSY_SECONDS = 5.0
"""How long another program may keep the file locked before that is an error."""

_APPLICATION_ID = int.from_bytes(b"TDLG", "big")
_LARGEST_INTEGER = 2**63 - 1
_MAX_WAL_BYTES = 64 * 2**20
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

Connect = Callable[[Path], sqlite3.Connection]


class FileLost(LogError):
    """The file is no longer where it was opened: what is written to it now, nobody would find again."""


class Batch(NamedTuple):
    """Events as bodies, to be appended together; where there is a key, that is kept with them."""

    bodies: Sequence[str]
    key: Key | None = None


class Placed(NamedTuple):
    """Where a batch stands; `replayed` where its key was known, and it stood there before."""

    positions: list[Position]
    replayed: bool = False


Outcome = Placed | IdempotencyConflict | NoRoomForKey
"""What became of one batch; of one that is refused nothing was appended."""


class FileState(NamedTuple):
    """What the file holds: the events numbered `floor` + 1 to `head`, and the positions of these two."""

    floor: int = 0
    floor_position: Position = ORIGIN
    head: int = 0
    head_position: Position = ORIGIN


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by hand."""
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)


class EventFile:
    """Events in the SQLite file at `path`, which is made where there is none.

    Positions have `clock`'s wall time. `state` and `epoch` may be read by any thread; `state` is replaced as
    a whole, after the commit that it describes. Every method raises LogError.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_events: int,
        max_age_seconds: float,
        clock: Clock,
        connect: Connect = connect,
        keys: Keys,
    ) -> None:
        # Two paths to one file have to meet in one lock.
        self._path = Path(os.path.realpath(path))
        self._max_events = max_events
        self._max_age_ms = round(max_age_seconds * 1000)
        self._wall_ms = clock.wall_ms
        self._keys = keys
        self._connect = connect
        self._mark = MarkFile(self._path.with_name(f"{self._path.name}.mark"))
        self._connection: sqlite3.Connection | None = None
        self._opened: dict[Path, os.stat_result] = {}
        self.epoch = ""
        self.epoch_reason: str | None = None
        self.state = FileState()

    def open(self) -> None:
        """Opens or makes the file, and decides about the epoch; what fails leaves at most an empty one.

        `epoch_reason` says afterwards why a new epoch began in a file that was there before, None where none
        did.
        """
        with translated():
            if self._path.exists() and not self._path.is_file():
                what = "a directory" if self._path.is_dir() else "no ordinary file"
                raise LogError(f"The log's path is {what}: name a file.")
            mark = self._mark.take()
            try:
                self._open(mark)
            except BaseException:
                self._disconnect()
                self._mark.discard()
                raise

    def _open(self, mark: Cursor | None) -> None:
        if self._path.exists():
            # Else SQLite opens it to read only, and leaves files of its own behind when that fails.
            os.close(os.open(self._path, os.O_RDWR))
        self._connection = self._connect(self._path)
        is_empty = self._check_kind()
        self._prepare()
        if is_empty:
            self._connection.executescript(statement("schema"))
        with self._transaction():
            row = self._connection.execute(statement("load")).fetchone()
            self._adopt(row, mark)
            self._save(self.state)
            self._keys.open(self._connection)
        wal = self._path.with_name(f"{self._path.name}-wal")
        self._opened = {path: path.stat() for path in (self._path, wal)}
        self._mark.write(Cursor(self.epoch, self.state.head_position), durably=True)

    def _check_kind(self) -> bool:
        """Whether the file is empty. Raises LogError where it is none of ours; changes nothing."""
        objects = self._value("select count(*) from sqlite_master")
        application = self._value("pragma application_id")
        version = self._value("pragma user_version")
        if objects and application != _APPLICATION_ID:
            raise LogError("The log's file is a database of another program: choose another path.")
        if version > SCHEMA_VERSION:
            raise LogError(
                f"The log's file was written by a newer Tidegate (schema {version}; this one knows "
                f"{SCHEMA_VERSION}): install that one, or choose another path."
            )
        return not objects

    def _prepare(self) -> None:
        # Readers of other processes (a backup) never make an append wait.
        if self._value("pragma journal_mode = wal") != "wal":
            raise LogError(
                "The log's file can't have a write-ahead log where it is: put it on a local, writable disk."
            )
        # Synced with every commit. With `normal` a power failure takes back commits whose events clients
        # have had already, and the positions after it would be of another history under the same epoch.
        self._db.execute("pragma synchronous = full")
        self._db.execute(f"pragma journal_size_limit = {_MAX_WAL_BYTES}")

    def _adopt(self, row: tuple[Any, ...] | None, mark: Cursor | None) -> None:
        """Takes over what the file says, and begins a new epoch where its cursors may mean something else.

        A file that is behind its mark, or without one, may be a copy from before: clients may have events
        that it does not, and its next positions are those of other events. So their cursors must not count.
        """
        self.epoch = _new_epoch()
        if row is None:
            return
        epoch, floor, floor_major, floor_minor, head, head_major, head_minor = row
        self.state = FileState(
            floor, Position(floor_major, floor_minor), head, Position(head_major, head_minor)
        )
        if mark is None or mark.epoch != epoch:
            self.epoch_reason = "no mark of this log beside the file"
        elif mark.position > self.state.head_position:
            self.epoch_reason = "the file is older than the mark beside it"
        else:
            self.epoch = epoch

    def close(self) -> None:
        """Writes back what is in the write-ahead log, and closes the file. Twice does nothing."""
        with translated():
            try:
                self._disconnect()
            finally:
                self._mark.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def append(self, batches: Sequence[Batch], keep_after: int) -> list[Outcome]:
        """Appends the batches in one commit: all, but for those that their keys refuse, or none.

        Drops the oldest past a bound, but none after the number `keep_after`.
        """
        with self._in_place():
            with self._transaction():
                if any(batch.key is not None for batch in batches):
                    self._keys.forget(self._db)
                outcomes: list[Outcome] = []
                rows: list[tuple[int, int, int, str]] = []
                after = self.state
                for batch in batches:
                    outcome = self._place(batch, after)
                    outcomes.append(outcome)
                    if isinstance(outcome, Placed) and not outcome.replayed:
                        bodies = zip(outcome.positions, batch.bodies, strict=True)
                        numbered = enumerate(bodies, after.head + 1)
                        rows += [(number, *position, body) for number, (position, body) in numbered]
                        after = after._replace(head=rows[-1][0], head_position=outcome.positions[-1])
                if rows:
                    self._db.executemany(statement("append"), rows)
                    after = self._trimmed(after, keep_after, TRIM_BATCH + len(rows))
                    self._save(after)
            self._note(after)
        return outcomes

    def _place(self, batch: Batch, state: FileState) -> Outcome:
        """Where a batch stands already, or will stand after `state`, its key kept; or why it may not."""
        if batch.key is None:
            return Placed(self._next_positions(state, len(batch.bodies)))
        try:
            known = self._keys.known(self._db, batch.key)
            if known is not None:
                return Placed(known, replayed=True)
            self._keys.require_room(self._db)
        except (IdempotencyConflict, NoRoomForKey) as refusal:
            return refusal
        positions = self._next_positions(state, len(batch.bodies))
        self._keys.keep(self._db, batch.key, positions)
        return Placed(positions)

    def forget_keys(self) -> bool:
        """Drops some keys whose time is over; whether there may be more of them."""
        with self._in_place(), self._transaction():
            return self._keys.forget(self._db)

    def count_keys(self) -> int:
        """How many keys are kept."""
        with self._in_place():
            return self._keys.count(self._db)

    def _next_positions(self, state: FileState, count: int) -> list[Position]:
        # The wall clock may have been set back; the position never goes back.
        last, now_ms = state.head_position, self._wall_ms()
        first = Position(now_ms, 0) if now_ms > last.major else Position(last.major, last.minor + 1)
        return run_of(first, count)

    def trim(self, keep_after: int) -> bool:
        """Drops one batch of events past a bound; whether there may be more of them."""
        with self._in_place():
            if self._surplus(self.state, keep_after) == self.state.floor:
                return False
            with self._transaction():
                after = self._trimmed(self.state, keep_after, TRIM_BATCH)
                self._save(after)
            self._note(after)
            return self._surplus(after, keep_after) > after.floor

    def _surplus(self, state: FileState, keep_after: int) -> int:
        """The number of the newest event that is past a bound, the floor where none is."""
        oldest_ms = self._wall_ms() - self._max_age_ms
        aged = self._value(statement("older_than"), oldest_ms) or 0
        return max(state.floor, min(max(aged, state.head - self._max_events), keep_after))

    def _trimmed(self, state: FileState, keep_after: int, limit: int) -> FileState:
        floor = min(self._surplus(state, keep_after), state.floor + limit)
        if floor == state.floor:
            return state
        major, minor = self._db.execute(statement("position_of"), (floor,)).fetchone()
        self._db.execute(statement("delete"), (floor,))
        return state._replace(floor=floor, floor_position=Position(major, minor))

    def check(self) -> None:
        """Raises FileLost where the file is not in its place any more."""
        with self._in_place():
            pass

    def size_bytes(self) -> int:
        """What the database and its write-ahead log take on the disk."""
        with translated():
            return sum(path.stat().st_size for path in self._opened)

    def number_at(self, position: Position) -> int:
        """The number of the event at `position`, or of the floor; the head's for a position ahead of it.

        Raises TrimmedError below the floor, UnknownPosition for any other.
        """
        with self._in_place():
            if position == self.state.floor_position:
                return self.state.floor
            if position < self.state.floor_position:
                raise trimmed(position)
            if position >= self.state.head_position:
                return self.state.head
            number: int | None = None
            if position.minor <= _LARGEST_INTEGER:
                number = self._value(statement("number_at"), *position)
            if number is None:
                raise unknown(position)
            return number

    def read(self, number: int, limit: int) -> list[Record] | None:
        """The events after `number`, at most `limit`; None where some right after it are gone."""
        with self._in_place():
            if number < self.state.floor:
                return None
            rows = self._db.execute(statement("read"), (number, limit))
            return [Record(Position(major, minor), from_payload(body), major) for major, minor, body in rows]

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise LogError("The log is closed: the gateway is stopping.")
        return self._connection

    def _value(self, statement: str, *parameters: int) -> Any:
        """The first value of the first row, None where there is none."""
        row = self._db.execute(statement, parameters).fetchone()
        return None if row is None else row[0]

    def _save(self, state: FileState) -> None:
        values = (self.epoch, state.floor, *state.floor_position, state.head, *state.head_position)
        self._db.execute(statement("save"), values)

    def _note(self, state: FileState) -> None:
        if state == self.state:
            return
        # First, since writing the mark may fail and the commit is done.
        self.state = state
        self._mark.write(Cursor(self.epoch, state.head_position))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            # A full disk may have ended the transaction already.
            self._keys.forget_count()
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Around each use of the file. Afterwards too: what is acknowledged has to be found again."""
        with translated():
            self._check_in_place()
            yield
            self._check_in_place()

    def _check_in_place(self) -> None:
        if self._connection is None:
            raise LogError("The log is closed: the gateway is stopping.")
        in_place = all(is_at(path, known) for path, known in self._opened.items())
        if not in_place or not self._mark.is_in_place():
            raise FileLost(
                "The log's file, its -wal or its .mark was deleted or replaced while in use: put back the "
                "same one, or restart the gateway, which goes on with what it finds."
            )


def _new_epoch() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))
