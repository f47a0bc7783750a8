"""Callers' own choices, in a server that all nodes of a cluster share."""

import hashlib
import logging
from collections.abc import Callable
from typing import cast, get_args

from cachetools import TTLCache

from flags.errors import StoreUnreadable
from flags.modes import Delivery
from flags.shared_values import SharedValues
from flags.tell import Tell

CACHE_SECONDS = 1.0
"""How long a choice is believed: so soon another node's change counts here."""
_MAX_CACHED = 100_000


class SharedPreferences:
    """Preferences in `values`; `timer` gives monotonic seconds."""

    def __init__(self, values: SharedValues, *, tell: Tell, timer: Callable[[], float]) -> None:
        self._values = values
        self._tell = tell
        self._cache: TTLCache[str, Delivery] = TTLCache(_MAX_CACHED, CACHE_SECONDS, timer=timer)

    async def start(self) -> None:
        """There is nothing to begin."""

    async def close(self) -> None:
        """There is nothing to end."""

    async def get(self, key: str) -> Delivery:
        known = self._cache.get(key)
        if known is not None:
            return known
        try:
            found = await self._values.get(_key(key))
        except StoreUnreadable as error:
            self._tell(logging.WARNING, "preference_unreadable", reason=error)
            return "auto"
        text = "auto" if found is None else found.content.decode("ascii", "replace")
        delivery = cast(Delivery, text) if text in get_args(Delivery) else "auto"
        self._cache[key] = delivery
        return delivery

    async def put(self, key: str, delivery: Delivery) -> None:
        await self._values.put(_key(key), delivery.encode())
        self._cache[key] = delivery


def _key(key: str) -> str:
    """A caller's key may be any text, and long."""
    return f"preference:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
