"""One open stream: its state, its group, its transport, and the number of the last entry that it has.

The transitions are a table; docs/architecture.md draws its diagram from it.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from gateway.core.credentials import Credentials
from gateway.core.events import Position
from gateway.core.history import ResetReason
from gateway.core.states import following
from gateway.delivery.connection import Connection
from gateway.delivery.state.reading import Reading


class State(Enum):
    """How a subscriber gets its events."""

    # Each is one object: Enum's own goes by the name, at the cost of two calls.
    __hash__ = object.__hash__

    CATCHING_UP = "catching up"
    """Behind the head: reads the history batch by batch, or the log where it is behind the history."""
    LIVE = "live"
    """At the head: gets each flush of its group."""
    LAGGING = "lagging"
    """Its transport's buffer is full: gets nothing until that drains."""
    CLOSED = "closed"
    """Over. Nothing is written any more."""


class Signal(Enum):
    """What happens to a subscriber."""

    __hash__ = object.__hash__

    CAUGHT_UP = "caught up"
    CLOGGED = "clogged"
    DRAINED = "drained"
    CLOSED = "closed"
    MOVED = "moved"


TRANSITIONS: Mapping[tuple[State, Signal], State] = {
    (State.CATCHING_UP, Signal.CAUGHT_UP): State.LIVE,
    (State.CATCHING_UP, Signal.CLOGGED): State.LAGGING,
    (State.CATCHING_UP, Signal.CLOSED): State.CLOSED,
    (State.LIVE, Signal.CLOGGED): State.LAGGING,
    (State.LIVE, Signal.MOVED): State.CATCHING_UP,
    (State.LIVE, Signal.CLOSED): State.CLOSED,
    (State.LAGGING, Signal.DRAINED): State.CATCHING_UP,
    (State.LAGGING, Signal.CLOSED): State.CLOSED,
    (State.CLOSED, Signal.CLOGGED): State.CLOSED,
    (State.CLOSED, Signal.DRAINED): State.CLOSED,
    (State.CLOSED, Signal.CLOSED): State.CLOSED,
}
"""Every pair that may happen; any other is an error in the caller."""


class Transport(Protocol):
    """Where a subscriber's bytes go; asyncio's transports are one as they are."""

    def write(self, data: bytes, /) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int: ...


NOWHERE = -1
"""A number below the floor of every history."""


class Subscriber:
    """A reader of the history: a number and a transport.

    All matching entries up to `number` were written to `transport`; while it is LIVE the same holds up to
    the hub's last flush. `last_sent` is the newest entry whose cursor the client was sent: it may resume from
    there at any time, and is never given an older one. `position` is where it goes on in the log should
    `number` be below the history's floor, or the reason why it can't; while LIVE it is where that began.
    `beat_round` is the round in which it got its last heartbeat (gateway/delivery/heartbeats.py).
    `group` is the hub's; `asked` is whatever decides which group it belongs to, shared with others, and
    nothing that is looked into here. `credentials` are those with which it was opened; None where there is
    no authentication. `connection` says who reads it; None where nobody can tell. `reading` is there for a
    stream that begins with its state: while that is owed nothing else is sent, and it is at no position.
    """

    __slots__ = (
        "asked",
        "beat_round",
        "connection",
        "credentials",
        "group",
        "last_sent",
        "number",
        "position",
        "reading",
        "state",
        "transport",
    )

    def __init__(
        self,
        group: Any,
        number: int,
        transport: Transport,
        asked: object = None,
        position: Position | ResetReason = "trimmed",
        credentials: Credentials | None = None,
        connection: Connection | None = None,
        reading: Reading | None = None,
    ) -> None:
        self.asked = asked
        self.beat_round = 0
        self.connection = connection
        self.credentials = credentials
        self.group = group
        self.number = self.last_sent = number
        self.position = position
        self.reading = reading
        self.transport = transport
        self.state = State.CATCHING_UP

    def signal(self, signal: Signal) -> None:
        """Moves to the state that the table gives. Raises RuntimeError for a pair that it does not have."""
        self.state = following(TRANSITIONS, self.state, signal, "a subscriber")
