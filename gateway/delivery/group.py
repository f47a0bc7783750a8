"""Subscribers that get the same bytes: one selector, one format, the same members, one framing."""

from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from gateway.core import control_frames, eventstream, gzip_stream
from gateway.core.credentials import Credentials
from gateway.core.event_fields import Fields
from gateway.core.events import Event, Position
from gateway.core.hints import Debouncer, HintTiming, Refresh
from gateway.core.history import History, HistoryEntry
from gateway.core.index import SelectorIndex
from gateway.core.selectors import Match, Selector
from gateway.delivery.subscriber import Subscriber
from gateway.delivery.wanted_rows import RowsWanted

HintsMode = Literal["off", "with", "only"]


class DeliveryOptions(NamedTuple):
    """How a subscriber wants its events; part of what makes a group.

    `named` is the `event:` line; `chunked` is HTTP/1.1's framing, which HTTP/1.0 does not have;
    `timing` is given where `hints` is not "off"; `gzip` is a compressed stream (gateway/core/gzip_stream.py);
    `fields` are the members that its events have, all of them where it is None.
    """

    named: bool = True
    hints: HintsMode = "off"
    timing: HintTiming | None = None
    chunked: bool = True
    gzip: bool = False
    fields: Fields | None = None


class Group:
    """The live members, and their pending hints.

    `readers` counts the subscribers of every state, or the long polls: their groups have the delivery None.
    `waiters` are the long polls that wait at the moment. `block` is gzip_stream's, or gives what that would.
    """

    __slots__ = (
        "_block",
        "debouncer",
        "delivery",
        "hint_is_planned",
        "key",
        "members",
        "readers",
        "selector",
        "waiters",
    )

    def __init__(
        self,
        selector: Selector,
        delivery: DeliveryOptions | None,
        fan_in: int,
        block: Callable[[bytes], bytes] = gzip_stream.block,
    ) -> None:
        self._block = block
        self.key = (selector, delivery)
        self.selector = selector
        self.delivery = delivery if delivery is not None else DeliveryOptions()
        self.members: dict[Subscriber, None] = {}
        self.waiters: set[Future[Position]] = set()
        self.readers = 0
        timing = self.delivery.timing
        self.debouncer = Debouncer(timing, fan_in) if timing is not None else None
        self.hint_is_planned = False

    def hint_frames(
        self,
        refreshes: Sequence[Refresh],
        number: int,
        history: History,
        readers: int,
        least: int = 0,
        below: str | None = None,
    ) -> list[bytes]:
        """The frames of hints, the oldest first, for that many readers who have all up to entry `number`.

        No cursor is before entry `least`, for whoever had everything and all hints up to there.

        The cursor of each leaves room for all that come after it: a reader that got only the first of them,
        and resumes, gets the others. `below` is the cursor for a number below the history's floor, for a
        reader that reads the log; else it is the one right before what the reader lacks.
        """
        frames = []
        lacks = self.lacking_after()
        for refresh in reversed(refreshes):
            cursor = history.cursor(number, self.scope)
            if number < history.floor:
                cursor = below or (cursor if lacks is None else history.cursor_at(lacks, self.scope))
            frames.append(
                control_frames.refresh(
                    entity_type=refresh.entity_type,
                    entity_id=refresh.entity_id,
                    event_types=refresh.event_types,
                    count=refresh.count,
                    cursor=cursor,
                    jitter_ms=control_frames.spread_ms(readers),
                )
            )
            if self.delivery.hints == "only":
                room = refresh.first_number - 1
            else:
                room = history.number_before_time(refresh.deadline)
            number = max(least, min(number, room))
            lacks = min(lacks or refresh.after, refresh.after)
        frames.reverse()
        return frames

    def frame(self, entry: HistoryEntry, match: Match, history: History) -> bytes:
        """The frame of an entry that matched, in this group's format."""
        delivery = self.delivery
        return history.frame_of(entry, match, self.selector, named=delivery.named, fields=delivery.fields)

    def framed(self, payload: bytes) -> bytes:
        """`payload` in this group's coding and HTTP framing; the same bytes for every member.

        For events, hints and what else all readers of a selection are sent alike. Nothing gives nothing.
        """
        return self._in_http(self._block(payload) if self.delivery.gzip else payload)

    def framed_apart(self, payload: bytes) -> bytes:
        """`payload` framed, and not compressed: for what is of one reader alone, such as its own words.

        Compressed in one block with events, its length would tell what they have in common
        (docs/security.md).
        """
        return self._in_http(gzip_stream.stored(payload) if self.delivery.gzip else payload)

    def _in_http(self, coded: bytes) -> bytes:
        # An empty chunk would end the body.
        return eventstream.chunk(coded) if coded and self.delivery.chunked else coded

    def lacking_after(self) -> Position | None:
        """The position right before the first entry that the members lack the hint for; None where none."""
        return self.debouncer.oldest_after() if self.debouncer is not None else None

    @property
    def scope(self) -> str:
        """What the cursors of its members have behind their position."""
        return self.selector.scope_text

    def drop_hints(self) -> None:
        """Forgets the hints that are pending: no member lacks them.

        They have been sent back to where they miss nothing, or told to refetch all they have.
        """
        if self.debouncer is not None:
            self.debouncer.take_all()

    def ended(self, payload: bytes) -> bytes:
        """`payload` as the last of the response's body."""
        framed = self.framed_apart(payload)
        return framed + eventstream.LAST_CHUNK if self.delivery.chunked else framed


