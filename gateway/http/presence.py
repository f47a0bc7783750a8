"""`/api/v1/sync/presence/{channel}`: who is there, and what they say of themselves (section 10)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web

from gateway.access.channels import check_channels
from gateway.core.errors import BodyTooLarge, InvalidInput
from gateway.core.kept_json import kept_json
from gateway.delivery.presence.presence import PresenceHub
from gateway.delivery.presence.roster import Present
from gateway.http.channels import channel_of, full, writer_of
from gateway.http.json_body import read_object
from gateway.http.principal import principal_of
from gateway.ports.clock import Clock
from gateway.runtime.slices import Slices

PRESENCE_PATH = "/api/v1/sync/presence/{channel}"
MAX_META_BYTES = 1024
_MAX_BODY_BYTES = 8192
"""Spaces and escapes may make a body longer than what it says."""


class PresenceHandler:
    """`check_rate(request)` raises where its caller may not say more now."""

    def __init__(
        self, presence: PresenceHub, clock: Clock, check_rate: Callable[[web.Request], None]
    ) -> None:
        self._presence = presence
        self._slices = Slices(clock)
        self._check_rate = check_rate

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(PRESENCE_PATH, self.get)
        app.router.add_put(PRESENCE_PATH, self.put)

    async def get(self, request: web.Request) -> web.Response:
        channel = channel_of(request)
        check_channels(principal_of(request), "presence", [channel])
        told: list[bytes] = []
        await self._slices.run(_tell([*self._presence.users(channel).items()], told))
        return web.Response(
            body=b'{"users":{%b}}' % b",".join(told),
            content_type="application/json",
            headers={"Cache-Control": "private, no-store"},
        )

    async def put(self, request: web.Request) -> web.Response:
        """204 once others are told. Raises Overloaded where the channel has no room for it."""
        channel = channel_of(request)
        check_channels(principal_of(request), "presence", [channel])
        user = writer_of(request)
        meta = _meta(await read_object(request, _MAX_BODY_BYTES))
        self._check_rate(request)
        if not self._presence.set_meta(channel, user, meta):
            raise full()
        return web.Response(status=204)


def _tell(users: Iterable[tuple[str, Present]], told: list[bytes]) -> Iterator[None]:
    for user, there in users:
        told.append(b'%b:{"meta":%b,"connections":%d}' % (orjson.dumps(user), there.meta, there.connections))
        yield


def _meta(body: Mapping[str, Any]) -> bytes:
    """The JSON of the body's one member. Raises InvalidInput and BodyTooLarge."""
    check_members(body, {"meta"}, "Nothing was changed.")
    meta = object_at(body, "meta", "Nothing was changed.")
    if len(meta) > MAX_META_BYTES:
        raise BodyTooLarge(f"A user's meta may have {MAX_META_BYTES} bytes as JSON.")
    return meta


def check_members(body: Mapping[str, Any], known: set[str], outcome: str) -> None:
    """Raises InvalidInput, whose first words are `outcome`, for a member that is not `known`."""
    unknown = sorted(body.keys() - known)
    if unknown:
        name = unknown[0].replace("~", "~0").replace("/", "~1")
        detail = f"is no member: there are {', '.join(sorted(known))}"
        raise InvalidInput(outcome, errors=[{"pointer": f"/{name}", "detail": detail}])


def object_at(body: Mapping[str, Any], name: str, outcome: str) -> bytes:
    """The JSON of a member that has to be an object. Raises InvalidInput."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise InvalidInput(outcome, errors=[{"pointer": f"/{name}", "detail": "must be an object"}])
    return kept_json(value)
