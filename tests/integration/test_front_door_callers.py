"""What the front door remembers of requests: nothing of one caller's ever reaches another.

It knows requests again that are alike but for their callers' own words (gateway/http/alike.py). So each test
asks twice at least: the second time in the words of somebody else, or after something has changed.
"""

import asyncio
from contextlib import AsyncExitStack

import orjson
import pytest

from flags.guard.who import Who
from tests.support.api import EVENTS, JSON, Client, event, numbers
from tests.support.channels import Room
from tests.support.clock import ManualClock
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import DEADLINE_SECONDS, connect
from tests.support.legacy import PATH
from tests.support.migration import a_migration
from tests.support.tokens import auth_settings, mint

pytestmark = EVERY_WAY

ANA = mint("ana", subscribe=["*"])


@pytest.fixture
def gateway(start_gateway, way):
    return start_gateway(make_settings(auth=auth_settings()), way=way)


async def status(port, head):
    """The status of the answer to a whole head."""
    async with connect(port) as connection:
        await connection.send(head)
        return (await connection.head())[0]


def head(*lines, target=EVENTS):
    return b"\r\n".join([b"GET %b HTTP/1.1" % target.encode(), b"Host: localhost", *lines, b"", b""])


def bearer(token):
    return b"Authorization: Bearer " + token


async def test_nobody_is_taken_for_whoever_asked_before_by_a_byte_that_no_token_has(gateway):
    for _ in range(3):
        assert await status(gateway.port, head(bearer(ANA.encode()))) == 200
    for odd in (b"\0", b"\0\0", b"\1", b"\x7f", b" ", b"", b"\xff", b"*"):
        assert await status(gateway.port, head(bearer(odd))) in (400, 401), odd


async def test_nobody_goes_on_from_the_cursor_of_whoever_asked_before(gateway):
    for _ in range(3):
        assert await status(gateway.port, head(bearer(ANA.encode()), b"Last-Event-ID: abc.1-0")) == 200
    assert await status(gateway.port, head(bearer(ANA.encode()), b"Last-Event-ID: \0")) == 400


async def test_the_limits_of_a_head_hold_for_one_that_is_like_a_smaller_one(gateway):
    for _ in range(3):
        assert await status(gateway.port, head(bearer(b"short"))) == 401
    assert await status(gateway.port, head(bearer(b"l" + b"o" * 40_000 + b"ng"))) == 431
    filler = "f" * (16_384 - len(f"{EVENTS}?q=&clientId=a"))
    for client, expected in [("a", 200), ("b", 200), ("b" * 20, 414)]:
        target = f"{EVENTS}?q={filler}&clientId={client}"
        assert await status(gateway.port, head(bearer(ANA.encode()), target=target)) == expected


async def test_of_two_names_that_a_client_gives_itself_the_same_one_counts_each_time(start_gateway, way):
    gateway = start_gateway(way=way)
    for number in range(3):
        for target in (
            f"{EVENTS}?cl%69entId=first&clientId=second-{number}",
            f"{EVENTS}?clientId=first&clientId=second-{number}",
        ):
            async with Client(gateway.port).stream(path=f"{target}&presence=room") as stream:
                await stream.connected()
                assert await Room(stream, "room").next() == ("sync", {"first": {}})


async def test_an_attempt_is_looked_at_each_time(gateway):
    for attempt, expected in [
        ("a", 200),
        ("b", 200),
        ("c" * 64, 200),
        ("c" * 65, 400),
        ("d", 200),
        ("", 400),
        ("a.b", 400),
        ("a+b", 400),
        ("a%00", 400),
        ("e", 200),
        ("%65", 200),
    ]:
        target = f"{EVENTS}?attempt={attempt}&clientId=ann"
        assert await status(gateway.port, head(bearer(ANA.encode()), target=target)) == expected, attempt


