"""What callers chose for themselves, kept across restarts (docs/protocol.md, section 8)."""

import asyncio
import contextlib
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from cachetools import LRUCache

from flags.decide.caller import Caller
from flags.decide.modes import Preference
from flags.errors import StoreUnreadable, StoreUnwritable
from flags.log_lines import Tell
from flags.store.background import BackgroundThread, Watch
from flags.store.choice_days import KEPT_DAYS, MOST_A_DAY, day_of, full
from flags.times import wall_ms

POLL_SECONDS = 0.5
"""How often a process asks whether another one kept something."""

SCHEMA_VERSION = 2

_BUSY_SECONDS = 5.0

Choice = tuple[str, Preference]


class Preferences(Protocol):
    """Each caller's choice, by the key that `preference_key` gives."""

    async def start(self) -> None:
        """Opens what they are kept in. Raises StoreUnreadable where it can't be used."""
        ...

    async def close(self) -> None:
        """Ends what `start` began. Closing twice does nothing."""
        ...

    async def get(self, key: str) -> Preference:
        """The choice; `auto` where none was made, or where it can't be read just now."""
        ...

    @property
    def has_none(self) -> bool:
        """Whether it is known that nobody has chosen anything."""
        ...

    def at_once(self, key: str) -> Preference | None:
        """The choice where nobody has to be asked for it; else None."""
        ...

    async def put(self, key: str, delivery: Preference) -> None:
        """Keeps the choice: it is durable on return.

        Raises StoreUnwritable where it could not be kept, as StoreFull where there is no room for one more
        (flags/store/choice_days.py), and StoreUncertain where nobody knows whether it was.
        """
        ...


_PLAIN = re.compile(r"[0-9A-Za-z_.:@-]+\Z", re.ASCII)
"""What JSON writes as it is, as most names are: making JSON of them took a third of deciding for a caller."""


def preference_key(caller: Caller) -> str | None:
    """What a caller's choice is kept under: its user, else session, else client; None where it has none.

    Kind and tenant are part of it: a client may call itself as a user is called, and two tenants may have a
    user of one name.
    """
    for kind, value in (("user", caller.user), ("session", caller.session), ("client", caller.client)):
        if value:
            tenant = caller.tenant or ""
            if _PLAIN.match(value) and (not tenant or _PLAIN.match(tenant)):
                return f'["{kind}", "{tenant}", "{value}"]'
            return json.dumps([kind, tenant, value])
    return None


class FilePreferences:
    """Preferences in an SQLite file at `path`, which several processes may share.

    Where there is no file, the first choice that is not `auto` makes it. As many as `max_cached` are held in
    memory, the most recently used ones; while that is all of them, nobody waits for the disk to read. One
    thread does everything that touches it. On a day `most_a_day` are taken.
    """

    def __init__(
        self,
        path: Path,
        *,
        tell: Tell,
        now_ms: Callable[[], int] = wall_ms,
        max_cached: int = 100_000,
        poll_seconds: float = POLL_SECONDS,
        most_a_day: int = MOST_A_DAY,
    ) -> None:
        self._path = path
        self._tell = tell
        self._outage = tell.outage("preferences")
        self._now_ms = now_ms
        self._today = 0
        self._full_on = 0
        self._database = _Database(path, most_a_day)
        self._cache: LRUCache[str, Preference] = LRUCache(max_cached)
        self._is_complete = False
        self._thread = BackgroundThread("preferences")
        self._watch = Watch(self.refresh, poll_seconds, tell, "preferences_watch")
        self._opening = asyncio.Lock()
        self._is_open = self._is_closed = False

    async def start(self) -> None:
        await self._open_if_there()
        self._watch.start()

    async def close(self) -> None:
        self._is_closed = True
        await self._watch.close()
        async with self._opening:
            await self._shut()

    @property
    def has_none(self) -> bool:
        return not self._is_open and not self._cache

    def at_once(self, key: str) -> Preference | None:
        known = self._cache.get(key)
        if known is None and (self._is_complete or not self._is_open):
            return "auto"
        return known

    async def get(self, key: str) -> Preference:
        known = self.at_once(key)
        if known is not None:
            return known
        try:
            found = (await self._learn(lambda: [(key, self._database.get(key))]))[0][1]
        except (sqlite3.Error, StoreUnwritable) as error:
            self._outage.failed(error=error)
            return "auto"
        self._outage.over()
        return found

    async def put(self, key: str, delivery: Preference) -> None:
        if not self._is_open:
            if delivery == "auto" and not self._path.exists():
                return
            await self._open_for_choice()
        now_ms = self._now_ms()
        today = day_of(now_ms)
        try:
            kept = await self._learn(lambda: self._database.put(key, delivery, today))
        except sqlite3.Error as error:
            raise StoreUnwritable(f"The preference could not be kept: {error}.") from error
        if not kept:
            if self._full_on != today:
                self._full_on = today
                self._tell(logging.WARNING, "preferences_full")
            raise full(now_ms)

    async def refresh(self) -> None:
        """Takes over what other processes have kept since the last look, and drops what is too old."""
        today = day_of(self._now_ms())
        if not self._is_open:
            await self._open_if_there()
        elif today == self._today:
            await self._learn(self._database.changes)
        else:
            await self._begin(today)

    async def _open_for_choice(self) -> None:
        """Opens the file for a choice that is to be kept. Raises StoreUnwritable."""
        try:
            await self._open()
        except StoreUnreadable as error:
            self._outage.failed(error=error)
            raise StoreUnwritable("The preference could not be kept.") from error
        self._outage.over()

    async def _open_if_there(self) -> None:
        """Opens the file where there is one, which another process may have made."""
        if self._path.exists():
            await self._open()

    async def _open(self) -> None:
        """Opens the file once, and makes it where there is none. Raises StoreUnreadable."""
        async with self._opening:
            if self._is_closed:
                raise StoreUnwritable("The store is closed.")
            if self._is_open:
                return
            self._thread.start()
            today = day_of(self._now_ms())
            try:
                await self._thread.run(lambda: self._database.open(today))
                await self._begin(today)
                self._is_open = True
            except (StoreUnreadable, sqlite3.Error) as error:
                raise StoreUnreadable(f"The preferences can't be used: {error}.") from error
            finally:
                if not self._is_open:
                    await self._shut()

    async def _shut(self) -> None:
        self._is_open = False
        with contextlib.suppress(StoreUnwritable):
            await self._thread.run(self._database.close)
        await self._thread.close()

    async def _begin(self, today: int) -> None:
        """Holds what is kept on that day."""
        limit = int(self._cache.maxsize)
        loop = asyncio.get_running_loop()

        def run() -> None:
            latest = self._database.begin(today, limit + 1)
            cache: LRUCache[str, Preference] = LRUCache(limit)
            cache.update(reversed(latest[:limit]))
            loop.call_soon_threadsafe(self._hold, cache, len(latest) <= limit)

        await self._thread.run(run)
        self._today = today

    def _hold(self, cache: LRUCache[str, Preference], is_complete: bool) -> None:
        self._cache, self._is_complete = cache, is_complete

    async def _learn(self, job: Callable[[], list[Choice]]) -> list[Choice]:
        """Does `job` in the thread and remembers the choices it gives, also when nobody waits any more.

        The loop hears of them in the order in which the thread had them, so that the last one stays.
        """
        loop = asyncio.get_running_loop()

        def run() -> list[Choice]:
            choices = job()
            loop.call_soon_threadsafe(self._remember, choices)
            return choices

        return await self._thread.run(run)

    def _remember(self, choices: list[Choice]) -> None:
        for key, delivery in choices:
            if key not in self._cache and len(self._cache) >= self._cache.maxsize:
                self._is_complete = False
            self._cache[key] = delivery


