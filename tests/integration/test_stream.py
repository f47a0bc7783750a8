"""`GET /api/v1/sync/events`: how a stream starts, what it carries, how it resumes (protocol, section 4)."""

import asyncio

import pytest

from tests.support.api import EVENTS, POLL, Client, assert_problem, event, numbers
from tests.support.gateway import EVERY_WAY, make_settings

pytestmark = EVERY_WAY


def last_event_id(cursor):
    return [("Last-Event-ID", cursor)]


async def test_a_stream_is_announced_as_one_that_nobody_may_store_or_buffer(client):
    async with client.stream() as stream:
        headers = stream.headers

    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store, no-transform"
    assert headers["Incremental"] == "?1"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Transfer-Encoding"] == "chunked"
    assert "Content-Encoding" not in headers


async def test_a_stream_starts_at_once_with_the_retry_time_and_connected(client):
    async with client.stream() as stream:
        connected = await stream.next()

    assert connected.raw.startswith(b"retry: 2000\nevent: connected\nid: ")
    assert connected.data.keys() == {"clientId", "timestamp", "cursor", "heartbeatSeconds", "modes"}
    assert connected.data["cursor"] == connected.id
    assert connected.data["heartbeatSeconds"] == 15


async def test_the_first_frames_say_what_is_configured(start_gateway, way):
    settings = make_settings(
        stream={"retry_ms": 777, "heartbeat_seconds": 2.5},
        components={"dashboard": {"entities": ["order"]}, "billing": {"entities": ["invoice"]}},
    )
    client = Client(start_gateway(settings, way=way).port)

    async with client.stream({"entity": "order"}) as stream:
        connected = await stream.next()

    assert connected.retry == 777
    assert connected.data["heartbeatSeconds"] == 2.5
    assert connected.data["modes"] == {"dashboard": "streaming"}


async def test_every_stream_has_a_client_id_of_its_own(client):
    async with client.stream() as one, client.stream() as other:
        ids = {(await stream.connected()).data["clientId"] for stream in (one, other)}

    assert len(ids) == 2


async def test_a_published_event_arrives_as_it_is_described(client):
    given = event(1, previous={"n": 0}, source="test", actor={"app": "partner"}, metadata={"a": [1, None]})
    async with client.stream() as stream:
        await stream.connected()
        [cursor] = await client.publish(given)
        frame = await stream.next()

    timestamp = frame.data["timestamp"]
    assert (frame.event, frame.id) == ("stage_change", cursor)
    assert frame.data == given | {"id": cursor, "action": "update", "timestamp": timestamp}
    assert len(timestamp) == len("2026-11-20T10:30:00.123Z")
    assert timestamp.endswith("Z")


async def test_members_that_are_absent_stay_absent(client):
    async with client.stream() as stream:
        await stream.connected()
        await client.publish({"eventType": "ping", "timestamp": "2026-11-20T11:30:00+01:00"})
        frame = await stream.next()

    assert frame.data.keys() == {"id", "eventType", "action", "timestamp"}
    assert frame.data["action"] == "signal"
    assert frame.data["timestamp"] == "2026-11-20T10:30:00.000Z"


@pytest.mark.parametrize(
    "text",
    ["line\nbreaks\r\nof\revery kind", "\u2028\u2029\x85", "NUL \x00", "😀 astral", "data: x\n\nid: y", ""],
)
async def test_text_arrives_as_it_was_published(client, text):
    async with client.stream() as stream:
        await stream.connected()
        await client.publish(event(data={"text": text}))
        [received] = await stream.take(1)

    assert received["data"] == {"text": text}


async def test_without_names_events_are_messages_and_control_events_stay_named(client):
    async with client.stream({"format": "message", "lastEventId": "unknown"}) as stream:
        connected = await stream.connected()
        reset = await stream.next()
        await client.publish(event(1))
        frame = await stream.next()

    assert (connected.event, reset.event) == ("connected", "reset")
    assert frame.raw.startswith(b"id: ")
    assert (frame.event, frame.data["eventType"]) == ("message", "stage_change")


async def test_without_a_cursor_a_stream_starts_at_now(client):
    await client.publish(event(1))
    async with client.stream() as stream:
        connected = await stream.connected()
        await client.publish(event(2))
        received = await stream.take(1)

    assert "recovered" not in connected.data
    assert numbers(received) == [2]


