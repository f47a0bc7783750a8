"""`GET /api/v1/sync/events` by aiohttp: the stream (docs/protocol.md, section 4)."""

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from gateway.access.admission import MET
from gateway.delivery.handover import carry
from gateway.delivery.replay.resume import Resumes
from gateway.delivery.sockets import StreamSockets
from gateway.http.answer import Answer
from gateway.http.dead_peers import end_where_nobody_is
from gateway.http.opening import Farewell, Opening, Openings
from gateway.http.problems import refuse
from gateway.http.request_head import RequestHead
from gateway.http.sessions import Sessions
from gateway.migration.links import EVENTS_PATH
from gateway.runtime.refusals import Refusals


class _SharedStreamResponse(EventSourceResponse):
    """aiohttp-sse's response without what the gateway does once for all streams.

    Its pings are the hub's heartbeats, and its limit on what a peer leaves unacknowledged is the listening
    socket's (gateway/http/server.py). A task and four system calls a stream were a tenth of opening one.
    """

    # aiohttp then sends the headers with the first frames. Should it forget this name, they go before them.
    _send_headers_immediately = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return await web.StreamResponse.prepare(self, request)


class StreamHandler:
    """Waits for what is to be waited for, has `openings` decide, and gives the stream to the hub.

    `hand_over` says whether connections are taken over from aiohttp (gateway/delivery/handover.py).
    """

    def __init__(
        self,
        openings: Openings,
        sockets: StreamSockets,
        resumes: Resumes,
        sessions: Sessions,
        refusals: Refusals,
        *,
        hand_over: bool,
    ) -> None:
        self._refusals = refusals
        self._openings = openings
        self._sockets = sockets
        self._resumes = resumes
        self._sessions = sessions
        self._hand_over = hand_over

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(EVENTS_PATH, self.get, allow_head=False)

    async def get(self, request: web.Request) -> web.StreamResponse:
        openings = self._openings
        wish = openings.wish(request)
        selector = wish.selection.selector
        caller = await self._sessions.caller(request, selector, wish.selection.components)
        connection = openings.connection(request, wish)
        try:
            with openings.enter(request, connection) as entry:
                place = None
                if wish.cursors:
                    place = await self._resumes.place_or_reset(*wish.cursors, scope=selector.scope_text)
                # Not before the wait: the flags may have changed meanwhile.
                found = openings.decide(request, wish, caller, connection, place, entry)
                if isinstance(found, Answer):
                    return found.response()
                if isinstance(found, Farewell):
                    return await self._say(request, found)
                return await self._open(request, found)
        except MET as over:
            refuse(self._refusals, request, over)
            return await self._say(request, openings.farewell(request, "limit"))

    def at_once(self, request: RequestHead) -> Opening | Farewell | Answer | None:
        """What becomes of the request; None where that has to be waited for. Raises as `get` does.

        The entry of an opening counts: whoever does not attach it has to leave that.
        """
        openings = self._openings
        wish = openings.wish(request)
        selector = wish.selection.selector
        caller = self._sessions.caller_at_once(request, selector, wish.selection.components)
        place = self._resumes.at_once(*wish.cursors, scope=selector.scope_text) if wish.cursors else None
        if caller is None or (place is None and wish.cursors):
            return None
        connection = openings.connection(request, wish)
        found = None
        try:
            entry = openings.enter(request, connection).__enter__()
            try:
                found = openings.decide(request, wish, caller, connection, place, entry)
            finally:
                if not isinstance(found, Opening):
                    entry.leave()
        except MET as over:
            refuse(self._refusals, request, over)
            return openings.farewell(request, "limit")
        return found

    async def _open(self, request: web.Request, opening: Opening) -> web.StreamResponse:
        openings = self._openings
        response = _response(opening)
        writer = await response.prepare(request)
        assert writer is not None
        await response.write(opening.frames())
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=openings.options.write_buffer_bytes)
            if opening.notices_absence:
                end_where_nobody_is(request.transport, openings.options.heartbeat_seconds)
        await carry(
            *(request, writer, self._sockets, opening.attach),
            resumed=opening.is_resumed,
            hand_over=self._hand_over,
        )
        return response

    async def _say(self, request: web.Request, farewell: Farewell) -> web.StreamResponse:
        response = _response(farewell)
        await response.prepare(request)
        await response.write(farewell.frames)
        return response


def _response(found: Opening | Farewell) -> _SharedStreamResponse:
    response = _SharedStreamResponse()
    response.headers.update(found.headers)
    return response
