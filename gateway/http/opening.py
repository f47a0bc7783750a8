"""What a request for a stream comes to: the stream's opening, a farewell, or an answer without a stream.

Decided without waiting, so that whoever reads requests may ask (gateway/http/stream.py with aiohttp,
gateway/http/front_door.py without); what has to be waited for is found before. docs/protocol.md, section 4.
"""

import os
import struct
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from aiohttp import web
from aiohttp.http import HttpVersion11
from multidict import CIMultiDict

from flags.decide.caller import Caller
from flags.decide.decision import Decision
from gateway.access.admission import Entry
from gateway.core import control_frames, gzip_stream
from gateway.core.errors import BadParameter, NotAcceptable
from gateway.core.events import Cursor, Position
from gateway.core.hints import HintTiming
from gateway.core.history import History, ResetReason
from gateway.core.recent import Recent
from gateway.core.times import rfc3339
from gateway.delivery.connection import Connection
from gateway.delivery.group import DeliveryOptions, HintsMode
from gateway.delivery.hub import Hub
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.replay.resume import Place, Resumes, Start
from gateway.delivery.state.reading import Reading
from gateway.delivery.subscriber import NOWHERE, Subscriber, Transport
from gateway.http.accept import accepts, accepts_coding
from gateway.http.answer import Answer, Reply, SharedFields
from gateway.http.attempt import attempt_of
from gateway.http.caller import Software, software_of
from gateway.http.channels import attendance_of, check_room
from gateway.http.limits import RequestLimits
from gateway.http.parameters import parameters_of
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
from gateway.http.selection import Selection, Selections, given_cursors, whole_number
from gateway.migration.components import Asked, Plan
from gateway.migration.links import CHANNEL_PARAMETER, PRESENCE_PARAMETER
from gateway.migration.stream_evidence import StreamEvidence
from gateway.migration.stream_plan import Footing, StreamPlans
from gateway.ports.clock import Clock

Value = TypeVar("Value")

MAX_REASONS = 20
"""Of how many components a 204 says why: a header field has to stay short."""

_ANY_DELAY_MS = 10**18
_DRAWN_AT_ONCE = 64
_KEPT_MANNERS = 2048
_KEPT_CHARACTERS = 1024
"""Of words that are longer nothing is remembered."""
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


class Manner(NamedTuple):
    """How a stream is wanted, whatever it is of: the same for all who ask in the same words."""

    delivery: DeliveryOptions
    with_state: bool
    is_attending: bool


MANNER = web.RequestKey("manner", Manner)


class Wish(NamedTuple):
    """What a caller wants of a stream: of what, how, from where, for which channels, and with what software.

    `number` is the stream's id, drawn for it; `attempt` is the caller's own name for this opening.
    """

    selection: Selection
    manner: Manner
    cursors: Sequence[str]
    attendance: Attendance | None
    software: Software
    number: int
    attempt: str | None


class Farewell(Reply):
    """A stream that only says `bye`: any error status would stop an EventSource for ever."""

    __slots__ = ("frames",)

    def __init__(self, fields: SharedFields, frames: bytes) -> None:
        super().__init__(200, fields)
        self.frames = frames


class StreamNumbers:
    """Random numbers of 64 bits that nobody can guess, drawn from the system many at a time."""

    def __init__(self) -> None:
        self._drawn: list[int] = []

    def draw(self) -> int:
        if not self._drawn:
            self._drawn = [*struct.unpack(f"{_DRAWN_AT_ONCE}Q", os.urandom(8 * _DRAWN_AT_ONCE))]
        return self._drawn.pop()


