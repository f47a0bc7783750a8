"""What is known of the open streams: how many carry a component, for how long, how late, how they began."""

import math
from pathlib import Path

import pytest

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from flags.decide.modes import Mode
from flags.guard.telemetry import ClientReport, Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.guard.who import Who
from flags.guard.window import GuardWindow, Metric
from gateway.core.events import Event
from gateway.core.selectors import Selector
from gateway.core.times import rfc3339
from gateway.delivery.group import DeliveryOptions
from gateway.delivery.subscriber import State, Subscriber
from gateway.migration.components import Asked, Components
from gateway.migration.judged_windows import JudgedWindows
from gateway.migration.stream_evidence import StreamEvidence
from gateway.migration.stream_plan import StreamPlans
from tests.support.events import a_record, an_event
from tests.support.flags import make_flag
from tests.support.guard import OWNED, guarded
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

NAMES = ("2.1.0",)
AHEAD = "2999-01-01T00:00:00.000Z"


class House:
    """A hub whose streams are evidence, and flags that a test changes."""

    def __init__(self, scheduler: ManualScheduler, *, hears_all: bool = True) -> None:
        self.clock = scheduler.clock
        self.written: list[tuple[float | None, float]] = []
        self.flags = Flags({"orders": make_flag(stage="rampdown"), "billing": make_flag(component="billing")})
        self.windows = {component: GuardWindow(600.0) for component in OWNED}
        limits = ClientLimits(Rate(1000, 1000), Rate(1000, 1000), 100, 0.0)
        self.telemetry = Telemetry(JudgedWindows(self.windows), self.windows.__contains__, limits)
        self.evidence = StreamEvidence(
            self.windows, self.telemetry, OWNED, self.clock, self.note, hears_all=hears_all
        )
        self.evidence.reporters.add(NAMES)
        self.node = Node(scheduler, observer=self.evidence)
        self.stream_plans = StreamPlans(Components(OWNED, lambda: self.flags), lambda caller: caller)

    def note(self, push_lag: float | None, delivery: float) -> None:
        self.written.append((push_lag, delivery))

    def append(self, *events: Event, recorded_ms: float) -> None:
        """The events, which the log has had since then, have come; the hub has done nothing yet."""
        history = self.node.history
        for event in events:
            record = a_record(history.head + 1, event, recorded_ms=recorded_ms)
            history.append(record, self.clock.monotonic())
        self.node.hub.wake()

    def open(
        self,
        client_id: str = "s1",
        names: tuple[str, ...] = NAMES,
        *components: str,
        since: int | None = None,
    ) -> Subscriber:
        """A stream opens, after the entry `since` where that is given, else at the head."""
        asked = Asked(Selector(), components, Caller(client=client_id))
        footing = self.stream_plans.footing(asked)
        transport = RecordingTransport(self.node.scheduler)
        hub = self.node.hub
        number = self.node.history.head if since is None else since
        subscriber = hub.attach(transport, footing.plan.selector, DeliveryOptions(), number, footing)
        self.evidence.follow(subscriber, client_id, names)
        hub.begin(subscriber, resumed=False)
        return subscriber

    def change(self, **fields: object) -> None:
        self.flags = Flags({"orders": make_flag(**fields)})
        self.node.hub.reassign(self.stream_plans.reassignment)
        self.node.scheduler.run_ready()

    def acknowledge(self, client_id: str) -> None:
        said = (client_id, "orders", Mode.STREAMING, "2.1.0", Who("a:192.0.2.1", "192.0.2.1"))
        report = ClientReport("192.0.2.1", *said, first_event_ms=80.0)
        self.telemetry.report(report, self.clock.monotonic())

    def figure(self, metric: Metric, component: str = "orders") -> tuple[float | None, int]:
        figure = self.windows[component].figures(0.0, self.clock.monotonic()).by_metric[metric]
        return figure.value, figure.samples

    @property
    def first_events(self) -> tuple[float | None, int]:
        return self.figure(Metric.FIRST_EVENT)


