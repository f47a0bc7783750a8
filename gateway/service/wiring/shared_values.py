"""The adapter of a SharedStore to the port of the stores of flags (flags/store/shared_values.py)."""

from flags.errors import StoreUncertain, StoreUnreadable, StoreUnwritable
from flags.store.shared_values import Value
from gateway.core.errors import LogError
from gateway.ports.shared import SharedStore


class FlagValues:
    """`flags.store.shared_values.SharedValues` in a SharedStore."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    async def get(self, key: str) -> Value | None:
        try:
            entry = await self._store.get(key)
        except LogError as error:
            raise StoreUnreadable(error.detail) from error
        return None if entry is None else Value(*entry)

    async def version(self, key: str) -> int:
        try:
            return await self._store.version(key)
        except LogError as error:
            raise StoreUnreadable(error.detail) from error

    async def put(
        self, key: str, content: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        try:
            return await self._store.put(key, content, expected=expected, ttl_seconds=ttl_seconds)
        except LogError as error:
            raise (StoreUnwritable if error.is_refusal else StoreUncertain)(error.detail) from error
