"""Callers' own choices, in a server that all nodes of a cluster share."""

import hashlib
import logging
from collections.abc import Callable
from typing import cast, get_args

from cachetools import TTLCache

from flags.decide.modes import Preference
from flags.errors import StoreUncertain, StoreUnreadable, StoreUnwritable
from flags.log_lines import Tell
from flags.store.choice_days import DAY_SECONDS, KEPT_DAYS, MOST_A_DAY, day_of, full
from flags.store.shared_values import SharedValues, Value
from flags.times import wall_ms

CACHE_SECONDS = 1.0
"""How long a choice is believed: so soon another node's change counts here."""
ATTEMPTS = 20
"""How often a choice is counted anew because another node counted one meanwhile."""
PUTS = 2
"""How often a choice is sent whose answer was lost."""
_MAX_CACHED = 100_000


class SharedPreferences:
    """Preferences in `values`; `timer` gives monotonic seconds. On a day `most_a_day` are taken.

    A choice is a value of its own, `polling 20412`: with the day on which it was made (choice_days.py).
    What was kept before there were days has none, and stays until it is chosen anew.
    """

    def __init__(
        self,
        values: SharedValues,
        *,
        tell: Tell,
        timer: Callable[[], float],
        now_ms: Callable[[], int] = wall_ms,
        most_a_day: int = MOST_A_DAY,
    ) -> None:
        self._values = values
        self._tell = tell
        self._outage = tell.outage("preferences")
        self._now_ms = now_ms
        self._most_a_day = most_a_day
        self._full_on = 0
        self._cache: TTLCache[str, Preference] = TTLCache(_MAX_CACHED, CACHE_SECONDS, timer=timer)

    async def start(self) -> None:
        """There is nothing to begin."""

    async def close(self) -> None:
        """There is nothing to end."""

    has_none = False

    def at_once(self, key: str) -> Preference | None:
        return self._cache.get(key)

    async def get(self, key: str) -> Preference:
        known = self.at_once(key)
        if known is not None:
            return known
        try:
            found = await self._values.get(_key(key))
        except StoreUnreadable as error:
            self._outage.failed(error=error)
            return "auto"
        self._outage.over()
        delivery = self._cache[key] = _choice(found)[0]
        return delivery

    async def put(self, key: str, delivery: Preference) -> None:
        now_ms = self._now_ms()
        today = day_of(now_ms)
        try:
            found = await self._values.get(_key(key))
            day = _choice(found)[1]
            if found is not None or delivery != "auto":
                if day != today and await self._is_taken(today):
                    day = today
                elif found is None:
                    raise full(now_ms)
                day = today - 1 if day is None else day
                seconds = (day + KEPT_DAYS - today) * DAY_SECONDS
                await self._set(_key(key), f"{delivery} {day}".encode(), max(1, seconds))
        except StoreUnreadable as error:
            raise StoreUnwritable(f"The preference could not be kept: {error.detail}") from error
        except StoreUncertain:
            self._cache.pop(key, None)
            raise
        self._cache[key] = delivery

    async def _is_taken(self, today: int) -> bool:
        """Counts one more choice of that day, where there is room for it."""
        if self._full_on == today:
            return False
        for _ in range(ATTEMPTS):
            found = await self._values.get(_count_key(today))
            count, version = (0, 0) if found is None else (int(found.content), found.version)
            if count >= self._most_a_day:
                self._full_on = today
                self._tell(logging.WARNING, "preferences_full")
                return False
            ttl_seconds = 2 * DAY_SECONDS
            try:
                counted = await self._values.put(
                    _count_key(today), b"%d" % (count + 1), expected=version, ttl_seconds=ttl_seconds
                )
            except StoreUncertain as error:
                # At worst one is counted that was not made.
                raise StoreUnwritable(f"The preference could not be kept: {error.detail}") from error
            if counted is not None:
                return True
        raise StoreUnwritable("The preference could not be kept: too many choose at once. Try again.")

    async def _set(self, key: str, content: bytes, ttl_seconds: float) -> None:
        """Sets the value, and finds out whether it is set where the answer is lost."""
        for _ in range(PUTS):
            try:
                await self._values.put(key, content, ttl_seconds=ttl_seconds)
            except StoreUncertain as error:
                lost = error
            else:
                return
            try:
                found = await self._values.get(key)
            except StoreUnreadable:
                break
            if found is not None and found.content == content:
                return
        raise StoreUncertain(f"Whether the preference was kept is not known: {lost.detail}") from lost


def _key(key: str) -> str:
    """A caller's key may be any text, and long."""
    return f"preference:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _count_key(day: int) -> str:
    return f"preferences-made:{day}"


def _choice(found: Value | None) -> tuple[Preference, int | None]:
    """The choice and its day; `auto` where there is none, and None where it has no day."""
    name, _, day = ("" if found is None else found.content.decode("ascii", "replace")).partition(" ")
    delivery = cast(Preference, name) if name in get_args(Preference) else "auto"
    return delivery, int(day) if day.isdecimal() else None