class Openings:
    """Decides about streams, and opens them. Nothing here waits."""

    def __init__(
        self,
        history: History,
        hub: Hub,
        resumes: Resumes,
        clock: Clock,
        stream_plans: StreamPlans,
        evidence: StreamEvidence,
        selections: Selections,
        options: StreamOptions,
        limits: RequestLimits,
    ) -> None:
        self.history = history
        self.hub = hub
        self.resumes = resumes
        self.clock = clock
        self.stream_plans = stream_plans
        self.evidence = evidence
        self.options = options
        self._selections = selections
        self._shared_fields = {
            (is_gzip, is_chunked): self._made_fields(is_gzip, is_chunked)
            for is_gzip in (False, True)
            for is_chunked in (False, True)
        }
        self._limits = limits
        self._numbers = StreamNumbers()
        self._manners: Recent[Hashable, Manner] = Recent(_KEPT_MANNERS)
        self._told_ms = -1
        self._told_time = ""
        self._told_place: tuple[str, Position, str] | None = None
        self._told_cursor = ""

    def wish(self, request: RequestHead) -> Wish:
        """What the request asks for. Raises NotAcceptable, BadParameter and InsufficientScope."""
        manner: Manner | None = request.get(MANNER)
        if manner is None:
            headers = request.headers
            accept, codings = headers.getall("Accept", ()), headers.getall("Accept-Encoding", ())
            key = (parameters_of(request).shared.text, *accept, "", *codings, request.version)
            manner = self._manners.get(key) or self._manner(request)
            if sum(map(len, (key[0], *accept, *codings))) <= _KEPT_CHARACTERS:
                self._manners.put(key, manner)
            request[MANNER] = manner
        number = self._numbers.draw()
        return Wish(
            self._selections.of(request),
            manner,
            given_cursors(request),
            attendance_of(request, number.to_bytes(8).hex()) if manner.is_attending else None,
            software_of(request),
            number,
            attempt_of(request),
        )

    def connection(self, request: RequestHead, wish: Wish) -> Connection:
        """Who reads the stream, for those who look at it later. Of one request it is asked once."""
        address = self._limits.address_of(request)
        return Connection.of(wish.number, self.clock.wall_ms(), address, wish.software.label)

    def enter(self, request: RequestHead, connection: Connection) -> Entry:
        """Lets the stream in, which counts while it is open. Raises gateway.access.admission.MET."""
        return self._limits.stream(request, connection.address)

    def decide(
        self,
        request: RequestHead,
        wish: Wish,
        caller: Caller,
        connection: Connection,
        place: Place | None,
        entry: Entry,
    ) -> "Opening | Farewell | Answer":
        """What becomes of the request now. `place` is that of its cursors; `entry` is kept by an opening.

        Raises Overloaded where a channel is full.
        """
        selection = wish.selection
        footing = self.stream_plans.footing(Asked(selection.selector, selection.components, caller))
        if footing.plan.is_polling:
            # An EventSource stops for good at a 204, as it is to (HTML, section 9.2.3).
            return _nothing_to_carry(footing.plan)
        if self.hub.is_draining:
            return self.farewell(request, "drain")
        if wish.attendance is not None:
            check_room(self.hub.presence, wish.attendance)
        fields = self._fields(request, is_gzip=wish.manner.delivery.gzip)
        return Opening(self, request, fields, wish, footing, connection, place, entry)

    def timestamp(self) -> str:
        """The time as the wire carries it. Those who come within a millisecond share it."""
        now_ms = self.clock.wall_ms()
        if now_ms != self._told_ms:
            self._told_ms, self._told_time = now_ms, rfc3339(now_ms)
        return self._told_time

    def cursor_of(self, start: Start, scope: str) -> str:
        """The cursor that a stream begins with. Those who come between two events mostly share it."""
        place = (start.epoch, start.position, scope)
        if place != self._told_place:
            self._told_place, self._told_cursor = place, str(Cursor(*place))
        return self._told_cursor

    def farewell(self, request: RequestHead, reason: control_frames.ByeReason) -> Farewell:
        """Sends the caller away, to come back later."""
        return Farewell(self._fields(request, is_gzip=False), control_frames.bye(reason, self.hub.retry_ms()))

    def _manner(self, request: RequestHead) -> Manner:
        if not accepts(_joined(request, "Accept"), "text/event-stream"):
            raise NotAcceptable("This resource is a text/event-stream, which the Accept header excludes.")
        delivery = self._delivery(request)
        with_state = _choice(request, "state", _STATE, "off")
        if with_state and delivery.hints == "only":
            raise BadParameter(
                "state", "a stream of hints alone has no state: leave out hints=only, or state"
            )
        query = parameters_of(request).shared.query
        return Manner(delivery, with_state, PRESENCE_PARAMETER in query or CHANNEL_PARAMETER in query)

    def _delivery(self, request: RequestHead) -> DeliveryOptions:
        hints = _choice(request, "hints", _HINTS, "off")
        timing = HintTiming.clamped(
            whole_number(request, "debounceMs", self.options.debounce_ms, 0, _ANY_DELAY_MS),
            whole_number(request, "maxWaitMs", self.options.max_wait_ms, 0, _ANY_DELAY_MS),
        )
        return DeliveryOptions(
            named=_choice(request, "format", _FORMATS, "named"),
            hints=hints,
            timing=None if hints == "off" else timing,
            chunked=request.version >= (1, 1),
            gzip=self.options.gzip and accepts_coding(_joined(request, "Accept-Encoding"), "gzip"),
            fields=self._selections.fields(request),
        )

    def _fields(self, request: RequestHead, *, is_gzip: bool) -> SharedFields:
        return self._shared_fields[is_gzip, request.version >= HttpVersion11]

    def _made_fields(self, is_gzip: bool, is_chunked: bool) -> SharedFields:
        headers = CIMultiDict(_HEADERS)
        if self.options.gzip:
            headers["Vary"] = "Accept-Encoding"
        # Without chunks only the end of the connection ends the stream.
        headers["Connection"] = "keep-alive" if is_chunked else "close"
        if is_gzip:
            headers["Content-Encoding"] = "gzip"
        return SharedFields(headers)


