"""`/api/v1/admin/revocations`: tokens and keys that are to count no more (docs/protocol.md, section 9)."""

import logging
from datetime import datetime
from typing import Any

from aiohttp import web

from flags.wire_model import pointer
from gateway.core.access_errors import RevocationUncertain
from gateway.core.errors import InvalidInput, LogError
from gateway.core.events import Cursor, is_text
from gateway.core.revocations import KINDS, Held, Kind, Revocation
from gateway.core.times import in_utc, rfc3339
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.http.admin.access import administrators_only, operator
from gateway.http.admin.flags import ADMIN_PATH, json_response
from gateway.http.json_body import read_object
from gateway.http.selection import whole_number
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog
from gateway.runtime.logs import log_event

REVOCATIONS_PATH = f"{ADMIN_PATH}/revocations"

MAX_BODY_BYTES = 16_384
MAX_NAME_CHARACTERS = 256
"""As many as a `sub` and a `jti` have at most."""
MAX_REASON_CHARACTERS = 1000
MAX_LISTED = 1000
AHEAD_SECONDS = 300.0
"""How far an `issuedBefore` may be ahead of this node's clock: as clocks differ, and no further."""

_MEMBERS = frozenset({*KINDS, "issuedBefore", "reason"})

_log = logging.getLogger(__name__)


class RevocationsHandler:
    """Writes revocations into the log, and shows those that hold on this node."""

    def __init__(self, log: EventLog, revoked: RevokedTokens, clock: Clock) -> None:
        self._event_log = log
        self._revoked = revoked
        self._clock = clock

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(REVOCATIONS_PATH, administrators_only(self.show))
        app.router.add_post(REVOCATIONS_PATH, administrators_only(self.revoke))

    async def show(self, request: web.Request) -> web.Response:
        """Those that hold, the last of them."""
        limit = whole_number(request, "limit", MAX_LISTED, 1, MAX_LISTED)
        held = list(self._revoked.revocations)
        return json_response({"revocations": [_wire(one) for one in held[-limit:]], "total": len(held)})

    async def revoke(self, request: web.Request) -> web.Response:
        """Raises InvalidInput, TooManyRevocations, LogError where nothing was revoked, and
        RevocationUncertain."""
        who = operator(request)
        revocation = _read(await read_object(request, MAX_BODY_BYTES), self._clock.wall_ms())
        self._revoked.check_room(revocation.whom)
        event = revocation.event(rfc3339(self._clock.wall_ms()))
        appended = await self._event_log.append([event])
        cursor = Cursor(appended.epoch, appended.positions[0])
        self._revoked.take(event, cursor)
        # Not the subject, nor the token's id: a log line is not where they belong.
        log_event(_log, logging.INFO, "revoked", who=who, of=revocation.kind, cursor=cursor)
        try:
            await self._revoked.keep()
        except LogError as error:
            raise RevocationUncertain(
                f"It is revoked, and could not be kept for a restart: {error.detail} Send it again later."
            ) from error
        return json_response(_wire(Held(revocation, cursor)), status=201)


def _read(body: dict[str, Any], now_ms: int) -> Revocation:
    """What the body of a request asks for. Raises InvalidInput with a pointer to each bad place."""
    places = [_place(name, "is not known here") for name in sorted(body.keys() - _MEMBERS)[:20]]
    kinds: list[Kind] = [kind for kind in KINDS if kind in body]
    if len(kinds) != 1:
        places.append({"pointer": "", "detail": f"must have exactly one of {', '.join(KINDS)}"})
    for kind in kinds:
        if not _is_line(body[kind], MAX_NAME_CHARACTERS):
            places.append(_place(kind, f"must be text of 1 to {MAX_NAME_CHARACTERS} characters"))
    reason = body.get("reason")
    if not _is_line(reason, MAX_REASON_CHARACTERS) or not str(reason).strip():
        places.append(_place("reason", f"must be one line of 1 to {MAX_REASON_CHARACTERS} characters"))
    issued_before = _issued_before(body, now_ms, places)
    if places:
        raise InvalidInput("Nothing was revoked.", errors=places)
    return Revocation(kinds[0], body[kinds[0]], issued_before, str(reason), now_ms / 1000)


def _issued_before(body: dict[str, Any], now_ms: int, places: list[dict[str, str]]) -> float:
    """In seconds since 1970; what is wrong with it goes to `places`."""
    now = now_ms / 1000
    if "issuedBefore" not in body:
        return now
    given = body["issuedBefore"]
    moment = in_utc(given) if isinstance(given, str) else None
    if moment is None:
        places.append(_place("issuedBefore", "must be a time of RFC 3339 such as 2026-11-20T10:30:00.123Z"))
        return now
    seconds = datetime.fromisoformat(moment).timestamp()
    if seconds > now + AHEAD_SECONDS:
        # A subject that comes back is to be let in with a token that it gets then.
        places.append(_place("issuedBefore", "is in the future: tokens to come can't be revoked"))
    return seconds


def _is_line(value: object, most: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= most and is_text(value)


def _place(name: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer(name), "detail": detail}


def _wire(held: Held) -> dict[str, Any]:
    revocation = held.revocation
    return {
        revocation.kind: revocation.name,
        "issuedBefore": rfc3339(round(revocation.issued_before * 1000)),
        "reason": revocation.reason,
        "cursor": str(held.cursor),
    }
