"""Clients whose cursor is older than the node's history, and still in the log."""

import asyncio
import random

import pytest

from adapters.memory import MemoryLog
from gateway.core.events import Position
from gateway.ports.clock import SystemClock
from tests.support.api import POLL, Client, Stream, event, eventually
from tests.support.events import an_event
from tests.support.gateway import EVERY_WAY, GatewayThread, make_settings
from tests.support.shaky_log import ShakyLog

pytestmark = EVERY_WAY

HELD = 200
"""How many events the node's history holds in most of these tests."""


@pytest.fixture
def log() -> ShakyLog:
    return ShakyLog()


@pytest.fixture
def gateway(start_gateway, way, log) -> GatewayThread:
    """A gateway of a log that holds everything; its history holds HELD events."""
    settings = make_settings(history={"max_events": HELD}, stream={"heartbeat_seconds": 0.1})
    return start_gateway(settings, way=way, log=log)


def fill(gateway: GatewayThread, log: ShakyLog, count: int) -> None:
    """Another node appends events: `data.n` from 1, an order of ten, every fifth of branch 7."""
    events = [
        an_event(f"order:{n % 10}", "stage_change", data={"n": n, "branch": 7 if n % 5 == 0 else 1})
        for n in range(1, count + 1)
    ]
    gateway.call(lambda: log.put_events(*events))


async def caught_up(client: Client, gateway: GatewayThread, count: int) -> None:
    async def holds() -> bool:
        return gateway.call(lambda: gateway.parts.delivery.hub.flushed) == count

    await eventually(holds, f"the node has {count} events")


async def read_to(stream: Stream, last: int) -> list[int]:
    """`data.n` of every event up to the one with that number; nothing but heartbeats may come between."""
    seen: list[int] = []
    while not seen or seen[-1] != last:
        frame = await stream.next()
        assert frame.event in ("stage_change", "message"), frame
        seen.append(frame.data["data"]["n"])
    return seen


@pytest.mark.parametrize("form", ["named", "message"])
async def test_an_old_cursor_is_served_from_the_log_and_goes_live(gateway, client, log, form):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)

    async with client.stream({"lastEventId": "e.3-0", "format": form}) as stream:
        connected = await stream.connected()
        seen = await read_to(stream, 1000)
        await client.publish(event(1001))
        seen += await read_to(stream, 1001)

    assert connected.data["recovered"] is True
    assert connected.id == connected.data["cursor"] == "e.3-0"
    assert seen == list(range(4, 1002))


async def test_filters_and_leaves_hold_also_for_what_comes_out_of_the_log(gateway, client, log):
    moved = an_event("order:1", "stage_change", data={"n": 1, "branch": 1}, previous={"n": 0, "branch": 7})
    gateway.call(lambda: log.put_events(moved))
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1001)

    async with client.stream({"lastEventId": "e.0-0", "filter": "branch=eq.7"}) as stream:
        await stream.connected()
        left = await stream.next()
        seen = await read_to(stream, 1000)

    assert (left.data["action"], "data" in left.data) == ("leave", False)
    assert seen == list(range(5, 1001, 5))


async def test_hints_alone_are_one_an_entity(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)

    async with client.stream({"lastEventId": "e.0-0", "hints": "only"}) as stream:
        await stream.connected()
        hints = [await stream.until("refresh") for _ in range(10)]
        beat = await stream.until("heartbeat")

    assert sorted(hint.data["entityId"] for hint in hints) == [str(number) for number in range(10)]
    assert all(hint.data["count"] == 100 for hint in hints)
    assert (hints[-1].id, beat.id) == ("e.1000-0", "e.1000-0")


async def test_hints_come_with_the_events_of_the_log(gateway, client, log):
    fill(gateway, log, 600)
    await caught_up(client, gateway, 600)

    async with client.stream({"lastEventId": "e.0-0", "hints": "with"}) as stream:
        await stream.connected()
        events: list[int] = []
        hinted: set[str] = set()
        while len(events) < 600 or len(hinted) < 10:
            frame = await stream.next()
            if frame.event == "refresh":
                hinted.add(frame.data["entityId"])
            else:
                events.append(frame.data["data"]["n"])

    assert events == list(range(1, 601))
    assert hinted == {str(number) for number in range(10)}