@pytest.fixture
def house(scheduler: ManualScheduler) -> House:
    return House(scheduler)


def test_streams_are_counted_by_the_components_that_they_carry(house: House) -> None:
    first, second = house.open("s1"), house.open("s2")
    assert (house.evidence.streams("orders"), house.evidence.streams("billing")) == (2, 0)
    house.node.hub.lost(first)
    house.node.hub.lost(first)
    assert house.evidence.streams("orders") == 1
    house.change(stage="shadow")
    assert house.evidence.streams("orders") == 0
    house.node.hub.lost(second)
    assert house.evidence.streams("orders") == 0


def test_the_seconds_of_streaming_are_given_once_also_of_streams_that_have_ended(house: House) -> None:
    first = house.open("s1")
    house.clock.advance(10)
    house.open("s2")
    house.clock.advance(5)
    house.node.hub.lost(first)
    house.clock.advance(5)
    assert house.evidence.take_seconds(house.clock.monotonic()) == {"orders": 25.0}
    house.clock.advance(1)
    assert house.evidence.take_seconds(house.clock.monotonic()) == {"orders": 1.0}


def test_a_component_that_nobody_carries_any_more_takes_no_memory(house: House) -> None:
    subscriber = house.open("s1", NAMES, "orders", "made-up")
    house.clock.advance(2)
    house.node.hub.lost(subscriber)
    assert house.evidence.take_seconds(house.clock.monotonic()) == {"orders": 2.0, "made-up": 2.0}
    assert house.evidence.take_seconds(house.clock.monotonic()) == {}


def test_a_stream_that_is_never_acknowledged_failed(house: House) -> None:
    house.open("s1")
    house.open("s2")
    house.acknowledge("s2")
    house.clock.advance(15)
    house.evidence.expire(house.clock.monotonic())
    assert house.first_events == (0.5, 2)
    assert house.evidence.following == 0


def test_a_stream_that_ends_unacknowledged_failed(house: House) -> None:
    subscriber = house.open("s1")
    house.clock.advance(5)
    house.node.hub.lost(subscriber)
    assert house.first_events == (0.0, 1)
    assert house.evidence.following == 0


def test_a_stream_of_software_that_never_reported_is_not_held_to_it(house: House) -> None:
    for names in ((), ("3.0.0",)):
        subscriber = house.open("s1", names)
        house.clock.advance(20)
        house.evidence.expire(house.clock.monotonic())
        house.node.hub.lost(subscriber)
    assert house.first_events == (None, 0)


def test_where_reports_may_reach_another_node_no_stream_is_held_to_one(scheduler: ManualScheduler) -> None:
    house = House(scheduler, hears_all=False)
    house.open()
    house.clock.advance(20.0)
    house.evidence.expire(house.clock.monotonic())
    assert house.first_events == (None, 0)
    assert house.evidence.following == 0


def test_a_stream_that_the_flags_took_away_says_nothing_of_how_it_began(house: House) -> None:
    subscriber = house.open("s1")
    house.clock.advance(5)
    house.change(stage="shadow")
    house.node.hub.lost(subscriber)
    house.clock.advance(20)
    house.evidence.expire(house.clock.monotonic())
    assert house.first_events == (None, 0)
    assert house.evidence.following == 0


def test_the_lag_of_push_is_from_the_events_time_to_its_flush(house: House) -> None:
    house.open("s1")
    event = an_event("order:1", timestamp=rfc3339(house.clock.wall_ms()))
    house.clock.advance(0.250)
    house.node.publish(event)
    lag_ms, samples = house.figure(Metric.PUSH_LAG)
    assert samples == 1
    assert lag_ms == pytest.approx(250, rel=0.05)


def test_what_is_written_is_told_with_its_way_from_the_source_and_from_the_log(house: House) -> None:
    house.open()
    now_ms = house.clock.wall_ms()
    event = an_event("order:1", timestamp=rfc3339(now_ms - 1500))
    house.append(event, recorded_ms=now_ms - 500)
    house.clock.advance(0.25)
    house.node.scheduler.run_ready()

    assert house.written == [(pytest.approx(1.75, abs=0.01), pytest.approx(0.75, abs=0.01))]


