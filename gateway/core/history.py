"""This node's bounded history: the newest events of the log, each with its frame encoded once.

It is every subscriber's queue. A subscriber is a number: the last entry that it has, see gateway.core.ring.
"""

from collections.abc import Mapping
from typing import Literal, Self

from gateway.core.event_fields import Fields, MemberTexts
from gateway.core.events import (
    EARLIEST,
    MAX_CURSOR_CHARACTERS,
    ORIGIN,
    Cursor,
    Event,
    Position,
    Record,
    cursor_text,
    event_json,
)
from gateway.core.ring import Ring
from gateway.core.selectors import Match, Selector

ResetReason = Literal["trimmed", "epoch", "unknown", "scope"]

_ENTRY_OVERHEAD = 600
"""Bytes that an entry costs beside its frame: the objects around it, measured for an event of 100 bytes."""


def _behind_position(scope: str) -> bytes:
    """What a cursor of that scope has behind its position."""
    return b".%b" % scope.encode() if scope else b""


class HistoryEntry:
    """An event and its frame. `at` is the monotonic time at which this node learnt of it.

    `recorded_ms` is the record's: when the log got it, by the log's clock. `after` is the position that the
    log holds right before it: whoever resumes from there lacks this event, and nothing before it.
    """

    __slots__ = (
        "_data_start",
        "_json_id_end",
        "_name_end",
        "after",
        "at",
        "event",
        "frame",
        "position",
        "recorded_ms",
    )

    def __init__(self, record: Record, cursor: str, json: bytes, at: float, after: Position) -> None:
        self.position = record.position
        self.after = after
        self.event = record.event
        self.recorded_ms = record.recorded_ms
        self.at = at
        name = f"event: {record.event.event_type}\n".encode()
        head = b"%bid: %b\n" % (name, cursor.encode())
        self.frame = b"%bdata: %b\n\n" % (head, json)
        self._name_end = len(name)
        self._data_start = len(head)
        self._json_id_end = len(head) + len(b'data: {"id":"') + len(cursor)

    @property
    def size(self) -> int:
        return len(self.frame) + _ENTRY_OVERHEAD

    def frame_with(self, json: bytes, scope: str, *, named: bool) -> bytes:
        """A frame of the same event for a reader of that scope, with other data."""
        head = self.frame[0 if named else self._name_end : self._data_start - 1]
        return b"%b%b\ndata: %b\n\n" % (head, _behind_position(scope), json)

    def frame_for(self, scope: str, *, named: bool) -> bytes:
        """The frame for a reader of that scope, who is shown the whole event."""
        start = 0 if named else self._name_end
        if not scope:
            return self.frame[start:] if start else self.frame
        frame, behind, id_end = self.frame, _behind_position(scope), self._json_id_end
        data_start = self._data_start - 1
        return b"".join((frame[start:data_start], behind, frame[data_start:id_end], behind, frame[id_end:]))

    def cursor_for(self, scope: str) -> bytes:
        """The event's cursor, as a reader of that scope gets it."""
        return self.frame[self._name_end + len(b"id: ") : self._data_start - 1] + _behind_position(scope)

    def json_for(self, scope: str) -> bytes:
        """The event's JSON, with its cursor of that scope in it."""
        json = self.json
        if not scope:
            return json
        id_end = self._json_id_end - self._data_start - len(b"data: ")
        return b"%b%b%b" % (json[:id_end], _behind_position(scope), json[id_end:])

    @property
    def json(self) -> bytes:
        """The event's JSON, its cursor in it, of no scope."""
        return self.frame[self._data_start + len(b"data: ") : -2]


