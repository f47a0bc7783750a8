"""The report on parity: what its figures mean, and one report for several lists."""

from flags.parity.canonical import Difference
from flags.parity.report import (
    DifferingPlace,
    NoiseFloor,
    Outcome,
    ParityCounts,
    ParityReport,
    Places,
    Reason,
    combine,
)


def test_consistency_is_the_share_of_agreements_among_the_comparable() -> None:
    outcomes = {
        Outcome.MATCH: 5,
        Outcome.IGNORED: 1,
        Outcome.PUSH_BEHIND: 1,
        Outcome.PUSH_AHEAD: 1,
        Outcome.MISSING: 1,
        Outcome.DUPLICATE: 1,
        Outcome.INCOMPARABLE: 90,
    }

    assert ParityReport(outcomes=outcomes).consistency == 0.8


def test_without_anything_comparable_there_is_no_consistency() -> None:
    assert ParityReport(outcomes={Outcome.INCOMPARABLE: 9}).consistency is None


def test_reports_of_several_lists_add_up() -> None:
    one = ParityReport(
        outcomes={Outcome.MATCH: 3},
        samples=1,
        places={"order": (DifferingPlace("/a", 1),)},
        noise_floor=NoiseFloor(4, 1, (DifferingPlace("/t", 1),)),
    )
    other = ParityReport(
        outcomes={Outcome.MATCH: 1, Outcome.EXTRA: 1, Outcome.INCOMPARABLE: 2},
        incomparable={Reason.SAME_SOURCE: 2},
        samples=2,
        dropped=3,
        tracked_share=0.5,
        places={"order": (DifferingPlace("/a", 2), DifferingPlace("/b", 1)), "invoice": ()},
        noise_floor=NoiseFloor(4, 1, (DifferingPlace("/t", 2), DifferingPlace("/u", 1))),
    )

    whole = combine([one, other])

    assert whole.outcomes == {Outcome.MATCH: 4, Outcome.EXTRA: 1, Outcome.INCOMPARABLE: 2}
    assert whole.incomparable == {Reason.SAME_SOURCE: 2}
    assert (whole.samples, whole.dropped, whole.tracked_share) == (3, 3, 0.5)
    assert whole.places["order"] == (DifferingPlace("/a", 3), DifferingPlace("/b", 1))
    assert whole.noise_floor == NoiseFloor(8, 2, (DifferingPlace("/t", 3), DifferingPlace("/u", 1)))


def test_a_component_without_lists_has_an_empty_report() -> None:
    assert combine([]) == ParityReport()


def test_places_are_the_last_to_differ_and_the_oldest_are_forgotten() -> None:
    places = Places(most=2)

    for pointer in ("/a", "/b", "/a", "/c"):
        places.add([pointer])

    assert places.latest() == (DifferingPlace("/c", 1), DifferingPlace("/a", 2))
    assert places.most_frequent() == (DifferingPlace("/a", 2), DifferingPlace("/c", 1))


def test_examples_and_lags_are_bounded() -> None:
    counts = ParityCounts("order")

    for number in range(5000):
        counts.keep("A", [Difference("/n", number, None)])
        counts.lag(1.0)

    assert len(counts.report().examples) == 20
    assert len(counts.drain().lags_ms) == 1000
