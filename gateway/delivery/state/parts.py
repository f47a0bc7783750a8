"""A state as streams and answers carry it: parts that are encoded once, the same for everybody. No I/O."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence

import orjson
from cachetools import LRUCache

from gateway.core import control_frames, eventstream, gzip_stream
from gateway.core.events import Cursor, Event
from gateway.core.selectors import Match, Selector
from gateway.core.times import rfc3339
from gateway.delivery.state.question import StateQuestion
from gateway.ports.state import StateItem

PART_BYTES = 65_536
"""What a part has at most, as it stands in the stream, unless one item alone has more."""

_TAG_BYTES = 16
_KEPT_PIECES = 16
_LARGEST_NUMBER = 10**9
"""Of a part: room is left for it."""


class StatePart:
    """A `state` event in a chunk of its own, as HTTP/1.1 carries it, and where its items end in that."""

    __slots__ = ("_coded", "_ends", "_first", "chunk", "entity_type")

    def __init__(self, entity_type: str, chunk: bytes, first: int, sizes: Sequence[int]) -> None:
        self.entity_type = entity_type
        self.chunk = chunk
        self._first = first
        self._ends = array("I")
        end = first - 1
        for size in sizes:
            end += 1 + size
            self._ends.append(end)
        self._coded: bytes | None = None

    @property
    def size(self) -> int:
        """The bytes that it takes, without its compressed form."""
        return len(self.chunk) + len(self._ends) * self._ends.itemsize

    def framed(self, *, chunked: bool, gzip: bool) -> bytes:
        """The part for a stream of that coding and framing. In HTTP/1.1 it is one object."""
        if not gzip:
            return self.chunk if chunked else _payload(self.chunk)
        if self._coded is None:
            self._coded = eventstream.chunk(gzip_stream.block(_payload(self.chunk)))
        return self._coded if chunked else _payload(self._coded)

    def items(self) -> bytes:
        """Its items as they follow others in a JSON list: each behind a comma, and with its entity type."""
        before, start, items = b"," + _entity_type(self.entity_type), self._first, []
        for end in self._ends:
            items.append(before + self.chunk[start + 1 : end])
            start = end + 1
        return b"".join(items)

    @property
    def items_size(self) -> int:
        """How many bytes `items` has."""
        if not self._ends:
            return 0
        more = len(_entity_type(self.entity_type)) - 1
        return 1 + self._ends[-1] - self._first + more * len(self._ends)


def _entity_type(entity_type: str) -> bytes:
    """What an item has before its id where its type stands with it."""
    return b'{"entityType":%b,' % orjson.dumps(entity_type)


def _payload(chunk: bytes) -> bytes:
    return chunk[chunk.index(b"\r\n") + 2 : -2]


class StateParts:
    """The state of a selection at `cursor`, which has the scope of whoever may be given it.

    `etag` is a weak entity tag: the same for the same items, in the same history and for the same scope.
    `version` is that of the reading; `as_of_ms` (wall time) is when the items were last known to be so, and
    `read_at` (monotonic seconds) when somebody asked for that. `size` is in bytes, without what is made of it
    compressed.
    """

    def __init__(
        self,
        parts: Sequence[StatePart],
        cursor: Cursor,
        etag: str,
        version: str | None,
        as_of_ms: int,
        read_at: float,
    ) -> None:
        self.parts = tuple(parts)
        self.cursor = cursor
        self.etag = etag
        self.version = version
        self.as_of_ms = as_of_ms
        self.read_at = read_at
        self.size = sum(part.size for part in self.parts)
        self._pieces: LRUCache[StatePart, bytes] = LRUCache(_KEPT_PIECES)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def json_size(self) -> int:
        """How many bytes `json` has in all."""
        size = sum(part.items_size for part in self.parts)
        return sum(map(len, self._around())) + max(0, size - 1)

    def json(self) -> Iterator[bytes]:
        """The whole as one JSON object, in pieces of about a part each (docs/protocol.md, section 4)."""
        head, tail = self._around()
        for number, part in enumerate(self.parts):
            piece = self._piece(part)
            yield head + piece[1:] if number == 0 else piece
        yield tail

    def _piece(self, part: StatePart) -> bytes:
        """Its items, made once for those who read it at about the same time."""
        piece = self._pieces.get(part)
        if piece is None:
            piece = self._pieces[part] = part.items()
        return piece

    def _around(self) -> tuple[bytes, bytes]:
        cursor, as_of = str(self.cursor).encode(), rfc3339(self.as_of_ms).encode()
        return b'{"cursor":"%b","items":[' % cursor, b'],"asOf":"%b"}' % as_of


class PartsBuilder:
    """Makes the parts of a state out of its items, as they are read. `size` is what they take so far."""

    def __init__(self, question: StateQuestion, cursor: Cursor, part_bytes: int = PART_BYTES) -> None:
        self._selector = question.selector
        self._cursor = Cursor(cursor.epoch, cursor.position, question.selector.scope_text)
        self._part_bytes = part_bytes
        self._parts: list[StatePart] = []
        self._digest = hashlib.blake2b(digest_size=_TAG_BYTES)
        self.size = 0
        # What the next part is to have. It ends when an item comes for which it has no room.
        self._entity_type = question.entity_types[0]
        self._items: list[bytes] = []
        self._room = 0

    def adding(self, entity_type: str, items: Sequence[StateItem]) -> Iterator[None]:
        """Takes items in, one a step: some microseconds for each of an ordinary size."""
        for item in items:
            encoded = _encoded(entity_type, item, self._selector)
            if encoded is not None:
                self._add(entity_type, encoded)
            yield

    def finished(self, as_of_ms: int, version: str | None, read_at: float) -> StateParts:
        """The whole state. Nothing may be added any more."""
        self._end_part(is_last=True)
        self._digest.update(f"{self._cursor.epoch}.{self._cursor.scope}".encode())
        etag = f'W/"{self._digest.hexdigest()}"'
        return StateParts(self._parts, self._cursor, etag, version, as_of_ms, read_at)

    def _add(self, entity_type: str, encoded: bytes) -> None:
        if self._items and (entity_type != self._entity_type or len(encoded) >= self._room):
            self._end_part(is_last=False)
        if not self._items:
            self._entity_type = entity_type
            around = control_frames.state(entity_type, _LARGEST_NUMBER, str(self._cursor), is_last=True)
            self._room = self._part_bytes - sum(map(len, around))
        self._items.append(encoded)
        self._room -= len(encoded) + 1
        self._digest.update(b"%b\n%b\n" % (entity_type.encode(), encoded))

    def _end_part(self, *, is_last: bool) -> None:
        items, self._items = self._items, []
        number = len(self._parts) + 1
        head, tail = control_frames.state(self._entity_type, number, str(self._cursor), is_last=is_last)
        payload = b"%b%b%b" % (head, b",".join(items), tail)
        chunk = eventstream.chunk(payload)
        first = len(chunk) - len(b"\r\n") - len(payload) + len(head)
        part = StatePart(self._entity_type, chunk, first, [len(item) for item in items])
        self._parts.append(part)
        self.size += part.size


def _encoded(entity_type: str, item: StateItem, selector: Selector) -> bytes | None:
    """An item as its readers are shown it; None where it is not part of what they asked for.

    It is decoded and written as events are: a number, or a member that comes twice, is then the same in both.
    """
    state = Event("", entity_type, item.entity_id, "update", "", data=orjson.loads(item.data))
    if selector.match(state) is not Match.DELIVER:
        return None
    shown = orjson.dumps(selector.shown(state).data)
    return b'{"entityId":%b,"data":%b}' % (orjson.dumps(item.entity_id), shown)
