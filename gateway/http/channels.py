"""The channels that a request names, and whose it is there (docs/protocol.md, section 10)."""

import re

from aiohttp import web

from gateway.access.channels import check_channels, user_of
from gateway.core.errors import BadParameter, Overloaded
from gateway.core.events import NAME_PATTERN
from gateway.delivery.presence.attendance import MAX_CHANNELS, Attendance
from gateway.delivery.presence.presence import PresenceHub
from gateway.http.caller import client_id
from gateway.http.parameters import parameters_of
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
from gateway.migration.links import CHANNEL_PARAMETER, CLIENT_ID_PARAMETER, PRESENCE_PARAMETER

AGAIN_SECONDS = 5.0

_NAME = re.compile(NAME_PATTERN)
_RULE = "a channel is 1 to 64 of A-Z a-z 0-9 _ . -"


def attendance_of(request: RequestHead, connection_id: str) -> Attendance | None:
    """The channels that a stream asks for; None where it asks for none.

    Who is neither known nor names itself is there as `connection_id`. Raises BadParameter, and
    InsufficientScope for a channel that is not granted.
    """
    presence, channels = _named(request, PRESENCE_PARAMETER), _named(request, CHANNEL_PARAMETER)
    if not presence and not channels:
        return None
    if len(presence) + len(channels) > MAX_CHANNELS:
        parameter = PRESENCE_PARAMETER if presence else CHANNEL_PARAMETER
        raise BadParameter(parameter, f"a stream is for at most {MAX_CHANNELS} channels")
    principal = principal_of(request)
    check_channels(principal, "presence", presence)
    check_channels(principal, "broadcast", channels)
    user = user_of(principal, client_id(request) or connection_id)
    assert user is not None, "a stream has a name at least"
    return Attendance(user, presence, channels)


def channel_of(request: web.Request) -> str:
    """The channel in the request's path. Raises BadParameter where it can't be one."""
    channel = request.match_info["channel"]
    if not _NAME.match(channel):
        raise BadParameter("channel", _RULE)
    return channel


def writer_of(request: RequestHead) -> str:
    """As whom the caller of a write is known in channels. Raises BadParameter, and as `user_of`."""
    user = user_of(principal_of(request), client_id(request))
    if user is None:
        raise BadParameter(
            CLIENT_ID_PARAMETER, "say who you are, with it or with Tidegate-Client-Id: there is no token"
        )
    return user


def check_room(presence: PresenceHub, attendance: Attendance) -> None:
    """Raises Overloaded where there is no room for the stream in one of its channels."""
    if not presence.has_room(attendance):
        raise full()


def full() -> Overloaded:
    """A channel has no room for one user, or meta, more."""
    return Overloaded("The channel holds as much as it may: try again later.", AGAIN_SECONDS)


def _named(request: RequestHead, parameter: str) -> tuple[str, ...]:
    """Each name once, in the order in which they were given."""
    lines = parameters_of(request).shared.query.getall(parameter, ())
    given = [name for joined in lines for name in joined.split(",") if name != ""]
    if not all(map(_NAME.match, given)):
        raise BadParameter(parameter, _RULE)
    return tuple(dict.fromkeys(given))
