"""A snapshot as nodes share it, and as a process leaves it to the next."""

from dataclasses import replace

import orjson
from multidict import CIMultiDict

from adapters.upstream.nodes.shared_snapshot import Bodies, SharedSnapshot
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


def test_all_that_there_is_to_a_snapshot_is_shared() -> None:
    whole = replace(
        SNAPSHOT,
        status=404,
        coded=b"packed",
        coding="gzip",
        coded_etag='"d-gzip"',
        text=b"[]",
        last_modified="Fri, 20 Nov 2026 10:30:04 GMT",
    )
    unusable = replace(SNAPSHOT, digest="u", body=b"<html>", problem="not_json")
    shared = replace(
        SharedSnapshot.of(whole, Bodies("d", "c", "t"), 1000),
        unusable=SharedSnapshot.of(unusable, Bodies("u"), 2000),
        previous_text="p",
    )

    again = SharedSnapshot.parse(shared.json())

    assert again == shared
    assert again.bodies == Bodies("d", "c", "t")
    for one, other in (
        (again.snapshot(BODY, 7.0, b"packed", b"[]"), whole),
        (again.unusable.snapshot(b"<html>", 7.0) if again.unusable else None, unusable),
    ):
        assert one is not None
        assert [getattr(one, name) for name in Snapshot.__slots__ if name != "headers"] == [
            getattr(other, name) for name in Snapshot.__slots__ if name != "headers"
        ]


def test_without_what_came_packed_there_is_no_coding() -> None:
    packed = replace(SNAPSHOT, coded=b"packed", coding="gzip", coded_etag='"d-gzip"')
    again = SharedSnapshot.of(packed, Bodies("d", "c"), 1000).snapshot(BODY, 7.0)
    assert (again.coded, again.coding, again.coded_etag) == (None, "", "")


VERSION_BEFORE = b"""{"digest":"d","headers":[["X-Place","caf\\u00e9"]],"etag":"\\"d\\"","etags_trusted":true,
"validators":{},"asked_at_ms":1000,"took_ms":500,"cursor":"e.1-0","pending":true,"previous":"p",
"changed_at_ms":900,"published":3}"""


def test_an_entry_of_the_version_before_is_read() -> None:
    one = SharedSnapshot.parse(VERSION_BEFORE)

    assert (one.digest, one.pending, one.previous, one.published) == ("d", True, "p", 3)
    assert (one.status, one.bodies, one.unusable) == (200, Bodies("d"), None)


def test_what_the_version_before_does_not_know_is_left_out_where_it_says_nothing() -> None:
    assert orjson.loads(SharedSnapshot.of(SNAPSHOT, Bodies("d"), 1000).json()).keys() == {
        *("digest", "headers", "etag", "etags_trusted", "validators", "asked_at_ms", "took_ms", "cursor")
    }


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
