"""`POST /api/v1/sync/broadcast/{channel}`: what one says to all who read a channel now (section 10)."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from gateway.access.channels import check_channels
from gateway.core.errors import BodyTooLarge, InvalidInput, Overloaded
from gateway.core.events import NAME_PATTERN
from gateway.delivery.presence.presence import PresenceHub
from gateway.http.channels import channel_of, writer_of
from gateway.http.json_body import read_object
from gateway.http.presence import check_members, object_at
from gateway.http.principal import principal_of

BROADCAST_PATH = "/api/v1/sync/broadcast/{channel}"
MAX_PAYLOAD_BYTES = 8192
_MAX_BODY_BYTES = 32_768
_AGAIN_SECONDS = 1.0
_NOTHING_SENT = "Nothing was broadcast."
_NAME = re.compile(NAME_PATTERN)


class BroadcastHandler:
    """`check_rate(request)` raises where its caller may not say more now."""

    def __init__(self, presence: PresenceHub, check_rate: Callable[[web.Request], None]) -> None:
        self._presence = presence
        self._check_rate = check_rate

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(BROADCAST_PATH, self.post)

    async def post(self, request: web.Request) -> web.Response:
        """202 once it is on its way. Raises Overloaded where more is broadcast than can be written."""
        channel = channel_of(request)
        check_channels(principal_of(request), "broadcast", [channel])
        user = writer_of(request)
        event, payload = _said(await read_object(request, _MAX_BODY_BYTES))
        self._check_rate(request)
        if not self._presence.broadcast(channel, event, payload, user):
            raise Overloaded("More is broadcast than can be written: try again later.", _AGAIN_SECONDS)
        return web.Response(status=202)


def _said(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The event's name and its payload, an empty one where there is none. Raises as `object_at`."""
    check_members(body, {"event", "payload"}, _NOTHING_SENT)
    event = body.get("event")
    if not isinstance(event, str) or not _NAME.match(event):
        detail = "must be a name: 1 to 64 of A-Z a-z 0-9 _ . -"
        raise InvalidInput(_NOTHING_SENT, errors=[{"pointer": "/event", "detail": detail}])
    payload = body.get("payload", {})
    if len(object_at({"payload": payload}, "payload", _NOTHING_SENT)) > MAX_PAYLOAD_BYTES:
        raise BodyTooLarge(f"A payload may have {MAX_PAYLOAD_BYTES} bytes as JSON.")
    return event, payload