@pytest.mark.parametrize("name", ["lastEventId", "last_event_id", "cursor"])
async def test_a_stream_resumes_from_a_parameter(client, name):
    first, *_ = await client.publish(*(event(n) for n in range(3)))
    async with client.stream({name: first}) as stream:
        connected = await stream.connected()
        received = await stream.take(2)

    assert connected.data["recovered"] is True
    assert connected.id == first
    assert numbers(received) == [1, 2]


async def test_the_header_wins_over_the_parameter(client):
    ids = await client.publish(*(event(n) for n in range(3)))
    async with client.stream({"lastEventId": ids[0]}, headers=last_event_id(ids[1])) as stream:
        connected = await stream.connected()
        received = await stream.take(1)

    assert connected.id == ids[1]
    assert numbers(received) == [2]


async def test_a_stream_resumes_exactly_after_any_event(client):
    ids = await client.publish(*(event(n) for n in range(5)))
    for index, cursor in enumerate(ids):
        async with client.stream(headers=last_event_id(cursor)) as stream:
            await stream.connected()
            await client.publish(event(5 + index))
            received = numbers(await stream.take(5))
        assert received == list(range(index + 1, index + 6))


async def test_earliest_is_all_that_the_history_holds(client):
    await client.publish(*(event(n) for n in range(5)))
    async with client.stream({"lastEventId": "earliest"}) as stream:
        connected = await stream.connected()
        received = await stream.take(5)

    assert connected.data["recovered"] is True
    assert numbers(received) == [0, 1, 2, 3, 4]


async def test_a_client_that_saw_nothing_but_connected_resumes_without_loss(client):
    await client.publish(event(1))
    async with client.stream() as stream:
        connected = await stream.connected()
    await client.publish(event(2), event(3))
    async with client.stream(headers=last_event_id(connected.id)) as stream:
        await stream.connected()
        received = await stream.take(2)

    assert numbers(received) == [2, 3]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ([("lastEventId", "OLD"), ("lastEventId", "NEW")], []),
        ([("lastEventId", "NEW"), ("lastEventId", "OLD")], []),
        ([("lastEventId", "OLD"), ("cursor", "NEW")], []),
        ([("lastEventId", "OLD"), ("last_event_id", "NEW")], []),
        ([("cursor", "OLD"), ("lastEventId", "NEW")], []),
        ([("lastEventId", ""), ("lastEventId", "NEW")], []),
        ([("lastEventId", "NEW"), ("cursor", "")], []),
        ([("lastEventId", "NEW")], ["OLD"]),
        ([("lastEventId", "OLD")], ["NEW"]),
        ([("lastEventId", "NEW")], [""]),
        ([], ["OLD", "NEW"]),
        ([], ["NEW, OLD"]),
        ([("lastEventId", "elsewhere.9-0"), ("cursor", "NEW")], ["42"]),
        ([("lastEventId", "NEW"), ("lastEventId", "earliest")], []),
    ],
)
async def test_of_several_cursors_the_newest_that_can_be_honoured_counts(client, query, headers):
    old, _, new, _ = await client.publish(*(event(n) for n in range(4)))

    def filled(text):
        return text.replace("OLD", old).replace("NEW", new)

    given = [("Last-Event-ID", filled(text)) for text in headers]
    async with client.stream([(name, filled(text)) for name, text in query], headers=given) as stream:
        assert (await stream.connected()).data["recovered"] is True
        [received] = await stream.take(1)
    polled = await client.get(POLL, [(name, filled(text)) for name, text in query], headers=given)

    assert numbers([received]) == [3]
    assert numbers(polled.json["events"]) == [3]


async def test_where_none_of_several_cursors_can_be_honoured_the_stream_is_reset(client):
    query = [("lastEventId", "42"), ("lastEventId", "elsewhere.1-0"), ("cursor", "earliest")]
    async with client.stream(query) as stream:
        connected, reset = await stream.connected(), await stream.next()

    assert connected.data["recovered"] is False
    assert (reset.event, reset.data["reason"]) == ("reset", "epoch")


def of_another_epoch(cursor):
    return "elsewhere." + cursor.partition(".")[2]


