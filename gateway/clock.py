"""Time behind small protocols, so that tests turn it by hand."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
)
_LEAP_DAYS = frozenset({(6, 30), (12, 31)})
"""Month and day in UTC whose last second may be a leap second: all there were ended June or December."""


class Clock(Protocol):
    """Two clocks: one for durations, one for people."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z; may jump either way when the machine's clock is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Handle(Protocol):
    """A callback that was scheduled and can be taken back."""

    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """The part of an event loop that the hub needs; asyncio's loops are one as they are."""

    def time(self) -> float: ...

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle: ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Handle: ...


def rfc3339(wall_ms: int) -> str:
    """`2026-11-20T10:30:00.123Z` (RFC 3339, UTC, milliseconds)."""
    seconds, milliseconds = divmod(wall_ms, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8)
def _to_the_second(seconds: int) -> str:
    """What all times of one second have in common: a busy gateway writes thousands of them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def in_utc(text: str) -> str | None:
    """The same instant in UTC with milliseconds; None where `text` is no time of RFC 3339, section 5.6.

    A leap second is a time where one may occur (section 5.7). No clock here counts it, so it is kept as the
    second after it, which is the same by POSIX. Years go from 0001 to 9999. The like rule for flags is in
    flags/times.py.
    """
    found = _RFC3339.match(text)
    if found is None:
        return None
    is_leap = found[1] == "60"
    if is_leap:
        text = f"{text[: found.start(1)]}59{text[found.end(1) :]}"
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
        if is_leap:
            if (moment.month, moment.day) not in _LEAP_DAYS or (moment.hour, moment.minute) != (23, 59):
                return None
            moment += timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
