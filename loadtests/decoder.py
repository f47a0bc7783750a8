"""Reads text/event-stream for the load's users: bytes in, frames out. No I/O.

Written apart from the gateway's own decoder, so that an error of that one can't hide itself. The format is
the HTML standard's, section 9.2.6.
"""

import re
from typing import NamedTuple

_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
_RETRY = re.compile(r"[0-9]{1,15}\Z")


class Frame(NamedTuple):
    """One dispatched event; `size` is how many bytes its block took, line breaks counted as one."""

    event: str
    data: str
    last_event_id: str
    size: int


class Decoder:
    """What one stream has said so far. A stream's first bytes are the first ones fed.

    `last_event_id` and `retry_ms` (None where the stream set none) are what a client that reconnects needs.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._rest = bytearray()  # the line that has not ended
        self._held = b""
        self._id = self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._first = True

    def feed(self, data: bytes) -> list[Frame]:
        """Takes the next bytes, split anywhere, and gives the frames that they completed."""
        # A CR at the end may be half of a CRLF: it waits.
        data = self._held + data
        complete = data.removesuffix(b"\r")
        self._held = data[len(complete) :]
        # Only what is new is looked through, however long the line is by now.
        first, *others = _LINE_BREAK.split(complete)
        self._rest += first
        lines: list[bytes] = []
        if others:
            lines = [bytes(self._rest), *others[:-1]]
            self._rest = bytearray(others[-1])
        if lines and self._first:
            self._first, lines[0] = False, lines[0].removeprefix(b"\xef\xbb\xbf")
        frames = []
        for line in lines:
            self._size += len(line) + 1
            if line:
                self._field(*line.decode("utf-8", "replace").partition(":")[::2])
            elif (frame := self._dispatch()) is not None:
                frames.append(frame)
        return frames

    def _field(self, name: str, value: str) -> None:
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and _RETRY.match(value):
            self.retry_ms = int(value)

    def _dispatch(self) -> Frame | None:
        frame = Frame(self._event or "message", "\n".join(self._data), self._id, self._size)
        has_data = bool(self._data)
        self._event, self._data, self._size = "", [], 0
        # Only now: what was cut off must not be resumed from.
        self.last_event_id = self._id
        return frame if has_data else None
