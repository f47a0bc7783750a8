"""A storm's figures: which event counts for which time, and what a row says of several storms."""

from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.bench import UsageError
from loadtests.crowd import RunFailedError
from loadtests.storm import FULL, QUICK, describe, parse, rows, sizes_of
from loadtests.storm_clients import Back, Stayed
from loadtests.storm_measure import Delivery, Storm, delivery_of, due_between, when_came
from loadtests.watched_workers import longest_of_all

CALM, BUSY = Delivery(1.0, 2.0, 3.0), Delivery(10.0, 20.0, 30.0)
STORM = Storm(
    way="gateway",
    seconds=2.0,
    seconds_connected=1.5,
    seconds_half=1.0,
    cpu_us_per_client=100.0,
    server_cpu_share=0.9,
    generator_cpu_share=0.5,
    turn_cpu_ms=2.0,
    turn_late_ms=4.0,
    before=CALM,
    during=BUSY,
    first_ms=15.0,
)


def test_an_event_counts_for_the_time_in_which_it_was_due() -> None:
    # Due at 1, 2 and 3 s; the second took so long that it came after the third.
    stayed = Stayed(array("q", (1_000_000_000, 3_000_000_000, 2_000_000_000)), array("q", (5, 6, 1_500)))

    assert due_between(stayed, 2.0, 4.0) == [(2_000_000_000, 1_500), (3_000_000_000, 6)]
    assert due_between(stayed, 0.0, 2.0) == [(1_000_000_000, 5)]


def test_a_time_in_which_nothing_was_due_says_nothing() -> None:
    with pytest.raises(RunFailedError, match=r"no event was due within 1\.00 s"):
        due_between(Stayed(array("q"), array("q")), 0.0, 1.0)


def test_latencies_come_to_a_median_a_p99_and_the_longest() -> None:
    took = [number * 1_000_000 for number in range(1, 201)]

    assert delivery_of(took[::-1]) == Delivery(101.0, 199.0, 200.0)


def test_half_of_what_was_missed_is_there_with_the_first_sample_that_has_it() -> None:
    back = Back(1.0, 2.0, 3.0, ((1.5, 10), (1.8, 60), (2.5, 90)), 0.1)

    assert when_came(back, 50) == 1.8
    assert when_came(back, 100) == 3.0


def test_a_row_has_medians_and_of_what_is_the_longest_the_longest() -> None:
    other = replace(STORM, seconds=4.0, turn_cpu_ms=9.0, during=replace(BUSY, longest_ms=70.0), first_ms=5.0)
    without = replace(STORM, way="gateway without its front door")

    first, second = rows([STORM, without, other])

    assert (first[0], second[0]) == ("gateway", "gateway without its front door")
    assert first[1] == "3.00"
    assert (first[5], first[12], first[13]) == ("9.0", "70.0", "15.0")
    assert second[5] == "2.0"


def test_the_longest_turn_is_any_workers(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("1500000000 2000000 1000000\n9500000000 90000000 90000000\n")
    (tmp_path / "2").write_text("1600000000 1000000 3000000\n")

    found = longest_of_all(tmp_path, 1.0, 2.0)

    assert (found.late_ms, found.cpu_ms) == (2.0, 3.0)


def test_sizes_are_those_that_were_asked_for_and_else_the_runs() -> None:
    assert sizes_of(parse(["--quick"])) == QUICK
    assert sizes_of(parse([])) == FULL
    asked = sizes_of(parse(["--clients", "100", "--stayed", "7", "--workers", "3"]))
    assert (asked.clients, asked.at_once, asked.stayed, asked.workers) == (100, 100, 7, 3)
    assert "100 clients with cursors" in describe(asked, 2)[0]


@pytest.mark.parametrize("option", [("--clients", "0"), ("--at-once", "5000"), ("--workers", "17")])
def test_sizes_out_of_bounds_are_refused_by_name(option: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=option[0]):
        sizes_of(parse(option))
