"""Heartbeats and hints, and what is pending for a client that resumes."""

import pytest

from gateway.core.events import ORIGIN, Position
from gateway.core.hints import HintTiming
from gateway.delivery.pace import Pace
from gateway.delivery.subscriber import State
from tests.support.events import an_event
from tests.support.node import HEARTBEAT_SECONDS, Node, Reader
from tests.support.scheduler import ManualScheduler

TIMING = HintTiming(debounce_ms=500, max_wait_ms=2000)
LONG_WAIT = HintTiming(debounce_ms=2000, max_wait_ms=2000)


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def connect(node: Node, hints: str, cursor: str | None = None, timing: HintTiming = TIMING) -> Reader:
    return node.connect(cursor=cursor, hints=hints, timing=timing)


def hinted(reader: Reader) -> list[str | None]:
    return [frame.data.get("entityId") for frame in reader.frames("refresh")]


def ids_and_hints(reader: Reader) -> list[tuple[str | None, str | None]]:
    return [(frame.data.get("entityId"), frame.id) for frame in reader.frames("refresh")]


def test_a_heartbeat_comes_every_so_many_seconds_with_the_cursor_of_now(node: Node) -> None:
    reader = node.connect("entity=job")
    node.publish(an_event("order:1"))
    node.scheduler.run_for(HEARTBEAT_SECONDS * 3 + 1)
    heartbeats = reader.frames("heartbeat")
    assert [frame.id for frame in heartbeats] == ["e.1-0"] * 3
    assert set(heartbeats[0].data) == {"timestamp"}


def test_a_heartbeat_never_runs_ahead_of_an_event(node: Node) -> None:
    reader = node.connect()
    node.pause()
    node.publish(an_event())
    node.append(an_event())
    node.scheduler.clock.advance(HEARTBEAT_SECONDS)
    node.scheduler.run_for(1.0)
    ids = [frame.id for frame in reader.frames()]
    assert ids == sorted(ids, key=str)
    assert reader.numbers() == [1, 2]


def test_a_client_that_does_not_read_gets_no_heartbeats_piled_up(node: Node) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.publish(an_event())
    waiting = len(reader.transport.waiting)
    node.scheduler.run_for(HEARTBEAT_SECONDS + 1)
    assert len(reader.transport.waiting) == waiting


def test_heartbeats_let_go_of_what_grew_old_where_nothing_is_published(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_age_seconds=60.0)
    node.publish(an_event())
    node.scheduler.run_for(120.0)
    assert node.history.floor == 1


def test_hints_only_brings_hints_and_no_events(node: Node) -> None:
    reader = connect(node, "only")
    node.publish(an_event("order:1", "a"), an_event("order:1", "b"), an_event("job:7", "a"), an_event(None))
    node.scheduler.run_for(1.0)
    assert reader.numbers() == []
    hints = {frame.data["entityId"]: frame.data for frame in reader.frames("refresh")}
    assert set(hints) == {"1", "7"}
    assert hints["1"]["eventTypes"] == ["a", "b"]
    assert hints["1"]["count"] == 2


def test_hints_with_events_brings_both(node: Node) -> None:
    reader = connect(node, "with")
    node.publish(an_event("order:1"))
    assert reader.numbers() == [1]
    assert hinted(reader) == []
    node.scheduler.run_for(1.0)
    assert ids_and_hints(reader) == [("1", "e.1-0")]


def test_a_hint_comes_when_it_is_due_and_not_before(node: Node) -> None:
    reader = connect(node, "only")
    node.publish(an_event())
    node.scheduler.run_for(0.49)
    assert hinted(reader) == []
    node.scheduler.run_for(0.02)
    assert hinted(reader) == ["1"]


def test_a_stream_of_changes_is_hinted_at_the_longest_wait(node: Node) -> None:
    reader = connect(node, "only")
    for _ in range(25):
        node.publish(an_event())
        node.scheduler.run_for(0.1)
    assert hinted(reader) == ["1"]
    node.scheduler.run_for(1.0)
    assert hinted(reader) == ["1", "1"]


def test_many_entities_of_a_type_are_one_hint_for_the_type(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, fan_in=3)
    reader = connect(node, "only")
    node.publish(*[an_event(f"order:{number}") for number in range(4)], an_event("job:1"))
    node.scheduler.run_for(1.0)
    hints = [(frame.data["entityType"], frame.data.get("entityId")) for frame in reader.frames("refresh")]
    assert sorted(hints, key=str) == [("job", "1"), ("order", None)]


def test_who_resumes_over_many_missed_events_gets_one_hint_for_each_entity(node: Node) -> None:
    for number in range(300):
        node.append(an_event(f"order:{number % 3}"))
    node.scheduler.run_for(1.0)
    reader = connect(node, "only", cursor="e.0-0")
    node.scheduler.run_ready()
    assert sorted(hinted(reader), key=str) == ["0", "1", "2"]
    assert [frame.data["count"] for frame in reader.frames("refresh")] == [100, 100, 100]


