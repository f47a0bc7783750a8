"""What an upstream's answer becomes for callers, and for the next request."""

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict

from adapters.upstream.snapshot import validators_of

RECEIVED = datetime(2026, 11, 20, 10, 30, 5, tzinfo=UTC)
FIVE_PAST = "Fri, 20 Nov 2026 10:30:05 GMT"
FOUR_PAST = "Fri, 20 Nov 2026 10:30:04 GMT"


def test_the_next_request_repeats_the_upstreams_tag_also_a_weak_one() -> None:
    assert validators_of({"ETag": 'W/"v1"'}, RECEIVED) == {"If-None-Match": 'W/"v1"'}


@pytest.mark.parametrize(
    ("modified", "date", "asked"),
    [
        (FOUR_PAST, FIVE_PAST, True),
        (FIVE_PAST, FIVE_PAST, False),
        (FOUR_PAST, None, True),
        (FIVE_PAST, None, False),
        ("yesterday", FIVE_PAST, False),
        (FOUR_PAST, "now", True),
    ],
)
def test_if_modified_since_is_sent_only_when_a_second_has_passed(
    modified: str, date: str | None, asked: bool
) -> None:
    headers = CIMultiDict({"Last-Modified": modified} | ({"Date": date} if date else {}))

    assert validators_of(headers, RECEIVED) == ({"If-Modified-Since": modified} if asked else {})
