"""A flag change reaches the streams that are open, and nobody loses an event over it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.support.api import EVENTS, Client, Stream, assert_problem, event, eventually, numbers
from tests.support.flags import edit, write_flags
from tests.support.gateway import GatewayThread
from tests.support.http import DEADLINE_SECONDS, Connection
from tests.support.legacy import PATH
from tests.support.loop import let_others_run
from tests.support.migration import ORDERS, Migration, a_migration

PREFERENCE = "/api/v1/sync/preference"
POLL_INTERVAL_MS = 400


@pytest.fixture
async def migration(start_gateway: Callable[..., GatewayThread], tmp_path: Path) -> AsyncIterator[Migration]:
    async with a_migration(start_gateway, tmp_path) as one:
        await one.change(stage="live", percentage=100, pollIntervalMs=POLL_INTERVAL_MS)
        yield one


async def test_a_stream_with_nothing_left_is_told_and_ended(migration: Migration) -> None:
    async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
        connected = await stream.connected()
        ids = await migration.client.publish(event(1))
        assert numbers(await stream.take(1)) == [1]
        await migration.change(stage="shadow")
        told = await stream.until("fetch-mode")
        bye = await stream.until("bye")
        with pytest.raises(EOFError):
            await stream.next()

    assert connected.data["modes"] == {"orders": "streaming"}
    assert told.id is None
    assert told.data.keys() == {"component", "mode", "reason", "delayMs", "cursor", "pollUrl"}
    assert (told.data["component"], told.data["mode"], told.data["reason"]) == (
        "orders",
        "polling",
        "DEFAULT",
    )
    assert told.data["cursor"] == ids[0]
    assert 0 <= told.data["delayMs"] <= POLL_INTERVAL_MS
    assert (bye.data["reason"], bye.data["reconnect"]) == ("disconnected", False)
    polled = await migration.client.request("GET", told.data["pollUrl"])
    assert (polled.status, polled.json["events"], polled.json["cursor"]) == (200, [], ids[0])


async def test_a_stream_that_has_something_left_lives_on_without_what_it_lost(migration: Migration) -> None:
    async with migration.client.stream({"clientId": "c"}) as stream:
        await stream.connected()
        await migration.change(stage="shadow")
        told = await stream.until("fetch-mode")
        await migration.client.publish(event(1), event(2, entityType="invoice"))
        assert numbers(await stream.take(1)) == [2]
        polled = await migration.client.request("GET", told.data["pollUrl"])
        assert numbers(polled.json["events"]) == [1]
        await migration.change(stage="live", percentage=100)
        back = await stream.until("fetch-mode")
        await migration.client.publish(event(3), event(4, entityType="invoice"))
        assert numbers(await stream.take(2)) == [3, 4]

    assert (back.data["component"], back.data["mode"], back.data["reason"]) == (
        "orders",
        "streaming",
        "SPLIT",
    )


async def test_a_change_that_concerns_nobody_here_says_nothing(migration: Migration) -> None:
    async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
        await stream.connected()
        await migration.change(checkRatio=7)
        await migration.change("billing", stage="shadow")
        await migration.client.publish(event(1))
        frame = await stream.next()

    assert frame.event == "stage_change"


async def test_the_latest_of_a_cohort_leave_it_first(migration: Migration) -> None:
    await migration.change(percentage=50)
    stay: dict[str, bool] = {}
    await migration.change(percentage=100)
    async with contextlib.AsyncExitStack() as stack:
        streams: dict[str, Stream] = {}
        for name in (f"c{n}" for n in range(20)):
            query = [*ORDERS, ("clientId", name)]
            streams[name] = await stack.enter_async_context(migration.client.stream(query))
            await streams[name].connected()
        await migration.change(percentage=50)
        for name in streams:
            stay[name] = (await migration.fetch_mode(clientId=name))["mode"] == "streaming"
        await migration.client.publish(event(1))
        for name, stream in streams.items():
            first = await stream.next()
            assert first.event == ("stage_change" if stay[name] else "fetch-mode")

    assert set(stay.values()) == {True, False}


@pytest.mark.parametrize("everything", [False, True], ids=["component", "everything"])
async def test_a_kill_switch_ends_every_stream_of_what_it_kills(
    migration: Migration, everything: bool
) -> None:
    async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
        await stream.connected()
        if everything:
            await migration.kill_all(True)
        else:
            await migration.change(killed=True)
        told = await stream.until("fetch-mode")
        assert (told.data["mode"], told.data["reason"]) == ("polling", "DISABLED")
        assert (await stream.until("bye")).data["reconnect"] is False


async def test_a_flags_file_that_is_edited_by_hand_reaches_open_streams(migration: Migration) -> None:
    async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
        await stream.connected()
        edit(migration.path, '"stage": "live"', '"stage": "shadow"')
        assert (await stream.until("fetch-mode")).data["mode"] == "polling"
        await stream.until("bye")


async def test_a_broken_flags_file_changes_nothing_but_the_reason(migration: Migration) -> None:
    async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
        await stream.connected()
        migration.path.write_bytes(b'{"version": 1, "flags": {')

        async def is_stale() -> bool:
            return bool((await migration.fetch_mode(clientId="c"))["reason"] == "STALE")

        await eventually(is_stale, "the flags are stale")
        assert (await migration.fetch_mode(clientId="c"))["mode"] == "streaming"
        await migration.client.publish(event(1))
        assert (await stream.next()).event == "stage_change"


async def test_a_deployments_flags_file_that_appears_later_is_taken_up(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    async with a_migration(start_gateway, tmp_path) as migration, migration.client.stream(ORDERS) as stream:
        await stream.connected()
        write_flags(migration.path, {"orders": {"stage": "off"}})
        assert (await stream.until("fetch-mode")).data["mode"] == "polling"
        await stream.until("bye")


async def test_a_callers_own_choice_is_kept_and_reaches_its_stream(migration: Migration) -> None:
    who = {"clientId": "c"}
    async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
        await stream.connected()
        put = await _prefer(migration.client, who, {"delivery": "polling"})
        assert (await stream.until("fetch-mode")).data["mode"] == "polling"
        await stream.until("bye")

    assert (put.status, put.json) == (200, {"delivery": "polling"})
    assert (await migration.client.get(PREFERENCE, who)).json == {"delivery": "polling"}
    assert (await migration.client.get(PREFERENCE, {"clientId": "d"})).json == {"delivery": "auto"}
    answer = await migration.fetch_mode(**who)
    assert (answer["mode"], answer["reason"], answer["cause"]) == (
        "polling",
        "TARGETING_MATCH",
        "user_opt_out",
    )
    await migration.change(stage="rampdown")
    assert (await migration.fetch_mode(**who))["mode"] == "streaming"


async def test_a_caller_outside_the_cohort_may_opt_in_from_live_on(migration: Migration) -> None:
    who = {"clientId": "c"}
    await migration.change(percentage=0)
    assert (await migration.fetch_mode(**who))["mode"] == "polling"

    await _prefer(migration.client, who, {"delivery": "streaming"})

    answer = await migration.fetch_mode(**who)
    assert (answer["mode"], answer["cause"]) == ("streaming", "user_opt_in")
    await migration.change(stage="shadow")
    assert (await migration.fetch_mode(**who))["mode"] == "polling"


async def test_a_choice_outlives_the_gateway(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    async with a_migration(start_gateway, tmp_path) as first:
        await _prefer(first.client, {"clientId": "c"}, {"delivery": "polling"})
        first.gateway.stop()
    async with a_migration(start_gateway, tmp_path) as second:
        answer = await second.client.get(PREFERENCE, {"clientId": "c"})

    assert answer.json == {"delivery": "polling"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"delivery": "pigeon"}, 422),
        ({}, 422),
        ([], 422),
        ({"delivery": "auto", "more": 1}, 422),
        ({"delivery": True}, 422),
    ],
)
async def test_a_choice_that_is_none_is_refused(migration: Migration, body: Any, status: int) -> None:
    assert_problem(await _prefer(migration.client, {"clientId": "c"}, body), status)


async def test_a_caller_without_a_name_has_nothing_to_keep_a_choice_under(migration: Migration) -> None:
    assert_problem(await _prefer(migration.client, {}, {"delivery": "polling"}), 400)
    assert (await migration.client.get(PREFERENCE)).json == {"delivery": "auto"}


async def _prefer(client: Client, who: dict[str, str], body: Any) -> Any:
    return await client.request(
        "PUT", PREFERENCE, who, headers=[("Content-Type", "application/json")], body=orjson.dumps(body)
    )


async def test_every_event_is_seen_once_from_poll_to_stream_to_poll_to_stream(migration: Migration) -> None:
    await migration.change(stage="shadow")
    cursor = await migration.client.now()
    seen: list[int] = []
    stop = asyncio.Event()
    published = asyncio.create_task(_publish_until(migration.client, stop))
    try:
        for _ in range(2):
            cursor = await _poll_until_told(migration, cursor, seen)
            cursor = await _stream_until_told(migration, cursor, seen)
    finally:
        stop.set()
    count = await published
    while len(seen) < count:
        answer = await migration.client.poll(component="orders", clientId="c", cursor=cursor)
        assert answer["events"]
        seen += numbers(answer["events"])
        cursor = answer["cursor"]

    assert seen == list(range(count))


async def _publish_until(client: Client, stop: asyncio.Event) -> int:
    count = 0
    while not stop.is_set():
        await client.publish(event(count), event(count + 1))
        count += 2
    return count


async def _poll_until_told(migration: Migration, cursor: str, seen: list[int]) -> str:
    """Polls until the answers say to stream, which a flag change makes them say; gives the last cursor."""
    polls = 0
    while True:
        answer = await migration.client.poll(component="orders", clientId="c", cursor=cursor)
        seen += numbers(answer["events"])
        cursor = answer["cursor"]
        if answer["fetchMode"] == "streaming":
            return cursor
        polls += 1
        if polls == 5:
            await migration.change(stage="live", percentage=100)


async def _stream_until_told(migration: Migration, cursor: str, seen: list[int]) -> str:
    """Streams until it is told to poll, by a flag change of its own; gives the cursor that it was told."""
    query = [*ORDERS, ("clientId", "c"), ("lastEventId", cursor)]
    async with migration.client.stream(query) as stream:
        assert (await stream.connected()).data["recovered"] is True
        change: asyncio.Task[None] | None = None
        got = 0
        while True:
            frame = await stream.next()
            if frame.event == "stage_change":
                seen.append(frame.data["data"]["n"])
                got += 1
            if got >= 10 and change is None:
                change = asyncio.create_task(migration.change(stage="shadow"))
            if frame.event == "fetch-mode":
                assert change is not None
                await change
                assert (await stream.rest())[-1].event == "bye"
                cursor = frame.data["cursor"]
                assert isinstance(cursor, str)
                return cursor


async def test_after_2000_streams_fell_back_the_upstream_is_asked_no_more_than_before(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    async with a_migration(start_gateway, tmp_path, interval_seconds=3600.0) as migration:
        await migration.change(stage="live", percentage=100, pollIntervalMs=POLL_INTERVAL_MS)
        etag = (await migration.client.get(PATH)).headers["ETag"]
        asked = len(migration.backend.asked)
        streams = await _open_many(migration.client.port, 2000)
        try:
            await migration.change(stage="shadow")
            delays = [(await stream.until("fetch-mode")).data["delayMs"] for stream in streams]
        finally:
            for stream in streams:
                await stream.connection.close()
        statuses = await _poll_all(migration.client.port, len(streams), etag)

        assert statuses == {304}
        assert len(migration.backend.asked) == asked
        assert all(0 <= delay <= POLL_INTERVAL_MS for delay in delays)
        in_quarters = [
            sum(delay * 4 // (POLL_INTERVAL_MS + 1) == part for delay in delays) for part in range(4)
        ]
        assert min(in_quarters) > len(delays) / 8


async def _open_many(port: int, count: int) -> list[Stream]:
    async def one(number: int) -> Stream:
        connection = await Connection.open(port)
        await connection.request("GET", f"{EVENTS}?component=orders&clientId=c{number}")
        status, headers = await connection.head()
        assert status == 200
        stream = Stream(connection, headers)
        await stream.connected()
        return stream

    streams: list[Stream] = []
    for start in range(0, count, 100):
        streams += await asyncio.gather(*(one(number) for number in range(start, start + 100)))
    return streams


async def _poll_all(port: int, count: int, etag: str) -> set[int]:
    """As so many clients that come back would: each asks the legacy path once, with what it has."""
    connections = [await Connection.open(port) for _ in range(20)]

    async def ask(connection: Connection, times: int) -> set[int]:
        statuses = set()
        for _ in range(times):
            await connection.request("GET", PATH, headers=[("If-None-Match", etag)])
            statuses.add((await connection.response()).status)
        return statuses

    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            asked = await asyncio.gather(*(ask(connection, count // 20) for connection in connections))
    finally:
        for connection in connections:
            await connection.close()
    return set().union(*asked)


async def test_a_flag_that_changes_while_a_stream_is_opened_counts_for_that_stream(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    changes: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def change(request: web.Request, response: web.StreamResponse) -> None:
        # The plan of the stream is made, and the stream is not open yet: no reassignment can reach it.
        while changes:
            await changes.pop()()

    def extend(app: web.Application) -> None:
        app.on_response_prepare.append(change)

    # At the front door nothing is awaited between the two.
    async with a_migration(start_gateway, tmp_path, extend=extend, way="handed_over") as migration:
        await migration.change(stage="live", percentage=100, pollIntervalMs=POLL_INTERVAL_MS)
        flags = migration.gateway.parts.flags.store

        async def kill() -> None:
            await flags.kill_all(True, who="test", reason="a test")
            await let_others_run()

        changes.append(kill)
        async with migration.client.stream([*ORDERS, ("clientId", "c")]) as stream:
            connected = await stream.connected()
            told = await stream.until("fetch-mode")
    assert connected.data["modes"] == {"orders": "streaming"}
    assert (told.data["component"], told.data["mode"]) == ("orders", "polling")
