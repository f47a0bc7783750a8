"""Times as the wire carries them: RFC 3339 in UTC with milliseconds (`2026-11-20T10:30:00.123Z`)."""

import re
import time
from datetime import UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)


def wall_ms() -> int:
    """Milliseconds since 1970-01-01T00:00Z by the machine's clock, which may jump either way."""
    return time.time_ns() // 1_000_000


def rfc3339(milliseconds: int) -> str:
    """The time that is `milliseconds` after 1970-01-01T00:00Z."""
    return _text(datetime.fromtimestamp(milliseconds / 1000, UTC), milliseconds % 1000)


def in_utc(text: str) -> str | None:
    """The same instant in UTC with milliseconds; None where `text` is no time of RFC 3339."""
    if _RFC3339.match(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return _text(moment, moment.microsecond // 1000)


def _text(moment: datetime, milliseconds: int) -> str:
    # strftime does not pad the years before 1000 everywhere.
    return f"{moment.year:04d}{moment.strftime('-%m-%dT%H:%M:%S')}.{milliseconds:03d}Z"