async def test_no_attempt_is_taken_for_another_and_the_first_of_two_counts(start_gateway, way, tmp_path):
    settings = make_settings(components={"orders": {"entities": ["order"]}})
    gateway = start_gateway(settings, way=way)
    telemetry, client = gateway.parts.migration.telemetry, Client(gateway.port)
    gateway.call(lambda: telemetry.reporters.add(["2.1.0"], Who("a:127.0.0.1", "127.0.0.1").source))
    queries = [f"attempt=a{number}" for number in range(4)]
    queries += ["att%65mpt=a4&attempt=b", "att%65mpt=a5&attempt=c", "clientId=ann&attempt=a6"]
    queries += ["clientId=ben&attempt=a7", "attempt=a8&clientId=carl"]
    async with AsyncExitStack() as stack:
        for query in queries:
            path = f"{EVENTS}?component=orders&clientVersion=2.1.0&{query}"
            stream = await stack.enter_async_context(client.stream(path=path))
            await stream.connected()
        await client.metric_becomes("tidegate_streams", len(queries))
        for number, waiting in enumerate(range(len(queries) - 1, -1, -1)):
            report = {"component": "orders", "mode": "streaming", "clientVersion": "2.1.0", "firstEventMs": 5}
            body = orjson.dumps(report | {"attempt": f"a{number}"})
            told = await client.request("POST", "/api/v1/sync/telemetry", headers=[JSON], body=body)
            assert (told.status, gateway.call(lambda: telemetry.waiting)) == (202, waiting)


async def test_a_token_that_has_expired_meanwhile_counts_no_more(start_gateway, way):
    clock = ManualClock()
    gateway = start_gateway(make_settings(auth=auth_settings()), way=way, clock=clock)
    now = clock.wall_ms() / 1000
    short, long = (mint("ana", subscribe=["*"], now=now, lifetime=life) for life in (60, 6000))
    for _ in range(4):
        assert await status(gateway.port, head(bearer(short.encode()))) == 200
    clock.advance(200)
    assert await status(gateway.port, head(bearer(short.encode()))) == 401
    assert await status(gateway.port, head(bearer(long.encode()))) == 200


async def test_who_is_revoked_meanwhile_is_let_in_no_more_and_others_are(start_gateway, way, tmp_path):
    # What is revoked is kept beside the flags.
    flags = {"store": f"file:{tmp_path}/flags.json"}
    gateway = start_gateway(make_settings(auth=auth_settings(), flags=flags), way=way)
    ben = mint("ben", subscribe=["*"])
    for token in (ANA, ANA, ANA, ben):
        assert await status(gateway.port, head(bearer(token.encode()))) == 200
    admin = Client(gateway.port, mint("root", admin=True))
    body = orjson.dumps({"subject": "ana", "reason": "a test"})
    revoked = await admin.request("POST", "/api/v1/admin/revocations", headers=[JSON], body=body)
    assert revoked.status == 201
    assert await status(gateway.port, head(bearer(ANA.encode()))) == 401
    assert await status(gateway.port, head(bearer(ben.encode()))) == 200


async def test_who_may_see_less_sees_less_though_it_asks_in_the_same_words(gateway):
    publisher = Client(gateway.port, mint("shop", publish=["*"]))
    some, none = mint("ben", subscribe=["invoice"]), mint("eve")
    for token, expected in [(ANA, 200), (ANA, 200), (some, 200), (ANA, 200), (none, 403), (some, 200)]:
        assert await status(gateway.port, head(bearer(token.encode()))) == expected
    async with Client(gateway.port, some).stream() as ben, Client(gateway.port, ANA).stream() as ana:
        await ben.connected()
        await ana.connected()
        await publisher.publish(event(1), event(2) | {"entityType": "invoice"})
        assert numbers(await ana.take(2)) == [1, 2]
        assert numbers(await ben.take(1)) == [2]


async def test_what_the_flags_say_now_counts_for_those_who_asked_before(start_gateway, way, tmp_path):
    async with a_migration(start_gateway, tmp_path, way=way) as migration:
        port = migration.gateway.port
        stream, polled = head(target=f"{EVENTS}?component=orders&clientId=ann"), head(target=PATH)
        for stage, of_stream, of_poll in [
            ("shadow", 204, 200),
            ("live", 200, 200),
            ("shadow", 204, 200),
            ("live", 200, 200),
            ("rampdown", 200, 200),
            ("complete", 200, 410),
        ]:
            await migration.change(stage=stage, percentage=100)
            for _ in range(3):
                assert await status(port, stream) == of_stream, stage
                assert await status(port, polled) == of_poll, stage


async def test_the_same_bytes_of_two_peers_are_of_two_peers(start_gateway, way):
    settings = make_settings(limits={"streams_per_address": 1})
    gateway = start_gateway(settings, way=way)
    frames = []
    async with AsyncExitStack() as stack:
        for address in ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(address, 0))
            stack.callback(writer.close)
            writer.write(head())
            async with asyncio.timeout(DEADLINE_SECONDS):
                await reader.readuntil(b"event: ")
                frames.append((await reader.readline()).strip())
    assert frames == [b"connected", b"bye", b"bye", b"connected", b"connected", b"bye"]
