"""How tests read a stream: heartbeats, which come when a machine is slow, are in nobody's way."""

from collections.abc import AsyncIterator
from typing import cast

from multidict import CIMultiDict

from tests.support.api import Stream
from tests.support.http import Connection

CONNECTED = b'retry: 2000\nevent: connected\nid: e.1-0\ndata: {"n": 0}\n\n'
BEAT = b'event: heartbeat\nid: e.1-0\ndata: {"timestamp": "2026-11-20T10:30:00.000Z"}\n\n'


def changed(number: int) -> bytes:
    return b'event: changed\nid: e.%d-0\ndata: {"n": %d}\n\n' % (number, number)


class Read:
    """A connection on which these frames come."""

    def __init__(self, *frames: bytes) -> None:
        self._frames = frames

    async def body(self, _headers: CIMultiDict[str]) -> AsyncIterator[bytes]:
        for frame in self._frames:
            yield frame


def stream_of(*frames: bytes) -> Stream:
    return Stream(cast(Connection, Read(CONNECTED, *frames)), CIMultiDict())


async def test_heartbeats_are_passed_over_wherever_they_come() -> None:
    stream = stream_of(BEAT, changed(2), BEAT, BEAT, changed(3), changed(4), BEAT, changed(5), BEAT)
    await stream.connected()

    assert (await stream.next()).data == {"n": 2}
    assert await stream.take(2) == [{"n": 3}, {"n": 4}]
    assert [frame.data for frame in await stream.rest()] == [{"n": 5}]


async def test_who_asks_for_a_heartbeat_gets_it() -> None:
    stream = stream_of(BEAT, changed(2), BEAT)
    await stream.connected()

    assert (await stream.any()).event == "heartbeat"
    assert (await stream.until("heartbeat")).id == "e.1-0"
    assert stream.last_event_id == "e.1-0"