async def test_where_the_log_has_trimmed_too_the_answer_is_a_reset(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)
    gateway.call(lambda: log.trim_to(Position(500, 0)))

    async with client.stream({"lastEventId": "e.499-0"}) as stream:
        connected = await stream.connected()
        reset = await stream.next()
    async with client.stream({"lastEventId": "e.500-0"}) as stream:
        held = await stream.connected()
        seen = await read_to(stream, 1000)

    assert (connected.data["recovered"], held.data["recovered"]) == (False, True)
    assert (reset.event, reset.data["reason"], reset.id) == ("reset", "trimmed", "e.1000-0")
    assert seen == list(range(501, 1001))
    assert (await client.poll(cursor="e.499-0"))["reset"] == {"reason": "trimmed"}


async def test_who_waits_for_the_log_gets_heartbeats_and_then_everything(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)
    gateway.call(log.may_read.clear)

    async with client.stream({"lastEventId": "e.7-0"}) as stream:
        await stream.connected()
        beats = [await stream.any() for _ in range(2)]
        gateway.call(log.may_read.set)
        seen = await read_to(stream, 1000)

    assert [(beat.event, beat.id) for beat in beats] == [("heartbeat", "e.7-0")] * 2
    assert seen == list(range(8, 1001))


async def test_a_client_that_is_gone_while_it_waits_is_forgotten(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)
    gateway.call(log.may_read.clear)
    for _ in range(8):
        async with client.stream({"lastEventId": "e.7-0"}) as stream:
            await stream.connected()

    await client.metric_becomes("tidegate_streams", 0)
    gateway.call(log.may_read.set)

    parts = gateway.parts.delivery
    assert gateway.call(lambda: (parts.replays.waiting, len(parts.hub.catch_up.behind))) == (0, 0)


async def test_a_drain_ends_a_replay_with_a_bye(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)
    gateway.call(log.may_read.clear)

    async with client.stream({"lastEventId": "e.7-0"}) as stream:
        await stream.connected()
        gateway.call(gateway.parts.delivery.hub.drain)
        rest = await stream.rest()

    assert (rest[-1].event, rest[-1].data["reason"]) == ("bye", "drain")


async def test_a_client_that_does_not_read_in_a_replay_is_continued_from_the_log(start_gateway, way, log):
    settings = make_settings(history={"max_events": HELD}, stream={"write_buffer_bytes": 4096})
    gateway = start_gateway(settings, way=way, log=log)
    client = Client(gateway.port)
    large = [an_event("order:1", "stage_change", data={"n": n, "x": "y" * 10_000}) for n in range(1, 1001)]
    gateway.call(lambda: log.put_events(*large))
    await caught_up(client, gateway, 1000)

    async with client.stream({"lastEventId": "e.0-0"}, receive_buffer=4096) as stream:
        await stream.connected()
        await client.metric_becomes("tidegate_streams_lagging", 1)
        seen = await read_to(stream, 1000)

    assert seen == list(range(1, 1001))


async def test_a_stream_that_lags_off_the_history_goes_on_from_the_log(start_gateway, way, log):
    settings = make_settings(history={"max_events": 20}, stream={"write_buffer_bytes": 4096})
    gateway = start_gateway(settings, way=way, log=log)
    client = Client(gateway.port)

    async with client.stream(receive_buffer=4096) as stream:
        await stream.connected()
        for n in range(1, 2001):
            large = an_event("order:1", "stage_change", data={"n": n, "x": "y" * 5_000})
            gateway.call(lambda large=large: log.put_events(large))
        await caught_up(client, gateway, 2000)
        seen = await read_to(stream, 2000)

    assert seen == list(range(1, 2001))
    assert await client.metric("tidegate_resets_total") == 0
    assert await client.metric("tidegate_replayed_events_total") > 0


async def test_a_poll_pages_through_the_log_into_the_history(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)

    answer = await client.poll(cursor="e.0-0", limit=300)
    seen, mores = [one["data"]["n"] for one in answer["events"]], [answer["more"]]
    while answer["more"]:
        answer = await client.poll(cursor=answer["cursor"], limit=300)
        seen += [one["data"]["n"] for one in answer["events"]]
        mores.append(answer["more"])

    assert seen == list(range(1, 1001))
    assert mores == [True, True, True, False]
    assert answer["cursor"] == "e.1000-0"


