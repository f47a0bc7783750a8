"""What is kept for callers of an answer that is no list, and how long it asks to be left alone."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from adapters.upstream.asking.exchange import MAX_GIVEN_BYTES, Exchanged, unpacked
from adapters.upstream.failures import BadAnswer, OtherStatus
from adapters.upstream.shared_fields import NOT_SHARED, end_to_end
from gateway.core.times import http_date
from gateway.ports.upstreams import GivenAnswer

LONGEST_WAIT_SECONDS = 3600.0
_SECONDS = re.compile(r"[0-9]+\Z", re.ASCII)
_NOT_GIVEN = NOT_SHARED - {"www-authenticate"}
_OF_A_REQUEST_ALONE = frozenset({206, 304})
"""What answers a condition or a range of this very request, and says nothing to another."""


async def other_status(answer: Exchanged, wall_ms: Callable[[], int]) -> BadAnswer:
    """The error for an answer that is no list: OtherStatus where callers may have it too.

    Its body, without any content coding, is whole, or else empty. `wall_ms` gives the time of day.
    """
    if answer.status < 200 or answer.status in _OF_A_REQUEST_ALONE:
        return BadAnswer("status", f"The upstream answered with status {answer.status}.")
    try:
        body = await unpacked(answer.body or b"", answer.coding, MAX_GIVEN_BYTES)
    except BadAnswer:
        body = None
    headers, _ = end_to_end(answer.headers.items(), _NOT_GIVEN)
    return OtherStatus(GivenAnswer(answer.status, headers, body or b"", _retry_after(answer, wall_ms)))


def _retry_after(answer: Exchanged, wall_ms: Callable[[], int]) -> float | None:
    """The seconds of Retry-After (RFC 9110, section 10.2.3), an hour at most; None where it says none.

    A date is told by the upstream's own clock, where that is known.
    """
    given = answer.headers.get("Retry-After", "").strip()
    if _SECONDS.match(given):
        return min(float(given), LONGEST_WAIT_SECONDS)
    until = http_date(given)
    if until is None:
        return None
    now = http_date(answer.headers.get("Date", "")) or datetime.fromtimestamp(wall_ms() / 1000, UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT_SECONDS)
