"""Query parameters and headers that the stream, the poll and the history share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from flags.decide.caller import Caller
from gateway.access.selection import granted
from gateway.core.errors import BadParameter
from gateway.core.events import MAX_CURSOR_CHARACTERS, has_control_characters
from gateway.core.selectors import Selector, parse_selector
from gateway.http.principal import principal_of
from gateway.migration.links import CURSOR_PARAMETERS, stream_url
from gateway.migration.links import EVENTS_PATH as EVENTS_PATH
from gateway.migration.links import POLL_PATH as POLL_PATH

HISTORY_PATH = "/api/v1/sync/history"
MAX_COMPONENTS = 100
"""How many components a caller may name, counted as written: each is decided, and told with its mode."""
CURSOR_HEADER = "Last-Event-ID"

_WHOLE = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a caller asked for, and the migration components that it says it belongs to."""

    selector: Selector
    components: tuple[str, ...]

    def link(self, cursor: str, caller: Caller | None = None) -> str:
        """A Link header's value: the stream that continues this selection after `cursor` (RFC 8288)."""
        url = stream_url(self.selector, self.components, caller, cursor)
        return f'<{url}>; rel="alternate"; type="text/event-stream"'


TEXT_MEMBERS = web.AppKey("text_members", frozenset[str])
"""Members whose values are texts, whatever they look like: those that paths of legacy routes give."""
_PARSED = web.RequestKey("selection", Selection)


def parse_selection(request: web.Request, id_aliases: Mapping[str, str]) -> Selection:
    """The request's selection, of what its caller is granted; it is parsed once.

    Raises BadParameter, and InsufficientScope where nothing of it is granted.
    """
    parsed: Selection | None = request.get(_PARSED)
    if parsed is not None:
        return parsed
    named = [name for joined in request.query.getall("component", []) for name in joined.split(",") if name]
    if len(named) > MAX_COMPONENTS:
        raise BadParameter("component", f"a caller belongs to at most {MAX_COMPONENTS} components")
    text_members = request.app.get(TEXT_MEMBERS, frozenset())
    selector = granted(parse_selector(request.query, id_aliases, text_members), principal_of(request))
    selection = Selection(selector, tuple(sorted(set(named))))
    request[_PARSED] = selection
    return selection


def given_cursors(request: web.Request) -> list[str]:
    """The cursors that the request carries, in whatever way; an empty one is none.

    Raises BadParameter for one that is too long or has control characters. Any other text is a cursor,
    if perhaps one that can't be honoured (docs/protocol.md, section 2).
    """
    # A proxy may have joined several lines of the header to one (RFC 9110, section 5.3).
    lines = ",".join(request.headers.getall(CURSOR_HEADER, [])).split(",")
    named = [(CURSOR_HEADER, line.strip(" \t")) for line in lines]
    named += [(name, text) for name in CURSOR_PARAMETERS for text in request.query.getall(name, [])]
    given = [(name, text) for name, text in named if text]
    for name, text in given:
        check_cursor(name, text)
    return [text for _, text in given]


def check_cursor(name: str, text: str) -> None:
    """Raises BadParameter where `text` can't even be an unknown cursor."""
    if len(text) > MAX_CURSOR_CHARACTERS or has_control_characters(text):
        raise BadParameter(
            name, f"a cursor has at most {MAX_CURSOR_CHARACTERS} characters, none of them a control character"
        )


def whole_number(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A parameter between two bounds. Raises BadParameter."""
    text = request.query.get(name)
    if text is None:
        return default
    if not _WHOLE.match(text) or not low <= int(text) <= high:
        raise BadParameter(name, f"must be a whole number from {low} to {high}")
    return int(text)


def truth(request: web.Request, name: str) -> bool:
    """A parameter that is `true` or `false`; false where it is not there. Raises BadParameter."""
    text = request.query.get(name, "false")
    if text not in ("true", "false"):
        raise BadParameter(name, "must be true or false")
    return text == "true"
