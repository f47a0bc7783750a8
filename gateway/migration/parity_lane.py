"""One polled list beside what is pushed of it: which of its answers are compared, and when.

flags/parity/comparison.py compares; gateway/migration/parity_sampler.py runs it.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from flags.decide.flag import Flag
from flags.decide.stages import COMPARED
from flags.parity.comparison import Parity, PolledAnswer
from flags.parity.fold import PushedEvent
from flags.parity.report import ParityReport
from flags.parity.sampling import BoundedQueue, EveryNth
from gateway.core.errors import UpstreamError
from gateway.core.events import Cursor, Position
from gateway.core.history import HistoryEntry
from gateway.core.states import following
from gateway.migration.parity_lease import ParityLease
from gateway.migration.parity_states import ACTIVE, TRANSITIONS, BegunBy, LaneSignal, LaneState
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import ListedItems, Snapshot

MOST_ANSWERS = 8
"""Answers that may wait to be compared: an upstream gives one an interval, and comparing takes less."""


class Sample(NamedTuple):
    """A polled answer that is to be compared, and the upstream's answer before it, where that is known."""

    snapshot: Snapshot
    previous: Snapshot | None


class Begun(NamedTuple):
    """Since when a lane has compared here, or left that to other nodes, in Unix milliseconds, and why.

    `by` is None where it left it to others.
    """

    at_ms: int
    by: BegunBy | None


class _Period:
    """What a lane knows of polls since it began, or began anew.

    `latest` is the upstream's last answer; `close`, two answers that are to be compared with one another once
    push has had its time to tell of a change between them. From `wanted_from` on an answer settles something.
    """

    def __init__(self) -> None:
        self.latest: Sample | None = None
        self.close: Sample | None = None
        self.wanted_from: float | None = None