class Opening(Reply):
    """A stream that is about to begin: its head goes out, then `frames`, and in the same step it attaches."""

    __slots__ = (
        "_connection",
        "_footing",
        "_of",
        "_place",
        "_reading",
        "_reviews",
        "_start",
        "_wish",
        "credentials",
        "entry",
        "is_resumed",
    )

    def __init__(
        self,
        of: Openings,
        request: RequestHead,
        fields: SharedFields,
        wish: Wish,
        footing: Footing,
        connection: Connection,
        place: Place | None,
        entry: Entry,
    ) -> None:
        # As Reply's own does it: each call counts where thousands begin at once.
        self.status = 200
        self._shared = fields
        self._own = None
        self._of = of
        self._wish = wish
        self._footing = footing
        self._connection = connection
        self._place = place
        self.entry = entry
        self._reading = Reading(footing.plan.question) if wish.manner.with_state else None
        self.credentials = principal_of(request).credentials
        self.is_resumed = place is not None and not isinstance(place, str)
        if self.is_resumed:
            self._start = of.resumes.start(place)
        self._reviews = of.hub.reviews

    @property
    def notices_absence(self) -> bool:
        """Whether it has to be known soon where its reader has vanished: that is shown to others."""
        return self._wish.attendance is not None and bool(self._wish.attendance.presence)

    def frames(self) -> bytes:
        """What the stream begins with, as of now: it is to be written and attached before anything else."""
        of = self._of
        if not self.is_resumed:
            # The head is that of now; the headers may have taken their time.
            self._start = of.resumes.start(self._place)
        recovered = None if self._place is None else self.is_resumed
        follows = of.hub.begins_with_state(self._reading) if not self.is_resumed else None
        frames = self._first_frames(recovered, follows)
        # They are this client's alone, and stored (docs/security.md).
        return gzip_stream.HEADER + gzip_stream.stored(frames) if self._wish.manner.delivery.gzip else frames

    def attach(self, transport: Transport) -> Subscriber:
        """Gives the stream to the hub, once its first frames are written to `transport`."""
        of, start, footing = self._of, self._start, self._footing
        # Where the history has started over since `connected` was made, the stream is told in band.
        is_known = start.epoch == of.history.epoch
        number = start.number if is_known else NOWHERE
        position: Position | ResetReason = start.position if is_known else "epoch"
        subscriber = of.hub.attach(
            *(transport, footing.plan.selector, self._wish.manner.delivery, number, footing, position),
            *(self.credentials, self._connection, self._reading, self._wish.attendance),
        )
        self.entry.is_kept = True
        wish = self._wish
        of.evidence.follow(subscriber, self._connection.id, wish.software.names, wish.attempt)
        if start.lost is not None:
            of.evidence.lost(subscriber)
        if of.hub.reviews != self._reviews and of.stream_plans.reassignment(footing) is not None:
            # The flags have changed since `connected` was made, and that reassignment has passed it by.
            of.hub.reassign(of.stream_plans.reassignment)
        return subscriber

    def _first_frames(self, recovered: bool | None, state_follows: bool | None) -> bytes:
        of, plan, start = self._of, self._footing.plan, self._start
        scope = plan.selector.scope_text
        frames = control_frames.connected(
            client_id=self._connection.id,
            timestamp=of.timestamp(),
            cursor=of.cursor_of(start, scope),
            recovered=recovered,
            heartbeat_seconds=of.options.heartbeat_seconds,
            modes=plan.modes_json,
            retry_ms=of.options.retry_ms,
            state_follows=state_follows,
        )
        if start.lost is None:
            return frames
        return frames + of.hub.reset_frame(start.lost, scope, state_follows=state_follows)


def _nothing_to_carry(plan: Plan) -> Answer:
    reasons = [_told(component, decision) for component, decision in plan.decisions.items()]
    headers = CIMultiDict(
        {
            "Fetch-Mode": plan.mode,
            "Fetch-Mode-Reason": ", ".join(reasons[:MAX_REASONS]),
            "Cache-Control": "no-store",
        }
    )
    return Answer(204, headers)


def _told(component: str, decision: Decision) -> str:
    """A member of a structured list (RFC 9651, section 3.1): the component, and why it is to be polled."""
    known = {"stage": decision.stage, "reason": decision.reason, "cause": decision.cause}
    return f'"{component}"' + "".join(
        f";{name}={value}" for name, value in known.items() if value is not None
    )


def _joined(request: RequestHead, name: str) -> str:
    lines = request.headers.getall(name, ())
    return lines[0] if len(lines) == 1 else ",".join(lines)


def _choice(request: RequestHead, name: str, choices: Mapping[str, Value], default: str) -> Value:
    text = parameters_of(request).shared.query.get(name, default)
    if text not in choices:
        raise BadParameter(name, f"must be one of {', '.join(choices)}")
    return choices[text]
