"""`POST /api/v1/sync/events`: publish (docs/protocol.md, section 6)."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import hdrs, web

from gateway.access.principal import OPEN, Principal
from gateway.core.access_errors import InsufficientScope
from gateway.core.errors import (
    BadParameter,
    BodyTimeout,
    BodyTooLarge,
    InvalidEvents,
    LogError,
    PublisherError,
    UnsupportedMediaType,
)
from gateway.core.events import Event, cursor_text, is_text, parsing_events
from gateway.core.unpacking import CODINGS, Broken, TooLong, unpack
from gateway.http.audit import Trail
from gateway.http.cloudevents import parsing_cloudevents
from gateway.http.principal import principal_of
from gateway.http.problems import refuse
from gateway.http.selection import EVENTS_PATH
from gateway.ports.clock import Clock
from gateway.ports.log import Appended, EventLog, PromptLog
from gateway.runtime.refusals import REFUSALS
from gateway.runtime.slices import Slices
from gateway.runtime.unattended import to_its_end

_MAX_KEY_CHARACTERS = 255
_NAME_DIGITS = 32
_MAX_NAMED = 20
"""How many entity types a refusal names."""
_EVENTS_AT_ONCE = 32
_BYTES_AT_ONCE = 32_768
"""So many events in so many bytes are parsed sooner than the loop has its next turn."""

_JSON = "application/json"
_CLOUDEVENT = "application/cloudevents+json"
_CLOUDEVENTS_BATCH = "application/cloudevents-batch+json"
_KINDS = frozenset({_JSON, _CLOUDEVENT, _CLOUDEVENTS_BATCH})


@dataclass(frozen=True, slots=True)
class PublishLimits:
    """Sizes in bytes; `body_seconds` is how long a request body may take to arrive."""

    max_event_bytes: int
    max_request_bytes: int
    max_batch: int
    body_seconds: float


@dataclass(slots=True)
class PublishCounters:
    """What was published since the start."""

    events: int = 0
    requests: int = 0
    replayed: int = 0


class PublishHandler:
    """Takes events in: all of a request, or none.

    `check_rate(request, count)` raises where its caller may not publish so many events now. `trail` is told
    who published what.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        limits: PublishLimits,
        check_rate: Callable[[web.Request, int], None] = lambda request, count: None,
        trail: Trail | None = None,
    ) -> None:
        self._trail = trail
        self._check_rate = check_rate
        self._log = log
        self._prompt_log = log if isinstance(log, PromptLog) else None
        self._clock = clock
        self._limits = limits
        self._slices = Slices(clock)
        self.counters = PublishCounters()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(EVENTS_PATH, self.post)

    async def post(self, request: web.Request) -> web.Response:
        kind = request.headers.get(hdrs.CONTENT_TYPE, "")
        if kind not in _KINDS:
            kind = request.content_type  # without parameters, and in lower case
        if kind not in _KINDS:
            raise UnsupportedMediaType(f"Publish {_JSON}, {_CLOUDEVENT} or {_CLOUDEVENTS_BATCH}.")
        key = _idempotency_key(request)
        body = await read_body(request, self._limits.max_request_bytes, self._limits.body_seconds)
        self.counters.requests += 1
        events = await self._events(kind, body)
        principal = principal_of(request)
        _check_granted(principal, events)
        self._check_rate(request, len(events))
        prompt_log = self._prompt_log if key is None else None
        appended = None if prompt_log is None else prompt_log.append_now(events)
        if appended is not None:
            self.counters.events += len(events)
            if self._trail is not None:
                self._trail.published(request, events, appended)
        else:
            # The client may go away meanwhile: the log still takes all that it was given, and is counted.
            once = None if key is None else _log_key(principal, key)
            appended = await to_its_end(
                self._append(request, events, kind, body, once),
                unheard=lambda error: refuse(request.app[REFUSALS], request, error),
            )
        scope = principal.scope_text
        ids = [cursor_text(appended.epoch, position, scope) for position in appended.positions]
        return web.Response(
            status=200 if appended.replayed else 201,
            body=orjson.dumps({"cursor": ids[-1], "ids": ids}),
            content_type="application/json",
        )

    async def _append(
        self, request: web.Request, events: Sequence[Event], kind: str, body: bytes, key: str | None
    ) -> Appended:
        try:
            if key is None:
                appended = await self._log.append(events)
            else:
                digest = hashlib.sha256(kind.encode() + b"\0" + body).digest()
                appended = await self._log.append_once(events, key, digest)
        except LogError as error:
            if self._trail is not None:
                self._trail.publish_failed(request, events, error)
            raise
        if self._trail is not None:
            self._trail.published(request, events, appended)
        if appended.replayed:
            self.counters.replayed += 1
        else:
            self.counters.events += len(events)
        return appended

    async def _events(self, kind: str, body: bytes) -> list[Event]:
        try:
            decoded = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise PublisherError(f"The body is not JSON: {error}.") from None
        is_batch = isinstance(decoded, list)
        if (kind == _CLOUDEVENT and is_batch) or (kind == _CLOUDEVENTS_BATCH and not is_batch):
            expected = "one event, an object" if kind == _CLOUDEVENT else "a list of events"
            raise _invalid(f"{kind} holds {expected}")
        raw = decoded if is_batch else [decoded]
        if not raw:
            raise _invalid("the list is empty")
        if len(raw) > self._limits.max_batch:
            raise _invalid(f"{len(raw)} events; a request may hold {self._limits.max_batch}")
        parsing = parsing_events if kind == _JSON else parsing_cloudevents
        events: list[Event] = []
        steps = parsing(
            raw,
            events,
            now_ms=self._clock.wall_ms(),
            max_event_bytes=self._limits.max_event_bytes,
            batch=is_batch,
        )
        if len(raw) > _EVENTS_AT_ONCE or len(body) > _BYTES_AT_ONCE:
            await self._slices.run(steps)
        else:
            for _ in steps:
                pass
        return events


