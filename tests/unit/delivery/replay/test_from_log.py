"""Streams that are behind the history get what the log holds, exactly once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.credentials import Credentials
from gateway.core.events import Event, Position
from gateway.core.hints import HintTiming
from gateway.core.history import History
from gateway.core.revocations import Revocation
from gateway.core.selectors import Selector
from gateway.delivery.group import DeliveryOptions, Group
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.reassign import Reassignment
from gateway.delivery.replay.from_log import Replays
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.subscriber import NOWHERE, State, Subscriber
from gateway.runtime.slices import Slices
from tests.support.events import TIMESTAMP, an_event
from tests.support.loop import let_others_run, until
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.shaky_log import ShakyLog
from tests.support.streams import Frame, received
from tests.support.transport import RecordingTransport

HELD = 3


class Bench:
    """A node with a history of three events, in front of a log that holds all of them."""

    def __init__(self, scheduler: ManualScheduler, pace: Pace = USUAL) -> None:
        queue = ReplayQueue()
        self.node = Node(scheduler, max_events=HELD, replays=queue, pace=pace)
        self.log = ShakyLog()
        self.archive = LogArchive(self.log, self.node.history, scheduler.clock, Slices(scheduler.clock), pace)
        self.replays = Replays(self.node.history, self.archive, self.node.hub, queue, pace, at_once=4)

    @property
    def history(self) -> History:
        return self.node.history

    def publish(self, *events: Event) -> None:
        """This node has heard of the events."""
        for event in events:
            self.log.put_events(event)
            self.node.publish(event)
            self.node.pause()

    def follow(self) -> None:
        """The node gets to know what other nodes have put into the log."""
        for record in self.log._records[self.history.head :]:
            self.history.append(record, self.node.scheduler.time())
        self.node.hub.wake()
        self.node.scheduler.run_for(1.0)

    def connect(self, position: int, credentials: Credentials | None = None, **delivery: object) -> "Reader":
        options = DeliveryOptions(chunked=False, **delivery)  # type: ignore[arg-type]
        return Reader(self, position, options, credentials)


class Reader:
    """A stream that comes with a cursor from before the history."""

    def __init__(
        self, bench: Bench, position: int, delivery: DeliveryOptions, credentials: Credentials | None = None
    ) -> None:
        self.transport = RecordingTransport(bench.node.scheduler)
        self.subscriber: Subscriber = bench.node.hub.attach(
            self.transport, Selector(), delivery, NOWHERE, self, Position(position, 0), credentials
        )
        bench.node.hub.begin(self.subscriber, resumed=True)

    def frames(self, *events: str) -> list[Frame]:
        return [frame for frame in received(self.transport, chunked=False) if frame.event in events]

    def numbers(self) -> list[int]:
        return [int(frame.data["id"][2:-2]) for frame in self.frames("changed")]

    def is_live(self) -> bool:
        return self.subscriber.state is State.LIVE


@pytest.fixture
def pace() -> Pace:
    """The usual one, where a test gives none."""
    return USUAL


@pytest.fixture
async def bench(scheduler: ManualScheduler, pace: Pace) -> AsyncIterator[Bench]:
    bench = Bench(scheduler, pace)
    task = asyncio.create_task(bench.replays.run())
    yield bench
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    real = getattr(owner, name)

    def fail(*args: object) -> object:
        monkeypatch.setattr(owner, name, real)
        raise MemoryError

    monkeypatch.setattr(owner, name, fail)


async def test_what_this_node_has_yet_to_hear_of_comes_once(bench: Bench) -> None:
    bench.publish(*[an_event() for _ in range(8)])
    bench.log.put_events(*[an_event() for _ in range(4)])  # another node's
    reader = bench.connect(2)
    await until(reader.is_live, "the reader has what this node has")
    assert reader.numbers() == list(range(3, 9))
    bench.follow()
    assert reader.numbers() == list(range(3, 13))


@pytest.mark.parametrize("pace", [Pace(records_a_read=2)])
async def test_who_is_moved_while_the_log_is_read_is_given_the_hints_of_its_new_choice(bench: Bench) -> None:
    bench.publish(*[an_event(f"order:{number}") for number in range(1, 12)])
    reader = bench.connect(2, hints="only", timing=HintTiming(50, 100))
    await until(lambda: bench.log.reads == 1, "the first read has begun")
    bench.log.may_read.clear()
    await until(lambda: bench.log.reads == 2, "the second read has begun")
    bench.node.hub.reassign(lambda asked: Reassignment(Selector(), asked, lambda cursor: b"", ends=False))
    bench.node.scheduler.run_ready()
    bench.log.may_read.set()
    await until(reader.is_live, "the reader has caught up")
    hinted = {frame.data["entityId"] for frame in reader.frames("refresh")}
    assert hinted == {str(number) for number in range(3, 12)}


@pytest.mark.parametrize("pace", [Pace(catch_up_bytes=1)])
async def test_a_batch_is_written_a_turn_so_that_others_get_theirs(bench: Bench) -> None:
    bench.publish(*[an_event() for _ in range(12)])
    reader = bench.connect(0)
    written = []
    while not reader.is_live():
        before = len(reader.transport.writes)
        await asyncio.sleep(0)
        bench.node.scheduler.run_ready()
        written.append(len(reader.transport.writes) - before)
    assert reader.numbers() == list(range(1, 13))
    assert max(written[:-1]) == 1


@pytest.mark.parametrize("name", ["frame", "framed"])
async def test_a_replay_that_fails_ends_in_a_reset_and_the_next_is_served(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bench.publish(*[an_event() for _ in range(8)])
    fail_once(monkeypatch, Group, name)
    broken, well = bench.connect(2), bench.connect(2)
    await until(well.is_live, "the other reader was served")
    bench.node.scheduler.run_ready()
    (reset,) = broken.frames("reset")
    assert (reset.data["reason"], reset.id) == ("unknown", "e.8-0")
    assert broken.is_live()
    assert well.numbers() == list(range(3, 9))
    assert bench.node.hub.failures.counts == {"replay": 1}
    assert bench.node.hub.counters.deliveries == 6


async def test_who_is_cut_off_while_the_log_is_read_gets_nothing(bench: Bench) -> None:
    bench.publish(*[an_event() for _ in range(8)])
    bench.log.may_read.clear()
    reader = bench.connect(2)
    await until(lambda: bench.log.reads == 1, "the read has begun")
    reader.transport.vanish()
    bench.node.hub.lost(reader.subscriber)
    bench.log.may_read.set()
    await let_others_run()
    assert reader.transport.writes == []
    assert bench.replays.waiting == 0


ANA = Credentials(subject="ana", issued_at=100.0)
ANA_REVOKED = Revocation("subject", "ana", 150.0, "left").event(TIMESTAMP)


@pytest.mark.parametrize("pace", [USUAL, Pace(catch_up_bytes=1), Pace(records_a_read=2)])
async def test_a_reader_of_the_log_that_is_revoked_gets_what_was_before_that_and_bye(bench: Bench) -> None:
    bench.publish(*[an_event()] * 5, ANA_REVOKED, *[an_event()] * 6)
    ana, other = bench.connect(1, ANA), bench.connect(1)

    def are_done() -> bool:
        bench.node.scheduler.run_ready()
        return ana.subscriber.state is State.CLOSED and other.is_live()

    await until(are_done, "both have what is theirs")
    assert (ana.numbers(), other.numbers()) == ([2, 3, 4, 5], [*range(2, 6), *range(7, 13)])
    assert [frame.data["reason"] for frame in ana.frames("bye")] == ["revoked"]


@pytest.mark.parametrize("pace", [Pace(records_a_read=2)])
async def test_one_that_is_revoked_while_it_reads_the_log_gets_what_was_before_that(bench: Bench) -> None:
    bench.publish(*[an_event()] * 9)
    ana = bench.connect(1, ANA)
    await until(lambda: bench.log.reads == 1, "the first read has begun")
    bench.log.may_read.clear()
    bench.publish(ANA_REVOKED, *[an_event()] * 5)
    bench.log.may_read.set()
    await until(lambda: ana.subscriber.state is State.CLOSED, "it was told")
    assert ana.numbers() == list(range(2, 10))
    assert [frame.data["reason"] for frame in ana.frames("bye")] == ["revoked"]


async def test_one_that_begins_in_the_log_behind_its_revocation_gets_nothing(bench: Bench) -> None:
    bench.publish(an_event(), ANA_REVOKED, *[an_event()] * 9)
    ana = bench.connect(4, ANA)
    await until(lambda: ana.subscriber.state is State.CLOSED, "it was told")
    assert (ana.numbers(), [frame.data["reason"] for frame in ana.frames("bye")]) == ([], ["revoked"])


@pytest.mark.parametrize("hints", ["with", "only"])
async def test_the_hints_of_what_was_before_it_come_before_the_bye(bench: Bench, hints: str) -> None:
    bench.publish(*[an_event(f"order:{number}") for number in range(1, 5)], ANA_REVOKED, *[an_event()] * 6)
    ana = bench.connect(1, ANA, hints=hints, timing=HintTiming(50, 100))
    await until(lambda: ana.subscriber.state is State.CLOSED, "it was told")
    hinted = [frame.data["entityId"] for frame in ana.frames("refresh")]
    assert hinted == ["2", "3", "4"]
