"""The hub's main work: flushes, catching up, and what lies between."""

import asyncio

import pytest

from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.subscriber import State
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.node import COALESCE_SECONDS, Node
from tests.support.scheduler import ManualScheduler


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


SMALL_SLICES = Pace(writes_a_turn=1, entries_a_flush=1, catch_up_entries=1, catch_up_bytes=1)
ONE_WRITE = Pace(writes_a_turn=1)


def test_the_first_event_after_a_quiet_spell_leaves_at_once(node: Node) -> None:
    reader = node.connect()
    node.pause()
    before = node.scheduler.time()
    node.publish(an_event())
    assert reader.numbers() == [1]
    assert node.scheduler.time() == before


def test_events_within_the_coalescing_time_are_one_write(node: Node) -> None:
    reader = node.connect()
    node.publish(an_event())
    for _ in range(3):
        node.publish(an_event())
    assert reader.numbers() == [1], "they wait for the flush before to be old enough"
    count = len(reader.transport.writes)
    node.scheduler.run_for(COALESCE_SECONDS)
    assert reader.numbers() == [1, 2, 3, 4]
    assert len(reader.transport.writes) == count + 1


def test_a_flush_waits_at_least_as_long_as_the_one_before_took(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, pace=ONE_WRITE)
    readers = [node.connect() for _ in range(5)]
    node.pause()
    for reader in readers:
        reader.transport.write_seconds = 0.003
    node.publish(an_event())
    node.publish(an_event())
    node.scheduler.run_for(0.014)
    assert [reader.numbers() for reader in readers] == [[1]] * 5
    node.scheduler.run_for(0.1)
    assert [reader.numbers() for reader in readers] == [[1, 2]] * 5


def test_a_group_gets_the_same_bytes_object(node: Node) -> None:
    readers = [node.connect("entity=order") for _ in range(3)]
    node.publish(an_event(), an_event())
    payloads = {id(reader.transport.writes[-1]) for reader in readers}
    assert len(payloads) == 1
    assert len(node.hub.groups) == 1


def test_each_gets_what_it_asked_for_in_its_own_format(node: Node) -> None:
    orders, plain, bare = (
        node.connect("entity=order"),
        node.connect(named=False),
        node.connect("types=b", chunked=False),
    )
    node.publish(an_event("order:1", "a"), an_event("job:1", "b"), an_event(None, "a"))
    assert orders.numbers() == [1]
    assert plain.numbers() == [1, 2, 3]
    assert [frame.event for frame in plain.frames()[1:]] == [None] * 3
    assert bare.numbers() == [2]
    assert bytes(bare.transport.received).endswith(b"}\n\n")


def test_an_event_that_leaves_a_view_is_told_there_and_only_there(node: Node) -> None:
    inside, all_of_it = node.connect("filter=n%3Deq.1"), node.connect()
    node.publish(an_event(data={"n": 2}, previous={"n": 1}))
    assert inside.frames()[-1].data["action"] == "leave"
    assert all_of_it.frames()[-1].data["data"] == {"n": 2}


def test_a_new_stream_starts_at_now(node: Node) -> None:
    node.publish(an_event())
    reader = node.connect()
    node.pause()
    assert reader.numbers() == []
    node.publish(an_event())
    assert reader.numbers() == [2]


def test_what_a_resumed_stream_missed_is_written_before_begin_returns(node: Node) -> None:
    node.publish(*[an_event() for _ in range(10)])
    reader = node.connect(cursor="e.4-0")
    assert reader.numbers() == [5, 6, 7, 8, 9, 10]
    assert reader.subscriber.state is State.LIVE
    assert len(reader.transport.writes) == 2


def test_a_long_way_back_is_gone_in_turns(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(catch_up_entries=10))
    node.publish(*[an_event() for _ in range(35)])
    reader = node.connect(cursor="e.0-0")
    assert reader.numbers() == list(range(1, 11))
    assert reader.subscriber.state is State.CATCHING_UP
    node.scheduler.run_ready()
    assert reader.numbers() == list(range(1, 36))
    assert reader.subscriber.state is State.LIVE


