"""The load test's users against a gateway, and against servers that do wrong: both must show in the table."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import web

from tests.support.admin import FLAGS, Operator, operator
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order
from tests.support.swarm import swarm
from tests.support.upstream import raw_upstream, upstream

TICKETS = f"{FLAGS}/tickets"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
SYNCED = ("SYNC delivery", "SYNC delivery (polled)", "SYNC catch-up")
SAID_AT, SAID_LATER = "2026-11-20T10:30:00.123Z", "2026-11-20T10:30:01.456Z"


def frame(event: str, data: dict[str, Any], cursor: str = "") -> bytes:
    line = f"id: {cursor}\n" if cursor else ""
    return f"event: {event}\n{line}data: {orjson.dumps(data).decode()}\n\n".encode()


def connected() -> bytes:
    return frame("connected", {"heartbeatSeconds": 15, "modes": {}}, "e.0-0")


def note(number: int) -> bytes:
    data = {"eventType": "note_updated", "timestamp": SAID_AT, "data": {"lane": "a", "number": number}}
    return frame("note_updated", data, f"e.{number}-0")


def bye(*, reconnect: bool) -> bytes:
    return frame("bye", {"reason": "drain", "reconnect": reconnect, "retryMs": 1})


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


async def test_stream_users_get_everything_through_a_cut(gateway: GatewayThread) -> None:
    async with swarm(gateway.port, "StreamUser=3", "Publisher=1", "Publisher.interval_seconds=0.02") as users:
        await users.until(lambda table: table["SSE first event"] == 3)
        await users.say("publish")
        await users.until(lambda table: table["SSE delivery"] >= 30)
        await users.say("cut")
        cut = await users.until(lambda table: table["SSE reconnect"] == 3)
        await users.until(lambda table: table["SSE delivery"] >= cut["SSE delivery"] + 30)
        await users.say("quiet")
        await users.until(
            lambda table: table["SSE delivery"] + table["SSE catch-up"] == 3 * table["POST publish"]
        )
        table, last = await users.end()

    assert table["SSE cut"] == 3
    assert table["SSE catch-up"] > 0
    assert last["errors"] == {}
    figures = last["figures"]
    assert [figures[name] for name in ("gaps", "duplicates", "reordered", "owed", "resets")] == [0] * 5
    assert figures["lag_p99_ms"] is not None


async def test_a_stream_user_counts_what_a_server_does_wrong() -> None:
    first = STREAM_HEAD + connected() + note(1) + note(2) + bye(reconnect=True)
    reset = frame("reset", {"reason": "trimmed", "cursor": "e.40-0", "jitterMs": 0}, "e.40-0")
    second = STREAM_HEAD + connected() + note(4) + note(4) + note(3) + reset + note(50) + bye(reconnect=False)
    async with raw_upstream(first, second) as (url, heads), swarm(port_of(url), "StreamUser=1") as users:
        await users.until(lambda table: table["SSE bye (drain)"] == 2)
        table, last = await users.end()

    assert (table["SSE gap"], table["SSE duplicate"], table["SSE reordered"]) == (1, 1, 1)
    assert table.failures().keys() == {"SSE gap", "SSE duplicate", "SSE reordered"}
    assert table["SSE reset (trimmed)"] == 1
    assert last["figures"]["resets"] == 1
    assert len(heads) == 2
    assert b"last-event-id" not in heads[0].lower()
    assert b"Last-Event-ID: e.2-0\r\n" in heads[1]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "answered 503 instead of an event stream"),
        (
            STREAM_HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
            + b"ff\r\n"
            + connected(),
            "the stream broke off: IncompleteRead",
        ),
        (STREAM_HEAD + connected(), "the stream ended without a bye"),
    ],
    ids=["refused", "broken off", "ended in silence"],
)
async def test_a_stream_that_is_refused_or_ends_unannounced_is_a_failure(answer: bytes, failure: str) -> None:
    async with raw_upstream(answer) as (url, _), swarm(port_of(url), "StreamUser=1") as users:
        await users.until(lambda table: "SSE stream" in table.failures())
        _, last = await users.end()

    assert [error for error in last["errors"] if failure in error]


async def test_events_that_a_stream_user_never_had_are_owed(
    start_gateway: Callable[..., GatewayThread],
) -> None:
    gateway = start_gateway(make_settings(stream={"retry_ms": 600_000}))
    async with swarm(gateway.port, "StreamUser=1", "Publisher=1", "Publisher.interval_seconds=0.02") as users:
        await users.until(lambda table: table["SSE first event"] == 1)
        await users.say("publish")
        await users.until(lambda table: table["SSE delivery"] >= 3)
        # It is to come back in ten minutes, and is stopped before that.
        await users.say("cut")
        cut = await users.until(lambda table: table["SSE cut"] == 1)
        await users.until(lambda table: table["POST publish"] > cut["POST publish"] + 3)
        table, last = await users.end()

    assert table["SSE reconnect"] == 0
    assert last["figures"]["owed"] > 0
    assert "SSE owed" in table.failures()


async def test_a_stream_that_stays_empty_owes_all_that_was_published_since_it_began() -> None:
    async def mute(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.Response(status=201)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(connected())
        await asyncio.Event().wait()  # until the client goes, which cancels this
        return stream

    async with upstream() as backend:
        backend.answering = mute
        users_of = swarm(
            port_of(backend.url), "StreamUser=1", "Publisher=1", "Publisher.interval_seconds=0.02"
        )
        async with users_of as users:
            await users.until(lambda table: table["SSE first event"] == 1)
            await users.say("publish")
            await users.until(lambda table: table["POST publish"] >= 3)
            table, last = await users.end()

    assert "SSE owed" in table.failures()
    assert last["figures"]["owed"] >= 3


async def test_a_legacy_poller_is_told_when_nothing_changed_and_times_what_did(
    start_gateway: Callable[..., GatewayThread],
) -> None:
    async with upstream() as backend:
        backend.says(listed(order("A", updatedAt=SAID_AT)), ETag='"v1"')
        route = {"component": "orders", "path": PATH, "upstream": backend.url, "entity": "order"}
        route |= {"items": "/docs", "key": "orderID", "interval_seconds": 0.05, "shared": True}
        gateway = start_gateway(make_settings(legacy=[route]))
        async with swarm(gateway.port, "LegacyPoller=2", "LegacyPoller.interval_seconds=0.05") as users:
            await users.until(lambda table: table[f"GET {PATH} 304"] >= 4)
            backend.says(listed(order("A", updatedAt=SAID_AT, orderStage="paid")), ETag='"v2"')
            await users.until(lambda table: table[f"GET {PATH} 200"] == 4)
            backend.says(listed(order("A", updatedAt=SAID_LATER)), ETag='"v3"')
            await users.until(lambda table: table["POLL staleness"] == 2)
            table, last = await users.end()

    assert table[f"GET {PATH} 200"] == 6
    assert last["errors"] == {}
    assert last["figures"]["deliveries"] is None


async def test_a_legacy_poller_counts_answers_that_are_none(gateway: GatewayThread) -> None:
    async with swarm(gateway.port, "LegacyPoller=1", "LegacyPoller.interval_seconds=0.05") as users:
        await users.until(lambda table: table[f"GET {PATH} 404"] >= 2)
        table, _ = await users.end()

    assert table.failures().keys() == {f"GET {PATH} 404"}


async def test_a_legacy_poller_counts_answers_without_a_cursor() -> None:
    async with upstream() as backend:
        backend.says(listed(), ETag='"v1"')
        async with swarm(port_of(backend.url), "LegacyPoller=1") as users:
            await users.until(lambda table: f"GET {PATH} 200" in table.failures())
            _, last = await users.end()

    assert [error for error in last["errors"] if "without ETag or Sync-Cursor" in error]


async def test_a_publisher_sends_again_what_was_not_answered() -> None:
    async def refuse_once(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503 if len(backend.asked) == 1 else 201)

    async with upstream() as backend:
        backend.answering = refuse_once
        users_of = swarm(port_of(backend.url), "Publisher=1", "Publisher.interval_seconds=0.02")
        async with users_of as users:
            await users.say("publish")
            await backend.was_asked(3)
            table, _ = await users.end()

    first, again, second = backend.asked[:3]
    assert table.failures() == {"POST publish": 1}
    assert (again.body, again.headers["Idempotency-Key"]) == (first.body, first.headers["Idempotency-Key"])
    assert second.headers["Idempotency-Key"] != first.headers["Idempotency-Key"]
    numbers = [[event["data"]["number"] for event in orjson.loads(asked.body)] for asked in (first, second)]
    assert numbers == [[0, 0], [1, 1]]


@pytest.fixture
def tickets(start_gateway: Callable[..., GatewayThread], tmp_path: Path) -> GatewayThread:
    """A gateway with component `tickets`, which owns tickets, and no flag yet."""
    return start_gateway(
        make_settings(
            flags={"store": f"file:{tmp_path / 'flags.json'}"},
            components={"tickets": {"entities": ["ticket"]}},
        )
    )


async def to_percentage(admin: Operator, percentage: int) -> None:
    response = await admin.patch(TICKETS, percentage=percentage)
    assert response.status_code == 200, response.text


async def test_migrating_users_follow_the_flag_both_ways_and_miss_nothing(tickets: GatewayThread) -> None:
    users_of = swarm(tickets.port, "MigratingUser=3", "Publisher=1", "Publisher.interval_seconds=0.02")
    async with operator(tickets.port) as admin, users_of as users:
        await admin.make(TICKETS, stage="live", percentage=0, pollIntervalMs=200)
        # From here on each has a position, and owes everything after it.
        await users.until(lambda table: table["GET poll 200"] == 3)
        await users.say("publish")
        await users.until(lambda table: table["SYNC delivery (polled)"] >= 30)
        for there_and_back in (1, 2):
            count = 3 * there_and_back
            await to_percentage(admin, 100)
            await users.until(lambda table, count=count: table["SYNC to streaming"] == count)
            streamed = 30 * there_and_back
            await users.until(lambda table, streamed=streamed: table["SYNC delivery"] >= streamed)
            await to_percentage(admin, 0)
            await users.until(lambda table, count=count: table["SYNC to polling"] == count)
        await users.say("quiet")
        await users.until(lambda table: sum(table[row] for row in SYNCED) == 3 * table["POST publish"])
        table, last = await users.end()

    assert table["SYNC bye (disconnected)"] == 6
    assert last["errors"] == {}
    figures = last["figures"]
    assert [figures[name] for name in ("gaps", "duplicates", "reordered", "owed", "resets")] == [0] * 5


async def test_migrating_users_find_the_stream_where_polling_is_over(tickets: GatewayThread) -> None:
    async with operator(tickets.port) as admin:
        await admin.make(TICKETS, stage="complete")
        async with swarm(tickets.port, "MigratingUser=2", "Publisher=1") as users:
            await users.until(lambda table: table["SYNC to streaming"] == 2)
            await users.say("publish")
            await users.until(lambda table: table["SYNC delivery"] >= 4)
            await users.say("quiet")
            await users.until(lambda table: table["SYNC delivery"] == 2 * table["POST publish"])
            table, last = await users.end()

    assert table["GET poll 410"] == 2
    assert last["errors"] == {}


async def test_a_migrating_user_whose_stream_is_cut_comes_back_by_polling_where_the_flag_says_so(
    tickets: GatewayThread,
) -> None:
    async with operator(tickets.port) as admin:
        await admin.make(TICKETS, stage="live", percentage=100, pollIntervalMs=200)
        async with swarm(tickets.port, "MigratingUser=1") as users:
            await users.until(lambda table: table["SYNC to streaming"] == 1)
            await users.say("cut")
            await users.until(lambda table: table["SYNC cut"] == 1)
            await to_percentage(admin, 0)
            await users.until(lambda table: table["SYNC to polling"] == 1)
            table, last = await users.end()

    assert table["SYNC bye (disconnected)"] == 0
    assert last["errors"] == {}