class History(Ring[HistoryEntry]):
    """The ring of entries, and what cursors mean in it."""

    def __init__(
        self,
        *,
        max_events: int,
        max_age_seconds: float,
        max_bytes: int,
        id_aliases: Mapping[str, str],
    ) -> None:
        super().__init__(max_entries=max_events, max_age_seconds=max_age_seconds, max_bytes=max_bytes)
        self.max_events = max_events
        self.max_age_seconds = max_age_seconds
        self.max_bytes = max_bytes
        self._id_aliases = id_aliases
        self._texts: MemberTexts | None = None
        self.epoch = ""

    def open(self, epoch: str, floor: Position) -> None:
        """Starts the history of `epoch`, of which everything up to `floor` is not held here."""
        self.epoch = epoch
        self.start_at(floor)

    def blank(self) -> Self:
        """Another history with these bounds, that is not open yet."""
        return type(self)(
            max_events=self.max_events,
            max_age_seconds=self.max_age_seconds,
            max_bytes=self.max_bytes,
            id_aliases=self._id_aliases,
        )

    def become(self, other: Self) -> None:
        """Starts over with what `other` holds, which is only to be emptied then: it has the old entries.

        The new ones get new numbers: every number given so far is below the floor then.
        """
        other.start_after(self.head)
        self.__dict__, other.__dict__ = other.__dict__, self.__dict__

    def append(self, record: Record, now: float) -> None:
        """Adds the log's next record. Raises ValueError where it does not come after the last."""
        self.add(self.entry(record, now, self.head_position))

    def entry(self, record: Record, now: float, after: Position) -> HistoryEntry:
        """The entry of a record of this epoch, which the log holds right after `after`; it is not added."""
        cursor = cursor_text(self.epoch, record.position)
        json = event_json(record.event, cursor, self._id_aliases)
        # Whoever else has the event holds this object.
        record.event.rest = None
        return HistoryEntry(record, cursor, json, now, after)

    def frame_of(
        self,
        entry: HistoryEntry,
        match: Match,
        selector: Selector,
        *,
        named: bool,
        fields: Fields | None = None,
    ) -> bytes:
        """The frame of an entry that `selector` matches, with what its reader is shown, and wants.

        Without `named` it has no `event:` line: that is for EventSource's `onmessage`.
        """
        scope = selector.scope_text
        other = self._other_json(entry, match, selector, fields)
        if other is None:
            return entry.frame_for(scope, named=named)
        return entry.frame_with(other, scope, named=named)

    def json_of(
        self, entry: HistoryEntry, match: Match, selector: Selector, fields: Fields | None = None
    ) -> bytes:
        """The JSON of an entry that `selector` matches, with what its reader is shown, and wants."""
        other = self._other_json(entry, match, selector, fields)
        return entry.json_for(selector.scope_text) if other is None else other

    def _other_json(
        self, entry: HistoryEntry, match: Match, selector: Selector, fields: Fields | None
    ) -> bytes | None:
        """The event's JSON where the reader is not to get the whole event: without what it may not see, or
        does not want."""
        is_leave = match is Match.LEAVE
        event = entry.event if is_leave else selector.shown(entry.event)
        if fields is None and event is entry.event and not is_leave:
            return None
        if fields is None:
            cursor = self.cursor_at(entry.position, selector.scope_text)
            return event_json(event, cursor, self._id_aliases, leave=is_leave)
        if is_leave or event is not entry.event:
            texts = MemberTexts(event, self._id_aliases, leave=is_leave)
        else:
            texts = self._texts_of(event)
        return texts.json(entry.cursor_for(selector.scope_text), fields)

    def _texts_of(self, event: Event) -> MemberTexts:
        """The texts of a whole event; those of the last one are kept, for a flush takes event by event."""
        if self._texts is None or self._texts.event is not event:
            self._texts = MemberTexts(event, self._id_aliases)
        return self._texts

    def after(self, number: int, limit: int) -> list[HistoryEntry] | None:
        """The entries after `number`, at most `limit`; None where some of them were trimmed."""
        return None if number < self.floor else self.entries_after(number, limit)

    def window_start(self, number: int, seconds: float) -> int:
        """The last number that came more than `seconds` before entry `number` did.

        `number` itself where that entry is trimmed.
        """
        if number <= self.floor:
            return number
        came = self.entries_after(number - 1, 1)[0].at
        return self.number_at_time(came - seconds)

    def cursor(self, number: int, scope: str = "") -> str:
        """The cursor of a number up to the head; below the floor, one that is answered with a reset."""
        return self.cursor_at(self.position(number) or ORIGIN, scope)

    def cursor_at(self, position: Position, scope: str = "") -> str:
        """The cursor of a position, for a reader of that scope."""
        return cursor_text(self.epoch, position, scope)

    def resolve(self, text: str) -> int | ResetReason:
        """The number from which a reader with this cursor continues, or why it can't.

        `text` is whatever the reader sent, at most MAX_CURSOR_CHARACTERS (docs/protocol.md, section 2).
        """
        if text == EARLIEST:
            return self.floor
        cursor = Cursor.parse(text) if len(text) <= MAX_CURSOR_CHARACTERS else None
        if cursor is None:
            return "unknown"
        if cursor.epoch != self.epoch:
            return "epoch"
        number = self.number_at(cursor.position)
        if number is not None:
            return number
        return "trimmed" if cursor.position < self.floor_position else "unknown"
