"""A shared list whose upstream compresses and dates its answers, over HTTP."""

import gzip
import os
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from multidict import CIMultiDictProxy

from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import Gateway, Upstream, in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

SMALL = listed(order("A", note="x" * 2000))
LARGE = listed(order("A", note=os.urandom(200_000).hex()))
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
async def quiet(backend: Upstream, clock: ManualClock) -> AsyncIterator[Gateway]:
    """A gateway that polls on its own only after an hour."""
    async with in_front_of(backend.url, clock, interval_seconds=3600.0) as one:
        yield one


class AsItCame(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


async def ask(one: Gateway, method: str = "GET", **fields: str) -> AsItCame:
    """An answer whose coding nobody takes off."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    async with one.client.request(method, one.url + PATH, headers=headers, auto_decompress=False) as got:
        return AsItCame(got.status, got.headers, await got.read())


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["short", "long"])
@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', None])
async def test_each_caller_gets_the_coding_that_it_takes(
    backend: Upstream, quiet: Gateway, body: bytes, etag: str | None
) -> None:
    packed = gzip.compress(body)
    backend.says(packed, Content_Encoding="gzip", Vary="Accept-Encoding", **({"ETag": etag} if etag else {}))

    coded, plain = (
        await ask(quiet, Accept_Encoding="gzip, br"),
        await ask(quiet, Accept_Encoding="identity"),
    )
    head = await ask(quiet, "HEAD", Accept_Encoding="gzip")

    assert (coded.status, coded.body, coded.headers["Content-Encoding"]) == (200, packed, "gzip")
    assert (plain.status, plain.body, "Content-Encoding" in plain.headers) == (200, body, False)
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(packed)))
    tags = {coded.headers["ETag"], plain.headers["ETag"]}
    assert len(tags) == 2
    assert not any(tag.startswith("W/") for tag in tags)
    assert head.headers["ETag"] == coded.headers["ETag"]
    assert ('"v1"' in tags) is (etag == '"v1"')
    for got in (coded, plain, head):
        assert got.headers["Vary"] == "Accept-Encoding"
        assert got.headers["Sync-Cursor"] == coded.headers["Sync-Cursor"]
    for accepted in ("gzip", "identity"):
        for tag in tags:
            same = await ask(quiet, Accept_Encoding=accepted, If_None_Match=tag)
            assert (same.status, same.headers["ETag"], same.body) == (304, tag, b"")
    assert len(backend.asked) == 1


async def test_a_date_from_before_gives_304_without_a_cursor(backend: Upstream, quiet: Gateway) -> None:
    backend.says(SMALL, ETag='"v1"', Last_Modified=MODIFIED)
    full = await ask(quiet)
    same = await ask(quiet, If_Modified_Since=MODIFIED)
    older = await ask(quiet, If_Modified_Since="Sun, 06 Nov 1994 08:49:36 GMT")
    other = await ask(quiet, If_Modified_Since=MODIFIED, If_None_Match='"v0"')

    assert "Last-Modified" not in full.headers
    assert (same.status, same.body) == (304, b"")
    assert "Sync-Cursor" not in same.headers
    assert (
        same.headers["Link"]
        == '</api/v1/sync/events?entity=order>; rel="alternate"; type="text/event-stream"'
    )
    assert [got.status for got in (older, other)] == [200, 200]
    assert older.headers["Sync-Cursor"] == full.headers["Sync-Cursor"]


async def test_the_upstreams_links_are_kept(backend: Upstream, quiet: Gateway) -> None:
    backend.says(SMALL, ETag='"v1"', Link="</orders?page=2>; rel=next")
    full = await ask(quiet)
    same = await ask(quiet, If_None_Match='"v1"')

    for got in (full, same):
        ours, theirs = got.headers.getall("Link")
        assert "/api/v1/sync/events?entity=order&lastEventId=" in ours
        assert theirs == "</orders?page=2>; rel=next"
