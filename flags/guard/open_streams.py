"""Which streams reports may be about: those that are open, and those that have closed a while ago. Pure.

What is remembered is bounded. Of the open ones those go first that have nothing to wait for, and of those
that have closed the oldest.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from flags.guard.who import Who

CLOSED_SECONDS = 900.0
"""How long a stream is remembered after it has closed."""


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """A stream that the gateway has opened, for `who`, with what it carries of `components`.

    `attempt` is what its client called the opening; `names` are those of the client's software.
    """

    client_id: str
    attempt: str | None
    who: Who
    components: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Stream:
    """What is remembered of a stream. `waits` says whether it is held to be acknowledged, and was not yet."""

    client_id: str
    attempt: str | None
    who: Who
    components: tuple[str, ...]
    opened_at: float
    waits: bool
    can_be_acknowledged: bool = True
    is_acknowledged: bool = False
    closed_at: float | None = None
    fell_back: bool = False


class OpenStreams:
    """At most `most_open` open streams and `most_closed` others, by `client_id` and by attempt.

    Of several with the same attempt the last one that was opened has it.
    """

    def __init__(self, most_open: int, most_closed: int) -> None:
        self._most_open = most_open
        self._most_closed = most_closed
        self._waiting: OrderedDict[str, Stream] = OrderedDict()
        self._settled: OrderedDict[str, Stream] = OrderedDict()
        self._closed: OrderedDict[str, Stream] = OrderedDict()
        self._attempts: dict[str, Stream] = {}
        self.forgotten = 0
        """Open streams that there was no room for."""

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._waiting) + len(self._settled) + len(self._closed)

    @property
    def waiting(self) -> int:
        """How many wait for their acknowledgement."""
        return len(self._waiting)

    def add(self, opened: OpenedStream, now: float, *, waits: bool) -> None:
        """Remembers a stream that is open now, unless all there is room for wait for something."""
        self.drop(opened.client_id)
        if len(self._waiting) + len(self._settled) >= self._most_open:
            self.forgotten += 1
            if not self._settled:
                return
            self._leave(self._settled.popitem(last=False)[1])
        stream = Stream(opened.client_id, opened.attempt, opened.who, opened.components, now, waits)
        (self._waiting if waits else self._settled)[opened.client_id] = stream
        if opened.attempt is not None:
            self._attempts[opened.attempt] = stream

    def named(
        self, client_id: str | None, attempt: str | None, now: float
    ) -> tuple[Stream | None, Stream | None]:
        """The stream with that id, and the one with that attempt; None where none is remembered."""
        self.expire(now)
        of_id = None
        if client_id is not None:
            of_id = (
                self._waiting.get(client_id) or self._settled.get(client_id) or self._closed.get(client_id)
            )
        return of_id, None if attempt is None else self._attempts.get(attempt)

    def acknowledge(self, stream: Stream) -> bool:
        """Notes that the stream's first event came; says whether it is open, and that was not known."""
        if stream.closed_at is not None or not stream.can_be_acknowledged:
            return False
        stream.can_be_acknowledged, stream.is_acknowledged = False, True
        self._settle(stream)
        return True

    def overdue(self, opened_until: float) -> Iterator[Stream]:
        """The streams that still wait and were opened by then: they wait no longer, and stay remembered."""
        while self._waiting:
            stream = next(iter(self._waiting.values()))
            if stream.opened_at > opened_until:
                return
            stream.can_be_acknowledged = False
            self._settle(stream)
            yield stream

    def close(self, client_id: str, now: float) -> tuple[bool, Stream | None]:
        """The stream is not open any more: whether it was still waiting, and the stream; None for unknown."""
        stream = self._waiting.pop(client_id, None) or self._settled.pop(client_id, None)
        if stream is None:
            return False, None
        was_waiting, stream.waits, stream.closed_at = stream.waits, False, now
        self._closed[client_id] = stream
        if len(self._closed) > self._most_closed:
            self._leave(self._closed.popitem(last=False)[1])
        return was_waiting, stream

    def drop(self, client_id: str) -> None:
        """Forgets the stream."""
        for among in (self._waiting, self._settled, self._closed):
            stream = among.pop(client_id, None)
            if stream is not None:
                self._leave(stream)

    def expire(self, now: float) -> None:
        """Forgets those that have closed too long ago."""
        while self._closed:
            stream = next(iter(self._closed.values()))
            if stream.closed_at is None or now - stream.closed_at <= CLOSED_SECONDS:
                return
            self._leave(self._closed.popitem(last=False)[1])

    def _settle(self, stream: Stream) -> None:
        if stream.waits:
            stream.waits = False
            del self._waiting[stream.client_id]
            self._settled[stream.client_id] = stream

    def _leave(self, stream: Stream) -> None:
        if stream.attempt is not None and self._attempts.get(stream.attempt) is stream:
            del self._attempts[stream.attempt]