def test_a_client_that_slept_through_its_hint_gets_it_when_it_wakes(node: Node) -> None:
    for hints in ("with", "only"):
        reader = connect(node, hints)
        node.pause()
        reader.transport.stop_reading()
        node.publish(an_event("order:1"))
        node.scheduler.run_for(1.0)
        node.publish(an_event("order:2"))
        node.scheduler.run_for(5.0)
        reader.transport.start_reading()
        node.scheduler.run_for(5.0)
        assert {"1", "2"} <= set(hinted(reader)), hints
        reader.transport.vanish()


def test_the_ids_of_hints_only_never_pass_over_a_change_without_a_hint(node: Node) -> None:
    reader = connect(node, "only", timing=LONG_WAIT)
    node.publish(an_event("order:1"))
    node.scheduler.run_for(1.0)
    node.publish(an_event("order:2"))
    node.scheduler.run_for(1.5)
    assert ids_and_hints(reader) == [("1", "e.1-0")], "order 2 changed with event 2 and has no hint yet"


def test_who_reads_the_first_of_two_hints_and_is_cut_off_gets_the_second_when_it_resumes(node: Node) -> None:
    reader = connect(node, "only")
    node.publish(an_event("order:1"), an_event("order:2"))
    node.scheduler.run_for(1.0)
    first, second = reader.frames("refresh")
    resumed = connect(node, "only", cursor=first.id)
    node.scheduler.run_ready()
    assert second.data["entityId"] in hinted(resumed)


def test_who_reads_the_first_hint_of_a_catch_up_and_is_cut_off_gets_the_rest_when_it_resumes(
    node: Node,
) -> None:
    node.publish(an_event("order:1"), an_event("order:2"))
    reader = connect(node, "only", cursor="e.0-0")
    first, second = reader.frames("refresh")
    resumed = connect(node, "only", cursor=first.id)
    node.scheduler.run_ready()
    assert second.data["entityId"] in hinted(resumed)


def seen_until(reader: Reader, cursor: str) -> set[str | None]:
    """The entities of the hints that come before the first frame with this id, or with it."""
    frames = reader.frames()
    end = next(place for place, frame in enumerate(frames) if frame.id == cursor)
    return {frame.data["entityId"] for frame in frames[: end + 1] if frame.event == "refresh"}


def test_who_is_cut_off_while_it_catches_up_on_events_still_gets_the_hints_of_old_ones(node: Node) -> None:
    node.publish(an_event("order:1"))
    node.scheduler.run_for(60.0)
    node.publish(an_event("order:2"))
    node.scheduler.run_for(60.0)
    reader = connect(node, "with", cursor="e.0-0")
    resumed = connect(node, "with", cursor="e.2-0")
    node.scheduler.run_ready()
    assert "1" in seen_until(reader, "e.2-0") | set(hinted(resumed))


def test_a_change_that_was_flushed_late_is_hinted_after_a_resumption(node: Node) -> None:
    reader = connect(node, "with", timing=LONG_WAIT)
    node.publish(an_event("job:1"))
    node.publish(an_event("order:2"))
    node.scheduler.run_for(2.003)
    node.publish(an_event("order:3"))
    assert reader.numbers() == [1, 2, 3]
    resumed = connect(node, "with", cursor="e.3-0", timing=LONG_WAIT)
    node.scheduler.run_for(5.0)
    assert {"2", "3"} <= seen_until(reader, "e.3-0") | set(hinted(resumed))


def test_who_reads_one_of_two_late_hints_of_a_catch_up_gets_the_other_when_it_resumes(node: Node) -> None:
    node.publish(an_event("order:1"), an_event("order:2"))
    node.scheduler.run_for(60.0)
    node.publish(an_event("job:3"))
    query, delivery = "entity=order", {"hints": "with", "timing": TIMING}
    reader = node.connect(query, cursor="e.0-0", **delivery)
    first, second = reader.frames("refresh")
    resumed = node.connect(query, cursor=first.id, **delivery)
    node.scheduler.run_ready()
    assert second.data["entityId"] in hinted(resumed)


def test_an_event_that_comes_late_does_not_overtake_a_hint(node: Node) -> None:
    timing = HintTiming(debounce_ms=50, max_wait_ms=50)
    reader = connect(node, "with", timing=timing)
    node.publish(an_event("order:1"))
    node.scheduler.clock.advance(1.0)  # the loop is held up, with a hint due
    node.append(an_event("order:2"))
    while reader.numbers() != [1, 2]:
        assert node.scheduler.step()
    assert "1" in seen_until(reader, "e.2-0")


