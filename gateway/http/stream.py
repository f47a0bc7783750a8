"""`GET /api/v1/sync/events`: the stream (docs/protocol.md, section 4)."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from flags.decide.decision import Decision
from gateway.access.admission import MET, Entry
from gateway.core import control_frames, gzip_stream
from gateway.core.errors import BadParameter, NotAcceptable
from gateway.core.events import Cursor, Position
from gateway.core.hints import HintTiming
from gateway.core.history import History, ResetReason
from gateway.core.times import rfc3339
from gateway.delivery.connection import Connection
from gateway.delivery.group import DeliveryOptions, HintsMode
from gateway.delivery.handover import carry
from gateway.delivery.hub import Hub
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.replay.resume import Resumes, Start
from gateway.delivery.state.reading import Reading
from gateway.delivery.subscriber import NOWHERE, Subscriber, Transport
from gateway.http.accept import accepts, accepts_coding
from gateway.http.caller import software_label, software_names
from gateway.http.channels import attendance_of, check_room
from gateway.http.dead_peers import end_where_nobody_is
from gateway.http.limits import RequestLimits
from gateway.http.principal import principal_of
from gateway.http.problems import refuse
from gateway.http.selection import given_cursors, parse_selection, whole_number
from gateway.http.sessions import Sessions
from gateway.migration.components import Asked, Plan
from gateway.migration.links import EVENTS_PATH
from gateway.migration.stream_evidence import StreamEvidence
from gateway.migration.stream_plan import Footing, StreamPlans
from gateway.ports.clock import Clock
from gateway.runtime.refusals import REFUSALS

Value = TypeVar("Value")

_ANY_DELAY_MS = 10**18
MAX_REASONS = 20
"""Of how many components a 204 says why: a header field has to stay short."""
_HINTS: dict[str, HintsMode] = {"off": "off", "with": "with", "only": "only"}
_FORMATS = {"named": True, "message": False}
_STATE = {"off": False, "with": True}
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    # For proxies that would hold a body back otherwise (draft-ietf-httpbis-incremental).
    "Incremental": "?1",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The stream's settings: durations in the unit that their name says; `gzip` where clients may have it."""

    heartbeat_seconds: float
    retry_ms: int
    debounce_ms: int
    max_wait_ms: int
    write_buffer_bytes: int
    gzip: bool
    hand_over: bool


