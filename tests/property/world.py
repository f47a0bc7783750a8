"""A hub with its history, its clients and its time, all in a test's hands, and what clients may do."""

import json
from bisect import bisect_right
from typing import Literal, NamedTuple

from multidict import MultiDict

from gateway.core import eventstream
from gateway.core.credentials import Credentials
from gateway.core.events import ORIGIN, REVOCATION, Cursor, Event, Position, Record
from gateway.core.history import History
from gateway.core.revocations import Revocation, Revocations
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery import pace as hub_pace
from gateway.delivery.group import DeliveryOptions, Groups
from gateway.delivery.hub import Hub, HubTiming
from gateway.delivery.observer import Unobserved
from gateway.delivery.reassign import Reassignment
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.state.question import question_of
from gateway.delivery.state.queue import StateQueue
from gateway.delivery.subscriber import State, Subscriber
from gateway.ports.clock import Clock
from tests.support.clock import ManualClock
from tests.support.events import a_record
from tests.support.scheduler import ManualScheduler
from tests.support.streams import Frame, frames_of, open_stream
from tests.support.transport import RecordingTransport

EPOCH = "e"
HEARTBEAT_SECONDS = 0.2
TIMING = HubTiming(
    heartbeat_seconds=HEARTBEAT_SECONDS, coalesce_seconds=0.005, stall_seconds=3.0, retry_ms=100
)
FAN_IN = 2
LONGEST_WAIT_SECONDS = 0.3
"""No client asks for a `maxWaitMs` above that."""

Verdict = Literal["deliver", "leave", "skip"]


class Choice(NamedTuple):
    """What a client asks for: entities as in the query, event types, and a value for `data.n`."""

    entities: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    n: int | None = None

    def selector(self) -> Selector:
        query = [("entity", entity) for entity in self.entities]
        query += [("eventTypes", event_type) for event_type in self.event_types]
        if self.n is not None:
            query.append(("filter", f"n=eq.{self.n}"))
        return parse_selector(MultiDict(query), {})

    def verdict(self, event: Event) -> Verdict:
        """What the protocol says of `event`, said again in a few lines of its own."""
        if event.event_type == REVOCATION:
            return "skip"
        names = {event.entity_type, f"{event.entity_type}:{event.entity_id}"}
        if self.entities and (event.entity_type is None or not names & set(self.entities)):
            return "skip"
        if self.event_types and event.event_type not in self.event_types:
            return "skip"
        if self.n is None:
            return "deliver"
        now, before = (event.data or {}).get("n"), (event.previous or {}).get("n")
        if event.action == "delete":
            return "deliver" if (now if before is None else before) == self.n else "skip"
        if now == self.n:
            return "deliver"
        return "leave" if event.action == "update" and before == self.n else "skip"


class Pace(NamedTuple):
    """How finely the hub cuts its work, what the history and a connection hold, how long a write takes."""

    writes_a_turn: int
    entries_a_flush: int
    bytes_a_flush: int
    bytes_a_payload: int
    catch_up_entries: int
    catch_up_bytes: int
    max_events: int
    max_age_seconds: float
    high_water: int
    write_seconds: float

    def of_hub(self) -> hub_pace.Pace:
        """What of it is the hub's; the log is read as finely as the history, and little of it is kept."""
        return hub_pace.Pace(
            writes_a_turn=self.writes_a_turn,
            entries_a_flush=self.entries_a_flush,
            bytes_a_flush=self.bytes_a_flush,
            bytes_a_payload=self.bytes_a_payload,
            catch_up_entries=self.catch_up_entries,
            catch_up_bytes=self.catch_up_bytes,
            records_a_read=self.catch_up_entries,
            kept_bytes=2000,
        )


class Note(NamedTuple):
    """How things stood when something was written: what was still held, what the client surely had."""

    head: int
    floor: int
    had: int


class Sent(NamedTuple):
    """A frame, how things stood when it was written, and where it ends within the session's bytes."""

    frame: Frame
    note: Note
    end: int