def test_a_late_hint_does_not_set_back_the_id_of_who_caught_up_meanwhile(node: Node) -> None:
    query, delivery = "entity=order", {"hints": "with", "timing": HintTiming(50, 50)}
    node.connect(query, **delivery)
    node.pause()
    node.publish(an_event("order:1"), an_event("order:2"))
    node.scheduler.clock.advance(1.0)  # the loop is held up, with two hints due
    node.append(an_event("job:3"))
    reader = node.connect(query, cursor="e.0-0", **delivery)
    assert reader.last_id() == "e.3-0"
    node.append(an_event("order:4"))
    node.scheduler.run_for(1.0)
    ids = [frame.id for frame in reader.frames()]
    assert ids == sorted(ids, key=str)


def test_a_client_of_hints_that_clogs_on_a_heartbeat_gets_what_was_pending(node: Node) -> None:
    reader = connect(node, "only")
    node.scheduler.run_for(HEARTBEAT_SECONDS - 0.1)
    node.publish(an_event("order:1"))
    reader.transport.stop_reading()
    node.scheduler.run_for(0.2)
    assert reader.subscriber.state is State.LAGGING
    node.scheduler.run_for(5.0)
    reader.transport.start_reading()
    node.scheduler.run_ready()
    assert hinted(reader) == ["1"]


@pytest.fixture
def hasty(scheduler: ManualScheduler) -> Node:
    """It writes once a turn."""
    return Node(scheduler, pace=Pace(writes_a_turn=1))


def test_an_event_that_overtakes_a_hint_does_not_make_it_lost(hasty: Node) -> None:
    timing = HintTiming(debounce_ms=50, max_wait_ms=50)
    readers = [connect(hasty, "with", timing=timing) for _ in range(2)]
    hasty.publish(an_event("order:1"))
    hasty.scheduler.clock.advance(0.06)
    while not any(reader.frames("refresh") for reader in readers):
        assert hasty.scheduler.step()
    second = next(reader for reader in readers if not reader.frames("refresh"))
    hasty.append(an_event("order:2"))
    while second.numbers() != [1, 2]:
        assert hasty.scheduler.step()
    resumed = connect(hasty, "with", cursor="e.2-0", timing=timing)
    hasty.scheduler.run_for(1.0)
    assert "1" in set(hinted(resumed)) | seen_until(second, "e.2-0")


@pytest.mark.parametrize("hints", ["with", "only"])
def test_a_client_that_clogs_while_its_group_is_given_a_hint_gets_it_later(hasty: Node, hints: str) -> None:
    readers = [connect(hasty, hints) for _ in range(2)]
    hasty.publish(an_event("order:1"))
    hasty.scheduler.clock.advance(0.6)
    while not any(reader.frames("refresh") for reader in readers):
        assert hasty.scheduler.step()
    second = next(reader for reader in readers if not reader.frames("refresh"))
    second.transport.clog()
    hasty.scheduler.run_for(5.0)
    second.transport.start_reading()
    hasty.scheduler.run_ready()
    assert hinted(second) == ["1"]


def test_a_heartbeat_that_overtakes_a_hint_does_not_make_it_lost(node: Node) -> None:
    wait_ms = round(HEARTBEAT_SECONDS * 1000) + 500
    query, delivery = "entity=order", {"hints": "with", "timing": HintTiming(wait_ms, wait_ms)}
    reader = node.connect(query, **delivery)
    node.publish(an_event("order:1"))
    node.pause()
    node.publish(an_event("job:2"))
    node.scheduler.run_for(HEARTBEAT_SECONDS)
    assert not reader.frames("refresh")
    cursor = reader.frames("heartbeat")[0].id
    assert cursor is not None
    node.scheduler.run_ready()
    resumed = node.connect(query, cursor=cursor, **delivery)
    node.scheduler.run_ready()
    assert "1" in set(hinted(resumed)) | seen_until(reader, cursor)


def test_a_client_that_clogs_keeps_its_pending_hints_although_the_history_is_short(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, max_events=3)
    reader = connect(node, "with")
    node.publish(an_event("order:1"))
    for _ in range(4):
        node.scheduler.run_for(0.05)
        node.publish(an_event("job:1"))
    reader.transport.stop_reading()
    node.scheduler.run_for(0.05)
    node.publish(an_event("job:1"))
    node.scheduler.run_for(5.0)
    reader.transport.start_reading()
    node.scheduler.run_for(5.0)
    hints = {(frame.data["entityType"], frame.data.get("entityId")) for frame in reader.frames("refresh")}
    assert reader.frames("reset") or ("order", "1") in hints


