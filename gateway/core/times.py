"""Times as the wire carries them: RFC 3339 in UTC with milliseconds (`2026-11-20T10:30:00.123Z`)."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
)
_LEAP_DAYS = frozenset({(6, 30), (12, 31)})
"""Month and day in UTC whose last second may be a leap second: all there were ended June or December."""


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


def http_date(text: str) -> datetime | None:
    """The moment of an HTTP-date (RFC 9110, section 5.6.7); None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