class ParityLane:
    """The comparison of one shared route. It is its poller's listener; what it does for that is O(1).

    `items_of` reads a snapshot; `flag` gives the component's flag as it is now; `wake` is called when there
    is something to compare. Of the polled answers, the upstream's and those that callers get, one in
    `check_ratio` is compared, and each that settles something (`Parity.next_sample_at`); one and the same
    answer only once. The upstream is never asked for it.

    Only on the node that has `lease`: of those that share a log one compares a route. A node that gets the
    lease begins anew, for the state does not go over: a fold holds whole entities, up to the size of the
    list, which would have to be written at every event, and a new one is proven within a settle window or so.
    """

    def __init__(
        self,
        route: LegacyRoute,
        items_of: Callable[[Snapshot], Awaitable[ListedItems]],
        parity: Parity,
        settle_seconds: float,
        flag: Callable[[], Flag | None],
        lease: ParityLease,
        wake: Callable[[], None],
    ) -> None:
        self.route = route
        self.parity = parity
        self.lease = lease
        self.state = LaneState.OFF
        self.begun: Begun | None = None
        """None where it is not to be compared, and before the first look at the flag."""
        self._items_of = items_of
        self._settle = settle_seconds
        self._flag = flag
        self._wake = wake
        self._every = EveryNth()
        self._queue: BoundedQueue[Sample] = BoundedQueue(MOST_ANSWERS, 2 * route.max_body_bytes)
        self._period = _Period()
        # Beside the queue: of answers that all wait for the history, the oldest must not be dropped for newer
        # ones for ever.
        self._waiting: Sample | None = None
        self._taken: Snapshot | None = None
        self._lost = 0
        self._doubted_by = BegunBy.START

    @property
    def is_same_source(self) -> bool:
        """Whether push is made from the very poll, so that comparing the two would prove nothing."""
        return self.route.events == "poll"

    @property
    def backlog(self) -> int:
        """Answers that were taken and are not compared yet, or are just being compared."""
        return len(self._queue) + (self._waiting is not None) + (self.state is LaneState.COMPARING)

    def polled(self, snapshot: Snapshot) -> None:
        """The upstream has answered: the poller's listener."""
        flag = self._flag_here()
        if flag is not None:
            before = self._period.latest
            self._period.latest = Sample(snapshot, None if before is None else before.snapshot)
            self._offer(self._period.latest, flag)

    def served(self, snapshot: Snapshot) -> None:
        """A caller was answered: the poller's listener."""
        flag = self._flag_here()
        if flag is not None:
            latest = self._period.latest
            if latest is None or latest.snapshot is not snapshot:
                latest = Sample(snapshot, None)
            self._offer(latest, flag)

    def _compared_flag(self) -> Flag | None:
        """The component's flag, where its stage is one in which push is compared."""
        flag = self._flag()
        return flag if flag is not None and flag.stage in COMPARED else None

    def _flag_here(self) -> Flag | None:
        """The same, where it is also this node that compares."""
        flag = self._compared_flag()
        return flag if flag is not None and self.lease.holds() else None

    def _offer(self, sample: Sample, flag: Flag) -> None:
        snapshot, previous = sample
        has_its_turn = self._every.take(flag.check_ratio)
        wanted_from = self._period.wanted_from
        settles = wanted_from is not None and snapshot.asked_at >= wanted_from
        if snapshot is self._taken or not (has_its_turn or settles):
            return
        self._taken = snapshot
        if settles:
            # One is enough; what is to settle then, comparing it will say.
            self._period.wanted_from = None
        size = len(snapshot.body)
        if previous is not None and previous.body is not snapshot.body:
            size += len(previous.body)
        self._queue.put(sample, size)
        self._wake()

    @property
    def is_to_be_compared(self) -> bool:
        """Whether the component's stage is one in which push is compared, here or on another node."""
        return self._compared_flag() is not None

    def begin_again(self, by: BegunBy) -> None:
        """Push was mended, or events were missed: what was pushed until now is not to count on."""
        if self.state is not LaneState.STALE:
            self._doubted_by = by
        self._signal(LaneSignal.DOUBTED)

    def following_flag(self, position: Position, now: float, at_ms: int) -> Iterator[None]:
        """Begins, ends or begins again, as flag, lease and `begin_again` say; the log is read up to there.

        In steps that take some microseconds each. `now` is monotonic, `at_ms` the same moment for people.
        """
        signal = self._due()
        if signal is None:
            return
        self.begun = self._begun(signal, at_ms)
        self._signal(signal)
        self._period = _Period()
        if signal is not LaneSignal.BEGUN:
            self._lost += self._waiting is not None
            self._waiting = self._taken = None
            while self._queue.take() is not None:
                self._lost += 1
        yield from self.parity.restarting(position, now)
        self._period.wanted_from = self.parity.next_sample_at

    def _due(self) -> LaneSignal | None:
        """What flag and lease make of the lane; None where it is that already."""
        if not self.is_to_be_compared:
            return None if self.state is LaneState.OFF else LaneSignal.ENDED
        if not self.lease.holds():
            return None if self.state is LaneState.ELSEWHERE else LaneSignal.YIELDED
        return None if self.state in ACTIVE else LaneSignal.BEGUN

    def _begun(self, signal: LaneSignal, at_ms: int) -> Begun | None:
        if signal is LaneSignal.ENDED:
            return None
        if signal is LaneSignal.YIELDED:
            return Begun(at_ms, None)
        by = {LaneState.OFF: BegunBy.FLAG, LaneState.ELSEWHERE: BegunBy.LEASE}
        return Begun(at_ms, by.get(self.state, self._doubted_by))

    def applying(self, entry: HistoryEntry) -> Iterator[None]:
        """Takes the next event of the route's entity type, in steps that take some microseconds each."""
        event = entry.event
        assert event.entity_id is not None, "an entity type comes with an id"
        pushed = PushedEvent(
            entry.position, event.event_type, event.entity_id, event.action, event.data, event.previous
        )
        yield from self.parity.applying(pushed, entry.at)

    def next_sample(self, epoch: str) -> Sample | None:
        """The next answer to compare; None where there is none, or the log is not read that far yet."""
        while (sample := self._waiting or self._queue.take()) is not None:
            self._waiting = None
            cursor = _cursor(sample.snapshot)
            if cursor.epoch != epoch:
                self._lost += 1
            elif cursor.position > self.parity.position:
                self._waiting = sample
                return None
            else:
                return sample
        return None

    async def steps(self, sample: Sample, now: float) -> Iterator[None]:
        """What is to be done to compare `sample`, in steps that take some microseconds each."""
        self._signal(LaneSignal.TAKEN)
        polls = self._settled_polls(now)
        if polls is None and self._period.close is None and not self.is_same_source:
            self._period.close = self._as_close(sample)
        try:
            answer = await self._answer(sample.snapshot)
            if polls is None or polls.previous is None:
                return self._compare(None, answer, now)
            first, second = await self._answer(polls.previous), await self._answer(polls.snapshot)
        except UpstreamError:
            # What is left of an answer that another process took may not be readable under other settings.
            self._lost += 1
            self._period.wanted_from = self.parity.next_sample_at
            self._signal(LaneSignal.COMPARED)
            return iter(())
        return self._compare((first, second), answer, now)

    def report(self) -> ParityReport:
        """The figures since the process began."""
        return self.parity.report(self._queue.dropped + self._lost)

    def _compare(
        self, polls: tuple[PolledAnswer, PolledAnswer] | None, answer: PolledAnswer, now: float
    ) -> Iterator[None]:
        if polls is not None:
            yield from self.parity.comparing_polls(*polls)
        yield from self.parity.comparing(answer, now)
        if not self._queue:
            self._period.wanted_from = self.parity.next_sample_at
        self._signal(LaneSignal.COMPARED)

    def _as_close(self, sample: Sample) -> Sample | None:
        """The sample where its two answers were asked for within one settle window."""
        if sample.previous is None:
            return None
        apart = sample.snapshot.asked_at - sample.previous.asked_at
        return sample if apart <= self._settle else None

    def _settled_polls(self, now: float) -> Sample | None:
        """The close polls, once push has had its time to tell of a change between them."""
        polls = self._period.close
        if polls is None or now < polls.snapshot.received_at + self._settle:
            return None
        self._period.close = None
        return polls

    def _signal(self, signal: LaneSignal) -> None:
        """Moves to the state that the table gives. Raises RuntimeError for a pair that it does not have."""
        self.state = following(TRANSITIONS, self.state, signal, "a parity lane")

    async def _answer(self, snapshot: Snapshot) -> PolledAnswer:
        items = await self._items_of(snapshot)
        return PolledAnswer(
            _cursor(snapshot).position, snapshot.asked_at, snapshot.received_at, items, items.is_unread
        )


def _cursor(snapshot: Snapshot) -> Cursor:
    cursor = Cursor.parse(snapshot.cursor)
    assert cursor is not None, "the gateway's own cursors can be read"
    return cursor
