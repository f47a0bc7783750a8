"""gateway/delivery/state/readers.py: streams that begin with their state, whatever happens meanwhile."""

import orjson
import pytest

from gateway.core.credentials import Credentials
from gateway.core.events import Cursor, Position
from gateway.core.revocations import Revocation
from gateway.core.selectors import Selector
from gateway.delivery.reassign import Reassignment
from gateway.delivery.state.parts import StateParts
from gateway.delivery.state.question import StateQuestion, question_of
from gateway.delivery.state.queue import StateQueue
from gateway.ports.state import StateItem
from tests.support.events import TIMESTAMP, an_event
from tests.support.given_state import parts_of
from tests.support.node import HEARTBEAT_SECONDS, Node, Reader
from tests.support.scheduler import ManualScheduler

TEN = [StateItem(str(number), orjson.dumps({"n": number, "text": "x" * 100})) for number in range(10)]
ORDERS = Selector(frozenset({("order", None)}))


class Asked(StateQueue):
    """The queue of a node: a test answers in place of whoever asks."""

    def __init__(self) -> None:
        super().__init__(lambda question: "bill" not in question.entity_types)
        self.questions: list[StateQuestion] = []

    def add(self, question: StateQuestion) -> None:
        self.questions.append(question)


class Bench:
    """A node whose streams may begin with the state of orders."""

    def __init__(self, scheduler: ManualScheduler, **options) -> None:
        self.asked = Asked()
        self.node = Node(scheduler, states=self.asked, **options)
        self.scheduler = scheduler

    def connect(self, query: str = "entity=order", **options) -> Reader:
        reader = self.node.connect(query, with_state=True, **options)
        self.scheduler.run_ready()
        return reader

    def parts(self, items=TEN) -> StateParts:
        """The state of what was asked for first, at the head."""
        history = self.node.history
        return parts_of(
            self.asked.questions[0], Cursor(history.epoch, history.head_position), {"order": items}
        )

    def tell(self, parts: StateParts | None) -> None:
        """Whoever asked for what was asked for first is told."""
        for _ in self.node.hub.state_told(self.asked.questions.pop(0), parts):
            pass
        self.scheduler.run_ready()

    def answer(self) -> None:
        self.tell(self.parts())


@pytest.fixture
def bench(scheduler: ManualScheduler) -> Bench:
    return Bench(scheduler)


def names(reader: Reader) -> list[str | None]:
    return [frame.event for frame in reader.frames()]


def items(reader: Reader) -> list[str]:
    return [item["entityId"] for frame in reader.frames("state") for item in frame.data["items"]]


def order(number: int = 1):
    return an_event(f"order:{number}", "stage_change")


def test_the_parts_come_once_they_are_known_and_then_what_came_meanwhile(bench):
    bench.node.publish(order())
    reader = bench.connect()
    assert names(reader) == ["connected"]
    parts = bench.parts()
    bench.node.publish(order(), order())
    bench.node.pause()
    assert names(reader) == ["connected"]
    bench.tell(parts)
    bench.node.pause()
    assert names(reader) == ["connected"] + ["state"] * len(parts) + ["stage_change"] * 2
    assert items(reader) == [one.entity_id for one in TEN]
    assert reader.numbers() == [2, 3]
    assert reader.frames("state")[-1].id == "e.1-0"


def test_those_who_ask_the_same_are_asked_for_once_and_share_the_parts(bench):
    readers = [bench.connect() for _ in range(5)] + [bench.connect(named=False), bench.connect(hints="off")]
    assert len(bench.asked.questions) == 1
    bench.answer()
    assert {tuple(items(reader)) for reader in readers} == {tuple(one.entity_id for one in TEN)}
    written = [[bytes(part) for part in reader.transport.writes[1:]] for reader in readers]
    assert all(parts == written[0] for parts in written)
    assert all(
        part is other
        for reader in readers
        for part, other in zip(reader.transport.writes[1:], readers[0].transport.writes[1:], strict=True)
    )
    assert bench.node.hub.counters.state_parts == len(readers) * (len(written[0]))


def test_who_reads_slowly_gets_one_part_after_the_other(bench):
    reader = bench.connect()
    reader.transport.stop_reading()
    bench.answer()
    assert len(reader.transport.writes) == 2
    reader.transport.read(10_000)
    bench.scheduler.run_ready()
    assert len(reader.transport.writes) == 3
    bench.node.publish(order())
    reader.transport.start_reading()
    bench.node.pause()
    assert items(reader) == [one.entity_id for one in TEN]
    assert reader.numbers() == [1]


