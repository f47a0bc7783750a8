"""The idempotency keys in the log's file. Blocking; used within the file's transactions, in its thread."""

import sqlite3
from typing import NamedTuple

from adapters.sqlite.statements import statement
from gateway.core.errors import NoRoomForKey
from gateway.core.events import Position
from gateway.ports.clock import Clock
from gateway.ports.log import ONCE_SECONDS
from gateway.runtime.idempotency import conflict

MAX_KEYS = 500_000
"""How many keys the file keeps: some 100 MB, or 830 a second."""

FORGOTTEN_AT_ONCE = 1000
"""How many keys one transaction drops."""


class Key(NamedTuple):
    """An idempotency key, and what stands for the request that it came with."""

    key: str
    digest: bytes


class Keys:
    """What was appended under each key, kept for ONCE_SECONDS.

    The time goes by the monotonic clock while the log is open, by the wall clock from one opening to the
    next: a clock that is set meanwhile makes no key older. What a transaction that was rolled back did here
    has to be told with `forget_count`.
    """

    def __init__(self, clock: Clock, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._base_ms = 0
        self._opened_at = 0.0
        self._count: int | None = None

    def open(self, db: sqlite3.Connection) -> None:
        """Sets the time by which keys grow old: it never goes back behind a key that is there."""
        db.execute(statement("index_keys"))
        (newest,) = db.execute(statement("newest_key")).fetchone()
        self._base_ms = max(self._clock.wall_ms(), newest or 0)
        self._opened_at = self._clock.monotonic()

    def _now_ms(self) -> int:
        return self._base_ms + round((self._clock.monotonic() - self._opened_at) * 1000)

    def _oldest_ms(self) -> int:
        return self._now_ms() - round(ONCE_SECONDS * 1000)

    def known(self, db: sqlite3.Connection, key: Key) -> list[Position] | None:
        """What was appended under the key, None where it is new. Raises IdempotencyConflict."""
        row = db.execute(statement("known_key"), (key.key, self._oldest_ms())).fetchone()
        if row is None:
            return None
        digest, major, minor, count = row
        if digest != key.digest:
            raise conflict()
        return run_of(Position(major, minor), count)

    def require_room(self, db: sqlite3.Connection) -> None:
        """Raises NoRoomForKey where the file keeps as many keys as it may."""
        if self.count(db) >= self._max_keys:
            (oldest,) = db.execute(statement("oldest_key")).fetchone()
            raise NoRoomForKey((oldest - self._oldest_ms()) / 1000)

    def keep(self, db: sqlite3.Connection, key: Key, positions: list[Position]) -> None:
        """Keeps a key that is new, with the positions, which follow one another."""
        values = (*key, *positions[0], len(positions), self._now_ms())
        count = self.count(db)
        # One whose time was over may still have been there.
        replaced = db.execute(statement("drop_key"), (key.key,)).rowcount
        db.execute(statement("keep_key"), values)
        self._count = count - replaced + 1

    def forget(self, db: sqlite3.Connection) -> bool:
        """Drops the oldest keys whose time is over; whether there may be more of them."""
        count = self.count(db)
        gone = db.execute(statement("forget_keys"), (self._oldest_ms(), FORGOTTEN_AT_ONCE)).rowcount
        self._count = count - gone
        return gone == FORGOTTEN_AT_ONCE

    def count(self, db: sqlite3.Connection) -> int:
        """How many keys there are."""
        if self._count is None:
            (self._count,) = db.execute(statement("count_keys")).fetchone()
        return self._count

    def forget_count(self) -> None:
        """The file may hold other keys than was said here."""
        self._count = None


def run_of(first: Position, count: int) -> list[Position]:
    """`count` positions that follow one another, from `first` on."""
    return [Position(first.major, first.minor + index) for index in range(count)]
