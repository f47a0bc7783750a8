"""A parity report between nodes; that any comes through as it was is in tests/property."""

import orjson
import pytest

from flags.parity.canonical import Difference
from flags.parity.report import NoiseFloor, Outcome, ParityCounts, ParityReport, Reason
from flags.parity.report_wire import of, wire


def a_report() -> ParityReport:
    counts = ParityCounts("order")
    found = [Difference("/price", "12.50", 12.5), Difference("/at", "2026-01-01T00:00:00Z", None)]
    counts.count(Outcome.MISMATCH, ["/price"], noisy=True)
    counts.count_incomparable(Reason.NO_BASE, 3)
    counts.classify(found)
    counts.keep("A", found)
    return counts.report()


def test_it_is_the_same_after_a_journey_as_json() -> None:
    report = a_report()
    assert report.kinds
    assert report.examples
    assert of(orjson.loads(orjson.dumps(wire(report)))) == report
    assert of(wire(ParityReport())) == ParityReport()
    assert of(wire(ParityReport())).noise_floor == NoiseFloor()


@pytest.mark.parametrize(
    "change",
    [
        {"outcomes": {"odd": 1}},
        {"incomparable": {"no base": -1}},
        {"samples": "3"},
        {"trackedShare": 1.5},
        {"noiseFloor": [1, 2]},
        {"places": {"order": [["/a"]]}},
        {"kinds": {"order": [["/a", {}, [], [], 0.0, [], False]]}},
        {"examples": [["order"]]},
    ],
)
def test_what_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
        of(wire(a_report()) | change)