def observe(debouncer: Debouncer, number: int, entry: HistoryEntry) -> None:
    """Counts an entry towards the hints; an event without an entity has none."""
    event = entry.event
    if event.entity_type is not None and event.entity_id is not None:
        debouncer.observe(event.entity_type, event.entity_id, event.event_type, number, entry.at, entry.after)


class Waiting(Protocol):
    """A long poll that waits at the moment."""

    credentials: Credentials | None

    def wake(self) -> None:
        """Ends its wait."""
        ...


class Groups:
    """The groups that somebody reads, filed so that an event finds those it may concern.

    `on_interest` is called whenever a selector gets its first reader. `fan_in` is that of
    their hints (gateway/core/hints.py). `long_polls` are those of callers with credentials. `rows` are told
    of the rows that the readers want.
    """

    def __init__(self, fan_in: int, on_interest: Callable[[], None], rows: RowsWanted | None = None) -> None:
        self.fan_in = fan_in
        self._rows = rows
        self._on_interest = on_interest
        self._groups: dict[tuple[Selector, DeliveryOptions | None], Group] = {}
        self._block = gzip_stream.Blocks().of
        self._index: SelectorIndex[Group] = SelectorIndex()
        self.long_polls: dict[Waiting, None] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def get(self, selector: Selector, delivery: DeliveryOptions | None) -> Group:
        """The group of these readers, made where there is none; `release` it when a reader goes."""
        group = self._groups.get((selector, delivery))
        if group is None:
            group = Group(selector, delivery, self.fan_in, self._block)
            self._groups[selector, delivery] = group
            self._index.add(group)
            if self._rows is not None:
                self._rows.add(selector)
            self._on_interest()
        return group

    def release(self, group: Group) -> None:
        """Forgets a group that has no reader any more; any other stays."""
        if not group.readers and self._groups.get(group.key) is group:
            del self._groups[group.key]
            self._index.remove(group)
            if self._rows is not None:
                self._rows.remove(group.selector)

    def candidates(self, event: Event) -> Iterable[Group]:
        """The groups that `event` may match, as they are now."""
        return self._index.candidates(event)

    def wants(self, entity_type: str) -> bool:
        """Whether a reader could receive events of that type."""
        return self._index.wants(entity_type)