def test_while_it_waits_heartbeats_have_no_id(bench):
    reader = bench.connect()
    bench.scheduler.run_for(HEARTBEAT_SECONDS * 2)
    assert 1 <= len(reader.frames("heartbeat")) <= 3
    assert {frame.id for frame in reader.frames("heartbeat")} == {None}
    bench.answer()
    assert items(reader) == [one.entity_id for one in TEN]


def test_a_state_whose_cursor_was_trimmed_meanwhile_is_given_anew(scheduler):
    bench = Bench(scheduler, max_events=2)
    reader = bench.connect()
    reader.transport.stop_reading()
    bench.answer()
    for _ in range(5):
        bench.node.publish(order())
        bench.node.pause()
    reader.transport.start_reading()
    bench.scheduler.run_ready()
    reset = reader.frames("reset")[0]
    assert (reset.data["reason"], reset.data["state"], reset.id) == ("trimmed", True, None)
    bench.answer()
    assert items(reader) == [one.entity_id for one in TEN] * 2
    bench.node.publish(order())
    bench.node.pause()
    assert reader.numbers() == [6]


def test_who_falls_off_the_history_later_begins_anew(scheduler):
    bench = Bench(scheduler, max_events=2)
    reader = bench.connect()
    bench.answer()
    reader.transport.clog()
    for _ in range(5):
        bench.node.publish(order())
        bench.node.pause()
    reader.transport.start_reading()
    bench.scheduler.run_ready()
    assert [frame.data["state"] for frame in reader.frames("reset")] == [True]
    assert reader.frames("reset")[0].id is None
    bench.answer()
    assert names(reader)[-1] == "state"
    assert reader.last_id() == "e.5-0"


def test_where_nobody_can_tell_it_after_all_a_reset_says_so_and_the_stream_goes_on(bench):
    reader = bench.connect()
    bench.node.publish(order())
    bench.tell(None)
    reset = reader.frames("reset")[0]
    assert (reset.data["state"], reset.id) == (False, "e.1-0")
    bench.node.publish(order())
    bench.node.pause()
    assert reader.numbers() == [2]
    assert not bench.asked.questions


def test_where_nothing_knows_it_the_stream_says_so(bench):
    reader = bench.connect("entity=bill")
    assert reader.frames()[0].data["state"] is False
    lost = bench.connect("entity=bill", cursor="e.77-0")
    assert [frame.data["state"] for frame in lost.frames()] == [False, False]
    assert lost.last_id() == "e.0-0"


async def test_a_history_that_starts_over_is_told_and_the_state_given_anew(bench):
    waiting, sending = bench.connect(), bench.connect("entity=order&filter=n%3Dgte.0")
    bench.asked.questions.reverse()
    sending.transport.stop_reading()
    bench.answer()
    fresh = bench.node.history.blank()
    fresh.open("f", Position(7, 0))
    done = bench.node.hub.start_over(lambda: bench.node.history.become(fresh), "epoch")
    bench.scheduler.run_for(1.0)
    assert done.done()
    sending.transport.start_reading()
    bench.scheduler.run_ready()
    for reader in (waiting, sending):
        assert [frame.data["reason"] for frame in reader.frames("reset")] == ["epoch"]
        assert reader.frames("reset")[0].data["state"] is True
    while bench.asked.questions:
        bench.answer()
    for reader in (waiting, sending):
        assert reader.last_id() == "f.7-0"


def test_one_of_the_history_before_is_not_sent(bench):
    reader = bench.connect()
    parts = parts_of(bench.asked.questions[0], Cursor("before", Position(1, 0)), {"order": TEN})
    bench.tell(parts)
    assert names(reader) == ["connected", "reset"]
    bench.answer()
    assert items(reader) == [one.entity_id for one in TEN]


