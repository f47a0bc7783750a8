"""When groups' hints are due, and what is pending for a subscriber that is behind."""

import pytest

from gateway.core.hints import HintTiming
from gateway.core.selectors import Selector
from gateway.delivery.group import DeliveryOptions, Group, HintsMode, observe
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.subscriber import Subscriber
from tests.support.events import an_event
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

TIMING = HintTiming(debounce_ms=500, max_wait_ms=2000)


class Bench:
    """A hint schedule with a history of its own, and when it said that hints are due."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.scheduler = scheduler
        self.node = Node(scheduler)
        self.start = scheduler.time()
        self.rang: list[float] = []
        self.hint_schedule = HintSchedule(self.node.history, scheduler, scheduler.clock, 50, self._on_due)

    def _on_due(self) -> None:
        self.rang.append(round(self.scheduler.time() - self.start, 6))

    def group(self, hints: HintsMode = "only", timing: HintTiming | None = TIMING) -> Group:
        return Group(Selector(), DeliveryOptions(hints=hints, timing=timing), 50)

    def subscriber(self, group: Group, number: int = 0) -> Subscriber:
        return Subscriber(group, number, RecordingTransport(self.scheduler))

    def event(self, group: Group, entity: str = "order:1") -> None:
        """An event that the group is given to debounce."""
        self.node.append(an_event(entity))
        assert group.debouncer is not None
        (entry,) = self.node.history.latest(1)
        observe(group.debouncer, self.node.history.head, entry)
        self.hint_schedule.plan(group)


@pytest.fixture
def bench(scheduler: ManualScheduler) -> Bench:
    return Bench(scheduler)


def test_it_says_when_the_hints_of_a_group_are_due(bench: Bench) -> None:
    group = bench.group()
    bench.event(group)
    bench.scheduler.run_for(0.4)
    assert bench.rang == []
    bench.scheduler.run_for(0.2)
    assert bench.rang == [0.5]
    assert bench.hint_schedule.due_groups() == [group]
    assert bench.hint_schedule.due_groups() == []


def test_a_group_is_planned_once_whatever_comes(bench: Bench) -> None:
    group = bench.group()
    for _ in range(10):
        bench.event(group)
    bench.scheduler.run_for(1.0)
    assert bench.rang == [0.5]
    assert bench.hint_schedule.due_groups() == [group]


def test_a_group_without_pending_hints_is_not_planned(bench: Bench) -> None:
    bench.hint_schedule.plan(bench.group())
    bench.hint_schedule.plan(bench.group("off", None))
    bench.scheduler.run_for(10.0)
    assert bench.rang == []


def test_groups_come_when_each_of_them_is_due(bench: Bench) -> None:
    slow, quick = bench.group(timing=HintTiming(5000, 5000)), bench.group(timing=HintTiming(100, 100))
    bench.event(slow)
    bench.event(quick)
    bench.scheduler.run_for(0.2)
    assert bench.rang == [0.1]
    assert bench.hint_schedule.due_groups() == [quick]
    bench.scheduler.run_for(10.0)
    assert bench.rang == [0.1, 5.0]
    assert bench.hint_schedule.due_groups() == [slow]


def test_a_group_that_was_due_too_early_is_planned_again(bench: Bench) -> None:
    group = bench.group()
    bench.event(group)
    bench.scheduler.run_for(0.4)
    bench.event(group)
    bench.scheduler.run_for(0.2)
    assert bench.hint_schedule.due_groups() == [group]
    assert group.debouncer is not None
    assert group.debouncer.due(bench.scheduler.time()) == []
    bench.hint_schedule.plan(group)
    bench.scheduler.run_for(1.0)
    assert bench.rang == [0.5, 0.9]


def test_what_is_pending_is_given_once(bench: Bench) -> None:
    group = bench.group()
    subscriber = bench.subscriber(group)
    bench.node.append(an_event("order:1"), an_event("order:1"), an_event("job:1"), an_event(None))
    for number, entry in enumerate(bench.node.history.latest(4), 1):
        bench.hint_schedule.add_pending(subscriber, number, entry)
    pending = bench.hint_schedule.take_pending(subscriber)
    assert [(refresh.entity_type, refresh.count) for refresh in pending] == [("order", 2), ("job", 1)]
    assert bench.hint_schedule.take_pending(subscriber) == []


@pytest.mark.parametrize(("hints", "pending"), [("with", ["2", "3"]), ("only", []), ("off", [])])
def test_who_gets_events_and_hints_has_the_hints_of_the_last_moments_pending(
    bench: Bench, hints: HintsMode, pending: list[str]
) -> None:
    group = bench.group(hints, None if hints == "off" else TIMING)
    for number in range(1, 5):
        bench.node.append(an_event(f"order:{number}"))
        bench.scheduler.run_for(1.5)
    subscriber = bench.subscriber(group, number=3)
    bench.hint_schedule.add_recent(subscriber)
    recent = [refresh.entity_id for refresh in bench.hint_schedule.take_pending(subscriber)]
    assert [entity for entity in recent if entity in ("2", "3")] == pending
    assert "4" not in recent, "what it was not sent yet is not of its past"


def test_what_it_did_not_ask_for_is_not_pending(bench: Bench) -> None:
    group = Group(Selector(frozenset({("job", None)})), DeliveryOptions(hints="with", timing=TIMING), 50)
    bench.node.append(an_event("order:1"), an_event("job:1"))
    subscriber = bench.subscriber(group, number=2)
    bench.hint_schedule.add_recent(subscriber)
    assert [refresh.entity_type for refresh in bench.hint_schedule.take_pending(subscriber)] == ["job"]
