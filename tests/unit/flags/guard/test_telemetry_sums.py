"""What clients said to several nodes."""

import pytest

from flags.decide.modes import Mode
from flags.guard.heavy_hitters import HeavyHitter, HitterList
from flags.guard.telemetry import Fallback, TelemetryCounts
from flags.guard.telemetry_sums import less, merged, of, wire
from flags.guard.windows import Durations


def said(streaming: int, mute: int, version: str, *first_event_ms: float) -> TelemetryCounts:
    durations = Durations()
    for milliseconds in first_event_ms:
        durations.add(milliseconds)
    versions = HitterList((HeavyHitter(version, mute, 0),), mute, 0)
    return TelemetryCounts({Mode.STREAMING: streaming}, {Fallback.MUTE: mute}, versions, durations)


def test_counts_add_up_and_quantiles_are_those_of_all() -> None:
    summary = merged([said(3, 1, "web/1", 10.0, 10.0), said(4, 2, "web/2", 1000.0)]).summary()
    assert summary.reports == {Mode.STREAMING: 7}
    assert summary.fallbacks == {Fallback.MUTE: 3}
    assert [hitter.label for hitter in summary.fallbacks_by_version] == ["web/2", "web/1"]
    assert summary.first_event_p50_ms == pytest.approx(10.0, rel=0.05)
    assert summary.first_event_p99_ms == pytest.approx(10.0, rel=0.05)
    assert merged([said(0, 0, "x", 10.0), said(0, 0, "x", 1000.0)]).first_event.total == 2


def test_nobody_has_said_nothing() -> None:
    assert merged([]).summary().first_event_p50_ms is None


def test_it_is_the_same_after_a_journey_and_less_by_what_was_before() -> None:
    one, more = said(3, 1, "web/1", 10.0), said(4, 2, "web/1", 500.0)
    assert wire(of(wire(one))) == wire(one)
    assert wire(less(merged([one, more]), one)) == wire(more)


@pytest.mark.parametrize(
    "change",
    [
        {"reports": {"flying": 1}},
        {"fallbacks": {"mute": -1}},
        {"versions": None},
        {"firstEvent": [[1]]},
    ],
)
def test_what_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
        of(wire(said(1, 1, "web/1")) | change)
