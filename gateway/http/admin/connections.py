"""`/api/v1/admin/connections`: the open streams, and the end of some (docs/protocol.md, section 8)."""

import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from gateway.access.refused import Met, Refused
from gateway.core.credentials import NOBODY, Credentials
from gateway.core.errors import BadParameter, InvalidInput, NoSuchConnection
from gateway.core.events import is_text
from gateway.core.history import History
from gateway.core.times import rfc3339
from gateway.delivery.hub import Hub
from gateway.delivery.lag import lag_of
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.subscriber import State, Subscriber
from gateway.http.admin.access import administrators_only, operator
from gateway.http.admin.flags import ADMIN_PATH, check_rest, take_reason
from gateway.http.figures import figures_response
from gateway.http.json_body import read_object
from gateway.http.selection import whole_number
from gateway.migration.links import CHANNEL_PARAMETER, PRESENCE_PARAMETER
from gateway.migration.stream_plan import Footing
from gateway.ports.clock import Clock
from gateway.runtime.logs import log_event
from gateway.runtime.slices import Slices

CONNECTIONS_PATH = f"{ADMIN_PATH}/connections"

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_REFUSED = 100
MAX_SELECTION_CHARACTERS = 2000
"""A selection may be as long as a URL, and a thousand of them are told at once."""
MAX_REASON_CHARACTERS = 1000

_log = logging.getLogger(__name__)

Wanted = Callable[[Subscriber], bool]


class ConnectionsHandler:
    """Looks at all streams of `hub`, however many, some at a time."""

    def __init__(self, hub: Hub, history: History, refused: Refused, clock: Clock) -> None:
        self._hub = hub
        self._history = history
        self._refused = refused
        self._clock = clock
        self._slices = Slices(clock)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(CONNECTIONS_PATH, administrators_only(self.show))
        app.router.add_delete(CONNECTIONS_PATH, administrators_only(self.end_all))
        app.router.add_delete(CONNECTIONS_PATH + "/{id}", administrators_only(self.end))

    async def show(self, request: web.Request) -> web.Response:
        """The streams that are wanted, the oldest first, and who met a limit of late."""
        limit = whole_number(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        wanted = _wanted(request)
        shown: list[dict[str, Any]] = []
        matching = 0

        def look() -> Iterator[None]:
            nonlocal matching
            for subscriber in self._hub.open_streams():
                if wanted(subscriber):
                    matching += 1
                    if len(shown) < limit:
                        shown.append(self._told(subscriber))
                yield

        await self._slices.run(look())
        refused = [_refusal(met) for met, _ in zip(self._refused.latest(), range(MAX_REFUSED), strict=False)]
        return figures_response(
            request,
            {
                "connections": shown,
                "matching": matching,
                "more": matching > len(shown),
                "total": self._hub.connections,
                "refused": refused,
            },
        )

    async def end(self, request: web.Request) -> web.Response:
        """Ends one stream. Raises NoSuchConnection where none of this process has that id."""
        reason = await _reason(request)
        given = request.match_info["id"]
        ended = await self._end(
            lambda subscriber: subscriber.connection is not None and subscriber.connection.id == given
        )
        if not ended:
            raise NoSuchConnection("No stream that this process serves has that id.")
        self._tell(request, reason, ended, id=given)
        return figures_response(request, {"ended": ended})

    async def end_all(self, request: web.Request) -> web.Response:
        """Ends the streams of one subject, which may be none."""
        subject = request.query.get("subject")
        if subject is None:
            raise BadParameter("subject", "is required: whose streams are to end?")
        reason = await _reason(request)
        ended = await self._end(lambda subscriber: _credentials(subscriber).subject == subject)
        self._tell(request, reason, ended, subject=subject)
        return figures_response(request, {"ended": ended})

    async def _end(self, wanted: Wanted) -> int:
        ended = 0

        def look() -> Iterator[None]:
            nonlocal ended
            for subscriber in self._hub.open_streams():
                if subscriber.state is not State.CLOSED and wanted(subscriber):
                    self._hub.send_away(subscriber, "disconnected", reconnect=False)
                    ended += 1
                yield

        await self._slices.run(look())
        return ended

    def _tell(self, request: web.Request, reason: str | None, ended: int, **of: str) -> None:
        log_event(
            _log,
            logging.INFO,
            "connections_ended",
            who=operator(request),
            why=reason or "",
            ended=ended,
            **of,
        )

    def _told(self, subscriber: Subscriber) -> dict[str, Any]:
        connection, credentials = subscriber.connection, _credentials(subscriber)
        lag = lag_of(subscriber, self._history, self._hub.flushed, self._clock.monotonic())
        return {
            "id": None if connection is None else connection.id,
            "subject": credentials.subject,
            "key": credentials.key,
            "since": None if connection is None else rfc3339(connection.opened_ms),
            "address": None if connection is None else connection.address,
            "client": None if connection is None else connection.client,
            "transport": "sse-gzip" if subscriber.group.delivery.gzip else "sse",
            "selection": _selection(subscriber, self._hub.presence.attendance_of(subscriber)),
            "state": subscriber.state.value,
            "cursorLag": {"events": lag.events, "ms": round(lag.seconds * 1000), "more": lag.is_more},
            "bufferedBytes": subscriber.transport.get_write_buffer_size(),
        }


def _credentials(subscriber: Subscriber) -> Credentials:
    return subscriber.credentials or NOBODY


def _wanted(request: web.Request) -> Wanted:
    """What `subject`, `component` and `address` leave of the streams that are open."""
    subject, component, address = (request.query.get(name) for name in ("subject", "component", "address"))

    def wanted(subscriber: Subscriber) -> bool:
        if subscriber.state is State.CLOSED:
            return False
        if subject is not None and _credentials(subscriber).subject != subject:
            return False
        if component is not None and component not in _components(subscriber):
            return False
        connection = subscriber.connection
        return address is None or (connection is not None and connection.address == address)

    return wanted


def _components(subscriber: Subscriber) -> Collection[str]:
    footing = subscriber.asked
    return footing.plan.decisions if isinstance(footing, Footing) else ()


def _selection(subscriber: Subscriber, attendance: Attendance | None) -> str:
    """What the stream asked for, as the query that asks for it."""
    footing = subscriber.asked
    if isinstance(footing, Footing):
        named = [("component", component) for component in footing.asked.named]
        query = [*footing.asked.selector.query(), *named]
    else:
        query = subscriber.group.selector.query()
    if attendance is not None:
        query += [(PRESENCE_PARAMETER, channel) for channel in attendance.presence]
        query += [(CHANNEL_PARAMETER, channel) for channel in attendance.channels]
    text = urlencode(query, errors="surrogatepass")
    if len(text) > MAX_SELECTION_CHARACTERS:
        return text[:MAX_SELECTION_CHARACTERS] + "…"
    return text


def _refusal(met: Met) -> dict[str, Any]:
    return {
        "limit": met.limit,
        "subject": met.subject,
        "address": met.address,
        "count": met.count,
        "last": rfc3339(met.last_ms),
    }


async def _reason(request: web.Request) -> str | None:
    """Why, where the caller says it. Raises InvalidInput for what is no line of text."""
    if not request.body_exists:
        return None
    body = await read_object(request)
    reason = take_reason(body)
    check_rest(body)
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS or not is_text(reason):
        detail = f"must be one line of 1 to {MAX_REASON_CHARACTERS} characters"
        raise InvalidInput("Nothing was ended.", errors=[{"pointer": "/reason", "detail": detail}])
    return reason
