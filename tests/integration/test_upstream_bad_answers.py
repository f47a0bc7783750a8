"""Upstreams that misbehave: counted, logged, and the last good snapshot kept."""

import gzip
import json
import logging
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.ports.clock import SystemClock
from gateway.ports.upstreams import HeldBack
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import Gateway, Upstream, in_front_of, raw_upstream

pytestmark = pytest.mark.usefixtures("way_in")

GOOD = listed(order("A"))
LIMIT = 4000


@pytest.fixture
async def one(backend: Upstream) -> AsyncIterator[Gateway]:
    async with in_front_of(backend.url, ManualClock(), interval_seconds=3600.0, max_body_bytes=LIMIT) as made:
        yield made


async def refreshed(one: Gateway) -> Any:
    poller = one.source.poller(one.route)
    assert poller is not None
    poller.written()
    return await one.get()


async def goes_through(one: Gateway) -> None:
    """Polls; a caller would be taken through to what can't be handed out from here."""
    poller = one.source.poller(one.route)
    assert poller is not None
    with pytest.raises(HeldBack):
        await poller.answer()


BAD_ANSWERS = {
    "status": (b"Internal Server Error", {"status": 500}),
    "status of a redirect": (b"", {"status": 302, "Location": "/login"}),
    "status without content": (b"", {"status": 204}),
    "status of a 304 that is none": (b"", {"status": 304}),
    "not_json as HTML": (b"<!doctype html><title>Log in</title>", {"Content_Type": "text/html"}),
    "not_json by half": (GOOD[:-5], {}),
    "not_json at all": (b"", {}),
    "no_list": (b'{"error":"later"}', {}),
    "not_an_object": (listed("A"), {}),
    "no_key": (listed({"id": "A"}), {}),
    "bad_key": (listed(order({})), {}),
    "duplicate_key": (listed(order("A"), order("A")), {}),
    "too_large": (listed(order("A", x="x" * LIMIT)), {}),
    "too_large unpacked": (
        gzip.compress(listed(order("A", x="x" * 100 * LIMIT))),
        {"Content_Encoding": "gzip"},
    ),
    "encoding that is unknown": (GOOD, {"Content_Encoding": "br"}),
    "encoding that is another": (GOOD, {"Content_Encoding": "gzip"}),
    "encoding cut off": (gzip.compress(GOOD)[:-4], {"Content_Encoding": "gzip"}),
    "encoding with a tail": (gzip.compress(GOOD) + b"tail", {"Content_Encoding": "gzip"}),
}
PASSED_ON = {"status", "status of a redirect", "status without content"}
"""Those that callers get where there is nothing else (test_upstream_word.py)."""
SERVED = {name for name in BAD_ANSWERS if name.startswith(("not_", "no_", "bad_key", "duplicate_key"))}
"""Those that callers get in any case: the upstream's last word, with which nothing can be compared."""


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_a_bad_answer_is_counted_by_kind_and_the_last_good_one_kept(
    backend: Upstream, one: Gateway, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    kind = name.split()[0]
    body, headers = BAD_ANSWERS[name]
    backend.says(GOOD)
    await one.get()
    backend.says(body, **headers)

    with caplog.at_level(logging.WARNING):
        got = await refreshed(one)

    is_served = name in SERVED
    assert (got.status, got.body) == (200, body if is_served else GOOD)
    assert got.cache_status == (
        "tidegate; fwd=stale; detail=unusable" if is_served else "tidegate; hit; fwd=stale"
    )
    assert one.source.counters[PATH].bad_answers == {kind: 1}
    (record,) = [record for record in caplog.records if record.getMessage() == "upstream_failed"]
    assert record.__dict__["fields"]["kind"] == kind
    assert await one.events() == []


@pytest.mark.parametrize("name", sorted(BAD_ANSWERS.keys() - PASSED_ON - SERVED))
async def test_without_a_good_answer_callers_ask_themselves_for_what_can_not_be_handed_out(
    backend: Upstream, one: Gateway, name: str
) -> None:
    body, headers = BAD_ANSWERS[name]
    backend.says(body, **headers)

    async with one.client.get(one.url + PATH, auto_decompress=False) as got:
        assert (got.status, await got.read()) == (headers.get("status", 200), body)
        assert got.headers["Cache-Status"] == "tidegate; fwd=miss"
        assert got.headers["Fetch-Mode"] == "streaming"
    again = await one.request("HEAD", PATH)

    assert again.status == headers.get("status", 200)
    assert one.source.counters[PATH].bad_answers == {name.split()[0]: 1}


@pytest.mark.parametrize("name", sorted(SERVED))
async def test_without_a_good_answer_one_that_can_not_be_compared_is_served(
    backend: Upstream, one: Gateway, name: str
) -> None:
    body, headers = BAD_ANSWERS[name]
    backend.says(body, **headers)

    got = await one.get()

    assert (got.status, got.body) == (200, body)
    assert got.cache_status == "tidegate; fwd=stale; detail=unusable"


async def test_after_a_bad_answer_changes_are_those_since_the_last_good_one(
    backend: Upstream, one: Gateway
) -> None:
    backend.says(GOOD)
    await one.get()
    backend.says(b"<html>")
    await refreshed(one)
    backend.says(listed(order("A"), order("B")))

    await refreshed(one)

    assert [(event.event_type, event.entity_id) for event in await one.events()] == [("order_created", "B")]


async def test_a_body_of_exactly_the_limit_is_taken(backend: Upstream, one: Gateway) -> None:
    body = listed(order("A", x=""))
    full = listed(order("A", x="x" * (LIMIT - len(body))))
    backend.says(full)

    assert (await one.get()).body == full


@pytest.mark.parametrize("coding", ["gzip", "X-GZIP"])
async def test_an_answer_that_is_packed_has_its_tag_and_is_unpacked_for_others_under_another(
    backend: Upstream, one: Gateway, coding: str
) -> None:
    backend.says(gzip.compress(GOOD), Content_Encoding=coding, ETag='"of-the-packed-bytes"')

    packed, plain = await one.get(), await one.get(**{"Accept-Encoding": "identity"})

    assert backend.asked[0].headers["Accept-Encoding"] == "gzip"
    assert packed.body == plain.body == GOOD
    assert (packed.headers["Content-Encoding"], packed.headers["ETag"]) == ("gzip", '"of-the-packed-bytes"')
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["ETag"] != '"of-the-packed-bytes"'


async def test_a_bomb_is_not_unpacked_beyond_the_limit(backend: Upstream, one: Gateway) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(3)) + packer.flush()
    assert len(bomb) <= LIMIT
    backend.says(bomb, Content_Encoding="gzip")

    await goes_through(one)
    assert one.source.counters[PATH].bad_answers == {"too_large": 1}


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"", "reset", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", "reset", id="half a head"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "not_http", id="not HTTP"),
        pytest.param(HEAD + b"Content-Length: 500\r\n\r\n" + GOOD, "cut_off", id="half a body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{'do", "cut_off", id="half a chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{'do", "not_http", id="a broken chunk"),
        pytest.param(HEAD + b"Content-Length: many\r\n\r\n" + GOOD, "not_http", id="a broken length"),
    ],
)
async def test_a_connection_that_breaks_off_is_a_failure(answer: bytes, kind: str) -> None:
    async with (
        raw_upstream(answer) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0) as one,
    ):
        got = await one.get()

        assert got.status == 502
        assert one.source.counters[PATH].failures == {kind: 1}


