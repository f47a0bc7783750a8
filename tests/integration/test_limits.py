"""How much callers may have: `[limits]` (docs/protocol.md, section 9)."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.admin import KILL_ALL
from tests.support.api import EVENTS, JSON, POLL, Client, assert_problem, event, eventually, numbers
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import connect
from tests.support.principals import KEY, SUBJECT, believe_callers
from tests.support.shaky_log import ShakyLog

FAR = "203.0.113.7"
OTHER = "203.0.113.8"


@pytest.fixture
def limited(start_gateway, way):
    """A client of a gateway with these limits, which takes callers for the subject that they name."""

    def start(*, clock=None, **limits):
        settings = make_settings(
            server={"drain_seconds": 1.0, "trusted_proxies": ["127.0.0.1/32"]},
            stream={"retry_ms": 1000},
            limits=limits,
        )
        gateway = start_gateway(settings, way=way, extend=believe_callers, clock=clock)
        return Client(gateway.port)

    return start


def ana(address=FAR):
    return [(SUBJECT, "ana"), ("X-Forwarded-For", address)]


def ben(address=FAR):
    return [(SUBJECT, "ben"), ("X-Forwarded-For", address)]


async def sent_away(client, headers=(), **query):
    """The `bye` that is all that a stream of that caller gets."""
    async with client.stream(query, headers=headers) as stream:
        [bye] = await stream.rest()
    assert (bye.event, bye.id) == ("bye", None)
    assert bye.data == {"reason": "limit", "reconnect": True, "retryMs": bye.retry}
    return bye


async def open_now(client, headers=()):
    """Whether a stream of that caller is let in."""
    async with client.stream(headers=headers) as stream:
        return (await stream.next()).event == "connected"


@EVERY_WAY
@pytest.mark.parametrize(
    ("limits", "refused", "let_in"),
    [
        ({"streams": 2}, ben(OTHER), None),
        ({"streams_per_subject": 2}, ana(OTHER), ben(FAR)),
        ({"streams_per_address": 2}, ben(FAR), ana(OTHER)),
    ],
)
async def test_one_stream_too_many_is_told_to_come_back_and_may_once_another_has_ended(
    limited, limits, refused, let_in
):
    client = limited(**limits)
    [limit] = limits
    async with client.stream(headers=ana()) as first:
        await first.connected()
        async with client.stream(headers=ana()) as second:
            await second.connected()
            byes = [await sent_away(client, refused) for _ in range(5)]
            assert len({bye.retry for bye in byes}) > 1
            assert let_in is None or await open_now(client, let_in)
            await client.publish(event(1))
            assert numbers(await second.take(1)) == [1]

        async def has_room():
            return await open_now(client, refused)

        await eventually(has_room, "the stream that ended left its room")
        assert await client.metric("tidegate_limit_refusals_total", limit=limit) >= 5


async def test_a_refused_stream_is_a_whole_answer_whose_connection_goes_on(limited):
    client = limited(streams=1)
    async with client.stream() as stream, connect(client.port) as connection:
        await stream.connected()
        for _ in range(3):
            await connection.request("GET", EVENTS)
            answer = await connection.response()
            assert (answer.status, answer.headers["Content-Type"]) == (
                200,
                "text/event-stream; charset=utf-8",
            )
            assert answer.body.startswith(b"retry: ")
            assert b"event: bye\n" in answer.body


@EVERY_WAY
async def test_whatever_way_streams_end_their_room_is_free_again(limited):
    client = limited(streams=3, streams_per_subject=3, streams_per_address=3)
    for _ in range(3):
        async with client.stream(headers=ana()) as one, client.stream(headers=ana()) as other:
            await one.connected()
            await other.connected()
            other.connection.reset()
        async with connect(client.port) as gone:
            # It has left before it could be let in, or right after.
            await gone.request("GET", f"{EVENTS}?lastEventId=x", headers=ana())
            gone.reset()
        assert (await client.get(EVENTS, {"hints": "loud"}, headers=ana())).status == 400
        await client.metric_becomes("tidegate_streams", 0)

    async def all_have_room():
        async with (
            client.stream(headers=ana()) as one,
            client.stream(headers=ana()) as two,
            client.stream(headers=ana()) as three,
        ):
            return [(await stream.next()).event for stream in (one, two, three)] == ["connected"] * 3

    await eventually(all_have_room, "three have room")


@EVERY_WAY
async def test_a_client_that_does_not_read_gives_its_room_back_with_its_connection(start_gateway, way):
    settings = make_settings(
        stream={"stall_seconds": 0.2, "write_buffer_bytes": 1024}, limits={"streams_per_address": 1}
    )
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream(receive_buffer=4096) as stream:
        await stream.connected()
        await sent_away(client)
        while await client.metric("tidegate_byes_total", reason="slow_consumer") == 0:
            await client.publish(*(event(n, data={"n": n, "text": "x" * 50_000}) for n in range(10)))

        async def has_room():
            return await open_now(client)

        await eventually(has_room, "the slow client was cut off")


async def test_so_many_streams_are_opened_in_a_second(limited, clock):
    client = limited(clock=clock, opens_per_second=3)
    assert [await open_now(client) for _ in range(3)] == [True] * 3
    await sent_away(client, ana(OTHER))
    clock.advance(1 / 3)
    assert await open_now(client)
    await sent_away(client)
    assert await client.metric("tidegate_limit_refusals_total", limit="opens_per_second") == 2


async def test_long_polls_count_while_they_wait(start_gateway):
    settings = make_settings(limits={"streams": 2, "streams_per_subject": 1})
    gateway = start_gateway(settings, extend=believe_callers)
    client = Client(gateway.port)
    async with client.stream(headers=ana()) as stream:
        await stream.connected()
        answer = await client.get(POLL, {"wait": 30}, headers=ana())
        assert_problem(answer, 429)
        assert answer.headers["Retry-After"] == "5"

        waiting = asyncio.create_task(client.get(POLL, {"wait": 30}, headers=ben()))

        async def it_waits():
            return gateway.call(lambda: any(group.waiters for group in gateway.parts.delivery.hub.groups))

        await eventually(it_waits, "the other poll waits")
        full = await client.get(POLL, {"wait": 30})
        assert_problem(full, 503)
        assert full.headers["Retry-After"] == "5"
        assert (await client.get(POLL)).status == 200
        await client.publish(event(1))
        assert numbers((await waiting).json["events"]) == [1]
    assert await client.metric("tidegate_limit_refusals_total", limit="streams_per_subject") == 1


@pytest.mark.parametrize("other", [ben(), [(KEY, "ana"), ("X-Forwarded-For", FAR)]])
async def test_each_subject_publishes_so_many_events_in_a_second(limited, clock, other):
    client = limited(clock=clock, publish_per_second=5)
    assert (await client.post([event(n) for n in range(4)], headers=ana())).status == 201
    answer = await client.post([event(4), event(5)], headers=ana(OTHER))
    assert_problem(answer, 429)
    assert answer.headers["Retry-After"] == "1"
    assert (await client.post([event(n) for n in range(5)], headers=other)).status == 201
    assert (await client.post(event(4), headers=ana())).status == 201
    clock.advance(0.2)
    assert (await client.post(event(5), headers=ana())).status == 201
    assert await client.metric("tidegate_limit_refusals_total", limit="publish_per_second") == 1
    assert await client.metric("tidegate_published_events_total") == 11


async def test_publishers_without_a_subject_count_by_address_and_ipv6_by_network(limited, clock):
    client = limited(clock=clock, publish_per_second=1)

    async def published(address):
        return (await client.post(event(0), headers=[("X-Forwarded-For", address)])).status

    assert [await published(FAR) for _ in range(2)] == [201, 429]
    assert await published(OTHER) == 201
    assert [await published(f"2001:db8:0:1::{n}") for n in range(2)] == [201, 429]
    assert await published("2001:db8:0:2::1") == 201


async def test_a_batch_larger_than_the_rate_goes_through_and_is_paid_for(limited, clock):
    client = limited(clock=clock, publish_per_second=2)
    assert (await client.post([event(n) for n in range(10)])).status == 201
    answer = await client.post(event(10))
    assert_problem(answer, 429)
    assert answer.headers["Retry-After"] == "5"  # 8 events are owed, and one comes
    clock.advance(4.5)
    assert (await client.post(event(10))).status == 201


async def test_what_is_refused_for_other_reasons_takes_nothing_of_the_rate(limited, clock):
    client = limited(clock=clock, publish_per_second=1)
    for _ in range(3):
        assert (await client.post([])).status == 422
        assert (await client.request("POST", EVENTS, headers=[JSON], body=b"{")).status == 400
    assert (await client.post(event(1))).status == 201


async def test_without_limits_nothing_is_refused(limited):
    client = limited(streams_per_subject=0)
    for _ in range(50):
        assert await open_now(client, ana())
        assert (await client.post([event(n) for n in range(100)], headers=ana())).status == 201
    assert await client.metric("tidegate_limit_refusals_total") == 0


@pytest.mark.parametrize("head_bytes", [2000, 4000])
async def test_requests_are_as_large_as_the_settings_say(limited, head_bytes):
    client = limited(url_bytes=2000, head_bytes=head_bytes, head_fields=20, body_bytes=1000)
    size = len("GET /healthz?") - len("GET ")
    assert (await client.get(f"/healthz?{'a' * (2000 - size)}")).status == 200
    too_long = await client.get(f"/healthz?{'a' * (2001 - size)}")
    assert_problem(too_long, 414)
    assert "2000 bytes" in too_long.json["detail"]
    for fields in ([("X", "a" * head_bytes)], [("X", "a" * (head_bytes // 2))] * 2):
        too_large = await client.get("/healthz", headers=fields)
        assert_problem(too_large, 431)
        assert f"{head_bytes} bytes" in too_large.json["detail"]
    assert (await client.get("/healthz", headers=[("X", "a" * (head_bytes - 100))])).status == 200
    too_many = await client.get("/healthz", headers=[("X", "a")] * 21)
    assert_problem(too_many, 431)
    assert "20 header fields" in too_many.json["detail"]
    change = b'{"reason":"%b"}' % (b"a" * 1000)
    assert_problem(await client.request("POST", KILL_ALL, headers=[JSON], body=change), 413)
    assert (await client.post(event(1, data={"n": 1, "text": "a" * 1000}))).status == 201


@EVERY_WAY
@pytest.mark.parametrize(("replays", "waiting"), [(1, 2), (2, 1), (3, 0)])
async def test_replays_over_the_limit_wait_with_heartbeats_and_get_all(start_gateway, way, replays, waiting):
    log = ShakyLog()
    settings = make_settings(
        history={"max_events": 2}, stream={"heartbeat_seconds": 0.1}, limits={"replays": replays}
    )
    gateway = start_gateway(settings, way=way, log=log)
    client = Client(gateway.port)
    gateway.call(lambda: log.put_events(*(an_event("order:1", data={"n": n}) for n in range(1, 10))))

    async def is_known():
        return gateway.call(lambda: gateway.parts.delivery.hub.flushed) == 9

    await eventually(is_known, "the node knows of all events")
    gateway.call(log.may_read.clear)
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(client.stream({"lastEventId": f"e.{n}-0"})) for n in (1, 2, 3)
        ]
        for stream in streams:
            assert (await stream.connected()).data["recovered"] is True
            await stream.until("heartbeat")
        assert gateway.call(lambda: gateway.parts.delivery.replays.waiting) == waiting
        gateway.call(log.may_read.set)
        for first, stream in enumerate(streams, 2):
            assert numbers(await stream.take(10 - first)) == list(range(first, 10))


@pytest.fixture
def clock():
    return ManualClock()
