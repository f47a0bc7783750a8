"""Times as the wire carries them, as in gateway/core/times.py, which the flags may not import."""

import re
import time
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
)
_LEAP_DAYS = frozenset({(6, 30), (12, 31)})
"""Month and day in UTC whose last second may be a leap second: all there were ended June or December."""


def wall_ms() -> int:
    """Milliseconds since 1970-01-01T00:00Z by the machine's clock, which may jump either way."""
    return time.time_ns() // 1_000_000


def rfc3339(milliseconds: int) -> str:
    """The time that is `milliseconds` after 1970-01-01T00:00Z."""
    return _text(datetime.fromtimestamp(milliseconds / 1000, UTC), milliseconds % 1000)


def in_utc(text: str) -> str | None:
    """The same instant in UTC with milliseconds; None where `text` is no time of RFC 3339, section 5.6.

    A leap second is a time where one may occur (section 5.7), and is kept as the second after it, which is
    the same by POSIX. Years go from 0001 to 9999. The like rule for events is in gateway/core/times.py.
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
    return _text(moment, moment.microsecond // 1000)


def _text(moment: datetime, milliseconds: int) -> str:
    # strftime does not pad the years before 1000 everywhere.
    return f"{moment.year:04d}{moment.strftime('-%m-%dT%H:%M:%S')}.{milliseconds:03d}Z"
