"""Query parameters and headers that the stream, the poll and the history share."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from flags.decide.caller import Caller
from gateway.access.principal import Principal
from gateway.access.selection import granted
from gateway.core.errors import BadParameter
from gateway.core.event_fields import Fields, parse_fields
from gateway.core.events import MAX_CURSOR_CHARACTERS, has_control_characters
from gateway.core.grants import Scope
from gateway.core.recent import Recent
from gateway.core.selectors import Selector, parse_selector
from gateway.http.parameters import SharedQuery, parameters_of
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
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
    """What a caller asked for, and the migration components that it says it belongs to.

    `room` is what it takes to remember, where an ordinary one takes 1.
    """

    selector: Selector
    components: tuple[str, ...]
    room: int = field(compare=False)

    def link(self, cursor: str, caller: Caller | None = None) -> str:
        """A Link header's value: the stream that continues this selection after `cursor` (RFC 8288)."""
        url = stream_url(self.selector, self.components, caller, cursor)
        return f'<{url}>; rel="alternate"; type="text/event-stream"'


_KEPT = 8192
ASKED = web.RequestKey("asked", Selection)
"""What is selected, whoever asks for it."""
_PARSED = web.RequestKey("selection", Selection)


class Selections:
    """What requests select. `id_aliases` are the parameters that select by id, by entity type, and
    `text_members` those whose values are texts, whatever they look like: what paths of legacy routes give.
    """

    def __init__(self, id_aliases: Mapping[str, str], text_members: Container[str] = ()) -> None:
        self._id_aliases = id_aliases
        self._text_members = text_members
        self._asked: Recent[str, Selection] = Recent(_KEPT, lambda selection: selection.room)
        self._of_scopes: Recent[tuple[Selection, Scope], Selection] = Recent(
            _KEPT, lambda selection: selection.room
        )

    def of(self, request: RequestHead) -> Selection:
        """The request's selection, of what its caller is granted; it is parsed once.

        Those who ask for the same, and are granted the same, mostly share one. Raises BadParameter, and
        InsufficientScope where nothing of it is granted.
        """
        parsed: Selection | None = request.get(_PARSED)
        if parsed is None:
            asked = self._asked_by(request)
            principal = principal_of(request)
            parsed = asked if principal.scope is None else self._granted(asked, principal, principal.scope)
            request[_PARSED] = parsed
        return parsed

    def _asked_by(self, request: RequestHead) -> Selection:
        asked: Selection | None = request.get(ASKED)
        if asked is None:
            query = parameters_of(request).shared
            asked = self._asked.get(query.text) or self._asked.put(query.text, self._parsed(query))
            request[ASKED] = asked
        return asked

    def _granted(self, asked: Selection, principal: Principal, scope: Scope) -> Selection:
        known = self._of_scopes.get((asked, scope))
        if known is None:
            selector = granted(asked.selector, principal)
            selection = Selection(selector, asked.components, asked.room + selector.size // 4)
            known = self._of_scopes.put((asked, scope), selection)
        return known

    def _parsed(self, asked: SharedQuery) -> Selection:
        query = asked.query
        named = [name for joined in query.getall("component", []) for name in joined.split(",") if name]
        if len(named) > MAX_COMPONENTS:
            raise BadParameter("component", f"a caller belongs to at most {MAX_COMPONENTS} components")
        selector = parse_selector(query, self._id_aliases, self._text_members)
        # It is remembered by its text, which may be long for other reasons.
        room = 1 + (selector.size + len(named)) // 4 + len(asked.text) // 256
        return Selection(selector, tuple(sorted(set(named))), room)

    def fields(self, request: RequestHead) -> Fields | None:
        """The members that the events are to have; None for all. Raises BadParameter."""
        return parse_fields(parameters_of(request).shared.query, self._id_aliases)


def given_cursors(request: RequestHead) -> list[str]:
    """The cursors that the request carries, in whatever way; an empty one is none.

    Raises BadParameter for one that is too long or has control characters. Any other text is a cursor,
    if perhaps one that can't be honoured (docs/protocol.md, section 2).
    """
    # A proxy may have joined several lines of the header to one (RFC 9110, section 5.3).
    own = parameters_of(request).own
    given = request.headers.getall(CURSOR_HEADER, ())
    if not given and not own:
        return []
    named = [(CURSOR_HEADER, line.strip(" \t")) for line in ",".join(given).split(",")] if given else []
    named += [(name, text) for name in CURSOR_PARAMETERS for text in own.get(name, ())]
    found = [(name, text) for name, text in named if text]
    for name, text in found:
        check_cursor(name, text)
    return [text for _, text in found]


def check_cursor(name: str, text: str) -> None:
    """Raises BadParameter where `text` can't even be an unknown cursor."""
    if len(text) > MAX_CURSOR_CHARACTERS or has_control_characters(text):
        raise BadParameter(
            name, f"a cursor has at most {MAX_CURSOR_CHARACTERS} characters, none of them a control character"
        )


def whole_number(request: RequestHead, name: str, default: int, low: int, high: int) -> int:
    """A parameter between two bounds. Raises BadParameter."""
    text = parameters_of(request).shared.query.get(name)
    if text is None:
        return default
    if not _WHOLE.match(text) or not low <= int(text) <= high:
        raise BadParameter(name, f"must be a whole number from {low} to {high}")
    return int(text)


def truth(request: RequestHead, name: str) -> bool:
    """A parameter that is `true` or `false`; false where it is not there. Raises BadParameter."""
    text = parameters_of(request).shared.query.get(name, "false")
    if text not in ("true", "false"):
        raise BadParameter(name, "must be true or false")
    return text == "true"
