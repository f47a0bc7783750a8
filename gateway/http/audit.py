"""What the audit trail is told of requests: what was published, what was changed, and who was refused.

Who and what, and of events no more than their types (docs/protocol.md, section 8).
"""

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from aiohttp import web

from gateway.access.principal import OPEN
from gateway.core.errors import BadParameter, LogError, TidegateError
from gateway.core.events import Event, cursor_text
from gateway.core.redaction import without_tokens
from gateway.http.admin.access import LOOPBACK, operator
from gateway.http.client_address import Clients
from gateway.http.principal import PRINCIPAL
from gateway.http.request_id import request_id
from gateway.ports.log import Appended
from gateway.runtime.audit_recorder import AuditRecorder, Refused

ADMIN_PREFIX = "/api/v1/admin/"

MAX_TYPES = 20
MAX_CHARACTERS = 256
MAX_CHANGE_BYTES = 4096
"""How much of a change's fields an entry holds; of a longer one its size alone."""

GIVEN = web.RequestKey("given", dict[str, Any])
"""What the body of a request says, for those that are one JSON object (json_body.py)."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_QUERY = ("subject", "force")
"""The parameters by which a change says what it is meant for. Any other may hold a secret."""
_REFUSED = frozenset({401, 403})


class Trail:
    """Tells `recorder` of the requests of this gateway. `clients` says from where they come."""

    def __init__(self, recorder: AuditRecorder, clients: Clients) -> None:
        self._recorder = recorder
        self._clients = clients

    def published(self, request: web.Request, events: Sequence[Event], appended: Appended) -> None:
        """These events were published, or by an earlier request with the same key."""
        came: dict[str, Any] = {"cursor": cursor_text(appended.epoch, appended.positions[-1])}
        if appended.replayed:
            came["replayed"] = True
        self._add_publish(request, events, came)

    def publish_failed(self, request: web.Request, events: Sequence[Event], error: LogError) -> None:
        """The log gave no answer to these events, or said no: then nothing was published."""
        if not error.is_refusal:
            self._add_publish(request, events, {"outcome": "unknown"})

    def answered(self, request: web.Request, response: web.StreamResponse, error: Exception | None) -> None:
        """The request was answered so, because of `error` where there was one."""
        if isinstance(error, TidegateError) and error.status in _REFUSED:
            self._refused(request, error)
        elif _is_change(request) and not 400 <= response.status < 500:
            self._changed(request, response.status)

    def broken_off(self, request: web.Request) -> None:
        """Nobody waits for the request's answer any more, and nobody knows what came of it."""
        if _is_change(request):
            self._changed(request, None)

    def _add_publish(self, request: web.Request, events: Sequence[Event], came: dict[str, Any]) -> None:
        members = self._origin(request)
        members["events"] = len(events)
        members["eventTypes"] = _named({event.event_type for event in events})
        members["entityTypes"] = _named({event.entity_type or "global" for event in events})
        members.update(came)
        self._recorder.add("publish", who_of(request), members)

    def _changed(self, request: web.Request, status: int | None) -> None:
        given = dict(request.get(GIVEN, {}))
        reason = given.pop("reason", None)
        members = self._origin(request)
        members |= {"method": request.method, "path": shown(request.rel_url.raw_path)}
        if isinstance(reason, str):
            members["reason"] = shown(reason)
        named = {name: shown(request.query[name]) for name in _QUERY if name in request.query}
        if named:
            members["query"] = named
        if status is None or status >= 500:
            members["outcome"] = "unknown"
        elif given:
            size = len(orjson.dumps(given))
            fits = size <= MAX_CHANGE_BYTES
            members |= {"change": without_tokens(given)} if fits else {"changeBytes": size}
        if status is not None:
            members["status"] = status
        self._recorder.add("admin", who_of(request), members)

    def _refused(self, request: web.Request, error: TidegateError) -> None:
        refused = Refused(self._clients.address_of(request), error.slug, shown(error.detail))
        members = {**refused._asdict(), "status": error.status, "requestId": request_id(request)}
        members |= {"method": request.method, "path": shown(request.rel_url.raw_path)}
        self._recorder.add_refused(refused, who_of(request), members)

    def _origin(self, request: web.Request) -> dict[str, Any]:
        return {"address": self._clients.address_of(request), "requestId": request_id(request)}


def who_of(request: web.Request) -> str:
    """Who asks, as the trail names it; "" for whoever was not let in.

    A token's subject, or `token:` and its id; `key:` and a key's name; `anonymous`. Without authentication
    `loopback`, or `loopback:` and the name that the caller gives itself.
    """
    principal = request.get(PRINCIPAL)
    if principal is None:
        return ""
    if principal is OPEN:
        try:
            return operator(request)
        except BadParameter:
            return LOOPBACK
    credentials = principal.credentials
    if credentials.key is not None:
        return shown(f"key:{credentials.key}")
    if credentials.subject is not None:
        return shown(credentials.subject)
    return "anonymous" if credentials.token_id is None else shown(f"token:{credentials.token_id}")


def shown(text: str) -> str:
    """`text` in one line, at most MAX_CHARACTERS of it, without tokens and what a database can't hold."""
    text = without_tokens(text)
    if not text.isprintable():
        text = text.encode("unicode_escape").decode()
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"


def _is_change(request: web.Request) -> bool:
    return request.method not in _SAFE and request.path.startswith(ADMIN_PREFIX)


def _named(types: Collection[str]) -> list[str]:
    """The types in order; of many the first, and how many there are beside."""
    if len(types) == 1:
        return [*types]
    if len(types) <= MAX_TYPES:
        return sorted(types)
    return [*sorted(types)[:MAX_TYPES], f"and {len(types) - MAX_TYPES} more"]