@pytest.mark.parametrize("ahead_ms", [400, math.inf])
def test_a_logs_clock_that_is_ahead_is_no_delay(house: House, ahead_ms: float) -> None:
    house.open()
    house.append(an_event("order:1"), recorded_ms=house.clock.wall_ms() + ahead_ms)
    house.clock.advance(0.25)
    house.node.scheduler.run_ready()

    assert [in_log for _, in_log in house.written] == [0.0]


def test_what_was_missed_and_is_caught_up_with_is_not_told(house: House) -> None:
    house.append(an_event("order:1"), an_event("order:2"), recorded_ms=0)
    house.node.scheduler.run_ready()
    subscriber = house.open(since=0)
    house.node.scheduler.run_ready()

    assert (subscriber.state, subscriber.number) == (State.LIVE, 2)
    assert house.written == []


def test_an_event_is_told_at_its_flush_alone_and_not_once_more_for_who_read_slowly(house: House) -> None:
    slow, _ = house.open("s1"), house.open("s2")
    house.node.scheduler.run_ready()
    house.node.hub.clogged(slow)
    house.append(an_event("order:1"), recorded_ms=house.clock.wall_ms())
    house.node.scheduler.run_ready()
    house.clock.advance(60)
    house.node.hub.drained(slow)
    house.node.scheduler.run_ready()

    assert (slow.state, slow.number) == (State.LIVE, 1)
    assert [in_log for _, in_log in house.written] == [0.0]


def test_where_nobody_listens_nothing_is_written(house: House) -> None:
    house.node.publish(an_event("order:1"))

    assert house.written == []


def test_a_publishers_clock_that_is_ahead_is_no_lag(house: House) -> None:
    house.open("s1")
    house.node.publish(an_event("order:1", timestamp=AHEAD))
    lag_ms, samples = house.figure(Metric.PUSH_LAG)
    assert samples == 1
    assert lag_ms == pytest.approx(0.1, rel=0.1), "the least that is counted"


def test_a_large_flush_gives_few_samples_the_first_event_among_them(house: House) -> None:
    house.open("s1")
    late = an_event("order:1", timestamp=rfc3339(house.clock.wall_ms()))
    soon = an_event("order:1", timestamp=AHEAD)
    house.clock.advance(10)
    for _ in range(2):
        house.node.publish(late, *[soon] * 400)
        house.node.pause()
    lag_ms, samples = house.figure(Metric.PUSH_LAG)
    assert samples == 8
    assert lag_ms == pytest.approx(10_000, rel=0.1)


def test_events_of_what_nobody_streams_are_no_samples(house: House) -> None:
    house.node.publish(an_event("order:1"))
    house.open("s1")
    house.node.publish(an_event("invoice:1"), an_event(None), an_event("job:1"))
    assert house.figure(Metric.PUSH_LAG) == (None, 0)
    assert house.figure(Metric.PUSH_LAG, "billing") == (None, 0)


async def test_what_streams_have_saved_is_what_polling_at_the_interval_would_have_asked(
    tmp_path: Path,
) -> None:
    async with guarded(tmp_path) as orders:
        await orders.make(stage="rampdown", pollIntervalMs=2000)
        components = Components(OWNED, orders.store.snapshot)
        footing = StreamPlans(components, lambda caller: caller).footing(
            Asked(Selector(), ("orders",), Caller())
        )
        scheduler = ManualScheduler(orders.clock)
        subscribers = [Subscriber(None, 0, RecordingTransport(scheduler), footing) for _ in range(3)]
        for subscriber in subscribers:
            orders.evidence.attached(subscriber)
        await orders.judge(20)
        orders.evidence.ended(subscribers[0])
        await orders.change(pollIntervalMs=1000)
        await orders.judge(10)
        report = orders.poll_inventory.report("orders", orders.clock.monotonic())
        assert report is not None
        assert report.saved_by_push == 3 * 20 / 2 + 2 * 10 / 1
