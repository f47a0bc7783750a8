"""A node, and callers of several grants who come by every transport with cursors of any other."""

import asyncio
import json
import logging
import re
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

import orjson
from multidict import MultiDict

from gateway.access.grant_templates import parse_template
from gateway.access.rights import Rights
from gateway.access.rules import Rule
from gateway.access.selection import granted
from gateway.core import control_frames, eventstream, gzip_stream
from gateway.core.event_fields import Fields
from gateway.core.events import EARLIEST, Cursor
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.follower import Follower
from gateway.delivery.group import DeliveryOptions
from gateway.delivery.handover import StreamProtocol
from gateway.delivery.long_poll import LongPoll
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.resume import Place, Resumes
from gateway.delivery.replay.scan import Batch, Scanner
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from tests.property.log_world import LogWorld
from tests.property.visibility import Caller, Granted, Wish, shown
from tests.property.world import EPOCH, HEARTBEAT_SECONDS, LONGEST_WAIT_SECONDS, Pace
from tests.support.shared_store import MemorySharedStore
from tests.support.streams import Frame, frames_of
from tests.support.transport import RecordingTransport

T = TypeVar("T")

CONTROL = frozenset({"connected", "reset", "heartbeat", "refresh", "bye"})


class Reader(NamedTuple):
    """A caller and what it asks for. `by_rule`: rules grant it that, with operands out of claims.

    Its events have the members `fields` of what it may see.
    """

    caller: Caller
    wish: Wish
    by_rule: bool = False
    fields: Fields | None = None

    def selector(self) -> Selector:
        """What it receives. Raises InsufficientScope."""
        if self.by_rule:
            claims: dict[str, Any] = {}
            templates = [parse_template(_as_written(given, claims)) for given in self.caller]
            principal = Rights([Rule(subscribe=tuple(templates))]).of_token(claims)
        else:
            subscribe = [_as_written(given) for given in self.caller]
            principal = Rights([]).of_token({"tidegate": {"subscribe": subscribe}})
        return granted(as_selector(self.wish), principal)

    def wanted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """These events with the members that it wants alone."""
        fields = self.fields
        if fields is None:
            return events
        return [{name: value for name, value in event.items() if name in fields} for event in events]


class Held(NamedTuple):
    """A cursor that a caller was given."""

    text: str
    caller: Caller


def _as_written(given: Granted, claims: dict[str, Any] | None = None) -> Any:
    """The grant as a token has it, or a rule whose operands become `claims` where they can be such."""
    if given.entity_id is not None:
        return f"{given.entity}:{given.entity_id}"
    filters = []
    for comparison in given.where:
        text, operands = comparison.text, comparison.operands
        if claims is not None and comparison.operator != "is" and None not in operands:
            name = f"c{len(claims)}"
            claims[name] = list(operands) if comparison.operator == "in" else operands[0]
            text = f"{comparison.member}={comparison.operator}.{{{name}}}"
        filters.append(text)
    members = {} if given.members is None else {"members": sorted(given.members)}
    return {"entity": given.entity, "filters": filters, **members}


def as_selector(wish: Wish) -> Selector:
    """The gateway's own form of a request, as its query says it."""
    query = [("entity", entity) for entity in wish.entities]
    query += [("eventTypes", event_type) for event_type in wish.event_types]
    query += [("filter", comparison.text) for comparison in wish.where]
    return parse_selector(MultiDict(query), {})


class Stream:
    """An open stream, for a reader that came with a cursor or with none when `head` was the newest event.

    It `is_fresh` where it came with none, was the first of its group, and nothing was under way.
    """

    def __init__(self, world: "VisibilityWorld", reader: Reader, delivery: DeliveryOptions) -> None:
        self.reader = reader
        self.delivery = delivery._replace(fields=reader.fields)
        self.head = len(world.events)
        self.held: Held | None = None
        self.is_fresh = False
        self.has_slept = False
        self.transport = RecordingTransport(
            world.scheduler, high_water=world.pace.high_water, low_water=world.pace.high_water // 4
        )

    @property
    def group(self) -> tuple[object, ...]:
        """What it has in common with whoever gets the same bytes."""
        return (frozenset(self.reader.caller), *map(frozenset, self.reader.wish), self.delivery)

    def frames(self) -> list[Frame]:
        """All that its client was sent."""
        received = bytes(self.transport.received)
        return frames_of(received, chunked=self.delivery.chunked, gzip=self.delivery.gzip)


class WaitingPoll(NamedTuple):
    """A long poll that began when its reader had all up to `start`, and its answer, once there is one."""

    reader: Reader
    start: int
    limit: int
    answer: "asyncio.Task[Batch | str]"


