"""`fields=`: events with the members that a client wants (docs/protocol.md, sections 4 and 5)."""

import asyncio

import pytest

from tests.support.api import EVENTS, GZIP, HISTORY, POLL, Client, assert_problem, event
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.legacy import listed, order, route_settings
from tests.support.shaky_log import ShakyLog
from tests.support.tokens import auth_settings, mint

pytestmark = EVERY_WAY

SOME = "data,orderID,id"
SOON = {"debounceMs": 50, "maxWaitMs": 50}
GIVEN = [
    event(1, previous={"n": 0}, source="test", actor={"app": "partner"}, metadata={"a": [1, None]}),
    event(2, of="A", action="delete"),
    {"eventType": "ping"},
]


@pytest.fixture
def gateway(start_gateway, way):
    """A gateway that compresses, and holds so little that what is older comes out of the log."""
    settings = make_settings(
        stream={"compression": "gzip"},
        history={"max_events": 3},
        entities={"order": {"id_alias": "orderID"}},
    )
    return start_gateway(settings, way=way, log=ShakyLog())


def cut(whole, fields):
    """The members of an event that are asked for, in the event's own order."""
    return [(name, value) for name, value in whole.items() if name in fields.split(",")]


def told(frames):
    return [(frame.event, frame.id, list(frame.data.items())) for frame in frames]


async def frames_of(stream, count=3):
    return [await stream.next() for _ in range(count)]


@pytest.mark.parametrize("headers", [[], [GZIP]], ids=["plain", "gzip"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("form", ["named", "message"])
@pytest.mark.parametrize("fields", ["id", "data", SOME, "previous,metadata,actor,source,timestamp", "action"])
async def test_a_stream_has_what_is_asked_for_of_the_same_events(client, fields, form, version, headers):
    query = {"format": form}
    async with (
        client.stream(query) as whole,
        client.stream(query | {"fields": fields}, headers=headers, version=version) as some,
    ):
        assert (await some.connected()).data.keys() == (await whole.connected()).data.keys()
        await client.publish(*GIVEN)
        expected = [(frame.event, frame.id, cut(frame.data, fields)) for frame in await frames_of(whole)]
        assert told(await frames_of(some)) == expected


async def test_who_wants_all_of_it_gets_the_bytes_of_who_does_not_ask(client):
    members = "metadata,actor,source,timestamp,previous,data,action,orderID,entityId,entityType,eventType,id"
    async with client.stream() as whole, client.stream({"fields": members}) as some:
        await whole.connected()
        await some.connected()
        await client.publish(*GIVEN)
        raw = [frame.raw for frame in await frames_of(whole)]
        assert [frame.raw for frame in await frames_of(some)] == raw


async def test_what_is_replayed_is_what_would_have_come_live(client):
    query = [("fields", "id,data"), ("fields", "entityId")]
    async with client.stream(query) as live:
        await live.connected()
        first, *_ = await client.publish(*GIVEN)
        frames = await frames_of(live)
        async with client.stream([*query, ("lastEventId", first)]) as resumed:
            assert (await resumed.connected()).data["recovered"] is True
            assert told(await frames_of(resumed, 2)) == told(frames[1:])
        for n in range(5):
            # One by one: the history drops what is over its bound after each.
            await client.publish(event(n))
            await live.next()
        async with client.stream([*query, ("lastEventId", first)]) as behind:
            assert (await behind.connected()).data["recovered"] is True
            assert told(await frames_of(behind, 2)) == told(frames[1:])


async def test_the_poll_and_the_history_have_them_too(client):
    start = await client.now()
    await client.publish(*GIVEN)
    whole = (await client.poll(cursor=start))["events"]
    expected = [cut(one, SOME) for one in whole]
    assert [dict(one) for one in expected] != whole

    answer = await client.get(POLL, {"cursor": start, "fields": SOME})
    assert [list(one.items()) for one in answer.json["events"]] == expected
    assert answer.json["cursor"] == whole[-1]["id"]
    answer = await client.get(HISTORY, {"fields": SOME})
    assert [list(one.items()) for one in answer.json["events"]] == expected


async def test_a_long_poll_has_them_too(client):
    async with client.stream() as witness:
        await witness.connected()
        waiting = asyncio.create_task(client.poll(fields="data", wait=60, cursor=await client.now()))
        await client.publish(event(7))
        assert (await waiting)["events"] == [{"data": {"n": 7}}]


async def test_a_leave_is_told_by_its_action(client):
    query = {"entity": "order", "filter": "n=eq.1", "fields": "entityId,action,data,previous"}
    async with client.stream(query) as stream:
        await stream.connected()
        await client.publish(event(2, of="A", previous={"n": 1}))
        assert (await stream.next()).data == {"entityId": "A", "action": "leave"}


async def test_hints_come_as_ever(client):
    async with client.stream({"hints": "with", "fields": "data", **SOON}) as stream:
        await stream.connected()
        [cursor] = await client.publish(event(1))
        frame, hint = await frames_of(stream, 2)
    assert (frame.event, frame.data) == ("stage_change", {"data": {"n": 1}})
    assert (hint.event, hint.id, hint.data["entityId"]) == ("refresh", cursor, "ORDER-001")


async def test_a_state_is_whole_and_what_follows_is_not(start_gateway, backend, way):
    backend.says(listed(order("A", n=1)))
    settings = make_settings(legacy=[route_settings(backend.url, 3600.0)])
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream({"entity": "order", "state": "with", "fields": "entityId"}) as stream:
        assert (await stream.connected()).data["state"] is True
        state = await stream.next()
        await client.publish(event(8, of="A"))
        frame = await stream.next()
    assert state.event == "state"
    assert state.data["items"] == [{"entityId": "A", "data": {"orderID": "A", "n": 1}}]
    assert frame.data == {"entityId": "A"}


async def test_who_may_see_some_members_of_a_row_is_shown_no_others(start_gateway, way):
    gateway = start_gateway(make_settings(auth=auth_settings()), way=way)
    publisher = Client(gateway.port, mint(publish=["*"]))
    grants = [{"entity": "order", "members": ["n"]}]
    reader = Client(gateway.port, mint(subscribe=grants))
    everybody = Client(gateway.port, mint(subscribe=["*"]))
    query = {"fields": "data,previous,id"}
    async with everybody.stream(query) as all_of_it, reader.stream(query) as stream:
        await all_of_it.connected()
        await stream.connected()
        data = {"n": 1, "note": "hidden"}
        await publisher.publish(event(of="A", data=data, previous={"n": 0, "note": "hidden"}))
        whole, frame = await all_of_it.next(), await stream.next()
    assert whole.data["data"] == data
    assert frame.data == {"id": frame.id, "data": {"n": 1}, "previous": {"n": 0}}
    assert frame.id != whole.id, "each has a cursor of its own scope"


@pytest.mark.parametrize("path", [EVENTS, POLL, HISTORY])
@pytest.mark.parametrize("value", ["", "data,", "Data", "data,secret", "data.n"])
async def test_what_no_event_has_is_refused_by_name(client, path, value):
    answer = await client.get(path, [("fields", "id"), ("fields", value)])
    assert_problem(answer, 400)
    (error,) = answer.json["errors"]
    assert error["parameter"] == "fields"
    assert "id, eventType, entityType" in error["detail"]
    assert "orderID" in error["detail"]
