"""The hand-over of a stream's connection: what aiohttp held is gone, and the socket is the hub's.

These fail when aiohttp changes how it ends a connection. Then read gateway/delivery/handover.py: either
`leave` is brought in line with the new version, or `can_hand_over` refuses it and streams fall back to
waiting beside.
"""

import asyncio
import gc
import weakref

import psutil
import pytest
from aiohttp import web

from gateway.delivery.handover import StreamProtocol
from gateway.delivery.sockets import StreamSocket
from tests.support.api import EVENTS, Client, Stream, event, eventually, numbers
from tests.support.gateway import EVERY_WAY, LOOPS, make_settings
from tests.support.http import connect

BOTH_LOOPS = pytest.mark.parametrize("loop", sorted(LOOPS))
HELD = pytest.mark.parametrize("held", ["socket", "transport"])
"""What the hub gets of a connection, where it gets it."""
CHANGED = (
    "aiohttp no longer lets go of a connection that it is told is lost: see gateway/delivery/handover.py; "
)


class Watched:
    """What belonged to the requests that were answered, as far as it is still there."""

    def __init__(self):
        self.requests = []
        self.tasks = []
        self.transports = []

    async def note(self, request, response):
        self.requests.append(weakref.ref(request))
        self.tasks += [weakref.ref(asyncio.current_task()), weakref.ref(request.task)]
        self.transports.append(request.transport)

    def left(self):
        """The tasks and requests that are still alive, when the garbage is collected."""
        gc.collect()
        return [thing for reference in (*self.requests, *self.tasks) if (thing := reference()) is not None]


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
def start_watched(start_gateway, watched):
    """Starts a gateway that notes what it answers requests with."""

    def start(**options):
        options = {"way": "handed_over"} | options
        return start_gateway(extend=lambda app: app.on_response_prepare.append(watched.note), **options)

    return start


def request_handlers(gateway):
    """aiohttp's protocol objects of that gateway: looked for, since nothing can refer to them weakly."""
    return [
        thing
        for thing in gc.get_objects()
        if issubclass(type(thing), web.RequestHandler) and thing._loop is gateway.loop
    ]


@BOTH_LOOPS
async def test_after_the_hand_over_nothing_of_the_request_is_left(start_watched, watched, loop):
    gateway = start_watched(loop=loop)
    lasting = gateway.task_count()
    async with Client(gateway.port).stream() as stream:
        await stream.connected()

        async def is_not_listed():
            return not gateway.call(lambda: gateway.server.connections)

        async def is_collected():
            return not gateway.call(watched.left)

        async def is_freed():
            return not gateway.call(lambda: request_handlers(gateway))

        await eventually(is_not_listed, CHANGED + "its server does not list the connection")
        await eventually(is_collected, CHANGED + "the request and its task are gone")
        await eventually(is_freed, CHANGED + "the RequestHandler is gone")
        assert gateway.task_count() <= lasting


@BOTH_LOOPS
async def test_after_the_hand_over_the_transport_has_ended_and_its_connection_has_not(
    start_watched, watched, loop
):
    gateway = start_watched(loop=loop)
    client = Client(gateway.port)
    async with client.stream() as stream:
        await stream.connected()
        [transport] = watched.transports

        async def has_ended():
            return gateway.call(transport.is_closing)

        await eventually(has_ended, CHANGED + "the transport has ended")
        [subscriber] = gateway.call(gateway.parts.delivery.hub.open_streams)
        assert isinstance(subscriber.transport, StreamSocket)
        await client.publish(event(1))
        assert numbers(await stream.take(1)) == [1]


@BOTH_LOOPS
async def test_a_transport_that_is_kept_belongs_to_the_stream_protocol(start_watched, watched, loop):
    gateway = start_watched(loop=loop)
    gateway.keep_transports()
    async with Client(gateway.port).stream() as stream:
        await stream.connected()
        [transport] = watched.transports

        async def is_ours():
            return isinstance(gateway.call(transport.get_protocol), StreamProtocol)

        await eventually(is_ours, CHANGED + "the transport is the stream's")
        assert not gateway.call(transport.is_closing), CHANGED + "it closed the socket"


async def test_beside_aiohttp_the_connection_stays_its_own(start_watched, watched):
    gateway = start_watched(way="beside")
    async with Client(gateway.port).stream() as stream:
        await stream.connected()
        [transport] = watched.transports

        assert isinstance(gateway.call(transport.get_protocol), web.RequestHandler)
        assert len(gateway.call(lambda: gateway.server.connections)) == 1


async def test_a_request_with_a_body_is_not_taken_over(start_watched, watched):
    gateway = start_watched()
    async with connect(gateway.port) as connection:
        await connection.request("GET", EVENTS, headers=[("Content-Length", "5")])
        await Stream(connection, (await connection.head())[1]).connected()
        [transport] = watched.transports

        assert isinstance(gateway.call(transport.get_protocol), web.RequestHandler)


@BOTH_LOOPS
@EVERY_WAY
@HELD
async def test_a_stream_goes_on_after_the_hand_over(start_gateway, held, way, loop):
    gateway = start_gateway(make_settings(stream={"heartbeat_seconds": 0.05}), way=way, loop=loop)
    if held == "transport":
        gateway.keep_transports()
    client = Client(gateway.port)
    async with client.stream() as stream:
        await stream.connected()
        await stream.until("heartbeat")
        await stream.connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await client.publish(*(event(n) for n in range(100)))
        received = await stream.take(100)
        await stream.until("heartbeat")

    assert numbers(received) == list(range(100))


@BOTH_LOOPS
@EVERY_WAY
@HELD
@pytest.mark.parametrize("how", ["FIN", "RST", "half-close"])
async def test_the_end_of_a_connection_is_noticed_without_writing_to_it(start_gateway, held, way, loop, how):
    gateway = start_gateway(way=way, loop=loop)
    if held == "transport":
        gateway.keep_transports()
    client = Client(gateway.port)
    async with client.stream() as stream:
        await stream.connected()
        await client.metric_becomes("tidegate_streams", 1)
        if how == "RST":
            stream.connection.reset()
        elif how == "FIN":
            await stream.connection.close()
        else:
            stream.connection.half_close()
            assert b"bye" not in await stream.connection.ended()
        await client.metric_becomes("tidegate_streams", 0)

    assert await client.metric("tidegate_failed_writes_total") == 0


@BOTH_LOOPS
@EVERY_WAY
async def test_two_thousand_streams_that_come_and_go_leave_nothing(start_gateway, way, loop):
    gateway = start_gateway(way=way, loop=loop)
    client = Client(gateway.port)

    async def come_and_go(number):
        async with client.stream({"entity": f"order:{number}"}) as stream:
            await stream.connected()
            if number % 2:
                stream.connection.reset()

    await come_and_go(0)
    await client.metric_becomes("tidegate_streams", 0)
    tasks, descriptors = gateway.task_count(), psutil.Process().num_fds()
    for first in range(0, 2000, 100):
        await asyncio.gather(*(come_and_go(number) for number in range(first, first + 100)))

    async def nothing_is_left():
        return gateway.task_count() <= tasks and psutil.Process().num_fds() <= descriptors

    await client.metric_becomes("tidegate_streams", 0)
    await client.metric_becomes("tidegate_groups", 0)
    await eventually(nothing_is_left, "no task and no descriptor is left")
    assert await client.metric("tidegate_streams_opened_total") == 2001


def test_aiohttp_still_sends_headers_with_what_follows_where_it_is_told_to():
    assert web.StreamResponse._send_headers_immediately, "gateway/http/stream.py overrides this name"