async def test_a_conditional_poll_with_an_old_tag_is_answered_from_the_log(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)

    some = await client.get("/api/v1/sync/poll", headers=[("If-None-Match", '"e.1-0", "e.4-0"')])
    none = await client.get("/api/v1/sync/poll", {"entity": "job"}, headers=[("If-None-Match", '"e.4-0"')])

    assert some.json["events"][0]["data"]["n"] == 5
    assert (none.status, none.headers["ETag"]) == (304, '"e.1000-0"')


async def test_the_history_endpoint_reaches_back_into_the_log(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)

    answer = await client.get("/api/v1/sync/history", {"filter": "branch=eq.7", "limit": "100"})

    assert [one["data"]["n"] for one in answer.json["events"]] == list(range(505, 1001, 5))
    assert answer.json["cursor"] == "e.1000-0"


async def test_a_cursor_that_this_node_has_yet_to_reach_is_waited_for(gateway, client, log):
    fill(gateway, log, 5)
    await caught_up(client, gateway, 5)
    gateway.call(log.may_tail.clear)
    gateway.call(
        lambda: log.put_events(*(an_event(event_type="stage_change", data={"n": n}) for n in (6, 7)))
    )

    poll = asyncio.create_task(client.poll(cursor="e.6-0"))
    condition = [("If-None-Match", '"f.9-0", "e.5-0", "e.6-0", "e.4-0"')]
    conditional = asyncio.create_task(client.get(POLL, headers=condition))
    async with client.stream({"lastEventId": "e.4-1"}) as stream:
        await stream.connected()
        unknown = await stream.next()
    assert not poll.done()
    gateway.call(log.may_tail.set)

    assert unknown.data["reason"] == "unknown"
    for answer in (await poll, (await conditional).json):
        assert [one["data"]["n"] for one in answer["events"]] == [7]


@pytest.mark.parametrize("cursor", ["e.900-1", "e.4-1"], ids=["of-the-history", "of-the-log"])
async def test_a_cursor_that_the_log_never_held_is_unknown_on_every_transport(gateway, client, log, cursor):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)

    polls = [
        await client.poll(cursor=cursor),
        await client.poll(cursor=cursor, wait="5"),
        await client.poll(lastEventId=cursor),
        (await client.get(POLL, headers=[("If-None-Match", f'"{cursor}"')])).json,
        (await client.get(POLL, headers=[("Last-Event-ID", cursor)])).json,
    ]
    for answer in polls:
        assert (answer["reset"], answer["events"]) == ({"reason": "unknown"}, [])
        assert answer["cursor"] == "e.1000-0"
    for query, headers in (({"lastEventId": cursor}, []), ({}, [("Last-Event-ID", cursor)])):
        async with client.stream(query, headers=headers) as stream:
            await stream.connected()
            reset = await stream.next()
            assert (reset.event, reset.data["reason"]) == ("reset", "unknown")
            assert (reset.id, reset.data["cursor"]) == ("e.1000-0", "e.1000-0")
    assert await client.metric("tidegate_resets_total", reason="unknown") == 7


async def test_a_long_poll_that_waited_in_vain_is_given_a_cursor_that_holds(gateway, client, log):
    fill(gateway, log, 5)
    await caught_up(client, gateway, 5)

    poll = asyncio.create_task(client.poll(cursor="e.5-0", entity="job", wait="3"))
    fill(gateway, log, 1000)
    answer = await poll
    again = await client.poll(cursor=answer["cursor"], entity="job")

    assert (answer["events"], answer["cursor"]) == ([], "e.1005-0")
    assert "reset" not in again


async def test_while_the_log_is_out_of_reach_the_node_is_not_ready_and_then_catches_up(gateway, client, log):
    fill(gateway, log, 5)
    await caught_up(client, gateway, 5)

    async with client.stream() as stream:
        await stream.connected()
        gateway.call(log.lose)

        async def is_not_ready() -> bool:
            return (await client.get("/readyz")).status == 503

        await eventually(is_not_ready, "the node is not ready")
        reasons = (await client.get("/readyz")).json["reasons"]
        assert (await stream.any()).event == "heartbeat"
        gateway.call(log.find)
        fill(gateway, log, 3)
        seen = await read_to(stream, 3)

    assert reasons == ["The log is out of reach: The server is gone."]
    assert seen == [1, 2, 3]
    assert await client.metric("tidegate_task_retries_total", task="follower") > 0