def test_a_heartbeat_while_a_hint_waits_whose_change_was_trimmed_leads_to_a_reset(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, max_events=50)
    reader = connect(node, "only", timing=HintTiming(debounce_ms=60_000, max_wait_ms=60_000))
    for _ in range(300):
        node.publish(an_event("order:1"))
        node.pause()
    heartbeats = reader.frames("heartbeat")
    assert heartbeats
    resumed = connect(node, "only", cursor=heartbeats[-1].id)
    assert resumed.frames("reset") or "1" in hinted(resumed)


def test_the_cursor_of_a_hint_whose_change_was_trimmed_is_a_position_that_the_log_gave(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, max_events=50)
    node.publish(an_event(None), an_event(None))
    reader = connect(node, "only", timing=HintTiming(debounce_ms=60_000, max_wait_ms=60_000))
    for _ in range(300):
        node.publish(an_event("order:1"))
        node.pause()
    assert {frame.id for frame in reader.frames("heartbeat")} == {"e.2-0"}


def test_who_has_all_its_hints_is_not_reset_for_a_hint_that_others_wait_for(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, max_events=3)
    timing = HintTiming(debounce_ms=60_000, max_wait_ms=60_000)
    connect(node, "only", timing=timing)
    node.publish(an_event("order:1"))
    node.pause()
    reader = connect(node, "only", cursor="e.0-0", timing=timing)
    assert ids_and_hints(reader) == [("1", "e.1-0")]
    reader.transport.stop_reading()
    node.scheduler.run_for(HEARTBEAT_SECONDS + 1)
    assert reader.subscriber.state is State.LAGGING
    for _ in range(3):
        node.publish(an_event(None))
        node.pause()
    assert node.history.floor == 1
    reader.transport.start_reading()
    node.scheduler.run_ready()
    assert reader.frames("reset") == []


def test_a_hint_that_was_given_is_not_pending_for_who_clogs_later(node: Node) -> None:
    reader = connect(node, "with")
    node.publish(an_event("order:1"))
    node.scheduler.run_for(1.0)
    assert hinted(reader) == ["1"]
    reader.transport.stop_reading()
    node.publish(an_event("job:2"))
    reader.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert hinted(reader).count("1") == 1


def test_a_hint_that_went_before_an_event_is_not_pending_for_who_clogs_then(node: Node) -> None:
    reader = connect(node, "with")
    node.publish(an_event("order:1"))
    node.scheduler.clock.advance(3.0)  # longer than the hint may wait: the next event brings it
    node.append(an_event("job:2"))
    while reader.numbers() != [1, 2]:
        assert node.scheduler.step()
    assert hinted(reader) == ["1"]
    reader.transport.clog()
    reader.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert hinted(reader).count("1") == 1


def test_who_clogs_by_a_hint_alone_is_not_given_it_again(node: Node) -> None:
    reader = connect(node, "only")
    node.publish(an_event("order:1"))
    reader.transport.stop_reading()
    node.scheduler.run_for(1.0)
    assert reader.subscriber.state is State.LAGGING
    reader.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert hinted(reader) == ["1"]


def test_who_is_reset_is_not_hinted_for_what_came_before(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=3)
    reader = connect(node, "with")
    node.publish(an_event("order:1"))
    reader.transport.clog()
    for _ in range(6):
        node.scheduler.run_for(0.01)
        node.publish(an_event(None))
    reader.transport.start_reading()
    node.scheduler.run_ready()
    assert len(reader.frames("reset")) == 1
    assert reader.subscriber.state is State.LIVE
    assert hinted(reader) == []


async def test_who_lags_while_the_log_starts_over_is_not_hinted_for_what_came_before(node: Node) -> None:
    reader = connect(node, "with")
    node.publish(an_event("order:1"))
    reader.transport.clog()
    fresh = node.history.blank()
    fresh.open("f", ORIGIN)
    done = node.hub.start_over(lambda: node.history.become(fresh), "epoch")
    node.scheduler.run_for(1.0)
    assert done.done()
    reader.transport.start_reading()
    node.scheduler.run_for(5.0)
    assert [frame.data["reason"] for frame in reader.frames("reset")] == ["epoch"]
    assert hinted(reader) == []


def test_who_leaves_a_group_with_an_older_hint_goes_on_in_the_log_from_where_it_went_live(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, max_events=3)
    timing = HintTiming(debounce_ms=60_000, max_wait_ms=60_000)
    connect(node, "only", timing=timing)
    node.publish(an_event("order:1"), an_event("order:2"))
    node.pause()
    reader = connect(node, "only", cursor="e.0-0", timing=timing)
    assert reader.subscriber.state is State.LIVE
    for _ in range(5):
        node.publish(an_event(None))
        node.pause()
    assert node.history.floor == 4
    reader.transport.clog()
    assert (reader.subscriber.number, reader.subscriber.position) == (2, Position(2, 0))