def never_held(cursor):
    epoch, _, position = cursor.partition(".")
    major = int(position.partition("-")[0])
    return f"{epoch}.{major - 1}-99"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (of_another_epoch, "epoch"),
        (never_held, "unknown"),
        (lambda cursor: "1732125600123", "unknown"),
        (lambda cursor: cursor + " ", "unknown"),
        (lambda cursor: cursor.replace("-0", "-18446744073709551616"), "unknown"),
        (lambda cursor: cursor.replace(".", ":"), "unknown"),
        (lambda cursor: cursor + ".c2NvcGU", "unknown"),
        (lambda cursor: "x" * 128, "unknown"),
        (lambda cursor: "größer", "unknown"),
    ],
)
async def test_a_cursor_that_can_not_be_honoured_is_reset_and_the_stream_lives_on(client, make, reason):
    [cursor] = await client.publish(event(1))
    async with client.stream({"lastEventId": make(cursor)}) as stream:
        connected = await stream.connected()
        reset = await stream.next()
        await client.publish(event(2))
        received = await stream.take(1)

    assert connected.data["recovered"] is False
    assert reset.event == "reset"
    assert reset.data.keys() == {"reason", "cursor", "jitterMs"}
    assert (reset.data["reason"], reset.data["cursor"], reset.id) == (reason, cursor, cursor)
    assert reset.data["jitterMs"] >= 0
    assert numbers(received) == [2]
    assert await client.metric("tidegate_resets_total", reason=reason) == 1


async def test_a_trimmed_cursor_is_reset_and_the_oldest_that_is_held_is_not(start_gateway, way):
    gateway = start_gateway(make_settings(history={"max_events": 3}), way=way)
    client = Client(gateway.port)
    ids = []
    async with client.stream() as witness:
        for n in range(6):
            ids += await client.publish(event(n))
            await witness.until("stage_change")

        async with client.stream(headers=last_event_id(ids[1])) as stream:
            connected = await stream.connected()
            reset = await stream.next()
        async with client.stream(headers=last_event_id(ids[2])) as stream:
            await stream.connected()
            received = await stream.take(3)

    assert connected.data["recovered"] is False
    assert (reset.data["reason"], reset.id) == ("trimmed", ids[5])
    assert numbers(received) == [3, 4, 5]


async def test_a_heartbeat_moves_a_subscriber_that_nothing_matches(start_gateway, way):
    settings = make_settings(stream={"heartbeat_seconds": 0.05}, history={"max_events": 3})
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream({"entity": "invoice"}) as quiet:
        start = (await quiet.connected()).id
        for n in range(10):
            [head] = await client.publish(event(n))
        beat = await quiet.until("heartbeat")
        while beat.id != head:
            beat = await quiet.until("heartbeat")
    async with client.stream(headers=last_event_id(start)) as stream:
        from_start = (await stream.connected()).data["recovered"]
    async with client.stream(headers=last_event_id(beat.id)) as stream:
        from_beat = (await stream.connected()).data["recovered"]

    assert beat.data.keys() == {"timestamp"}
    assert (from_start, from_beat) == (False, True)


async def test_http_1_0_gets_the_stream_without_chunks(client):
    async with client.stream(version="HTTP/1.0") as stream:
        await stream.connected()
        await client.publish(event(1))
        received = await stream.take(1)

    assert "Transfer-Encoding" not in stream.headers
    assert stream.headers["Connection"] == "close"
    assert numbers(received) == [1]


@pytest.mark.parametrize(
    "accept",
    ["text/event-stream", "*/*", "text/*;q=0.1", "application/json, TEXT/Event-Stream;q=0.5", ""],
)
async def test_a_stream_is_given_to_whoever_accepts_one(client, accept):
    async with client.stream(headers=[("Accept", accept)]) as stream:
        await stream.connected()


@pytest.mark.parametrize(
    "accept", ["application/json", "text/html, application/*", "text/event-stream;q=0, */*", "*/*;q=0"]
)
async def test_a_client_that_excludes_streams_is_406(client, accept):
    response = await client.get(EVENTS, headers=[("Accept", accept)])

    assert_problem(response, 406)


async def test_several_accept_headers_count_as_one_list(client):
    async with client.stream(headers=[("Accept", "text/html"), ("Accept", "text/event-stream")]) as stream:
        await stream.connected()


async def test_streams_that_come_and_go_amid_the_load_see_every_event_once_and_in_order(client):
    count, batch = 2000, 20

    async def follow(pause_after):
        """Reads everything, and drops and resumes the stream after each `pause_after` events."""
        received, cursor = [], "earliest"
        while len(received) < count:
            async with client.stream(headers=last_event_id(cursor)) as stream:
                await stream.connected()
                received += numbers(await stream.take(min(pause_after, count - len(received))))
                cursor = stream.last_event_id
        return received

    async def publish():
        for first in range(0, count, batch):
            await client.publish(*(event(n) for n in range(first, first + batch)))

    followers = [asyncio.create_task(follow(pause_after)) for pause_after in (37, 111, 500, 1999)]
    await publish()
    for received in await asyncio.gather(*followers):
        assert received == list(range(count))