def _check_granted(principal: Principal, events: Sequence[Event]) -> None:
    """Raises InsufficientScope where the caller may not publish all of them, naming each type once."""
    refused = {event.entity_type for event in events if not principal.may_publish(event.entity_type)}
    if not refused:
        return
    named = sorted("events without an entity" if one is None else f"{one}" for one in refused)
    shown = ", ".join(named[:_MAX_NAMED]) + (", …" if len(named) > _MAX_NAMED else "")
    raise InsufficientScope(f"Nothing was published: your grants to publish do not have {shown}.")


def _log_key(publisher: Principal, key: str) -> str:
    """The key by which the log knows the request. Those of two publishers differ, also for the same `key`."""
    if publisher is OPEN:
        return f"http:{key}"
    # A subject may be long, and hold anything. Those without one are one publisher: nothing tells them apart.
    name = orjson.dumps([publisher.credentials.subject, publisher.credentials.key])
    return f"http:{hashlib.sha256(name).hexdigest()[:_NAME_DIGITS]}:{key}"


def _invalid(detail: str) -> InvalidEvents:
    return InvalidEvents("Nothing was published.", errors=[{"pointer": "", "detail": detail}])


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    if len(keys) > 1:
        raise BadParameter("Idempotency-Key", "must be given once: a request has one key")
    key = keys[0]
    if not 1 <= len(key) <= _MAX_KEY_CHARACTERS or not is_text(key):
        raise BadParameter(
            "Idempotency-Key",
            f"must be 1 to {_MAX_KEY_CHARACTERS} characters in UTF-8, none of them a control character",
        )
    return key


async def read_body(request: web.Request, max_bytes: int, seconds: float) -> bytes:
    """The request's body without its content coding; as it comes and unpacked it may have `max_bytes`.

    Raises BodyTooLarge, BodyTimeout where it takes longer than `seconds`, UnsupportedMediaType for a coding
    that can't be taken off, and PublisherError where the body is broken.
    """
    coding = _coding(request) if hdrs.CONTENT_ENCODING in request.headers else None
    content = request.content
    if content.is_eof() and content.exception() is None:
        # It has arrived whole, as small ones do with their headers: no timer is needed.
        body: bytes = content.read_nowait()
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    else:
        body = await _read_parts(request, max_bytes, seconds)
    return body if coding is None else await _unpacked(body, coding, max_bytes)


async def _unpacked(body: bytes, coding: str, max_bytes: int) -> bytes:
    try:
        # In a thread: a megabyte takes some milliseconds.
        return await asyncio.to_thread(unpack, body, coding, max_bytes)
    except TooLong:
        raise _too_large(max_bytes) from None
    except Broken:
        raise PublisherError(f"The body is not the {coding} that it says it is.") from None


def _coding(request: web.Request) -> str | None:
    """The coding that is to be taken off the body, if any. Raises UnsupportedMediaType."""
    coding = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING)).strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in CODINGS:
        raise UnsupportedMediaType(
            "Send the body as it is, or in gzip or deflate.", headers={"Accept-Encoding": "gzip, deflate"}
        )
    return coding


async def _read_parts(request: web.Request, max_bytes: int, seconds: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        if request.content_length is not None and request.content_length > max_bytes:
            raise _too_large(max_bytes)
        async with asyncio.timeout(seconds):
            async for part in request.content.iter_any():
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                parts.append(part)
    except web.RequestPayloadError:
        raise PublisherError("The body is broken, or ended too early.") from None
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {seconds:g} seconds.") from None
    except asyncio.CancelledError:
        if request.transport is not None:
            raise
        # The client has gone, which cancels its handler: nobody hears this, but it is counted and logged.
        raise PublisherError("The body was cut off.") from None
    return b"".join(parts)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"A request may have {max_bytes} bytes.")
