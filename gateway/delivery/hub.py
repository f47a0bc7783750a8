"""Brings every subscriber up to the head of the history.

No subscriber has a queue, a task or a timer. The hub does its work in turns (gateway/delivery/schedule.py):

- a *flush* (live.py) takes the entries since the last one, and writes to each group what it matches, once
  framed;
- *hints* that are due go out whole before the next flush (broadcasts.py);
- *jobs* run between flushes, so that the cursors they carry hold: heartbeats (heartbeats.py), reassignments
  (reassign.py), the ends of tokens (sessions.py), a drain, starting over;
- *presence* and *broadcasts* (presence/) go to whoever is live, and are kept for nobody;
- *catch-up* (from_history.py) brings single subscribers, resuming or fallen behind, from their number to the
  head.

Work that raises is reported (failures.py), and leaves every reader whole, reset, or cut off, so that it
resumes from its cursor (recovery.py).
"""

from asyncio import Future
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.core import chance, control_frames
from gateway.core.credentials import Credentials
from gateway.core.events import ORIGIN, Position
from gateway.core.history import History, ResetReason
from gateway.core.revocations import Revocations
from gateway.core.selectors import Selector
from gateway.delivery.broadcasts import Broadcasts
from gateway.delivery.budget import Budget
from gateway.delivery.connection import Connection
from gateway.delivery.counters import Work
from gateway.delivery.group import DeliveryOptions, Groups
from gateway.delivery.heartbeats import Heartbeats
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.live import Flushes
from gateway.delivery.observer import Observer
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.presence.presence import PresenceHub
from gateway.delivery.reassign import ReassignmentFor, Reassignments
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.replay.recovery import Recovery
from gateway.delivery.revoked_streams import RevokedStreams
from gateway.delivery.schedule import Schedule
from gateway.delivery.sessions import Sessions
from gateway.delivery.state.parts import StateParts
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.queue import StateQueue
from gateway.delivery.state.readers import StateReaders
from gateway.delivery.state.reading import Reading
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import NOWHERE, Signal, State, Subscriber, Transport
from gateway.ports.clock import Clock, Scheduler
from gateway.ports.node_messages import NodeTopic
from gateway.runtime.failures import Failures
from gateway.runtime.waiters import resolve


@dataclass(frozen=True, slots=True)
class HubTiming:
    """The hub's settings, in seconds but for `retry_ms`."""

    heartbeat_seconds: float
    coalesce_seconds: float
    stall_seconds: float
    retry_ms: int


