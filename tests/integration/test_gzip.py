"""Compressed streams, from outside: who gets one, and that it says what the plain one says."""

import zlib

import pytest

from tests.support.admin import operator
from tests.support.api import GZIP, Client, event, numbers
from tests.support.gateway import EVERY_WAY, make_settings

pytestmark = EVERY_WAY

PAST = [GZIP, ("Last-Event-ID", "another.1-0")]


def settings(**sections):
    return make_settings(stream={"compression": "gzip"}, **sections)


@pytest.fixture
def gateway(start_gateway, way):
    """A gateway that compresses for whoever can decode it."""
    return start_gateway(settings(), way=way)


def padded(count, first=0):
    return [event(n, data={"n": n, "note": "again and " * 20}) for n in range(first, first + count)]


async def raw_runs(stream, count):
    """The next so many chunks of a stream, as they came over the wire."""
    body = stream.connection.body(stream.headers)
    return [await anext(body) for _ in range(count)]


async def test_a_client_that_accepts_gzip_gets_it_and_caches_are_told_why(client):
    async with client.stream(headers=[("Accept-Encoding", "br, gzip;q=0.5, *;q=0")]) as stream:
        await stream.connected()

    assert stream.headers["Content-Encoding"] == "gzip"
    assert stream.headers["Vary"] == "Accept-Encoding"
    assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["Cache-Control"] == "no-store, no-transform"
    assert stream.headers["Transfer-Encoding"] == "chunked"


@pytest.mark.parametrize(
    "headers",
    [[], [("Accept-Encoding", "gzip;q=0, *")], [("Accept-Encoding", "br")], [("Accept-Encoding", "")]],
    ids=["nothing", "excluded", "another", "empty"],
)
async def test_any_other_client_gets_the_plain_stream(client, headers):
    async with client.stream(headers=headers) as stream:
        await stream.connected()
        await client.publish(*padded(3))
        received = await stream.take(3)

    assert "Content-Encoding" not in stream.headers
    assert stream.headers["Vary"] == "Accept-Encoding"
    assert numbers(received) == [0, 1, 2]


async def test_headers_of_one_name_are_one_list(client):
    async with client.stream(headers=[("Accept-Encoding", "br"), GZIP]) as stream:
        assert stream.headers["Content-Encoding"] == "gzip"


async def test_without_the_setting_nothing_is_compressed(start_gateway, way):
    plain = Client(start_gateway(way=way).port)
    async with plain.stream(headers=[GZIP]) as stream:
        await stream.connected()

    assert not {"Content-Encoding", "Vary"} & set(stream.headers)


async def test_what_is_published_arrives_at_once_and_not_only_at_the_end(client):
    async with client.stream(headers=[GZIP]) as stream:
        await stream.connected()
        for n in range(5):
            [cursor] = await client.publish(*padded(1, first=n))
            frame = await stream.next()
            assert (frame.id, frame.data["data"]["n"]) == (cursor, n)


async def test_the_first_frames_are_stored_and_so_are_small_ones(client):
    async with client.stream(headers=[GZIP]) as stream:
        [first] = await raw_runs(stream, 1)

    assert first.startswith(b"\x1f\x8b\x08")
    assert b"\nevent: connected\n" in first


async def test_who_joins_later_gets_the_very_bytes_that_the_others_get(client):
    async with client.stream(headers=[GZIP]) as early, client.stream() as plain:
        await plain.connected()
        await client.publish(*padded(20))
        await plain.take(20)
        async with client.stream(headers=[GZIP]) as late:
            [late_first] = await raw_runs(late, 1)
            await client.metric_becomes("tidegate_streams", 3)
            await client.publish(*padded(20, first=20))
            [late_run] = await raw_runs(late, 1)
            *before, early_run = await raw_runs(early, 3)

    assert late_run == early_run
    assert len(late_run) < 20 * 200
    for whole in (b"".join([*before, early_run]), late_first + late_run):
        decoder = zlib.decompressobj(wbits=31)
        assert b'{"n":39,' in decoder.decompress(whole)
        assert not decoder.eof