OVER_LIMIT = {
    "a field": b"X: " + b"x" * 100_000 + b"\r\n",
    "fields in number": b"X: x\r\n" * 257,
    "fields in all": (b"X: " + b"x" * 8000 + b"\r\n") * 5,
}


@pytest.mark.parametrize("name", OVER_LIMIT)
async def test_a_head_over_the_limits_is_a_bad_answer(name: str) -> None:
    answer = HEAD + OVER_LIMIT[name] + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    async with (
        raw_upstream(answer) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0) as one,
    ):
        polled, forwarded = await one.get(), await one.request("GET", PATH + "/A")

        assert (polled.status, forwarded.status) == (502, 502)
        assert "header fields" in json.loads(polled.body)["detail"]
        assert json.loads(forwarded.body)["detail"] == json.loads(polled.body)["detail"]
        assert one.source.counters[PATH].bad_answers == {"head_too_large": 1}
        assert one.source.counters[PATH].failures == {}


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity, chunked"])
async def test_an_answer_in_another_transfer_coding_than_chunks_is_a_bad_one(coding: bytes) -> None:
    packed = gzip.compress(GOOD)
    answer = HEAD + b"Transfer-Encoding: %b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (coding, len(packed), packed)
    async with (
        raw_upstream(answer) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0) as one,
    ):
        assert [(await one.request("GET", path)).status for path in (PATH, PATH + "/A")] == [502, 502]
        assert one.source.counters[PATH].bad_answers == {"encoding": 1}