def test_catching_up_ends_its_turn_after_so_many_bytes(scheduler: ManualScheduler) -> None:
    other = Node(ManualScheduler(ManualClock()))
    other.publish(an_event())
    size = len(other.history.latest(1)[0].frame)
    node = Node(scheduler, pace=Pace(catch_up_bytes=3 * size))
    node.publish(*[an_event() for _ in range(9)])
    reader = node.connect(cursor="e.0-0")
    assert reader.numbers() == [1, 2, 3]
    node.scheduler.run_ready()
    assert reader.numbers() == list(range(1, 10))


def test_catching_up_leaves_time_for_others(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(catch_up_entries=1))
    node.publish(*[an_event() for _ in range(3)])
    node.write_seconds = 2 * USUAL.catch_up_seconds_a_turn
    readers = [node.connect(cursor="e.0-0") for _ in range(3)]
    node.scheduler.step()
    assert sum(len(reader.numbers()) for reader in readers) == 4, "one more was served in that turn"
    node.scheduler.run_ready()
    assert all(reader.numbers() == [1, 2, 3] for reader in readers)


def test_who_catches_up_while_a_flush_runs_gets_nothing_twice_and_misses_nothing(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, pace=SMALL_SLICES)
    for steps in range(12):
        first, second = node.connect(), node.connect()
        start = node.history.head
        node.append(an_event(), an_event(), an_event())
        for _ in range(steps):
            node.scheduler.step()
        late = node.connect(cursor=f"e.{start}-0")
        node.append(an_event())
        node.scheduler.run_for(1.0)
        for reader in (first, second, late):
            assert reader.numbers() == list(range(start + 1, start + 5)), f"joined after {steps} steps"
            reader.transport.vanish()


def test_a_client_that_does_not_read_is_left_alone_until_it_does(node: Node) -> None:
    reader, other = node.connect(), node.connect()
    reader.transport.stop_reading()
    node.publish(an_event())
    assert reader.subscriber.state is State.LAGGING
    assert node.hub.lagging == 1
    waiting = len(reader.transport.waiting)
    for _ in range(5):
        node.pause()
        node.publish(an_event())
    assert len(reader.transport.waiting) == waiting, "nothing is queued for it"
    assert other.numbers() == [1, 2, 3, 4, 5, 6]
    reader.transport.start_reading()
    node.scheduler.run_ready()
    assert reader.numbers() == [1, 2, 3, 4, 5, 6]
    assert reader.subscriber.state is State.LIVE
    assert node.hub.lagging == 0


def test_a_client_that_clogs_while_it_catches_up_goes_on_where_it_was(node: Node) -> None:
    node.publish(*[an_event() for _ in range(10)])
    reader = node.connect()
    node.hub.lost(reader.subscriber)
    late = node.connect(cursor="e.9-0")
    late.transport.stop_reading()
    node.pause()
    node.publish(an_event())
    node.pause()
    node.publish(an_event())
    late.transport.start_reading()
    node.scheduler.run_ready()
    assert late.numbers() == [10, 11, 12]


def test_a_client_that_the_history_was_trimmed_past_is_reset_and_lives_on(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=3)
    reader = node.connect()
    reader.transport.stop_reading()
    node.publish(an_event())
    for _ in range(6):
        node.pause()
        node.publish(an_event())
    reader.transport.start_reading()
    node.scheduler.run_ready()
    (reset,) = reader.frames("reset")
    assert reset.id == reset.data["cursor"] == "e.7-0"
    assert reset.data["reason"] == "trimmed"
    node.pause()
    node.publish(an_event())
    assert reader.numbers() == [1, 8]
    assert node.hub.counters.resets == {"trimmed": 1}


def test_a_client_that_clogs_is_not_reset_for_what_it_did_not_ask_for(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=3)
    reader = node.connect("entity=order")
    for _ in range(9):
        node.pause()
        node.publish(an_event("job:1"))
    reader.transport.clog()
    node.pause()
    node.publish(an_event("order:1"))
    reader.transport.start_reading()
    node.scheduler.run_ready()
    assert reader.frames("reset") == []
    assert reader.numbers() == [10]


def test_a_client_that_clogs_while_a_flush_runs_gets_that_flush_once(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, pace=ONE_WRITE)
    readers = [node.connect() for _ in range(3)]
    node.append(an_event())
    while not any(reader.numbers() for reader in readers):
        assert node.scheduler.step()
    late = next(reader for reader in readers if not reader.numbers())
    late.transport.clog()
    node.scheduler.run_for(1.0)
    late.transport.start_reading()
    node.scheduler.run_ready()
    assert [reader.numbers() for reader in readers] == [[1]] * 3


