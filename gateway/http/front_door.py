"""The front door: answers at once what needs neither waiting nor aiohttp, and gives aiohttp the rest.

After a deploy every client opens its stream at once, and before a migration every client polls. What aiohttp
makes of a request - a handler, a task, a request, a response - costs more than all the rest of these two. So
a connection is a `DoorConnection` first. A complete GET without anything unusual about it, for a resource
that may be answered at once, is answered here: with bytes, or by making the connection a stream. Everything
else makes an aiohttp handler, gives it the connection with the bytes that came, and is out of the way; the
handler gives the connection back for the next such GET (gateway/http/server.py).

Nothing is decided here. Requests are read by aiohttp's parser, found a resource by its router, checked by
Front, and answered by what the resources answer either door with. Whatever raises is left to aiohttp's way,
which meets the same and makes a problem of it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from aiohttp import hdrs, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.typedefs import Handler
from cachetools import LRUCache

from gateway.core import eventstream
from gateway.core.header_fields import HeadLimits
from gateway.core.recent import Recent
from gateway.delivery.handover import give
from gateway.delivery.sockets import StreamSockets
from gateway.http.alike import CUT, Words, apart
from gateway.http.answer import Answer
from gateway.http.caller import SOFTWARE
from gateway.http.dead_peers import end_where_nobody_is
from gateway.http.door_connection import READ_BYTES, DoorConnection, HandOver
from gateway.http.front import HOST_CHECKED, Front
from gateway.http.head_pattern import HeadPattern
from gateway.http.marks import Marks
from gateway.http.opening import MANNER, Farewell, Opening, StreamOptions
from gateway.http.request_head import PlainHead, RequestHead
from gateway.http.selection import ASKED
from gateway.runtime.refusals import Refusals

Found = Opening | Farewell | Answer
AtOnce = Callable[[PlainHead], Found | None]
"""Answers a request without waiting; None where it has to wait. Raises what becomes a problem."""

TURN_SECONDS = 0.0005
"""How long requests are answered before everybody else has a turn: thousands may come at once."""
GATHER_SECONDS = 0.001
"""How long a new connection may wait for others, while there was a turn within as long before."""
MOST_SILENT = 4096
"""How many connections may wait for their first bytes; then the one that has waited longest goes."""
KEPT_PATHS = 4096
"""Of so many paths it is remembered what answers them, where they are no longer than _KEPT_CHARACTERS."""

_SWEEPS = 8
"""How often within a connection's longest rest it is looked for those that are past it."""
_GET = b"GET /"
_END = b"\r\n\r\n"
_KEPT_CHARACTERS = 512
_KEPT_PATTERNS = 4096
"""So many are remembered, or fewer where they are longer than a kilobyte: nobody is let in yet."""
_OF_ALL_ALIKE = (HOST_CHECKED, ASKED, MANNER, SOFTWARE)
"""What is noted of a request, and depends on nothing but words that it shares."""
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


