"""Debounced hints: trailing, never longer than the longest wait, and bounded."""

import pytest

from gateway.core.hints import Debouncer, HintTiming, Refresh

TIMING = HintTiming(debounce_ms=500, max_wait_ms=2000)


class Hints:
    """A debouncer whose events are numbered by themselves."""

    def __init__(self, timing: HintTiming = TIMING, fan_in: int = 3) -> None:
        self.debouncer = Debouncer(timing, fan_in)
        self.number = 0

    def event(self, at: float, entity: str = "order:1", event_type: str = "a") -> None:
        self.number += 1
        self.debouncer.observe(*entity.split(":"), event_type, self.number, at)

    def due(self, at: float) -> list[Refresh]:
        return self.debouncer.due(at)

    def due_entities(self, at: float) -> list[tuple[str, str | None]]:
        return [(refresh.entity_type, refresh.entity_id) for refresh in self.due(at)]


@pytest.mark.parametrize(
    ("given", "clamped"),
    [
        ((500, 2000), (500, 2000)),
        ((0, 0), (50, 50)),
        ((49, 60_001), (50, 60_000)),
        ((-5, 10**9), (50, 60_000)),
    ],
)
def test_delays_are_clamped_as_the_protocol_says(given: tuple[int, int], clamped: tuple[int, int]) -> None:
    assert HintTiming.clamped(*given) == HintTiming(*clamped)


def test_a_hint_comes_once_its_entity_was_quiet_for_the_debounce() -> None:
    hints = Hints()
    hints.event(10.0)
    assert hints.due(10.49) == []
    (refresh,) = hints.due(10.5)
    assert (refresh.entity_type, refresh.entity_id, refresh.count) == ("order", "1", 1)
    assert hints.due(99.0) == [], "a hint is given once"


def test_each_event_puts_its_hint_off() -> None:
    hints = Hints()
    hints.event(10.0)
    hints.event(10.4)
    assert hints.due(10.5) == []
    (refresh,) = hints.due(10.9)
    assert refresh.count == 2


def test_no_hint_waits_longer_than_the_longest_wait() -> None:
    hints = Hints()
    for tick in range(30):
        hints.event(10.0 + tick * 0.1)
        if tick < 20:
            assert hints.due(10.0 + tick * 0.1) == []
    (refresh,) = hints.due(12.0)
    assert refresh.count == 30


def test_a_longest_wait_below_the_debounce_wins() -> None:
    hints = Hints(HintTiming(debounce_ms=500, max_wait_ms=100))
    hints.event(10.0)
    assert hints.debouncer.next_deadline() == pytest.approx(10.1)
    assert len(hints.due(10.1)) == 1


def test_a_hint_names_each_event_type_once_in_the_order_of_their_coming() -> None:
    hints = Hints()
    for event_type in ("b", "a", "b"):
        hints.event(10.0, event_type=event_type)
    (refresh,) = hints.due(11.0)
    assert refresh.event_types == ("b", "a")
    assert refresh.count == 3


def test_entities_are_debounced_by_themselves_and_the_oldest_comes_first() -> None:
    hints = Hints()
    hints.event(10.0, "order:1")
    hints.event(10.1, "job:1")
    hints.event(10.2, "order:2")
    assert hints.due_entities(10.6) == [("order", "1"), ("job", "1")]
    assert hints.due_entities(10.7) == [("order", "2")]


def test_the_next_deadline_is_that_of_the_earliest_hint() -> None:
    hints = Hints()
    assert hints.debouncer.next_deadline() is None
    hints.event(10.0, "order:1")
    hints.event(10.2, "order:2")
    assert hints.debouncer.next_deadline() == 10.5
    hints.event(10.4, "order:1")
    assert hints.debouncer.next_deadline() == 10.7


def test_the_oldest_number_is_the_first_without_a_hint() -> None:
    hints = Hints()
    assert hints.debouncer.oldest_number() is None
    hints.event(10.0, "order:1")
    hints.event(10.1, "order:2")
    hints.event(10.6, "order:1")
    assert hints.debouncer.oldest_number() == 1
    assert hints.due_entities(10.6) == [("order", "2")]
    assert hints.debouncer.oldest_number() == 1
    hints.due(11.1)
    assert hints.debouncer.oldest_number() is None


def test_as_many_entities_as_the_fan_in_are_named() -> None:
    hints = Hints(fan_in=3)
    for number in range(3):
        hints.event(10.0, f"order:{number}")
    assert hints.due_entities(11.0) == [("order", "0"), ("order", "1"), ("order", "2")]


def test_one_entity_more_than_the_fan_in_becomes_one_hint_for_the_type() -> None:
    hints = Hints(fan_in=3)
    for number in range(3):
        hints.event(10.0 + number / 10, f"order:{number}", event_type=f"t{number}")
    hints.event(10.3, "order:3", event_type="t3")
    (refresh,) = hints.due(10.8)
    assert refresh.entity_id is None
    assert refresh.count == 4
    assert set(refresh.event_types) == {"t0", "t1", "t2", "t3"}


def test_a_merged_hint_keeps_the_age_of_its_oldest_part() -> None:
    hints = Hints(fan_in=1)
    hints.event(10.0, "order:1")
    hints.event(11.9, "order:1")
    hints.event(11.95, "order:2")
    assert hints.debouncer.oldest_number() == 1
    assert hints.debouncer.next_deadline() == 12.0


def test_while_the_type_waits_its_entities_are_part_of_it() -> None:
    hints = Hints(fan_in=1)
    for number in range(1000):
        hints.event(10.0, f"order:{number}")
    (refresh,) = hints.due(11.0)
    assert (refresh.entity_id, refresh.count) == (None, 1000)


def test_after_a_hint_for_the_type_entities_are_named_again() -> None:
    hints = Hints(fan_in=1)
    hints.event(10.0, "order:1")
    hints.event(10.0, "order:2")
    hints.due(11.0)
    hints.event(12.0, "order:3")
    assert hints.due_entities(13.0) == [("order", "3")]


def test_the_fan_in_of_one_type_does_not_touch_another() -> None:
    hints = Hints(fan_in=2)
    for number in range(5):
        hints.event(10.0, f"order:{number}")
    hints.event(10.0, "job:1")
    hints.event(10.0, "job:2")
    assert sorted(hints.due_entities(11.0), key=str) == [("job", "1"), ("job", "2"), ("order", None)]


def test_hints_that_are_given_make_room_for_others() -> None:
    hints = Hints(fan_in=2)
    for number in range(10):
        hints.event(10.0 + number, f"order:{number}")
        assert hints.due_entities(10.5 + number) == [("order", str(number))]


def test_take_all_gives_every_hint_at_once() -> None:
    hints = Hints()
    hints.event(10.0, "order:1")
    hints.event(10.0, "job:1")
    assert len(hints.debouncer.take_all()) == 2
    assert hints.debouncer.take_all() == []
    assert hints.debouncer.next_deadline() is None


def test_a_merged_hint_that_is_the_oldest_comes_first() -> None:
    hints = Hints(fan_in=1)
    hints.event(10.0, "order:1")
    hints.event(10.1, "job:1")
    hints.event(10.2, "order:2")
    assert hints.due_entities(20.0) == [("order", None), ("job", "1")]