@pytest.mark.parametrize("fields", [b"X: " + b"x" * 30_000 + b"\r\n", b"X: x\r\n" * 250])
async def test_a_head_within_the_limits_is_passed_on(fields: bytes) -> None:
    answer = HEAD + fields + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    async with (
        raw_upstream(answer) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0) as one,
        aiohttp.ClientSession(max_field_size=100_000, max_headers=1000) as client,
    ):
        for target in (PATH, PATH + "/A"):
            async with client.get(one.url + target) as got:
                assert got.status == 200
                assert len(got.headers.getall("X")) == fields.count(b"X: ")


@pytest.mark.parametrize("parts", [[GOOD[:9], GOOD[9:]], [GOOD, b""], [b"", *(bytes([b]) for b in GOOD)]])
async def test_a_body_in_several_members_of_gzip_is_one(
    backend: Upstream, one: Gateway, parts: list[bytes]
) -> None:
    backend.says(b"".join(gzip.compress(part) for part in parts), Content_Encoding="gzip")

    assert (await one.get()).body == GOOD


async def test_an_answer_without_a_length_is_read_to_its_end() -> None:
    answer = HEAD + b"Connection: close\r\n\r\n" + GOOD
    async with (
        raw_upstream(answer) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0) as one,
    ):
        assert (await one.get()).body == GOOD


async def test_an_endless_answer_without_a_length_is_left_at_the_limit() -> None:
    answer = HEAD + b"Connection: close\r\n\r\n" + b"[" * 2_000_000
    async with (
        raw_upstream(answer) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0, max_body_bytes=LIMIT) as one,
    ):
        await goes_through(one)
        assert one.source.counters[PATH].bad_answers == {"too_large": 1}


async def test_an_answer_that_never_ends_is_left_at_the_limit(backend: Upstream, one: Gateway) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"[" * 10_000)

    backend.answering = endless

    await goes_through(one)
    assert one.source.counters[PATH].bad_answers == {"too_large": 1}


async def test_an_upstream_that_nobody_listens_at_is_a_failure(refusing: str) -> None:
    async with in_front_of(refusing, ManualClock(), interval_seconds=3600.0) as one:
        got = await one.get()

        assert got.status == 502
        assert one.source.counters[PATH].failures == {"refused": 1}
        assert one.source.health()[0].state == "down"


@pytest.mark.parametrize("sent", [b"", HEAD + b"Content-Length: 500\r\n\r\n" + GOOD])
async def test_an_upstream_that_falls_silent_is_a_timeout(sent: bytes) -> None:
    async with (
        raw_upstream(sent, silent=True) as (url, _),
        in_front_of(url, ManualClock(), interval_seconds=3600.0, timeout_seconds=0.2) as one,
    ):
        got = await one.get()

        assert got.status == 504
        assert json.loads(got.body)["detail"] == "The upstream did not answer within 0.2 s."
        assert one.source.counters[PATH].failures == {"timeout": 1}


async def test_failures_are_backed_off_and_the_upstream_is_seen_when_it_is_back(backend: Upstream) -> None:
    backend.says(b"oops", status=500)
    async with in_front_of(
        backend.url, SystemClock(), wanted=lambda entity: True, interval_seconds=0.01
    ) as one:
        await backend.was_asked(4)
        backend.says(GOOD)
        await backend.asked_again()
        got = await one.get()

    assert got.body == GOOD
