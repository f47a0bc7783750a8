"""A hub over a history, with clients, all moved by hand."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from multidict import MultiDict

from gateway.core.credentials import Credentials
from gateway.core.events import CONTROL_EVENT_TYPES, ORIGIN, REVOCATION, Cursor, Event
from gateway.core.history import History
from gateway.core.revocations import Revocation, Revocations
from gateway.core.selectors import parse_selector
from gateway.delivery.group import DeliveryOptions, Groups
from gateway.delivery.hub import Hub, HubTiming
from gateway.delivery.observer import Observer, Unobserved
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.state.queue import StateQueue
from gateway.ports.node_messages import NodeTopic
from tests.support.events import a_record
from tests.support.scheduler import ManualScheduler
from tests.support.streams import Frame, open_stream, received
from tests.support.transport import RecordingTransport

HEARTBEAT_SECONDS = 15.0
COALESCE_SECONDS = 0.005
STALL_SECONDS = 30.0
RETRY_MS = 2000


class Reader:
    """A client and its stream."""

    def __init__(
        self,
        node: "Node",
        query: str,
        cursor: str | None,
        delivery: DeliveryOptions,
        credentials: Credentials | None = None,
        *,
        with_state: bool = False,
        attendance: Attendance | None = None,
    ) -> None:
        self.delivery = delivery
        self.transport = RecordingTransport(node.scheduler, write_seconds=node.write_seconds)
        selector = parse_selector(MultiDict(parse_qsl(query)), {})
        self.subscriber = open_stream(
            *(node.hub, node.history, self.transport, selector, delivery, cursor),
            credentials=credentials,
            with_state=with_state,
            attendance=attendance,
        )

    def frames(self, event: str | None = None) -> list[Frame]:
        """What the client has read, of one event type if that is given."""
        frames = received(self.transport, chunked=self.delivery.chunked, gzip=self.delivery.gzip)
        return frames if event is None else [frame for frame in frames if frame.event == event]

    def numbers(self) -> list[int]:
        """The numbers of the events that the client has read."""
        events = [frame for frame in self.frames() if frame.event not in CONTROL_EVENT_TYPES]
        return [int(frame.data["id"].removeprefix("e.").removesuffix("-0")) for frame in events]

    def last_id(self) -> str:
        return [frame.id for frame in self.frames() if frame.id is not None][-1]


def a_history(max_events: int = 1000, max_age_seconds: float = 1e9) -> History:
    """An empty one of the epoch "e"."""
    history = History(max_events=max_events, max_age_seconds=max_age_seconds, max_bytes=10**9, id_aliases={})
    history.open("e", ORIGIN)
    return history


class Node:
    """Events are numbered from 1; event N has the cursor `e:N-0`. Nothing runs but when it is told to."""

    def __init__(
        self,
        scheduler: ManualScheduler,
        *,
        max_events: int = 1000,
        max_age_seconds: float = 1e9,
        fan_in: int = 50,
        draw: Callable[[float, float], float] = lambda low, high: high,
        observer: Observer | None = None,
        on_interest: Callable[[], None] = lambda: None,
        replays: ReplayQueue | None = None,
        states: StateQueue | None = None,
        pace: Pace = USUAL,
        messages: NodeTopic | None = None,
        history: History | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.write_seconds = 0.0
        self.history = history or a_history(max_events, max_age_seconds)
        self.revocations = Revocations()
        timing = HubTiming(HEARTBEAT_SECONDS, COALESCE_SECONDS, STALL_SECONDS, RETRY_MS)
        self.hub = Hub(
            self.history,
            scheduler,
            scheduler.clock,
            timing,
            Groups(fan_in, on_interest),
            observer=observer or Unobserved(),
            replays=replays,
            states=states,
            revocations=self.revocations,
            node_topic=messages,
            pace=pace,
            draw=draw,
        )
        self.hub.start()

    def append(self, *events: Event) -> None:
        """The events have come out of the log; the hub has been told, and has done nothing yet."""
        for event in events:
            record = a_record(self.history.head + 1, event)
            self.history.append(record, self.scheduler.time())
            revocation = Revocation.of(event) if event.event_type == REVOCATION else None
            if revocation is not None:
                self.revocations.add(revocation, Cursor("e", record.position))
        self.hub.wake()

    def publish(self, *events: Event) -> None:
        """The events have come, and the hub has done what it does at once."""
        self.append(*events)
        self.scheduler.run_ready()

    def pause(self) -> None:
        """Long enough for the next event not to be held back for those before it."""
        self.scheduler.run_for(0.1)

    def connect(
        self,
        query: str = "",
        *,
        cursor: str | None = None,
        credentials: Credentials | None = None,
        with_state: bool = False,
        attendance: Attendance | None = None,
        **delivery: Any,
    ) -> Reader:
        options = DeliveryOptions(**delivery)
        return Reader(self, query, cursor, options, credentials, with_state=with_state, attendance=attendance)
