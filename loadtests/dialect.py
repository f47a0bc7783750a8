"""Where servers under test differ in how they are spoken to."""

from collections.abc import Callable
from typing import NamedTuple

EVENTS_PATH = "/api/v1/sync/events"


class Dialect(NamedTuple):
    """How one kind of server is asked; the defaults are the gateway's protocol (docs/protocol.md, 4 and 6).

    `greets`: the first event of a stream is `connected`; without it a stream counts as open with its head.
    `positions`: the published events come back with an `id` whose position gives their order over all
    connections that publish; without it only the order of each connection's own events can be checked.
    `accepted`: the statuses that say that an event was taken.
    `codings`: the content codings that a stream may come in, for Accept-Encoding.
    `stream_token(index, entity)`, `publish_token()`: the tokens that streams and publishers show; None: none.
    `stream_query(index)`: what stream `index` asks for in its query, beside the entity; None: nothing.
    `stream_fields(index)`: header fields of stream `index` beside those, lines with their CRLF; None: none.
    `component`: the one of which `connected` has to say that the caller streams it; "": none.
    `members`: those that the events have to have, and no others; None: whatever they have.
    """

    stream_path: str = EVENTS_PATH
    publish_path: str = EVENTS_PATH
    greets: bool = True
    positions: bool = True
    accepted: frozenset[int] = frozenset({201})
    codings: str = ""
    stream_token: Callable[[int, str], str] | None = None
    publish_token: Callable[[], str] | None = None
    stream_query: Callable[[int], str] | None = None
    stream_fields: Callable[[int], str] | None = None
    component: str = ""
    members: frozenset[str] | None = None


GATEWAY = Dialect()
