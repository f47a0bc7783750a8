"""`state=with`: a stream that begins with the state, and goes on live (docs/protocol.md, section 4)."""

import pytest

from tests.support.api import EVENTS, GZIP, STATE, Client, assert_problem, event
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.legacy import listed, order, route_settings
from tests.support.tokens import auth_settings, mint

pytestmark = EVERY_WAY

QUERY = {"entity": "order", "state": "with"}
TWO = listed(order("A", n=1), order("B", n=2))


@pytest.fixture
def gateway(start_gateway, backend, way):
    """A gateway whose orders are listed by an upstream, which it asks when somebody wants to know."""
    backend.says(TWO)
    settings = make_settings(
        legacy=[route_settings(backend.url, 3600.0)],
        stream={"heartbeat_seconds": 1.0, "compression": "gzip"},
        history={"max_events": 20},
    )
    return start_gateway(settings, way=way)


def items(frames):
    return [(item["entityId"], item["data"]) for frame in frames for item in frame.data["items"]]


async def whole(stream):
    """The parts of a state, from the next frame on."""
    parts = []
    while not parts or not parts[-1].data["last"]:
        parts.append(await stream.next())
        assert parts[-1].event == "state"
    assert [frame.data["part"] for frame in parts] == list(range(1, len(parts) + 1))
    assert [frame.id for frame in parts] == [None] * (len(parts) - 1) + [parts[0].data["cursor"]]
    return parts


BOTH = [("A", {"orderID": "A", "n": 1}), ("B", {"orderID": "B", "n": 2})]


@pytest.mark.parametrize("form", ["named", "message"])
async def test_who_comes_without_a_cursor_gets_the_state_and_what_comes_after_it(client, form):
    await client.publish(event(7))
    async with client.stream(QUERY | {"format": form}) as stream:
        connected = await stream.connected()
        assert connected.data["state"] is True
        assert connected.id is None
        assert items(await whole(stream)) == BOTH
        [cursor] = await client.publish(event(8))
        frame = await stream.next()
        assert (frame.data["data"], frame.id) == ({"n": 8}, cursor)