class VisibilityWorld(LogWorld):
    """A log that holds everything, a history that may hold little of it, and whoever reads either.

    `scopes` has the text of each set of grants that any cursor was given for, and `held` those cursors.
    Polls are checked as they are answered, and what goes on meanwhile by `check`.
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__(pace)
        slices = Slices(self.clock)
        archive = LogArchive(self.log, self.history, self.clock, slices, pace.of_hub())
        self._scanner = Scanner(self.history, archive, slices, self.revocations)
        outage = Outage(logging.getLogger("gateway"), "log", now=self.clock.monotonic)
        revoked = RevokedTokens(MemorySharedStore(self.clock), self.clock)
        follower = Follower(self.log, self.history, self.hub, self.clock, outage, lambda: None, revoked)
        self._resumes = Resumes(self.history, archive, follower)
        self.scopes: dict[frozenset[Granted], str] = {}
        self.held: list[Held] = []
        self.streams: list[Stream] = []
        self.waiting: list[WaitingPoll] = []

    def close(self) -> None:
        for poll in self.waiting:
            poll.answer.cancel()
        super().close()

    def _ask(self, asking: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asking)

    def number_at(self, reader: Reader, cursor: str) -> int:
        """The number of the event at a cursor that the reader was given: it is of the reader's own scope."""
        found = Cursor.parse(cursor)
        assert found is not None
        assert re.fullmatch("[A-Za-z0-9_-]{11}", found.scope), f"{cursor} is of no scope"
        scope = self.scopes.setdefault(frozenset(reader.caller), found.scope)
        assert found.scope == scope, "a cursor of another scope"
        self.held.append(Held(cursor, reader.caller))
        return self.number_of(cursor)

    def due(self, reader: Reader, after: int, until: int | None = None) -> list[dict[str, Any]]:
        """What the reader is to get of the events after one number, up to another or the newest."""
        scope = self.scopes.get(frozenset(reader.caller))
        events = enumerate(self.events[after:until], after)
        told = [(number, shown(reader.caller, reader.wish, event)) for number, event in events]
        return [
            {"id": f"{EPOCH}.{self._positions[number]}.{scope}", **event}
            for number, event in told
            if event is not None
        ]

    # The transports

    def open(self, reader: Reader, delivery: DeliveryOptions, held: Held | None) -> None:
        """A stream, as the gateway's handler opens it."""
        selector = reader.selector()
        stream = Stream(self, reader, delivery)
        stream.held = held
        is_first = all(other.group != stream.group for other in self.streams)
        stream.is_fresh = held is None and is_first and self.hub.flushed == self.history.head
        scope = selector.scope_text
        place = None
        if held is not None:
            place = self._ask(self._resumes.place_or_reset(held.text, scope=scope))
        start = self._resumes.start(place)
        first = control_frames.connected(
            client_id="c",
            timestamp="2026-11-20T10:30:00.123Z",
            cursor=str(Cursor(start.epoch, start.position, scope)),
            recovered=None if place is None else start.lost is None,
            heartbeat_seconds=15.0,
            modes=orjson.dumps({}).decode(),
            retry_ms=2000,
        )
        if start.lost is not None:
            first += self.hub.reset_frame(start.lost, scope)
        if delivery.gzip:
            first = gzip_stream.HEADER + gzip_stream.stored(first)
        stream.transport.write(eventstream.chunk(first) if delivery.chunked else first)
        subscriber = self.hub.attach(
            stream.transport, selector, stream.delivery, start.number, None, start.position
        )
        stream.transport.set_protocol(StreamProtocol(self.hub, subscriber))
        self.hub.begin(subscriber, resumed=place is not None and start.lost is None)
        self.streams.append(stream)

    def poll(self, reader: Reader, held: Held | None, limit: int) -> None:
        """Polls until there is no more, from a cursor or from now on."""
        selector = reader.selector()
        start = self._start(reader, held)
        if start is None:
            return
        got: list[Any] = []
        cursor = (
            held.text if held is not None else self.history.cursor(self.history.head, selector.scope_text)
        )
        is_more = True
        while is_more:
            place = self._ask(self._resumes.place(cursor, scope=selector.scope_text))
            batch = self._ask(self._scanner.scan(selector, place, limit, fields=reader.fields))
            assert isinstance(batch, Batch)
            assert len(batch.events) <= limit
            got += map(json.loads, batch.events)
            cursor, is_more = str(batch.cursor), batch.more
            at = self.number_at(reader, cursor)
            assert got == reader.wanted(self.due(reader, start, at))
        assert at == len(self.events)

    def wait(self, reader: Reader, held: Held | None, limit: int) -> None:
        """Polls, and waits where there is nothing yet."""
        selector = reader.selector()
        start = self._start(reader, held)
        if start is None:
            return
        place = self.history.head
        if held is not None:
            place = self._ask(self._resumes.place(held.text, scope=selector.scope_text))
        answer = self.loop.create_task(self._wait(selector, place, limit, reader.fields))
        # A place holds in the step in which it was found.
        self.turn(1)
        self.waiting.append(WaitingPoll(reader, start, limit, answer))

    async def _wait(
        self, selector: Selector, place: Place, limit: int, fields: Fields | None
    ) -> "Batch | str":
        found = await self._scanner.scan(selector, place, limit, fields=fields)
        with LongPoll(self.hub.groups, selector) as long_poll:
            while isinstance(found, Batch) and not found.events and not found.more:
                unmatched = await long_poll.wait(3600.0)
                assert unmatched is not None
                found = await self._scanner.go_on(selector, found.cursor, unmatched, limit, fields=fields)
        return found

    def _start(self, reader: Reader, held: Held | None) -> int | None:
        """The number from which a poll goes on; None where it is answered with a reset, as is checked."""
        if held is None:
            return len(self.events)
        if frozenset(held.caller) == frozenset(reader.caller):
            return self.number_of(held.text)
        scope = reader.selector().scope_text
        for texts in ((held.text,), (held.text, EARLIEST)):
            assert self._ask(self._resumes.place(*texts, scope=scope)) == "scope"
        return None

    def look_back(self, reader: Reader, limit: int) -> None:
        """Asks for the newest that there is."""
        events, cursor = self._ask(self._scanner.latest(reader.selector(), limit, fields=reader.fields))
        assert self.number_at(reader, cursor) == len(self.events)
        assert list(map(json.loads, events)) == reader.wanted(self.due(reader, 0))[-limit:]

    # What they were given

    def check(self) -> None:
        """Lets everything come to rest: each stream and each long poll got what its reader may see."""
        for stream in self.streams:
            stream.transport.start_reading()
        self.run_for(LONGEST_WAIT_SECONDS + HEARTBEAT_SECONDS)
        for stream in self.streams:
            self._check_stream(stream)
        for poll in self.waiting:
            self._check_waiting(poll)
        assert len(set(self.scopes.values())) == len(self.scopes), "two sets of grants are one scope"
        is_answered = all(poll.answer.done() for poll in self.waiting)
        assert not is_answered or len(self.hub.groups) == len({stream.group for stream in self.streams})

    def _check_stream(self, stream: Stream) -> None:
        reader, frames = stream.reader, stream.frames()
        start = self._check_beginning(stream, frames)
        events = [frame for frame in frames if frame.event not in CONTROL]
        for frame in frames:
            assert frame.id is not None
            self.number_at(reader, frame.id)
            assert frame.data.get("cursor", frame.id) == frame.id
        due = self.due(reader, start)
        told = [] if stream.delivery.hints == "only" else due
        assert [frame.data for frame in events] == reader.wanted(told)
        for frame, event in zip(events, told, strict=True):
            assert frame.id == event["id"]
            assert frame.event == (event["eventType"] if stream.delivery.named else None)
        hints = [frame.data for frame in frames if frame.event == "refresh"]
        self._check_hints(stream, hints, due)

    def _check_beginning(self, stream: Stream, frames: list[Frame]) -> int:
        """How the stream begins; gives the number from which it goes on."""
        connected, held = frames[0], stream.held
        assert connected.event == "connected"
        start = self.number_at(stream.reader, connected.data["cursor"])
        resets = [frame for frame in frames if frame.event == "reset"]
        if held is not None and frozenset(held.caller) == frozenset(stream.reader.caller):
            assert (connected.data["recovered"], resets) == (True, [])
            assert start == self.number_of(held.text)
            return start
        assert start == stream.head
        if held is None:
            assert resets == []
        else:
            assert connected.data["recovered"] is False
            assert resets == [frames[1]]
            assert resets[0].data["reason"] == "scope"
            assert self.number_at(stream.reader, resets[0].data["cursor"]) == start
        return start

    def _check_hints(self, stream: Stream, hints: list[Any], due: list[Any]) -> None:
        """Each hint is for what its reader may see and counts that alone; each change of that is hinted."""
        hinted = stream.delivery.hints != "off"
        changes = [event for event in due if hinted and "entityType" in event]
        # Whoever comes back, or to a group with hints to come, may get those of shortly before as well.
        start = stream.head if stream.is_fresh else 0
        known = [event for event in self.due(stream.reader, start) if "entityType" in event]
        for hint in hints:
            meant = [event for event in known if _is_meant(hint, event)]
            assert meant, "a hint for what the reader may not see"
            assert set(hint["eventTypes"]) <= {event["eventType"] for event in meant}
            # A client that reads slowly may have an event counted for it twice.
            assert stream.has_slept or hint["count"] <= len(meant)
        for event in changes:
            assert any(_is_meant(hint, event) for hint in hints), "a change without a hint"
        if stream.is_fresh and not stream.has_slept:
            assert sum(hint["count"] for hint in hints) == len(changes)

    def _check_waiting(self, poll: WaitingPoll) -> None:
        reader, due = poll.reader, self.due(poll.reader, poll.start)
        assert poll.answer.done() is bool(due)
        if due:
            batch = poll.answer.result()
            assert isinstance(batch, Batch)
            got = list(map(json.loads, batch.events))
            assert 1 <= len(got) <= poll.limit
            at = self.number_at(reader, str(batch.cursor))
            assert got == reader.wanted(self.due(reader, poll.start, at))


def _is_meant(hint: Any, event: Any) -> bool:
    """Whether a hint is for what an event changed."""
    is_of_type = hint["entityType"] == event["entityType"]
    return is_of_type and hint.get("entityId") in (None, event["entityId"])
