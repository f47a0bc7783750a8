"""What a gateway keeps beside an SQLite log, so that a restart loses nothing: the snapshots of its upstreams.

There is one process, so nothing is shared with anybody but the next one. Without it, what changed upstream
while the gateway was down would go unnoticed, and clients that resume would miss it without a word.
"""

from pathlib import Path

from adapters.sqlite.beside import FileBeside
from adapters.sqlite.statements import statement
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedEntry


class SqliteShared:
    """A SharedStore in the SQLite file at `path`, which is made where there is none."""

    def __init__(self, path: Path, clock: Clock) -> None:
        # Synced with every commit: what the log has been given on the strength of it must not be forgotten.
        self._file = FileBeside(path, "shared_schema", is_synced=True)
        self._clock = clock

    async def start(self) -> None:
        await self._file.start()
        await self._file.run(
            lambda: self._file.db.execute(statement("shared_sweep"), (self._clock.wall_ms(),))
        )

    async def close(self) -> None:
        await self._file.close()

    async def get(self, key: str) -> SharedEntry | None:
        return await self._file.run(lambda: self._get(key))

    async def version(self, key: str) -> int:
        return await self._file.run(lambda: self._version(key))

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        def job() -> int | None:
            if not self._is_expected(key, expected):
                return None
            version: int = self._file.db.execute(statement("shared_next")).fetchone()[0]
            until = None if ttl_seconds is None else self._clock.wall_ms() + round(ttl_seconds * 1000)
            self._file.db.execute(statement("shared_put"), (key, value, version, until))
            return version

        return await self._file.together(job)

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        def job() -> bool:
            if self._get(key) is None or not self._is_expected(key, expected):
                return False
            self._file.db.execute(statement("shared_remove"), (key,))
            return True

        return await self._file.together(job)

    def _get(self, key: str) -> SharedEntry | None:
        row = self._file.db.execute(statement("shared_get"), (key, self._clock.wall_ms())).fetchone()
        return None if row is None else SharedEntry(*row)

    def _version(self, key: str) -> int:
        row = self._file.db.execute(statement("shared_version"), (key, self._clock.wall_ms())).fetchone()
        return 0 if row is None else row[0]

    def _is_expected(self, key: str, expected: int | None) -> bool:
        return expected is None or expected == self._version(key)