class _Database:
    """The SQLite file. All of it in one thread; every method may raise sqlite3.Error."""

    def __init__(self, path: Path, most_a_day: int) -> None:
        self._path = path
        self._most_a_day = most_a_day
        self._connection: sqlite3.Connection | None = None
        self._last = 0
        self._data_version = 0

    def open(self, today: int) -> None:
        """Raises StoreUnreadable where the file is of a newer version."""
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._connection = connection
        # In its own journal, so that readers of other processes never wait; synced with every commit.
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        with self._together() as connection:
            version = connection.execute("pragma user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreUnreadable(f"they are of version {version}, newer than {SCHEMA_VERSION}")
            if version == 1:
                connection.execute(_statement("upgrade"))
                connection.execute(_statement("upgrade_days"), (today - 1,))
            connection.execute(_statement("schema"))
            connection.execute(_statement("days"))
            connection.execute(f"pragma user_version = {SCHEMA_VERSION}")

    def begin(self, today: int, limit: int) -> list[Choice]:
        """Drops what is too old on that day, and gives the latest choices, newest first."""
        connection = self._open()
        connection.execute(_statement("expire"), (today - KEPT_DAYS,))
        self._last = connection.execute(_statement("last")).fetchone()[0]
        return connection.execute(_statement("latest"), (limit,)).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, key: str) -> Preference:
        row = self._open().execute(_statement("get"), (key,)).fetchone()
        return "auto" if row is None else row[0]

    def put(self, key: str, delivery: Preference, today: int) -> list[Choice]:
        """Keeps the choice, and gives it; nothing where there is no room for one more."""
        with self._together() as connection:
            row = connection.execute(_statement("day"), (key,)).fetchone()
            if row is not None or delivery != "auto":
                made = connection.execute(_statement("made"), (today,)).fetchone()[0]
                if row is None and made >= self._most_a_day:
                    return []
                day = today if made < self._most_a_day else row[0]
                connection.execute(_statement("put"), (key, delivery, day))
        return [(key, delivery)]

    @contextlib.contextmanager
    def _together(self) -> Iterator[sqlite3.Connection]:
        """One transaction, before which no other process changes anything."""
        connection = self._open()
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        finally:
            # A full disk may have ended it already.
            if connection.in_transaction:
                connection.execute("rollback")

    def changes(self) -> list[Choice]:
        """What was kept since the last call, by this process or another, in that order."""
        version = self._open().execute("pragma data_version").fetchone()[0]
        if version == self._data_version:
            return []
        rows = self._open().execute(_statement("since"), (self._last,)).fetchall()
        self._data_version = version
        self._last = rows[-1][2] if rows else self._last
        return [(key, delivery) for key, delivery, _ in rows]

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the database is closed")
        return self._connection


@cache
def _statement(name: str) -> str:
    return files("flags.store").joinpath("sql", f"preferences_{name}.sql").read_text()