async def test_a_log_that_starts_over_is_told_to_streams_and_to_polls_that_wait(gateway, client, log):
    fill(gateway, log, 5)
    await caught_up(client, gateway, 5)

    async with client.stream() as stream:
        await stream.connected()
        poll = asyncio.create_task(client.poll(cursor="e.5-0", entity="job", wait="15"))
        await client.metric_becomes("tidegate_groups", 2)
        gateway.call(lambda: log.start_over("f"))
        reset = await stream.until("reset")
        await client.publish(event(1))
        seen = await read_to(stream, 1)
        late = await client.poll(cursor="e.5-0")

    assert (reset.data["reason"], reset.id) == ("epoch", "f.0-0")
    assert seen == [1]
    assert (await poll)["reset"] == late["reset"] == {"reason": "epoch"}
    assert (await client.get("/readyz")).status == 200


async def test_a_log_that_trimmed_past_the_node_is_told_to_streams_that_are_replayed(gateway, client, log):
    fill(gateway, log, 1000)
    await caught_up(client, gateway, 1000)
    gateway.call(log.may_read.clear)

    async with client.stream({"lastEventId": "e.7-0"}) as stream:
        assert (await stream.connected()).data["recovered"] is True
        gateway.call(lambda: log.trim_to(Position(300, 0)))
        gateway.call(log.may_read.set)
        reset = await stream.until("reset")
        await client.publish(event(1001))
        seen = await read_to(stream, 1001)

    assert (reset.data["reason"], reset.id) == ("trimmed", "e.1000-0")
    assert seen == [1001]


@pytest.fixture
def large(start_gateway, way) -> GatewayThread:
    """A gateway of a memory log that holds 100,000 events, and a history that holds 1,000."""
    log = MemoryLog(SystemClock(), max_events=100_000, max_age_seconds=1e6, max_bytes=10**9)
    settings = make_settings(history={"max_events": 1000})
    return start_gateway(settings, way=way, log=log)


async def publish(client: Client, first: int, last: int) -> None:
    for start in range(first, last + 1, 1000):
        await client.publish(*(event(n) for n in range(start, min(start + 1000, last + 1))))


async def test_twenty_thousand_events_are_replayed_while_a_hundred_others_live_on(large):
    client = Client(large.port)
    start = await client.now()
    await publish(client, 1, 20_000)

    async def live(ready: asyncio.Barrier) -> list[int]:
        async with client.stream() as stream:
            await stream.connected()
            await ready.wait()
            return await read_to(stream, 20_500)

    async def replay(ready: asyncio.Barrier) -> list[int]:
        await ready.wait()
        async with client.stream({"lastEventId": start}) as stream:
            assert (await stream.connected()).data["recovered"] is True
            return await read_to(stream, 20_500)

    ready = asyncio.Barrier(102)
    tasks = [asyncio.create_task(live(ready)) for _ in range(100)]
    old = asyncio.create_task(replay(ready))
    await ready.wait()
    for n in range(20_001, 20_501, 20):
        await publish(client, n, n + 19)

    assert await old == list(range(1, 20_501))
    for task in tasks:
        assert await task == list(range(20_001, 20_501))


async def test_a_client_that_is_cut_again_and_again_gets_everything_once(large):
    client = Client(large.port)
    chance = random.Random(7)
    cursor = await client.now()
    await publish(client, 1, 8000)
    seen: list[int] = []

    publisher = asyncio.create_task(publish(client, 8001, 12_000))
    while not seen or seen[-1] != 12_000:
        async with client.stream({"lastEventId": cursor}) as stream:
            assert (await stream.connected()).data["recovered"] is True
            for _ in range(chance.randrange(1, 900)):
                seen.append((await stream.take(1))[0]["data"]["n"])
                if seen[-1] == 12_000:
                    break
            cursor = stream.last_event_id
    await publisher

    assert seen == list(range(1, 12_001))


async def test_five_hundred_clients_that_come_at_once_with_old_cursors_are_all_served(large):
    client = Client(large.port)
    first = await client.now()
    await publish(client, 1, 50)
    cursors = [first]
    answer = await client.poll(cursor=first, limit=50)
    cursors += [one["id"] for one in answer["events"]]
    await publish(client, 51, 1500)

    async def resume(number: int) -> bool:
        async with client.stream({"lastEventId": cursors[number % 51]}) as stream:
            assert (await stream.connected()).data["recovered"] is True
            return await read_to(stream, 1500) == list(range(number % 51 + 1, 1501))

    assert all(await asyncio.gather(*(resume(number) for number in range(500))))