async def test_the_decoded_stream_is_the_plain_one(client):
    query = {"entity": "order:ORDER-001"}
    [start, *_] = await client.publish(*padded(1))
    resumed = ("Last-Event-ID", start)
    async with (
        client.stream(query, headers=[resumed]) as plain,
        client.stream(query, headers=[GZIP, resumed]) as coded,
    ):
        for first in range(1, 400, 40):
            await client.publish(*padded(40, first=first))
        await plain.connected()
        await coded.connected()
        pairs = [(await plain.next(), await coded.next()) for _ in range(400)]

    assert [coded.raw for _, coded in pairs] == [plain.raw for plain, _ in pairs]


async def test_a_client_that_comes_back_goes_on_where_it_was(client):
    async with client.stream(headers=[GZIP]) as stream:
        await stream.connected()
        ids = await client.publish(*padded(3))
        await stream.take(3)
    ids += await client.publish(*padded(500, first=3))
    async with client.stream(headers=[GZIP, ("Last-Event-ID", stream.last_event_id)]) as stream:
        connected = await stream.connected()
        received = await stream.take(500)

    assert connected.data["recovered"] is True
    assert [given["id"] for given in received] == ids[3:]


async def test_one_that_can_t_go_on_is_reset_and_lives_on(client):
    async with client.stream(headers=PAST) as stream:
        assert (await stream.connected()).data["recovered"] is False
        assert (await stream.next()).data["reason"] == "epoch"
        await client.publish(*padded(2))
        assert numbers(await stream.take(2)) == [0, 1]


async def test_hints_are_compressed_like_events(client):
    query = {"hints": "only", "debounceMs": 50}
    async with client.stream(query, headers=[GZIP]) as stream:
        await stream.connected()
        await client.publish(*(event(of=f"ORDER-{n}") for n in range(9)))
        hinted = [(await stream.until("refresh")).data["entityId"] for _ in range(9)]

    assert sorted(hinted) == [f"ORDER-{n}" for n in range(9)]


async def test_heartbeats_come_through(start_gateway, way):
    beating = make_settings(stream={"compression": "gzip", "heartbeat_seconds": 0.05})
    client = Client(start_gateway(beating, way=way).port)
    async with client.stream(headers=[GZIP]) as stream:
        await stream.connected()
        for _ in range(3):
            await stream.until("heartbeat")


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_the_bye_is_the_last_that_decodes_and_the_member_does_not_end(start_gateway, way, version):
    gateway = start_gateway(settings(server={"drain_seconds": 10}), way=way)
    client = Client(gateway.port)
    async with client.stream(headers=[GZIP], version=version) as stream:
        await stream.connected()
        await client.publish(*padded(20))
        gateway.loop.call_soon_threadsafe(gateway.parts.delivery.hub.drain)
        frames = await stream.rest()
        assert await stream.connection.ended() == b""

    assert ("Transfer-Encoding" in stream.headers) is (version == "HTTP/1.1")
    assert [frame.event for frame in frames if frame.data is not None] == ["stage_change"] * 20 + ["bye"]


async def test_a_gateway_that_drains_sends_new_clients_away_without_compression(start_gateway, way):
    gateway = start_gateway(settings(server={"drain_seconds": 10}), way=way)
    client = Client(gateway.port)
    async with client.stream() as held:
        await held.connected()
        gateway.loop.call_soon_threadsafe(gateway.parts.delivery.hub.drain)
        await held.rest()
        async with client.stream(headers=[GZIP]) as late:
            frames = await late.rest()

    assert "Content-Encoding" not in late.headers
    assert late.headers["Vary"] == "Accept-Encoding"
    assert frames[-1].event == "bye"


async def test_what_a_caller_asked_for_comes_back_to_it_uncompressed(start_gateway, way, tmp_path):
    gateway = start_gateway(
        settings(
            flags={"store": f"file:{tmp_path / 'flags.json'}"},
            components={"orders": {"entities": ["order"]}},
        ),
        way=way,
    )
    client = Client(gateway.port)
    asked = "guess-" * 60
    query = {"component": "orders", "clientId": "c", "filter": f"note=eq.{asked}"}
    async with operator(gateway.port) as admin:
        await admin.make(stage="live", percentage=100)
        async with client.stream(query, headers=[GZIP]) as stream:
            await raw_runs(stream, 1)
            await client.metric_becomes("tidegate_streams", 1)
            await admin.patch(percentage=0)
            told = await stream.connection.ended()

    assert b"event: fetch-mode\n" in told
    assert f"filter=note%3Deq.{asked}".encode() in told
    assert told.endswith(b"0\r\n\r\n")
