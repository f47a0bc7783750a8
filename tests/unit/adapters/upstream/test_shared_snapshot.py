"""A snapshot as nodes share it, and as a process leaves it to the next."""

import orjson
from multidict import CIMultiDict

from adapters.upstream.shared_snapshot import Bodies, SharedSnapshot
from gateway.ports.upstreams import Snapshot
from tests.support.legacy import legacy_route, listed, order
from tests.support.polls import polls
from tests.support.upstream import raw_upstream

BODY = listed(order("A"))
SNAPSHOT = Snapshot(
    body=BODY,
    digest="d",
    headers=CIMultiDict([("X-Place", "café"), ("X-Place", "two")]),
    etag='"d"',
    etags_trusted=True,
    validators={"If-None-Match": '"v1"'},
    asked_at=7.0,
    received_at=7.5,
    cursor="e.1-0",
)


def test_what_is_shared_is_what_was_there() -> None:
    shared = SharedSnapshot.parse(SharedSnapshot.of(SNAPSHOT, Bodies("d"), 1000).json())

    again = shared.snapshot(BODY, 7.0)
    assert list(again.headers.items()) == list(SNAPSHOT.headers.items())
    assert (again.validators, again.etag, again.received_at) == (SNAPSHOT.validators, '"d"', 7.5)


async def test_what_an_older_version_kept_and_can_not_be_sent_holds_nothing_up() -> None:
    kept = orjson.loads(SharedSnapshot.of(SNAPSHOT, Bodies("d"), 1000).json())
    kept["headers"].append(["X-Odd", "a\x01b"])
    kept["validators"]["If-None-Match"] = '"a\x01"'

    again = SharedSnapshot.parse(orjson.dumps(kept)).snapshot(BODY, 7.0)

    assert list(again.headers.items()) == list(SNAPSHOT.headers.items())
    assert again.validators == {}
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    async with raw_upstream(answer) as (url, heads), polls() as asking:
        fetched = await asking.fetch(legacy_route(upstream=url), again.validators)
    assert fetched is not None
    assert fetched.body == BODY
    assert b"If-None-Match" not in heads[0]