class NotingTransport(RecordingTransport):
    """A connection that notes how things stand at each write."""

    def __init__(self, world: "World") -> None:
        super().__init__(
            world.scheduler,
            high_water=world.pace.high_water,
            low_water=world.pace.high_water // 4,
            write_seconds=world.pace.write_seconds,
        )
        self._world = world
        self._had = 0
        self.notes: list[Note] = []
        self.subscriber: Subscriber | None = None

    def write(self, data: bytes) -> None:
        if self.subscriber is not None and self.subscriber.state is State.LIVE:
            self._had = max(self._had, self._world.hub.flushed)
        note = Note(self._world.history.head, self._world.floor, self._had)
        count = len(self.writes)
        try:
            super().write(data)
        finally:
            self.notes += [note] * (len(self.writes) - count)


class Session:
    """One connection of a client. `resumed_from` is the number of the cursor that it came with."""

    def __init__(self, world: "World", client: "Client", cursor: str | None) -> None:
        self.chunked = client.delivery.chunked
        self.gzip = client.delivery.gzip
        self.choice = client.choice
        self.resumed_from = None if cursor is None else world.number_of(cursor)
        self.floor_at_start = world.history.floor
        self.transport = NotingTransport(world)
        self._frames: list[list[Frame]] = []
        self.cut: int | None = None
        self.subscriber = open_stream(
            world.hub,
            world.history,
            self.transport,
            client.choice.selector(),
            client.delivery,
            cursor,
            asked=client,
            log_floor=world.log_floor,
            credentials=client.credentials,
            with_state=client.with_state,
        )
        self.transport.subscriber = self.subscriber
        world.sessions.append(self)

    @property
    def is_over(self) -> bool:
        return self.subscriber.state is State.CLOSED

    def end(self, lost_bytes: int = 0) -> None:
        """The client is gone; the last so many bytes that were on their way never reached it."""
        self.transport.vanish()
        self.cut = max(0, len(self.transport.received) - lost_bytes)

    def sent(self) -> list[Sent]:
        """All that was written."""
        for write in self.transport.writes[len(self._frames) :]:
            # Each on its own: what it says depends on nothing that was written before.
            self._frames.append(frames_of(write, chunked=self.chunked, gzip=self.gzip))
        sent = []
        at = 0
        for write, note, frames in zip(
            self.transport.writes, self.transport.notes, self._frames, strict=True
        ):
            sent += [Sent(frame, note, at + frame.end) for frame in frames]
            at += len(write)
        return sent

    def seen(self) -> list[Sent]:
        """The frames that reached the client whole."""
        until = len(self.transport.received) if self.cut is None else self.cut
        return [sent for sent in self.sent() if sent.end <= until]


class Client:
    """Somebody who reconnects with the last id seen, as an EventSource does.

    `choices` are what it got its events by, one after the other; the last one is that of now. It has a token
    where it has a `subject`, and begins with its state where it is `with_state`.
    """

    def __init__(
        self,
        choice: Choice,
        delivery: DeliveryOptions,
        subject: str | None = None,
        *,
        with_state: bool = False,
    ) -> None:
        self.with_state = with_state
        self.credentials = None if subject is None else Credentials(subject=subject)
        self.choices = [choice]
        self.delivery = delivery
        self.sessions: list[Session] = []

    @property
    def choice(self) -> Choice:
        return self.choices[-1]

    def seen(self) -> list[Sent]:
        return [sent for session in self.sessions for sent in session.seen()]

    @property
    def session(self) -> Session:
        return self.sessions[-1]


def last_id(seen: list[Sent]) -> str | None:
    """The id with which a client that saw these frames reconnects."""
    return next((sent.frame.id for sent in reversed(seen) if sent.frame.id is not None), None)


