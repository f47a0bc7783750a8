"""What is known of the open streams: how many carry a component, for how long, how late, how they began."""

import math
from pathlib import Path

import pytest

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from flags.decide.guard_settings import GuardSettings
from flags.decide.modes import Mode
from flags.guard.callers import Side
from flags.guard.marks import NEVER
from flags.guard.metrics import Metric, figures
from flags.guard.reporters import SEVERAL
from flags.guard.telemetry import ClientReport, Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.guard.who import Who
from gateway.core.events import Event
from gateway.core.selectors import Selector
from gateway.core.times import rfc3339
from gateway.delivery.connection import Connection
from gateway.delivery.group import DeliveryOptions
from gateway.delivery.subscriber import State, Subscriber
from gateway.migration.components import Asked, Components
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.stream_evidence import StreamEvidence
from gateway.migration.stream_plan import StreamPlans
from tests.support.events import a_record, an_event
from tests.support.flags import make_flag
from tests.support.guard import OWNED, guarded
from tests.support.node import Node, a_history
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

NAMES = ("2.1.0",)
AHEAD = "2999-01-01T00:00:00.000Z"


class House:
    """A hub whose streams are evidence, and flags that a test changes."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.clock = scheduler.clock
        self._opened = 0
        self.written: list[tuple[float | None, float]] = []
        self.flags = Flags({"orders": make_flag(stage="rampdown"), "billing": make_flag(component="billing")})
        self.settings = GuardSettings(window_seconds=600)
        self.windows = GuardWindows(lambda component: self.settings if component in OWNED else None)
        limits = ClientLimits(Rate(1000, 1000), Rate(1000, 1000), 100, 0.0)
        self.telemetry = Telemetry(self.windows, self.windows.knows, limits)
        for source in range(SEVERAL):
            self.telemetry.reporters.add(NAMES, f"source {source}")
        history = a_history()
        self.evidence = StreamEvidence(self.windows, self.telemetry, OWNED, self.clock, self.note, history)
        self.node = Node(scheduler, observer=self.evidence, history=history)
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
        self._opened += 1
        connection = Connection.of(self._opened, 0, f"192.0.2.{self._opened}", "")
        subscriber = hub.attach(
            *(transport, footing.plan.selector, DeliveryOptions(), number, footing),
            connection=connection,
        )
        self.evidence.follow(subscriber, connection.id, names)
        hub.begin(subscriber, resumed=False)
        return subscriber

    def change(self, **fields: object) -> None:
        self.change_flags(Flags({"orders": make_flag(**fields)}))

    def change_flags(self, flags: Flags) -> None:
        self.flags = flags
        self.node.hub.reassign(self.stream_plans.reassignment)
        self.node.scheduler.run_ready()

    def acknowledge(self, subscriber: Subscriber) -> None:
        assert subscriber.connection is not None
        said = (subscriber.connection.id, "orders", Mode.STREAMING, "2.1.0", Who("a:192.0.2.1", "192.0.2.1"))
        report = ClientReport("192.0.2.1", *said, first_event_ms=80.0)
        self.telemetry.report(report, self.clock.monotonic())

    def figure(self, metric: Metric, component: str = "orders") -> tuple[float | None, int]:
        tally = self.windows[component].tally(0.0, self.clock.monotonic())
        figure = figures(tally, is_streaming=True, trusts_timestamps=False).by_metric[metric]
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
    house.acknowledge(house.open("s2"))
    house.clock.advance(15)
    house.evidence.expire(house.clock.monotonic())
    assert house.first_events == (0.5, 2)
    assert house.telemetry.waiting == 0


def test_a_stream_that_ends_unacknowledged_failed(house: House) -> None:
    subscriber = house.open("s1")
    house.clock.advance(5)
    house.node.hub.lost(subscriber)
    assert house.first_events == (0.0, 1)
    assert house.telemetry.waiting == 0


def test_a_stream_of_software_that_never_reported_is_not_held_to_it(house: House) -> None:
    for names in ((), ("3.0.0",)):
        subscriber = house.open("s1", names)
        house.clock.advance(20)
        house.evidence.expire(house.clock.monotonic())
        house.node.hub.lost(subscriber)
    assert house.first_events == (None, 0)


def test_a_caller_with_two_streams_is_one_and_has_a_side(house: House) -> None:
    for _ in range(2):
        house.acknowledge(house.open("s1"))
    house.acknowledge(house.open("s2"))
    tally = house.windows["orders"].tally(0.0, house.clock.monotonic())
    assert {side: len(known) for side, known in tally.callers.items() if known} == {Side.STREAMING: 2}
    assert house.first_events == (1.0, 2)


def test_who_streams_because_the_percentage_says_so_is_on_the_side_that_is_compared(house: House) -> None:
    house.flags = Flags({"orders": make_flag(stage="live", percentage=99.999)})
    house.open("s1")
    tally = house.windows["orders"].tally(0.0, house.clock.monotonic())
    assert len(tally.callers[Side.TREATED]) == 1


def test_nothing_is_kept_of_streams_of_a_component_without_a_flag(house: House) -> None:
    house.flags = Flags()
    house.open("s1")
    assert house.evidence.streams("orders") == 1
    assert len(house.windows["orders"].callers) == 0


def test_a_stream_that_goes_on_stays_a_success_when_another_component_is_taken_from_it(house: House) -> None:
    both = {name: make_flag(component=name, stage="rampdown") for name in ("orders", "billing")}
    house.flags = Flags(both)
    subscriber = house.open("s1", NAMES, "orders", "billing")
    house.acknowledge(subscriber)
    house.flags = Flags(both | {"billing": make_flag(component="billing", stage="off")})
    house.node.hub.reassign(house.stream_plans.reassignment)
    house.node.scheduler.run_ready()
    house.clock.advance(house.settings.window_seconds + 1)
    assert house.first_events == (1.0, 1)
    house.node.hub.lost(subscriber)
    house.clock.advance(house.settings.window_seconds + 1)
    assert house.first_events == (None, 0)


def test_a_stream_that_is_open_is_a_success_until_it_is_reset(house: House) -> None:
    subscriber = house.open("s1")
    house.acknowledge(subscriber)
    house.clock.advance(700)
    assert house.first_events == (1.0, 1)
    house.evidence.lost(subscriber)
    house.clock.advance(100)
    tally = house.windows["orders"].tally(house.clock.monotonic() - 99, house.clock.monotonic())
    (marks,) = tally.callers[Side.STREAMING].values()
    assert (marks.seen, marks.began) == (0, NEVER)


def test_a_stream_that_loses_one_component_is_still_a_success_of_the_other(house: House) -> None:
    flags = {name: make_flag(component=name, stage="rampdown") for name in OWNED}
    house.flags = Flags(flags)
    house.acknowledge(house.open("s1"))
    taken = make_flag(component="billing", stage="rampdown", killed=True)
    house.change_flags(Flags(flags | {"billing": taken}))
    house.clock.advance(700)
    assert house.first_events == (1.0, 1)
    assert len(house.windows["billing"].tally(100.0, house.clock.monotonic()).callers[Side.STREAMING]) == 0


def test_pollers_of_the_other_side_see_changes_as_soon_as_they_are_known(house: House) -> None:
    window = house.windows["orders"]
    who = Who("s:ann")
    window.polled(who, Side.CONTROL, house.clock.monotonic(), failed=False)
    house.clock.advance(1)
    house.append(an_event("order:1"), an_event("invoice:1"), recorded_ms=house.clock.wall_ms())
    house.evidence.grown()
    house.clock.advance(5)
    window.polled(who, Side.CONTROL, house.clock.monotonic(), failed=False)
    (seen,) = [
        one for one in window.tally(0.0, house.clock.monotonic()).freshness.values() if one.seen_polled
    ]
    assert (seen.late_polled, seen.seen_polled) == (1, 1)


def test_a_stream_that_the_flags_took_away_says_nothing_of_how_it_began(house: House) -> None:
    subscriber = house.open("s1")
    house.clock.advance(5)
    house.change(stage="shadow")
    house.node.hub.lost(subscriber)
    house.clock.advance(20)
    house.evidence.expire(house.clock.monotonic())
    assert house.first_events == (None, 0)
    assert house.telemetry.waiting == 0


def test_the_lag_of_push_is_from_when_the_log_had_the_event_whatever_its_publisher_says(
    house: House,
) -> None:
    house.open("s1")
    old = an_event("order:1", timestamp="2020-01-01T00:00:00.000Z")
    house.append(old, recorded_ms=house.clock.wall_ms() - 250)
    house.node.scheduler.run_ready()
    lag_ms, samples = house.figure(Metric.PUSH_LAG)
    assert samples == 1
    assert lag_ms == pytest.approx(250, rel=0.1)
    tally = house.windows["orders"].tally(0.0, house.clock.monotonic())
    assert tally.whole.source_lags.quantile(0.99) > 1e6


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
    house.append(an_event("order:1", timestamp=AHEAD), recorded_ms=house.clock.wall_ms())
    house.node.scheduler.run_ready()
    tally = house.windows["orders"].tally(0.0, house.clock.monotonic())
    assert tally.whole.source_lags.quantile(0.5) == pytest.approx(0.1, rel=0.1), "the least that is counted"


def test_a_large_flush_gives_few_samples_the_first_event_among_them(house: House) -> None:
    house.open("s1")
    for _ in range(2):
        house.append(an_event("order:1"), recorded_ms=house.clock.wall_ms() - 10_000)
        house.append(*[an_event("order:1")] * 400, recorded_ms=house.clock.wall_ms())
        house.node.scheduler.run_ready()
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
