"""The list of connections, and the end of some, where there are very many."""

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from gateway.access.principal import OPEN
from gateway.access.refused import Refused
from gateway.core.selectors import Selector
from gateway.delivery.connection import Connection
from gateway.delivery.group import DeliveryOptions
from gateway.http.admin.connections import ConnectionsHandler
from gateway.http.figures import PROCESS, Process
from gateway.http.json_body import BODY_BYTES
from gateway.http.principal import PRINCIPAL
from gateway.runtime.slices import SLICE_SECONDS
from tests.support.clock import BusyClock
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

STREAMS = 300
STEP_SECONDS = SLICE_SECONDS / 4


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    node = Node(scheduler)
    for number in range(STREAMS):
        connection = Connection.of(number, 0, "192.0.2.1", "curl 8.5")
        transport = RecordingTransport(scheduler)
        node.hub.attach(transport, Selector(), DeliveryOptions(), 0, connection=connection)
    return node


@pytest.fixture
def handler(node: Node) -> ConnectionsHandler:
    return ConnectionsHandler(node.hub, node.history, Refused(), BusyClock(STEP_SECONDS))


def request_of(method: str, query: str) -> web.Request:
    app = web.Application()
    app[BODY_BYTES] = 1024
    app[PROCESS] = Process("here", shares_log=False)
    payload = StreamReader(Mock(), 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(b'{"reason":"a test"}')
    payload.feed_eof()
    headers = {"Content-Type": "application/json"}
    path = f"/api/v1/admin/connections?{query}"
    request = make_mocked_request(method, path, headers=headers, payload=payload, app=app)
    request[PRINCIPAL] = OPEN
    return request


@pytest.mark.parametrize(
    ("method", "query"), [("GET", "limit=1000"), ("GET", "subject=a"), ("DELETE", "subject=")]
)
async def test_others_have_their_turn_while_many_streams_are_looked_at(
    handler: ConnectionsHandler, method: str, query: str
) -> None:
    answer = handler.show if method == "GET" else handler.end_all
    task = asyncio.ensure_future(answer(request_of(method, query)))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1

    assert task.result().status == 200
    # Of a slice each look at the clock is a stream, but for the look with which it began.
    assert turns >= STREAMS // 4


async def test_streams_that_end_while_they_are_looked_at_are_left_alone(
    node: Node, handler: ConnectionsHandler
) -> None:
    task = asyncio.ensure_future(handler.show(request_of("GET", "limit=1000")))
    await asyncio.sleep(0)
    for subscriber in node.hub.open_streams():
        node.hub.lost(subscriber)
    await task

    assert b'"total":0' in (task.result().body or b"")  # type: ignore[operator]