class World:
    """Everything that the property is about. `events` are all that were ever appended, in order."""

    def __init__(
        self, pace: Pace, replays: ReplayQueue | None = None, states: StateQueue | None = None
    ) -> None:
        self.pace = pace
        self.clock = ManualClock()
        self.scheduler = ManualScheduler(self.clock)
        self.history = History(
            max_events=pace.max_events,
            max_age_seconds=pace.max_age_seconds,
            max_bytes=1_000_000,
            id_aliases={},
        )
        self.history.open(EPOCH, ORIGIN)
        clock: Clock = self.clock
        self.revocations = Revocations()
        self.hub = Hub(
            self.history,
            self.scheduler,
            clock,
            TIMING,
            Groups(FAN_IN, lambda: None),
            observer=Unobserved(),
            replays=replays,
            states=states,
            revocations=self.revocations,
            pace=pace.of_hub(),
            draw=lambda low, high: low,
        )
        self.hub.start()
        self.events: list[Event] = []
        self.sessions: list[Session] = []
        self.failures = 0
        """How often the hub's work was made to fail (tests/property/faults.py)."""
        self.calls_until_failure: int | None = None
        self.clients: list[Client] = []
        self._positions: list[Position] = []

    @property
    def floor(self) -> int:
        """The newest event that nobody can be given any more."""
        return self.history.floor

    @property
    def log_floor(self) -> Position | None:
        """The log's floor, where there is a log behind the history."""
        return None

    def settle(self) -> None:
        """Everything is done that can be done without time passing."""
        self.scheduler.run_ready()

    def run_for(self, seconds: float) -> None:
        """Lets time pass, and everything happen that is due meanwhile."""
        self.scheduler.run_for(seconds)

    def number_of(self, cursor: str) -> int:
        """The last event that a reader with this cursor has."""
        found = Cursor.parse(cursor)
        assert found is not None
        assert found.epoch == EPOCH
        return bisect_right(self._positions, found.position)

    def append(self, events: list[Event]) -> None:
        """What the follower does with a batch of the log."""
        for event in events:
            self.events.append(event)
            # Majors of several lengths, so that text and integers order differently.
            position = Position(8 + len(self.events) // 2, len(self.events) % 2)
            self._positions.append(position)
            self.take_in(a_record(position, event))
            revocation = Revocation.of(event) if event.event_type == REVOCATION else None
            if revocation is not None:
                self.revocations.add(revocation, Cursor(EPOCH, position))
        self.hub.wake()

    def take_in(self, record: Record) -> None:
        self.history.append(record, self.clock.monotonic())

    def connect(self, client: Client) -> None:
        """Opens the client's first stream, or the next one once the last is over."""
        if client.sessions:
            if not client.session.is_over:
                return
            client.session.transport.start_reading()
            cursor = last_id(client.seen())
            if cursor is None:
                client.sessions.clear()
        else:
            cursor = None
        client.sessions.append(Session(self, client, cursor))

    def move(self, client: Client, choice: Choice, *, ends: bool) -> None:
        """The client is to get its events by another choice, or by no stream at all."""

        def reassignment_for(asked: Client) -> Reassignment | None:
            if asked is not client:
                return None
            client.choices.append(choice)
            which = len(client.choices) - 1

            def tell(cursor: str) -> bytes:
                data = json.dumps({"choice": which, "cursor": cursor})
                return eventstream.encode(data, event="fetch-mode", last_event_id=None)

            return Reassignment(choice.selector(), client, tell, ends, question_of(choice.selector()))

        self.hub.reassign(reassignment_for)

    def revoked_at(self, client: Client) -> int | None:
        """The number after which nothing is for the client."""
        end = self.revocations.end_of(client.credentials, EPOCH)
        return None if end is None else bisect_right(self._positions, end)

    def expected(self, choice: Choice, after: int, until: int) -> list[int]:
        """The numbers of the events that a client gets of those after one number, up to another."""
        return [
            number
            for number in range(after + 1, until + 1)
            if choice.verdict(self.events[number - 1]) != "skip"
        ]

    def finish(self) -> None:
        """Every client reads again, comes back where it was gone, and is left alone for a while."""
        self.calls_until_failure = None
        for client in self.clients:
            session = client.session
            if session.is_over:
                self.connect(client)
            elif session.transport.failure is not None:
                session.end()
                self.connect(client)
            else:
                session.transport.start_reading()
        self.run_for(LONGEST_WAIT_SECONDS + 2 * HEARTBEAT_SECONDS)
        for client in self.clients:
            if client.session.is_over:
                self.connect(client)
        self.run_for(LONGEST_WAIT_SECONDS + 2 * HEARTBEAT_SECONDS)