class _Wish(NamedTuple):
    """What a caller wants of a stream, beside its selection: how, from where, whether with its state, and
    for which channels."""

    delivery: DeliveryOptions
    cursors: Sequence[str]
    with_state: bool
    attendance: Attendance | None


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
    """Opens streams and gives them to the hub."""

    def __init__(
        self,
        history: History,
        hub: Hub,
        resumes: Resumes,
        clock: Clock,
        stream_plans: StreamPlans,
        sessions: Sessions,
        evidence: StreamEvidence,
        id_aliases: Mapping[str, str],
        options: StreamOptions,
        limits: RequestLimits,
    ) -> None:
        self._history = history
        self._hub = hub
        self._resumes = resumes
        self._clock = clock
        self._stream_plans = stream_plans
        self._sessions = sessions
        self._evidence = evidence
        self._id_aliases = id_aliases
        self._options = options
        self._limits = limits

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(EVENTS_PATH, self.get, allow_head=False)

    async def get(self, request: web.Request) -> web.StreamResponse:
        if not accepts(",".join(request.headers.getall("Accept", [])), "text/event-stream"):
            raise NotAcceptable("This resource is a text/event-stream, which the Accept header excludes.")
        selection = parse_selection(request, self._id_aliases)
        address = self._limits.address_of(request)
        client = software_label(request)
        connection = Connection.of(secrets.randbits(64), self._clock.wall_ms(), address, client)
        wish = self._wish(request, connection.id)
        caller = await self._sessions.caller(request, selection.selector, selection.components)
        asked = Asked(selection.selector, selection.components, caller)
        try:
            with self._limits.stream(request, address) as entry:
                return await self._open(request, asked, wish, connection, entry)
        except MET as over:
            refuse(request.app[REFUSALS], request, over)
            return await self._refuse(request, self._response(request), "limit")

    async def _open(
        self,
        request: web.Request,
        asked: Asked,
        wish: _Wish,
        connection: Connection,
        entry: Entry,
    ) -> web.StreamResponse:
        """Answers with the stream, of which `entry` is kept once the hub has it."""
        scope = asked.selector.scope_text
        delivery, cursors, with_state, attendance = wish
        place = await self._resumes.place_or_reset(*cursors, scope=scope) if cursors else None
        start = self._resumes.start(place)
        # Not before the wait: the flags may have changed meanwhile.
        footing = self._stream_plans.footing(asked)
        if footing.plan.is_polling:
            # An EventSource stops for good at a 204, as it is to (HTML, section 9.2.3).
            return _nothing_to_carry(footing.plan)
        response = self._response(request)
        if self._hub.is_draining:
            return await self._refuse(request, response, "drain")
        if attendance is not None:
            check_room(self._hub.presence, attendance)
        if delivery.gzip:
            response.headers["Content-Encoding"] = "gzip"
        writer = await response.prepare(request)
        assert writer is not None
        if place is None or start.lost is not None:
            # The head is that of now; the headers took their time.
            start = self._resumes.start(place)
        resumed = None if place is None else start.lost is None
        reading = Reading(footing.plan.question) if with_state else None
        follows = self._hub.begins_with_state(reading) if resumed is not True else None
        frames = self._first_frames(connection.id, start, resumed, follows, footing.plan)
        # They are this client's alone, and stored (docs/security.md).
        await response.write(gzip_stream.HEADER + gzip_stream.stored(frames) if delivery.gzip else frames)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=self._options.write_buffer_bytes)
            if attendance is not None and attendance.presence:
                end_where_nobody_is(request.transport, self._options.heartbeat_seconds)
        attach = partial(self._attach, request, connection, wish, footing, start, reading, entry)
        await carry(
            request, writer, self._hub, attach, resumed=resumed is True, hand_over=self._options.hand_over
        )
        return response

    def _first_frames(
        self, client_id: str, start: Start, recovered: bool | None, state_follows: bool | None, plan: Plan
    ) -> bytes:
        scope = plan.selector.scope_text
        frames = control_frames.connected(
            client_id=client_id,
            timestamp=rfc3339(self._clock.wall_ms()),
            cursor=str(Cursor(start.epoch, start.position, scope)),
            recovered=recovered,
            heartbeat_seconds=self._options.heartbeat_seconds,
            modes=plan.modes,
            retry_ms=self._options.retry_ms,
            state_follows=state_follows,
        )
        if start.lost is None:
            return frames
        return frames + self._hub.reset_frame(start.lost, scope, state_follows=state_follows)

    def _attach(
        self,
        request: web.Request,
        connection: Connection,
        wish: _Wish,
        footing: Footing,
        start: Start,
        reading: Reading | None,
        entry: Entry,
        transport: Transport,
    ) -> Subscriber:
        # Where the history has started over since `connected` was made, the stream is told in band.
        is_known = start.epoch == self._history.epoch
        number = start.number if is_known else NOWHERE
        position: Position | ResetReason = start.position if is_known else "epoch"
        selector = footing.plan.selector
        credentials = principal_of(request).credentials
        subscriber = self._hub.attach(
            *(transport, selector, wish.delivery, number, footing, position, credentials, connection),
            *(reading, wish.attendance),
        )
        entry.is_kept = True
        self._evidence.follow(subscriber, connection.id, software_names(request))
        if self._stream_plans.reassignment(footing) is not None:
            # The flags have changed since `connected` was made, and that reassignment has passed it by.
            self._hub.reassign(self._stream_plans.reassignment)
        return subscriber

    def _wish(self, request: web.Request, connection_id: str) -> _Wish:
        delivery = self._delivery(request)
        with_state = _choice(request, "state", _STATE, "off")
        if with_state and delivery.hints == "only":
            raise BadParameter(
                "state", "a stream of hints alone has no state: leave out hints=only, or state"
            )
        attendance = attendance_of(request, connection_id)
        return _Wish(delivery, given_cursors(request), with_state, attendance)

    def _delivery(self, request: web.Request) -> DeliveryOptions:
        hints = _choice(request, "hints", _HINTS, "off")
        timing = HintTiming.clamped(
            whole_number(request, "debounceMs", self._options.debounce_ms, 0, _ANY_DELAY_MS),
            whole_number(request, "maxWaitMs", self._options.max_wait_ms, 0, _ANY_DELAY_MS),
        )
        return DeliveryOptions(
            named=_choice(request, "format", _FORMATS, "named"),
            hints=hints,
            timing=None if hints == "off" else timing,
            chunked=request.version >= (1, 1),
            gzip=self._options.gzip
            and accepts_coding(",".join(request.headers.getall("Accept-Encoding", [])), "gzip"),
        )

    def _response(self, request: web.Request) -> "_SharedStreamResponse":
        response = _SharedStreamResponse()
        response.headers.update(_HEADERS)
        if self._options.gzip:
            response.headers["Vary"] = "Accept-Encoding"
        if request.version < (1, 1):
            # Without chunks only the end of the connection ends the stream.
            response.headers["Connection"] = "close"
        return response

    async def _refuse(
        self, request: web.Request, response: EventSourceResponse, reason: control_frames.ByeReason
    ) -> web.StreamResponse:
        """A stream that only says `bye`: any error status would stop an EventSource for ever."""
        await response.prepare(request)
        await response.write(control_frames.bye(reason, self._hub.retry_ms()))
        return response


def _nothing_to_carry(plan: Plan) -> web.Response:
    reasons = [_told(component, decision) for component, decision in plan.decisions.items()]
    headers = {
        "Fetch-Mode": plan.mode,
        "Fetch-Mode-Reason": ", ".join(reasons[:MAX_REASONS]),
        "Cache-Control": "no-store",
    }
    return web.Response(status=204, headers=headers)


def _told(component: str, decision: Decision) -> str:
    """A member of a structured list (RFC 9651, section 3.1): the component, and why it is to be polled."""
    known = {"stage": decision.stage, "reason": decision.reason, "cause": decision.cause}
    return f'"{component}"' + "".join(
        f";{name}={value}" for name, value in known.items() if value is not None
    )


def _choice(request: web.Request, name: str, choices: Mapping[str, Value], default: str) -> Value:
    text = request.query.get(name, default)
    if text not in choices:
        raise BadParameter(name, f"must be one of {', '.join(choices)}")
    return choices[text]