class FrontDoor:
    """What all connections of a server share.

    `at_once` are the ways of resources, by the handlers of `router` that they stand for. `limits` are those
    of a request's head, and `most_silent` connections may wait for their first bytes. The door is of use once
    `attend` was called.
    """

    def __init__(
        self,
        router: web.UrlDispatcher,
        at_once: Mapping[Handler, AtOnce],
        front: Front,
        marks: Marks,
        refusals: Refusals,
        sockets: StreamSockets,
        options: StreamOptions,
        limits: HeadLimits,
        most_silent: int = MOST_SILENT,
    ) -> None:
        self._most_silent = most_silent
        self._router = router
        self._at_once = at_once
        self._front = front
        self._marks = marks
        self._refusals = refusals
        self._sockets = sockets
        self._options = options
        self._limits = limits
        self._ways: LRUCache[str, tuple[web.UrlMappingMatchInfo, AtOnce]] = LRUCache(KEPT_PATHS)
        self._patterns: Recent[bytes, HeadPattern[AtOnce]] = Recent(
            _KEPT_PATTERNS, lambda pattern: pattern.room
        )
        self._seen: Recent[int, bool] = Recent(2 * _KEPT_PATTERNS)
        # What is that small is within each of the limits, whatever words stand in it.
        self._most_bytes = min(limits.head_bytes, limits.url_bytes)
        self._arrived: deque[DoorConnection] = deque()
        self._has_turn = False
        self._gathering: asyncio.TimerHandle | None = None
        self._last_turn = 0.0
        self.is_ending = False
        self.silent: dict[DoorConnection, float] = {}
        """The connections that wait for their first bytes, with since when; the oldest first."""
        self.idle: dict[DoorConnection, float] = {}
        """Those that were answered something here, with when that was last."""
        self.answered = self.handed_over = self.crowded_out = 0

    def attend(self, hand_over: HandOver, keepalive_seconds: float) -> None:
        """Begins: `hand_over` gets what is aiohttp's, and a connection may be without a whole request for so
        many seconds.
        """
        self._loop = asyncio.get_running_loop()
        self.hand_over = hand_over
        self._keepalive_seconds = keepalive_seconds
        self._sweep: asyncio.TimerHandle | None = None
        self._parser = self._new_parser()

    def close_idle(self) -> None:
        """The server stops: who has asked nothing has its connection closed, the others once answered."""
        self.is_ending = True
        for connection in (*self.silent, *self.idle):
            if connection.is_at_rest:
                connection.transport.close()
        if self._sweep is not None:
            self._sweep.cancel()

    def came(self, connection: DoorConnection) -> None:
        """A new connection, which has said nothing yet."""
        if len(self.silent) >= self._most_silent:
            self.crowded_out += 1
            oldest = next(iter(self.silent))
            del self.silent[oldest]
            oldest.transport.abort()
        self.silent[connection] = self._loop.time()
        self._plan_sweep()

    def rests(self, connection: DoorConnection) -> None:
        """A connection's request is answered."""
        if self.is_ending:
            connection.transport.close()
        else:
            self.idle[connection] = self._loop.time()
            if self._sweep is None:
                self._plan_sweep()

    def forget(self, connection: DoorConnection) -> None:
        """The connection is not this door's any more."""
        self.idle.pop(connection, None)
        self.silent.pop(connection, None)

    def arrived(self, connection: DoorConnection, *, is_new: bool = False) -> None:
        """Something came on a connection. It has its turn once all that came with it was read.

        While many come, those that come new are gathered: together they cost a sixth less.
        """
        self._arrived.append(connection)
        if self._has_turn:
            return
        if is_new and self._front.now() - self._last_turn < GATHER_SECONDS:
            if self._gathering is None:
                self._gathering = self._loop.call_later(GATHER_SECONDS, self._turn)
        else:
            self._has_turn = True
            self._loop.call_soon(self._turn)

    def takes(self, data: bytes) -> bool:
        """Whether `data` looks like one whole request that may be answered here."""
        if not data.startswith(_GET) or data.find(_END) != len(data) - len(_END):
            return False
        target = data[4 : data.find(b" ", 4)].decode("latin-1")
        return target.partition("?")[0] in self._ways

    def answer(self, connection: DoorConnection, data: bytes) -> bool:
        """Answers the request that `data` is; says whether that was possible. Where not, nothing was done."""
        front, began = self._front, self._front.now()
        try:
            request, way = self._read(connection, data)
            if request is None or way is None:
                return False
            found = way(request) if front.admit_at_once(request) else None
        except Exception:  # noqa: BLE001 - aiohttp's way meets the same, and says what it is
            return False
        if found is None:
            return False
        if not request.alike:
            request.alike.update({key: request[key] for key in _OF_ALL_ALIKE if key in request})
        if isinstance(found, Opening):
            self._begin(connection, request, found)
            return True
        self._marks.make(request, found)
        if isinstance(found, Answer):
            connection.transport.write(found.bytes())
            self.rests(connection)
            front.answered_at_once(request, found.status, began)
        else:
            whole = eventstream.chunk(found.frames) + eventstream.LAST_CHUNK
            connection.transport.write(found.head(_CHUNKED) + whole)
            self.rests(connection)
        return True

    def _read(self, connection: DoorConnection, data: bytes) -> tuple[PlainHead, AtOnce] | tuple[None, None]:
        """The request that `data` is, whole and alone, with what answers it; None for all else."""
        if not data.startswith(_GET) or data.find(_END) != len(data) - len(_END):
            return None, None
        # Where it is not that of a cut, a NUL would be taken for whatever stood there before.
        if len(data) > self._most_bytes or CUT in data:
            return None, None
        key, words = apart(data)
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._pattern_of(data)
            if pattern is None:
                return None, None
            if not pattern.fits(words):
                words = Words()
            elif self._seen.get(hash(key)):
                self._patterns.put(key, pattern)
            else:
                # A head that comes once, as with a number for each request, is not worth keeping.
                self._seen.put(hash(key), True)
        return pattern.head(data, words, connection.remote), pattern.way

    def _pattern_of(self, data: bytes) -> HeadPattern[AtOnce] | None:
        message = self._parsed(data)
        found = None if message is None else self._way_of(message)
        if message is None or found is None:
            return None
        match_info, way = found
        head = PlainHead(data, message.url.path, message.headers, match_info, None, {})
        # What is read of many short parameters and fields takes more than their bytes.
        pieces = data.count(b"&") + data.count(b"\r\n")
        return HeadPattern(head, way, 1 + len(data) // 1024 + pieces // 16)

    def _parsed(self, data: bytes) -> RawRequestMessage | None:
        """The head, where aiohttp's parser takes all of it for one, without anything unusual about it."""
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            messages, upgraded, tail = [], False, b""
        if len(messages) == 1 and not upgraded and not tail:
            message, body = messages[0]
            headers = message.headers
            if (
                body is EMPTY_PAYLOAD
                and "#" not in message.path
                and message.version == HttpVersion11
                and not (message.should_close or message.upgrade or message.chunked)
                and hdrs.CONTENT_LENGTH not in headers
                and hdrs.EXPECT not in headers
                and hdrs.TRANSFER_ENCODING not in headers
            ):
                return message
        # It may wait for the rest of something.
        self._parser = self._new_parser()
        return None

    def _new_parser(self) -> HttpRequestParser:
        limits = self._limits
        return HttpRequestParser(
            BaseProtocol(self._loop),
            self._loop,
            READ_BYTES,
            max_line_size=limits.url_bytes,
            max_field_size=limits.head_bytes,
            max_headers=limits.head_fields,
        )

    def _way_of(self, message: RawRequestMessage) -> tuple[web.UrlMappingMatchInfo, AtOnce] | None:
        """What answers the request's path: the router says which resource it is, once for each path."""
        path = message.url.raw_path
        found = self._ways.get(path)
        if found is None:
            resolving = self._router.resolve(cast(web.Request, _Resolved(message)))
            try:
                resolving.send(None)
            except StopIteration as done:
                match_info = done.value
                way = self._at_once.get(match_info.handler)
                if way is not None:
                    found = match_info, way
                    if len(path) <= _KEPT_CHARACTERS:
                        self._ways[path] = found
            finally:
                resolving.close()
        return found

    def _begin(self, connection: DoorConnection, request: RequestHead, opening: Opening) -> None:
        """Makes the connection the stream that was decided about: from here on it is the hub's."""
        transport = connection.transport
        try:
            self._marks.make(request, opening)
            transport.write(opening.head(_CHUNKED) + eventstream.chunk(opening.frames()))
            transport.set_write_buffer_limits(high=self._options.write_buffer_bytes)
            if opening.notices_absence:
                end_where_nobody_is(transport, self._options.heartbeat_seconds)
            subscriber = give(transport, self._sockets, opening.attach)
        except Exception:
            opening.entry.leave()
            raise
        self.idle.pop(connection, None)
        if connection.is_clogged:
            # What its answers before left unsent: its transport says so to nobody a second time.
            transport.resume_reading()
            self._sockets.hub.clogged(subscriber)
        self._sockets.hub.begin(subscriber, resumed=opening.is_resumed)

    def _turn(self) -> None:
        if self._gathering is not None:
            # There is one chain of turns, whoever began it.
            self._gathering.cancel()
            self._gathering = None
        until = self._front.now() + TURN_SECONDS
        while self._arrived:
            connection = self._arrived.popleft()
            try:
                connection.answer()
            except Exception as error:  # noqa: BLE001 - a part may have been sent: nothing can follow that
                self._refusals.add("internal", level=logging.ERROR, error=error)
                connection.transport.abort()
            if self._front.now() >= until:
                break
        self._last_turn = self._front.now()
        self._has_turn = bool(self._arrived)
        if self._has_turn:
            self._loop.call_soon(self._turn)

    def _plan_sweep(self) -> None:
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._keepalive_seconds / _SWEEPS, self._close_old)

    def _close_old(self) -> None:
        self._sweep = None
        latest = self._loop.time() - self._keepalive_seconds
        for among in (self.silent, self.idle):
            old = [connection for connection, since in among.items() if since <= latest]
            for connection in old:
                if connection.is_at_rest:
                    connection.transport.close()
        if self.silent or self.idle:
            self._plan_sweep()


FRONT_DOOR = web.AppKey("front_door", FrontDoor)
"""The door of an application that has one; without it everything goes to aiohttp."""


class _Resolved:
    """As much of a request as a router looks at."""

    def __init__(self, message: RawRequestMessage) -> None:
        self.method = message.method
        self.rel_url = message.url
