"""What readers of a group lack is made once for all who have as much."""

from dataclasses import replace

from multidict import MultiDict

from gateway.core.events import Position
from gateway.core.history import History
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.group import DeliveryOptions, Group
from gateway.delivery.pace import USUAL
from gateway.delivery.replay.shared_batches import SharedBatches
from tests.support.events import a_record, an_event
from tests.support.streams import frames_of

PLAIN = DeliveryOptions(chunked=False)


def a_history(*entities: str, max_events: int = 100) -> History:
    history = History(max_events=max_events, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
    history.open("e", Position(0, 0))
    for number, entity in enumerate(entities, 1):
        history.append(a_record(number, an_event(entity, data={"n": number})), 0.0)
    history.trim(0.0, history.head)
    return history


def test_readers_who_have_as_much_get_the_very_same_bytes() -> None:
    batches = SharedBatches(a_history("order:1", "order:2", "order:3"), USUAL)
    group = Group(Selector(), PLAIN, 50)
    one, other = batches.after(group, 1), batches.after(group, 1)
    assert one is not None
    assert other is not None
    assert one.payload is other.payload
    assert [frame.data["data"]["n"] for frame in frames_of(one.payload)] == [2, 3]
    assert (one.number, one.last_sent, one.events) == (3, 3, 2)


def test_what_the_group_does_not_select_is_passed_over() -> None:
    batches = SharedBatches(a_history("order:1", "job:2"), USUAL)
    jobs = Group(parse_selector(MultiDict({"entity": "job:1"}), {}), PLAIN, 50)
    assert batches.after(jobs, 0) == (2, None, 0, b"")


def test_once_the_history_has_grown_there_is_more() -> None:
    history = a_history("order:1")
    batches, group = SharedBatches(history, USUAL), Group(Selector(), PLAIN, 50)
    assert batches.after(group, 1) == (1, None, 0, b"")
    history.append(a_record(2, an_event("order:2")), 0.0)
    grown = batches.after(group, 1)
    assert grown is not None
    assert grown.events == 1


def test_a_batch_ends_where_it_is_large_enough() -> None:
    batches = SharedBatches(a_history(*["order:1"] * 5), replace(USUAL, catch_up_bytes=1))
    batch = batches.after(Group(Selector(), PLAIN, 50), 0)
    assert batch is not None
    assert (batch.number, batch.events) == (1, 1)


def test_what_the_history_has_not_is_no_batch() -> None:
    batches = SharedBatches(a_history(*["order:1"] * 5, max_events=2), USUAL)
    assert batches.after(Group(Selector(), PLAIN, 50), 1) is None


def test_of_many_groups_few_batches_are_kept() -> None:
    batches = SharedBatches(a_history("order:1"), USUAL)
    groups = [Group(Selector(), PLAIN, 50) for _ in range(200)]
    first = batches.after(groups[0], 0)
    for group in groups:
        batches.after(group, 0)
    assert batches.after(groups[0], 0) is not first
