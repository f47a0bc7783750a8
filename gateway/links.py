"""The addresses of the stream and the poll, with a selection in them (docs/protocol.md, sections 3 to 5)."""

from collections.abc import Iterable
from urllib.parse import urlencode

from gateway.selectors import Selector

EVENTS_PATH = "/api/v1/sync/events"
POLL_PATH = "/api/v1/sync/poll"


def stream_url(selector: Selector, components: Iterable[str], cursor: str | None = None) -> str:
    """The stream of this selection, after `cursor` where one is given."""
    return _url(EVENTS_PATH, selector, components, "lastEventId", cursor)


def poll_url(selector: Selector, components: Iterable[str], cursor: str | None = None) -> str:
    """The poll of this selection, after `cursor` where one is given."""
    return _url(POLL_PATH, selector, components, "cursor", cursor)


def _url(path: str, selector: Selector, components: Iterable[str], parameter: str, cursor: str | None) -> str:
    query = [*selector.query(), *(("component", component) for component in components)]
    if cursor is not None:
        query.append((parameter, cursor))
    return f"{path}?{urlencode(query)}" if query else path
