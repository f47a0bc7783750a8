"""The addresses of stream, poll and state, with a selection in them (docs/protocol.md, sections 3 to 5)."""

from collections.abc import Iterable
from urllib.parse import urlencode

from flags.decide.caller import Caller
from gateway.core.selectors import SELECTING_PARAMETERS, Selector

EVENTS_PATH = "/api/v1/sync/events"
POLL_PATH = "/api/v1/sync/poll"
STATE_PATH = "/api/v1/sync/state"

CLIENT_ID_PARAMETER = "clientId"
CLIENT_VERSION_PARAMETER = "clientVersion"
ATTEMPT_PARAMETER = "attempt"
"""Names one opening of a stream, and nothing else: no link carries it."""
CAPABLE_PARAMETER = "capable"
PRESENCE_PARAMETER = "presence"
CHANNEL_PARAMETER = "channel"
CURSOR_PARAMETERS = ("lastEventId", "last_event_id", "cursor")
QUERY_PARAMETERS = frozenset(
    {
        *SELECTING_PARAMETERS,
        *CURSOR_PARAMETERS,
        CLIENT_ID_PARAMETER,
        CLIENT_VERSION_PARAMETER,
        CAPABLE_PARAMETER,
        ATTEMPT_PARAMETER,
        *("component", "debounceMs", "fields", "format", "hints", "limit", "maxWaitMs", "state", "wait"),
        *(PRESENCE_PARAMETER, CHANNEL_PARAMETER, "access_token"),
    }
)
"""The parameters of the stream, the poll and the history; an id alias would take one's meaning away."""


def stream_url(
    selector: Selector, components: Iterable[str], caller: Caller | None = None, cursor: str | None = None
) -> str:
    """The stream of this selection for `caller`, after `cursor` where one is given."""
    return _url(EVENTS_PATH, selector, components, caller, ("lastEventId", cursor))


def poll_url(
    selector: Selector, components: Iterable[str], caller: Caller | None = None, cursor: str | None = None
) -> str:
    """The poll of this selection for `caller`, after `cursor` where one is given."""
    return _url(POLL_PATH, selector, components, caller, ("cursor", cursor))


def state_url(selector: Selector, components: Iterable[str], caller: Caller | None = None) -> str:
    """The state of this selection for `caller`."""
    return _url(STATE_PATH, selector, components, caller, ("cursor", None))


def state_link(url: str) -> str:
    """The member of the field Link (RFC 8288) that names the state at `url`."""
    return f'<{url}>; rel="alternate"; type="application/json"'


def identity(caller: Caller) -> list[tuple[str, str]]:
    """Query parameters by which the caller is known again: an EventSource can't send it in header fields.

    Without them a stream might be decided otherwise than the poll that led to it. A session is not among
    them: its cookie comes by itself, and has no place in an address.
    """
    known = (
        (CLIENT_ID_PARAMETER, caller.client),
        (CLIENT_VERSION_PARAMETER, caller.client_version),
        (CAPABLE_PARAMETER, None if caller.capable else "false"),
    )
    return [(name, value) for name, value in known if value]


def _url(
    path: str,
    selector: Selector,
    components: Iterable[str],
    caller: Caller | None,
    position: tuple[str, str | None],
) -> str:
    query = [*selector.query(), *(("component", component) for component in components)]
    if caller is not None:
        query += identity(caller)
    name, cursor = position
    if cursor is not None:
        query.append((name, cursor))
    return f"{path}?{urlencode(query, errors='surrogatepass')}" if query else path
