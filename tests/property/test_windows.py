"""Sliding windows against the plain list of what happened."""

import math

from hypothesis import given
from hypothesis import strategies as st

from flags.guard.windows import SLOTS, Durations, Share, SlidingWindow

SECONDS = 60.0
SLOT = SECONDS / SLOTS
GAPS = st.lists(st.integers(0, 200).map(lambda ticks: ticks / 10), max_size=60)


@given(GAPS, st.floats(0, 200), st.floats(0, 100))
def test_a_window_counts_what_happened_within_it_to_a_slot(
    gaps: list[float], start: float, rest: float
) -> None:
    window = SlidingWindow(SECONDS, Share)
    times: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        window.current(now).add(1, 0)
        times.append(now)
    now += rest

    counted = sum(slot.good for slot in window.since(start, now))

    begin = max(start, now - SECONDS)
    assert counted <= sum(at >= begin for at in times)
    assert counted >= sum(at >= begin + SLOT for at in times)


@given(st.lists(st.floats(0.1, 1e7), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_five_percent_of_the_true_one(values: list[float], share: float) -> None:
    durations = Durations()
    for value in values:
        durations.add(value)

    true = sorted(values)[math.floor(share * (len(values) - 1))]

    found = durations.quantile(share)
    assert found is not None
    assert abs(found - true) <= 0.0501 * true