def test_who_is_sent_away_while_a_flush_runs_gets_nothing_after_its_bye(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, pace=ONE_WRITE)
    readers = [node.connect() for _ in range(3)]
    node.append(an_event())
    while not any(reader.numbers() for reader in readers):
        assert node.scheduler.step()
    late = next(reader for reader in readers if not reader.numbers())
    late.transport.stop_reading()
    node.hub.bye(late.subscriber, "disconnected")
    node.scheduler.run_for(1.0)
    late.transport.start_reading()
    assert late.frames()[-1].event == "bye"
    assert late.numbers() == []


def test_a_client_at_the_floor_is_not_reset(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=3)
    node.publish(*[an_event() for _ in range(7)])
    assert node.history.floor == 4
    reader = node.connect(cursor="e.4-0")
    assert reader.frames("reset") == []
    assert reader.numbers() == [5, 6, 7]


@pytest.mark.parametrize(
    ("cursor", "reason"), [("e.3-0", "trimmed"), ("f.1-0", "epoch"), ("e.99-0", "unknown"), ("42", "unknown")]
)
def test_a_cursor_that_can_not_be_honoured_is_reset_in_band(
    cursor: str, reason: str, scheduler: ManualScheduler
) -> None:
    node = Node(scheduler, max_events=3)
    node.publish(*[an_event() for _ in range(7)])
    reader = node.connect(cursor=cursor)
    connected, reset = reader.frames()
    assert connected.data["recovered"] is False
    assert (reset.event, reset.id, reset.data["reason"]) == ("reset", "e.7-0", reason)
    node.pause()
    node.publish(an_event())
    assert reader.numbers() == [8]


def test_nothing_is_trimmed_before_it_was_flushed(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=2)
    reader = node.connect()
    node.publish(*[an_event() for _ in range(10)])
    assert reader.numbers() == list(range(1, 11))
    assert node.history.floor == 8


@pytest.mark.parametrize(
    "error", [RuntimeError("the handle is closed"), ConnectionResetError(), BrokenPipeError()]
)
def test_a_write_that_fails_ends_that_stream_alone_and_is_counted(node: Node, error: Exception) -> None:
    broken, well = node.connect(), node.connect()
    broken.transport.fail_writes(error)
    node.publish(an_event())
    assert broken.subscriber.state is State.CLOSED
    assert well.numbers() == [1]
    assert node.hub.counters.failed_writes == 1
    assert node.hub.connections == 1


def test_a_connection_can_be_lost_twice(node: Node) -> None:
    reader = node.connect()
    node.hub.lost(reader.subscriber)
    node.hub.lost(reader.subscriber)
    assert node.hub.connections == 0
    assert len(node.hub.groups) == 0


@pytest.mark.parametrize("query", ["filter=n%3Din.(7,7)", "filter=n%3Din.(7,7.0)", "filter=n%3Din.(a,b,a)"])
def test_a_stream_that_names_a_value_twice_ends_like_any_other(node: Node, query: str) -> None:
    reader = node.connect(query)
    node.publish(an_event(data={"n": 7}))
    reader.transport.vanish()
    assert node.hub.connections == 0
    assert len(node.hub.groups) == 0


def test_a_flush_of_many_streams_pauses_for_others(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=4))
    readers = [node.connect() for _ in range(10)]
    node.append(an_event())
    reached = []
    for _ in range(20):
        node.scheduler.step()
        reached.append(sum(reader.numbers() == [1] for reader in readers))
    assert reached[-1] == 10
    assert len(set(reached)) >= 3, "all were written to in one go"


async def test_room_returns_at_once_where_there_is_little_to_flush(node: Node) -> None:
    await node.hub.room()


async def test_room_waits_until_enough_is_flushed(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(entries_a_flush=3))
    returned: list[bool] = []

    async def wait() -> None:
        await node.hub.room()
        returned.append(True)

    node.append(*[an_event() for _ in range(8)])
    task = asyncio.create_task(wait())
    await let_others_run()
    node.scheduler.run_ready()
    await let_others_run()
    assert node.hub.flushed == 3
    assert not returned
    node.scheduler.run_for(COALESCE_SECONDS)
    await task
    assert node.hub.flushed == 6
