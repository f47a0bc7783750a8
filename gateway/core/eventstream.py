"""text/event-stream in both directions, and HTTP/1.1 chunk framing. No I/O.

The format is the HTML standard's, section 9.2 "Server-sent events"; chunks are RFC 9112, section 7.1.
"""

import re
from dataclasses import dataclass

LAST_CHUNK = b"0\r\n\r\n"
MAX_EVENT_BYTES = 16_777_216
"""What a reader holds of one event unless it is told otherwise: 256 times what a gateway takes by default."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
# The standard sets no bound; fifteen digits are 31,000 years.
_RETRY = re.compile(r"[0-9]{1,15}\Z")


def encode(
    data: str, *, event: str | None = None, last_event_id: str | None = None, retry_ms: int | None = None
) -> bytes:
    """One event of a stream, ready to send.

    Raises ValueError where the format can't carry a value: a CR in `data` (a reader would see LF), a line
    break in `event`, a line break or NUL in `last_event_id`, a negative `retry_ms`; and UnicodeEncodeError
    for a lone surrogate. Nothing is mended, since a break within a field would be a field of its own.
    """
    if "\r" in data:
        raise ValueError("an event stream can't carry a CR within data")
    if event is not None and ("\r" in event or "\n" in event):
        raise ValueError("an event's name can't hold a line break")
    if last_event_id is not None and any(mark in last_event_id for mark in "\r\n\0"):
        raise ValueError("an event's id can't hold a line break or NUL")
    if retry_ms is not None and retry_ms < 0:
        raise ValueError("a reconnection time can't be negative")
    lines = []
    if retry_ms is not None:
        lines.append(f"retry: {retry_ms}")
    if event is not None:
        lines.append(f"event: {event}")
    if last_event_id is not None:
        lines.append(f"id: {last_event_id}")
    lines += [f"data: {line}" for line in data.split("\n")]
    return ("\n".join(lines) + "\n\n").encode()


def chunk(payload: bytes) -> bytes:
    """`payload` as one HTTP/1.1 chunk. It must not be empty: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """An event as an EventSource would dispatch it."""

    event: str
    data: str
    last_event_id: str


class EventTooLarge(ValueError):
    """A stream's event, or a line of it, is over what its reader is ready to hold."""


class EventStreamDecoder:
    """Parses an event stream as section 9.2.6 of the HTML standard says; bytes in, events out.

    After every event `last_event_id` and `retry_ms` hold what a reader that reconnects needs:
    the id to send, and the reconnection time in milliseconds where the stream set one.

    What it holds is at most one event, and that at most `max_event_bytes`: everything between two blank
    lines, comments and unknown fields too. The standard sets no bound.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max_event_bytes = max_event_bytes
        self._taken_bytes = 0
        self._rest = bytearray()  # the line that has not ended, and never one that has
        self._at_start = True
        self._after_cr = False
        self._event = ""
        self._id = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Takes the next bytes, split anywhere, and gives the events that they completed.

        Raises EventTooLarge; the decoder is of no use then, and nor are the events before it in `data`.
        """
        if self._at_start:
            data = self._without_mark(data)
        if not data:
            return []
        if self._after_cr:
            # The CR ended its line when it came; this LF is the second half of the same line break.
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        # Only what is new is looked through, however long the line is by now.
        first, *others = _LINE_BREAK.split(data)
        self._rest += first
        events = []
        for following in others:
            event = self._take(self._rest)
            if event is not None:
                events.append(event)
            self._rest = bytearray(following)
        self._check(len(self._rest))
        return events

    def _without_mark(self, data: bytes) -> bytes:
        """What follows a byte order mark at the start; nothing as long as one may still be coming."""
        data = bytes(self._rest) + data
        self._rest.clear()
        if len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data):
            self._rest += data
            return b""
        self._at_start = False
        return data.removeprefix(_BYTE_ORDER_MARK)

    def _take(self, line: bytearray) -> ServerSentEvent | None:
        self._check(len(line))
        self._taken_bytes = self._taken_bytes + len(line) + 1 if line else 0
        return self._line(line.decode("utf-8", "replace"))

    def _check(self, more: int) -> None:
        if self._taken_bytes + more > self._max_event_bytes:
            raise EventTooLarge(f"an event of the stream has more than {self._max_event_bytes} bytes")

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and _RETRY.match(value):
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, self._data = self._data, []
        event, self._event = self._event or "message", ""
        # Only now: the id of an event that was cut off must not be resumed from.
        self.last_event_id = self._id
        if not data:
            return None
        return ServerSentEvent(event, "\n".join(data), self.last_event_id)
