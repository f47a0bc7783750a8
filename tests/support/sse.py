"""A strict reader of event streams, written from the HTML standard and not from the gateway's own encoder.

It takes what the gateway promises and nothing else: LF line ends, the four fields, one blank line after each
block, UTF-8, JSON as data in each block, `retry` in the first one and in that of `bye` alone. Anything else
is an error, so that a test that reads a stream checks its format.
"""

from dataclasses import dataclass
from typing import Any

import orjson

FIELDS = ("retry", "event", "id", "data")


@dataclass(frozen=True, slots=True)
class Frame:
    """One block of a stream. `event` is "message" where it names none; a proxy's lone `retry` has no data."""

    event: str
    id: str | None
    data: Any
    retry: int | None
    raw: bytes


class FrameReader:
    """Bytes in, split anywhere; frames out. Raises ValueError for what a gateway never sends.

    With `by_proxy` the stream may be one that a proxy answers in place of the gateway: `retry` and no more.
    """

    def __init__(self, *, by_proxy: bool = False) -> None:
        self._buffer = bytearray()
        self._by_proxy = by_proxy
        self._is_first = True

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completed."""
        # Before it there is no blank line: a long frame is not looked through again with each read.
        looked_through = max(0, len(self._buffer) - 1)
        self._buffer += data
        if self._buffer.find(b"\n\n", looked_through) < 0:
            return []
        *blocks, rest = bytes(self._buffer).split(b"\n\n")
        self._buffer = bytearray(rest)
        return [self._frame(block) for block in blocks]

    def finish(self) -> None:
        """Raises ValueError where the stream ended within a frame."""
        if self._buffer:
            raise ValueError(f"the stream ended within a frame: {bytes(self._buffer)!r}")

    def _frame(self, block: bytes) -> Frame:
        fields = _fields(block)
        is_first, self._is_first = self._is_first, False
        if is_first and self._by_proxy and set(fields) == {"retry"}:
            return Frame("message", None, None, int(fields["retry"]), block)
        if "data" not in fields:
            raise ValueError(f"a frame without data: {block!r}")
        if ("retry" in fields) is not (is_first or fields.get("event") == "bye"):
            raise ValueError(f"retry belongs into the first frame and into bye alone: {block!r}")
        retry = int(fields["retry"]) if "retry" in fields else None
        data = orjson.loads(fields["data"])
        return Frame(fields.get("event", "message"), fields.get("id"), data, retry, block)


def _fields(block: bytes) -> dict[str, str]:
    if b"\r" in block or block.startswith(b"\n"):
        raise ValueError(f"line ends that the gateway never sends: {block!r}")
    fields: dict[str, str] = {}
    for line in block.decode("utf-8").split("\n"):
        name, colon, value = line.partition(": ")
        if not colon or name not in FIELDS or name in fields:
            raise ValueError(f"a line that the gateway never sends: {line!r}")
        fields[name] = value
    return fields
