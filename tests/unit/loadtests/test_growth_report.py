"""The growths' page: its medians, what it claims of a curve, and the storm's target."""

import pytest

from loadtests.growth_plan import Points
from loadtests.growth_report import (
    SUBJECTS,
    GrowthReport,
    as_markdown,
    medians,
    sentence,
    verdicts,
)

SIZES = next(subject for subject in SUBJECTS if subject.name == "sizes")
MACHINE = {"cpu": "a processor", "cores": 2, "memoryGiB": 4.0, "kernel": "6", "python": "3", "packages": {}}


def delivery(total: float, kernel: float = 1.0) -> dict[str, float]:
    return {"CPU µs/delivery": total, "user µs": total - kernel, "kernel µs": kernel}


def report(**passes: list[Points]) -> GrowthReport:
    return GrowthReport("python loadtests/growth.py", "2026-11-20T10:00:00Z", MACHINE, passes=passes)


def storm(ratio: float, share: float = 0.3) -> Points:
    return {
        clients: {
            "CPU µs/client": 300.0,
            "CPU µs/client without cursors": 200.0,
            "times without cursors": ratio,
            "of the seconds without it": share,
            "CPU µs/client without front door": 600.0,
        }
        for clients in (1, 8_000)
    }


def test_figures_are_medians_over_the_passes() -> None:
    found = medians([{100: delivery(us)} for us in (9.0, 50.0, 10.0)])

    assert found[100]["CPU µs/delivery"] == 10.0


def test_what_was_not_measured_is_not_on_the_page() -> None:
    assert "Distinct selectors" not in as_markdown(report(sizes=[{100: delivery(10.0)}]))


def test_one_point_has_no_shape() -> None:
    assert sentence(SIZES, {100: delivery(10.0)}).startswith("One point says nothing")


@pytest.mark.parametrize(("ratio", "reached"), [(2.9, True), (3.1, False)])
def test_the_storm_of_returning_clients_has_a_target(ratio: float, reached: bool) -> None:
    verdict, _ = verdicts(report(replays=[storm(ratio)]))

    assert verdict.target.startswith("8,000 clients resuming")
    assert verdict.measured == f"{ratio:.2f} times (in the server's CPU 1.50)"
    assert verdict.met is reached


@pytest.mark.parametrize(("share", "reached"), [(0.35, True), (0.36, False)])
def test_the_same_storm_is_held_against_a_gateway_without_its_front_door(share: float, reached: bool) -> None:
    _, verdict = verdicts(report(replays=[storm(2.0, share)]))

    assert verdict.target.endswith("without its front door")
    assert verdict.measured == f"{share:.3f} (in the server's CPU 0.500)"
    assert verdict.met is reached


@pytest.mark.parametrize(
    ("name", "words"), [("replays-jwt", "each with a token"), ("replays-browsers", "as browsers")]
)
def test_with_tokens_or_by_browsers_the_storm_has_the_same_target(name: str, words: str) -> None:
    (verdict,) = verdicts(report(**{name: [storm(2.0, 0.4)]}))

    assert verdict.target.startswith(f"8,000 clients resuming with cursors, {words},")
    assert verdict.met is False


def test_without_replays_there_is_no_verdict_on_them() -> None:
    assert verdicts(report(sizes=[{100: delivery(10.0)}])) == []