@pytest.mark.parametrize("headers", [[], [GZIP]], ids=["plain", "gzip"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
async def test_a_large_state_comes_in_parts_in_every_framing(client, backend, headers, version):
    orders = [order(str(number), text="x" * 500) for number in range(1000)]
    backend.says(listed(*orders))
    async with client.stream(QUERY, headers=headers, version=version) as stream:
        await stream.connected()
        parts = await whole(stream)
        assert len(parts) > 5
        assert items(parts) == [(one["orderID"], one) for one in orders]
        await client.publish(event(8))
        assert (await stream.next()).data["data"] == {"n": 8}


async def test_an_empty_state_is_one_part_without_items(client, backend):
    backend.says(listed())
    async with client.stream(QUERY) as stream:
        await stream.connected()
        [frame] = await whole(stream)
        assert frame.data["items"] == []


async def test_who_comes_with_a_cursor_goes_on_from_there_without_a_state(client):
    cursor = await client.now()
    await client.publish(event(3))
    async with client.stream(QUERY | {"lastEventId": cursor}) as stream:
        connected = await stream.connected()
        assert connected.data["recovered"] is True
        assert "state" not in connected.data
        assert connected.id == cursor
        assert (await stream.next()).data["data"] == {"n": 3}


async def test_the_id_of_the_last_part_leads_on(client):
    async with client.stream(QUERY) as stream:
        await stream.connected()
        await whole(stream)
        cursor = stream.last_event_id
    await client.publish(event(4))
    async with client.stream(QUERY | {"lastEventId": cursor}) as stream:
        assert (await stream.connected()).data["recovered"] is True
        assert (await stream.next()).data["data"] == {"n": 4}


@pytest.mark.parametrize("cursor", ["nonsense", "e.1-0"])
async def test_a_cursor_that_can_t_be_honoured_gets_a_reset_and_the_state(client, cursor):
    async with client.stream(QUERY | {"lastEventId": cursor}) as stream:
        connected = await stream.connected()
        assert (connected.data["recovered"], connected.data["state"], connected.id) == (False, True, None)
        reset = await stream.next()
        assert (reset.event, reset.data["state"], reset.id) == ("reset", True, None)
        assert items(await whole(stream)) == BOTH


async def test_without_state_everything_is_as_before(client):
    async with client.stream({"entity": "order", "state": "off"}) as stream:
        connected = await stream.connected()
        assert "state" not in connected.data
        assert connected.id == connected.data["cursor"]


@pytest.mark.parametrize(
    "query", [{"entity": "job"}, {"entity": "order,job"}, {}, {"component": "jobs"}], ids=str
)
async def test_where_nothing_knows_the_state_it_says_so_and_goes_on(client, query):
    async with client.stream(query | {"state": "with"}) as stream:
        connected = await stream.connected()
        assert connected.data["state"] is False
        assert connected.id == connected.data["cursor"]
        await client.publish(event(5, entityType="job"), event(6))
        if query != {"component": "jobs"}:
            assert (await stream.next()).data["data"] in ({"n": 5}, {"n": 6})


async def test_a_component_stands_for_its_types(client):
    async with client.stream({"component": "orders", "state": "with"}) as stream:
        assert (await stream.connected()).data["state"] is True
        assert items(await whole(stream)) == BOTH


@pytest.mark.parametrize(
    "query", [{"state": "yes"}, {"state": ""}, {"state": "with", "hints": "only"}], ids=str
)
async def test_what_makes_no_sense_is_refused(client, query):
    answer = await client.get(EVENTS, {"entity": "order"} | query)
    assert_problem(answer, 400)
    assert answer.json["errors"][0]["parameter"] == "state"


async def test_where_it_is_not_known_yet_heartbeats_come_without_an_id_and_then_the_parts(
    start_gateway, backend, way
):
    backend.says(b"", status=500)
    settings = make_settings(legacy=[route_settings(backend.url, 0.2)], stream={"heartbeat_seconds": 1.0})
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream(QUERY) as stream:
        assert (await stream.connected()).data["state"] is True
        beat = await stream.any()
        assert (beat.event, beat.id) == ("heartbeat", None)
        await client.metric_becomes("tidegate_streams_awaiting_state", 1)
        backend.says(TWO)
        assert items(await whole(stream)) == BOTH
        assert await client.metric("tidegate_streams_awaiting_state") == 0


async def test_grants_filters_and_event_types(start_gateway, backend, way):
    backend.says(TWO)
    port = start_gateway(
        make_settings(auth=auth_settings(), legacy=[route_settings(backend.url, 3600.0)]),
        way=way,
    ).port
    row = {"entity": "order", "filters": ["n=eq.2"], "members": ["n"]}
    client = Client(port, mint(subscribe=[row]))
    async with client.stream(QUERY | {"eventTypes": "other"}) as stream:
        await stream.connected()
        parts = await whole(stream)
        assert items(parts) == [("B", {"n": 2})]
        cursor = parts[0].data["cursor"]
    async with client.stream(QUERY | {"lastEventId": cursor}) as stream:
        assert (await stream.connected()).data["recovered"] is True
    async with Client(port, mint(subscribe=["order"])).stream(QUERY | {"lastEventId": cursor}) as stream:
        await stream.connected()
        reset = await stream.next()
        assert (reset.data["reason"], reset.data["state"]) == ("scope", True)
        assert items(await whole(stream)) == BOTH


async def test_the_state_of_the_answer_and_of_the_stream_is_one_reading(client, backend):
    await client.get(STATE, {"entity": "order"})
    async with client.stream(QUERY) as stream:
        await stream.connected()
        await whole(stream)
    assert await client.metric("tidegate_state_reads_total") == 1


async def test_who_reads_slowly_gets_the_whole_of_it_and_what_came_meanwhile(client, backend):
    orders = [order(str(number), text="x" * 1000) for number in range(5000)]
    backend.says(listed(*orders))
    async with client.stream(QUERY, receive_buffer=4096) as stream:
        await stream.connected()
        await client.metric_becomes("tidegate_streams_lagging", 1)
        await client.publish(event(1))
        parts = await whole(stream)
        assert items(parts) == [(one["orderID"], one) for one in orders]
        assert (await stream.next()).data["data"] == {"n": 1}