class Hub:
    """What handlers, transports and the log's follower say to the parts that keep the streams up to date.

    Belongs to one event loop. `draw(low, high)` is where chance comes in. Methods never raise for what a
    transport does: a connection that fails is counted and closed. `observer` is told of the streams; those
    that are to read the log are put into `replays`, and get a `reset` where that is None; whose state is
    wanted goes into `states`. `failures` counts the work that raised. `revocations` are those that this node
    knows, each before the hub is woken for its entry. `node_topic` carries presence and broadcasts to the
    other nodes; whoever gives it starts it. What the parts tell each other is tied together here.
    """

    def __init__(
        self,
        history: History,
        scheduler: Scheduler,
        clock: Clock,
        timing: HubTiming,
        groups: Groups,
        *,
        observer: Observer,
        replays: ReplayQueue | None,
        states: StateQueue | None = None,
        revocations: Revocations | None = None,
        node_topic: NodeTopic | None = None,
        pace: Pace = USUAL,
        draw: Callable[[float, float], float] = chance.draw,
    ) -> None:
        self.is_draining = False
        self.reviews = 0
        """How often every stream was asked whether it is to receive something else."""
        failures: Failures[Work] = Failures(clock.monotonic)
        self.failures = failures
        streams = self._streams = Streams(
            scheduler,
            failures,
            groups,
            observer,
            self._gone,
            pace,
            stall_seconds=timing.stall_seconds,
            retry_ms=timing.retry_ms,
            draw=draw,
        )
        revocations = Revocations() if revocations is None else revocations
        self.counters = streams.counters
        self.groups = groups
        budget = self._budget = Budget(pace.writes_a_turn)
        hint_schedule = self.hint_schedule = HintSchedule(
            history, scheduler, clock, groups.fan_in, self._begin_hints
        )
        flushes = self._flushes = Flushes(history, clock, streams, hint_schedule, budget, pace)
        self.room = flushes.room
        readers = self.state_readers = StateReaders(history, streams, states)
        catch_up = self.catch_up = CatchUp(
            *(history, scheduler, streams, hint_schedule, readers, self.wake),
            self._is_live,
            *(replays, revocations, pace),
        )
        recovery = Recovery(streams, flushes, catch_up, budget)
        self._broadcasts = Broadcasts(history, streams, hint_schedule, flushes, recovery, budget)
        self._reassignments = Reassignments(history, streams, hint_schedule, flushes, catch_up, budget)
        revoked = RevokedStreams(revocations, groups, streams, flushes, catch_up, budget)
        schedule = self._schedule = Schedule(
            scheduler, failures, flushes, catch_up, recovery, revoked, budget, pace, timing.coalesce_seconds
        )
        self._sessions = Sessions(scheduler, clock, streams, budget, schedule.add_job)
        self.presence = PresenceHub(
            *(scheduler, clock, streams, budget, pace, timing.heartbeat_seconds, schedule.add_job),
            node_topic,
        )
        self._heartbeats = Heartbeats(
            history,
            scheduler,
            clock,
            streams,
            flushes,
            catch_up,
            budget,
            pace,
            timing.heartbeat_seconds,
            schedule.add_job,
        )

    def start(self) -> None:
        """Starts at the history's present head; call it once the history is open."""
        self._flushes.skip()
        self._heartbeats.start()

    def stop(self) -> None:
        """Ends every timer, and aborts what is still connected."""
        self._schedule.stop()
        self._heartbeats.stop()
        self._sessions.alarm.cancel()
        self.presence.stop()
        self.hint_schedule.alarm.cancel()
        self._streams.stop()

    @property
    def flushed(self) -> int:
        """The entry up to which every live member has all that matches."""
        return self._flushes.flushed

    @property
    def connections(self) -> int:
        """Streams that are open, those that are being ended included."""
        return len(self._streams)

    @property
    def lagging(self) -> int:
        """Streams whose client does not read as fast as events come."""
        return self._streams.lagging

    def attach(
        self,
        transport: Transport,
        selector: Selector,
        delivery: DeliveryOptions,
        number: int,
        asked: object = None,
        position: Position | ResetReason = "trimmed",
        credentials: Credentials | None = None,
        connection: Connection | None = None,
        reading: Reading | None = None,
        attendance: Attendance | None = None,
    ) -> Subscriber:
        """A new stream, which has been told that it continues from entry `number`. Nothing is written yet.

        `reading` is given for one that begins with its state wherever it can't go on; one that is owed that
        already continues from nowhere.

        `asked` is what `reassign` asks with; one that is None is never reassigned. `position` is that of the
        entry, for a stream that may find it below the history's floor; `credentials` are its caller's.
        `attendance` is given for one that is in channels.
        """
        if reading is not None and reading.is_owed:
            number, position = NOWHERE, "unknown"
        subscriber = self._streams.attach(
            transport, selector, delivery, number, asked, position, credentials, connection, reading
        )
        if attendance is not None:
            self.presence.attend(subscriber, attendance)
        return subscriber

    def begin(self, subscriber: Subscriber, *, resumed: bool) -> None:
        """Writes what the new stream missed, at once where that is little, else in turns.

        `resumed` says that the client was here before, and may have a pending hint from then.
        """
        if resumed:
            self._streams.safely("resume", self.hint_schedule.add_recent, subscriber)
        self._sessions.begin(subscriber)
        if subscriber.state is State.CATCHING_UP:
            self.catch_up.go_on(subscriber)
        if self.is_draining:
            self.send_away(subscriber, "drain", reconnect=True)

    def clogged(self, subscriber: Subscriber) -> None:
        """The transport's buffer passed its high-water mark."""
        if subscriber.state is State.LIVE:
            self._streams.safely("leave", self._flushes.leave, subscriber)
        subscriber.signal(Signal.CLOGGED)
        if subscriber.state is State.LAGGING:
            self._streams.lags(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """The transport's buffer fell below its low-water mark."""
        subscriber.signal(Signal.DRAINED)
        if subscriber.state is State.CATCHING_UP:
            self._streams.reads_again(subscriber)
            self.catch_up.add(subscriber)

    def lost(self, subscriber: Subscriber) -> None:
        """The connection is gone, whoever ended it. Saying so twice does nothing."""
        self._streams.forget(subscriber)

    def _gone(self, subscriber: Subscriber) -> None:
        self.catch_up.drop(subscriber)
        self._sessions.forget(subscriber)
        self._streams.safely("presence", self.presence.gone, subscriber)

    def _is_live(self, subscriber: Subscriber) -> None:
        if self.presence.is_attended:
            self._streams.safely("presence", self.presence.is_live, subscriber)

    def write(self, subscriber: Subscriber, payload: bytes) -> bool:
        """Gives the transport bytes in the group's framing; says whether it took them.

        A connection that fails is counted and gone.
        """
        return self._streams.write(subscriber, payload)

    def wake(self) -> None:
        """The history has grown, or a catch-up has more to do."""
        self._schedule.plan()

    def reset_frame(
        self, reason: ResetReason, scope: str = "", *, state_follows: bool | None = None
    ) -> bytes:
        """A `reset` for a reader of that scope, which goes on from the head, or from its state; counted."""
        return self.catch_up.reset_frame(reason, scope, state_follows=state_follows)

    def begins_with_state(self, reading: Reading | None) -> bool | None:
        """A stream can't go on from anywhere: says whether its state follows, which it is owed then.

        None for a stream that did not ask.
        """
        if reading is None:
            return None
        follows = self.state_readers.knows(reading.question)
        if follows:
            reading.owe()
        return follows

    def state_told(self, question: StateQuestion, parts: StateParts | None) -> Iterator[None]:
        """The state that streams wait for is known, or (None) nobody can tell it: they go on, one a step."""
        go_on = self.catch_up.add if parts is not None else self._lose_state
        return self.state_readers.told(question, parts, go_on)

    def _lose_state(self, subscriber: Subscriber) -> None:
        self._streams.safely("state", lambda lost: self.catch_up.lose(lost, "unknown"), subscriber)

    def reassign(self, reassignment_for: ReassignmentFor) -> None:
        """Asks of every stream that is open now whether it is to receive something else, and sees to it."""
        self.reviews += 1
        self._schedule.add_job("review", self._reassignments.run(reassignment_for))

    def _begin_hints(self) -> None:
        self._schedule.give_hints(self._broadcasts.hints(self.hint_schedule.due_groups()))

    def start_over(self, change: Callable[[], None], reason: ResetReason) -> "Future[None]":
        """Makes `change`, after which the history has other entries, and gives every reader a `reset`.

        That happens once everything so far is flushed; the future is done then, or has what went wrong.
        Until then the caller appends nothing to the history.
        """
        done: Future[None] = Future()

        def fail(error: Exception) -> Iterator[None]:
            if not done.done():
                done.set_exception(error)
            return iter(())

        self._schedule.add_job("start_over", self._start_over(change, reason, done), fail)
        return done

    def _start_over(
        self, change: Callable[[], None], reason: ResetReason, done: "Future[None]"
    ) -> Iterator[None]:
        while self._flushes.is_due:
            self._schedule.hasten()
            yield
        # Until `change` nothing comes any more. So the streams can be sent away from the old entries one by
        # one before it, and wait; only those that came meanwhile are left for the step in which it is made.
        with self.catch_up.held():
            for group in tuple(self.groups):
                group.drop_hints()
                if self._budget.spend():
                    yield
            for subscriber in tuple(self._streams):
                self._lose(subscriber, reason)
                if self._budget.spend():
                    yield
            change()
            self._flushes.skip()
            for group in self.groups:
                resolve(group.waiters, ORIGIN)
            for subscriber in [one for one in self._streams if one.number != NOWHERE]:
                self._lose(subscriber, reason)
        if not done.done():
            done.set_result(None)

    def _lose(self, subscriber: Subscriber, reason: ResetReason) -> None:
        self._streams.safely("start_over", lambda lost: self.catch_up.lose(lost, reason), subscriber)

    def bye(
        self, subscriber: Subscriber, reason: control_frames.ByeReason, *, reconnect: bool = True
    ) -> None:
        """Tells the client that its stream ends, and ends it; a client that does not read is cut off."""
        self._streams.bye(subscriber, reason, reconnect=reconnect)

    def open_streams(self) -> tuple[Subscriber, ...]:
        """Every stream as of now, in the order in which they were opened, those being ended included."""
        return tuple(self._streams)

    def send_away(self, subscriber: Subscriber, reason: control_frames.ByeReason, *, reconnect: bool) -> None:
        """The same, whatever comes of it: one that can't be told so is cut off."""
        self._streams.safely("bye", lambda reader: self.bye(reader, reason, reconnect=reconnect), subscriber)

    def retry_ms(self) -> int:
        """A reconnection time, jittered so that the clients of this node do not come back as one wave."""
        return self._streams.retry_ms()

    def drain(self) -> "Future[None]":
        """Says `bye` to everybody and ends the long polls; done when the last stream is gone."""
        self.is_draining = self._schedule.is_hurried = True
        self._schedule.add_job("drain", self._drain())
        return self._streams.emptied()

    def _drain(self) -> Iterator[None]:
        while self._flushes.is_due:
            yield  # what was published before the end is delivered before the bye
        for group in tuple(self.groups):
            resolve(group.waiters, ORIGIN)
        for subscriber in tuple(self._streams):
            self.send_away(subscriber, "drain", reconnect=True)
            if self._budget.spend():
                yield