def test_a_revocation_ends_who_waits_and_who_is_sent_its_state(bench):
    ana = Credentials(subject="ana", token_id="a1", issued_at=100.0)
    waiting = bench.connect(credentials=ana)
    slow = bench.connect("entity=order&filter=n%3Dgte.0", credentials=ana)
    slow.transport.stop_reading()
    bench.asked.questions.reverse()
    bench.answer()
    bench.node.publish(Revocation("subject", "ana", 150.0, "left").event(TIMESTAMP), order())
    bench.node.pause()
    assert names(waiting) == ["connected", "bye"]
    slow.transport.start_reading()
    bench.scheduler.run_ready()
    assert names(slow) == ["connected", "state", "bye"]
    assert slow.frames("bye")[0].data["reason"] == "revoked"


def test_a_token_that_ends_while_the_state_is_awaited_ends_the_stream(bench):
    expires_at = bench.scheduler.clock.wall_ms() / 1000 + 90.0
    reader = bench.connect(credentials=Credentials(subject="ana", expires_at=expires_at))
    bench.scheduler.run_for(100.0)
    told = [name for name in names(reader) if name != "heartbeat"]
    assert told == ["connected", "token-expiring", "bye"]
    assert {frame.id for frame in reader.frames()} == {None}
    assert bench.node.hub.state_readers.waiting == 0


async def test_a_drain_ends_who_waits(bench):
    reader = bench.connect()
    bench.node.hub.drain()
    bench.scheduler.run_ready()
    assert names(reader) == ["connected", "bye"]


def move(bench: Bench, reader: Reader, selector: Selector, *, ends: bool = False) -> list[str]:
    told: list[str] = []

    def tell(cursor: str) -> bytes:
        told.append(cursor)
        return b"event: fetch-mode\ndata: {}\n\n"

    reader.subscriber.asked = reader
    change = Reassignment(selector, reader, tell, ends, question_of(selector))
    bench.node.hub.reassign(lambda asked: change if asked is reader else None)
    bench.scheduler.run_ready()
    return told


@pytest.mark.parametrize("is_sending", [False, True])
def test_another_selection_while_the_state_is_owed_begins_it_anew(bench, is_sending):
    reader = bench.connect("entity=order,job")
    if is_sending:
        reader.transport.stop_reading()
        bench.answer()
    bench.node.publish(order())
    assert move(bench, reader, ORDERS) == ["e.1-0"]
    reader.transport.start_reading()
    bench.scheduler.run_ready()
    before = ["connected", "state"] if is_sending else ["connected"]
    assert names(reader) == [*before, "reset", "fetch-mode"]
    assert (reader.frames("reset")[0].data["state"], reader.frames("reset")[0].id) == (True, None)
    if not is_sending:
        bench.asked.questions.pop(0)
    assert [question.entity_types for question in bench.asked.questions] == [("order",)]
    bench.answer()
    assert [frame.data["part"] for frame in reader.frames("state")][is_sending:] == list(range(1, 11))


def test_who_has_its_state_begins_with_that_of_the_other_selection_where_it_has_to(bench):
    reader = bench.connect("entity=order,job")
    bench.answer()
    assert move(bench, reader, ORDERS) == ["e.0-0"]
    assert "reset" not in names(reader)
    assert reader.subscriber.reading is not None
    assert reader.subscriber.reading.question == question_of(ORDERS)


def test_with_nothing_left_no_state_follows(bench):
    reader = bench.connect()
    move(bench, reader, ORDERS, ends=True)
    assert names(reader) == ["connected", "reset", "fetch-mode", "bye"]
    assert reader.frames("reset")[0].data["state"] is False


def test_who_goes_away_is_not_waited_for(bench):
    reader = bench.connect()
    assert bench.node.hub.state_readers.waiting == 1
    reader.transport.vanish()
    assert bench.node.hub.state_readers.waiting == 0
    assert not bench.node.hub.state_readers.is_awaited(bench.asked.questions[0])
    bench.connect()
    assert len(bench.asked.questions) == 2


def test_a_write_that_raises_ends_that_stream_alone(bench):
    broken, other = bench.connect(), bench.connect()
    broken.transport.fail_writes(OSError("gone"))
    bench.answer()
    assert items(other) == [one.entity_id for one in TEN]
    assert bench.node.hub.connections == 1


@pytest.mark.parametrize("gzip", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_every_framing_holds_the_whole_state(bench, gzip, chunked):
    reader = bench.connect(gzip=gzip, chunked=chunked)
    bench.answer()
    bench.node.publish(order())
    assert items(reader) == [one.entity_id for one in TEN]
    assert reader.numbers() == [1]
