"""The streams that are open: how each comes, is written to, and ends."""

from asyncio import Future
from collections.abc import Callable, Iterator

from gateway.core import control_frames
from gateway.core.credentials import Credentials
from gateway.core.events import Position
from gateway.core.history import ResetReason
from gateway.core.selectors import Selector
from gateway.delivery.connection import Connection
from gateway.delivery.counters import HubCounters, Work
from gateway.delivery.group import DeliveryOptions, Group, Groups
from gateway.delivery.observer import Observer
from gateway.delivery.pace import Pace
from gateway.delivery.slow_clients import SlowClients
from gateway.delivery.state.reading import Reading
from gateway.delivery.subscriber import Signal, State, Subscriber, Transport
from gateway.ports.clock import Scheduler
from gateway.runtime.failures import Failures
from gateway.runtime.waiters import resolve

ROUNDS_A_BEAT = 8
"""How often a stream is looked at within `heartbeat_seconds` (gateway/delivery/heartbeats.py)."""


class Streams:
    """Every subscriber of this node, those that are being ended included, and the groups that they are in.

    Methods never raise for what a transport does: a connection that fails is counted and gone. `observer` is
    told of the streams, and `on_gone` of each whose connection is over; `failures` of what nobody foresaw.
    `draw(low, high)` is where chance comes in.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        failures: Failures[Work],
        groups: Groups,
        observer: Observer,
        on_gone: Callable[[Subscriber], None],
        pace: Pace,
        *,
        stall_seconds: float,
        retry_ms: int,
        draw: Callable[[float, float], float],
    ) -> None:
        self.failures = failures
        self._retry_ms = retry_ms
        self._draw = draw
        self.counters = HubCounters()
        self.groups = groups
        self.observer = observer
        self._on_gone = on_gone
        self._slow_clients = SlowClients(scheduler, stall_seconds, self._close_slow, self._abort, pace)
        self._subscribers: dict[Subscriber, None] = {}
        self._empty_waiters: set[Future[None]] = set()
        self.round = 0
        """The heartbeats' round, which counts up for as long as the hub runs."""

    def __len__(self) -> int:
        return len(self._subscribers)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._subscribers)

    @property
    def lagging(self) -> int:
        """Streams whose client does not read as fast as events come."""
        return self._slow_clients.lagging

    def attach(
        self,
        transport: Transport,
        selector: Selector,
        delivery: DeliveryOptions,
        number: int,
        asked: object,
        position: Position | ResetReason,
        credentials: Credentials | None = None,
        connection: Connection | None = None,
        reading: Reading | None = None,
    ) -> Subscriber:
        """A new stream that catches up from entry `number`; see subscriber.py. Nothing is written."""
        group = self.groups.get(selector, delivery)
        group.readers += 1
        subscriber = Subscriber(group, number, transport, asked, position, credentials, connection, reading)
        # Streams that come together are not due together: the first beats come early.
        subscriber.beat_round = self.round - self.counters.opened % ROUNDS_A_BEAT
        self._subscribers[subscriber] = None
        self.counters.opened += 1
        self.observer.attached(subscriber)
        return subscriber

    def move(self, subscriber: Subscriber, selector: Selector) -> None:
        """It belongs to the group of `selector` from now on. Not for one that is live."""
        before: Group = subscriber.group
        after = self.groups.get(selector, before.delivery)
        after.readers += 1
        subscriber.group = after
        before.readers -= 1
        self.groups.release(before)

    def lags(self, subscriber: Subscriber) -> None:
        """Its client does not keep up: it is sent `bye` where that does not get better in time."""
        self.counters.lagged += 1
        self._slow_clients.lags(subscriber)

    def reads_again(self, subscriber: Subscriber) -> None:
        """Its client has read what lay in the buffer."""
        self._slow_clients.forget(subscriber)

    def write(self, subscriber: Subscriber, payload: bytes) -> bool:
        """Gives the transport bytes in the group's framing; says whether it took them.

        A connection that fails is counted and gone.
        """
        try:
            subscriber.transport.write(payload)
        except Exception as error:  # noqa: BLE001 - `fail` says what becomes of which
            self.fail(subscriber, error)
            return False
        return True

    def fail(self, subscriber: Subscriber, error: Exception) -> None:
        """A write to its transport has raised. A part of it may have been sent: nothing can follow that."""
        self.counters.failed_writes += 1
        # uvloop raises RuntimeError for a handle that is closed before it says connection_lost.
        if not isinstance(error, OSError | RuntimeError):
            self.failures.report("write", error)
        self.cut(subscriber)

    def safely(self, work: Work, do: Callable[[Subscriber], None], subscriber: Subscriber) -> None:
        """Does something that is for one subscriber, which is cut off where that raises. Others go on."""
        try:
            do(subscriber)
        except Exception as error:  # noqa: BLE001 - whatever it was, it must not be silent, nor end others
            self.failures.report(work, error)
            self.cut(subscriber)

    def cut(self, subscriber: Subscriber) -> None:
        """Cuts the connection at once. The client resumes from the last cursor that it was given."""
        try:
            self.forget(subscriber)
        finally:
            subscriber.transport.abort()

    def forget(self, subscriber: Subscriber) -> None:
        """The connection is gone, whoever ended it. Saying so twice does nothing."""
        if subscriber not in self._subscribers:
            return
        del self._subscribers[subscriber]
        self._on_gone(subscriber)
        subscriber.signal(Signal.CLOSED)
        group: Group = subscriber.group
        group.members.pop(subscriber, None)
        self._slow_clients.forget(subscriber)
        group.readers -= 1
        self.groups.release(group)
        if not self._subscribers:
            resolve(self._empty_waiters, None)
        self.safely("observer", self.observer.ended, subscriber)

    def bye(
        self, subscriber: Subscriber, reason: control_frames.ByeReason, *, reconnect: bool = True
    ) -> None:
        """Tells the client that its stream ends, and ends it; a client that does not read is cut off."""
        if subscriber.state is State.CLOSED:
            return
        group: Group = subscriber.group
        group.members.pop(subscriber, None)
        subscriber.signal(Signal.CLOSED)
        self.counters.byes[reason] += 1
        self._slow_clients.ends(subscriber)
        self.write(subscriber, group.ended(control_frames.bye(reason, self.retry_ms(), reconnect=reconnect)))
        subscriber.transport.close()

    def retry_ms(self) -> int:
        """A reconnection time, jittered so that the clients of this node do not come back as one wave."""
        base = self._retry_ms
        return round(self._draw(base * 0.5, base * 1.5 + control_frames.spread_ms(len(self))))

    def emptied(self) -> "Future[None]":
        """Done when the last stream is gone; at once where there is none."""
        waiter: Future[None] = Future()
        self._empty_waiters.add(waiter)
        if not self._subscribers:
            resolve(self._empty_waiters, None)
        return waiter

    def stop(self) -> None:
        """Watches the clients no more, and aborts what is still connected."""
        self._slow_clients.alarm.cancel()
        for subscriber in tuple(self):
            self._abort(subscriber)

    def _abort(self, subscriber: Subscriber) -> None:
        self.safely("abort", self.cut, subscriber)

    def _close_slow(self, subscriber: Subscriber) -> None:
        self.safely("bye", lambda slow: self.bye(slow, "slow_consumer"), subscriber)
