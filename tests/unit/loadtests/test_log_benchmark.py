"""What the benchmark of the logs counts, and what it says about its targets."""

import argparse
import time
from dataclasses import replace

import pytest

from loadtests.bench import UsageError
from loadtests.log_loads import Result
from loadtests.log_report import LogReport, disturbances, verdicts
from loadtests.logs import parse, wanted_logs
from loadtests.pacing import TIMER_NS, Pace

PACED = Result(
    log="redis",
    way="commit",
    kind="paced",
    batch=1,
    rate=100.0,
    events=300,
    seconds=3.0,
    latency_p50_ms=2.0,
    latency_p99_ms=9.0,
    cpu_us_per_event=20.0,
    server_cpu_share=0.1,
    server_wait_share=0.0,
    generator_cpu_share=0.1,
)
FULL = replace(PACED, kind="full speed", batch=100, rate=None, events=40_000, seconds=2.0)
MACHINE = {"cpu": "a", "cores": 2, "memoryGiB": 1, "kernel": "6", "python": "3", "loadAverageAtStart": 0.0}


def report(*results: Result) -> LogReport:
    return LogReport("python loadtests/logs.py", "2026-11-20", MACHINE, [], results=list(results))


@pytest.mark.parametrize("pace", [Pace(10, 2, rate=100.0), Pace(10, 2, batch=5, seconds=1.5)])
def test_a_pace_survives_the_command_line(pace: Pace) -> None:
    parser = argparse.ArgumentParser()
    Pace.add_options(parser)
    assert Pace.of_options(parser.parse_args(pace.as_options())) == pace


def test_events_of_a_rate_are_due_one_after_the_other() -> None:
    assert [Pace(3, 1, rate=1000.0).due_ns(5, index) for index in range(3)] == [5, 1_000_005, 2_000_005]


def test_what_a_busy_publisher_sends_late_counts_from_when_it_was_due() -> None:
    late = time.monotonic_ns() - 10 * TIMER_NS
    assert Pace.sent_ns(late) == late


def test_what_is_sent_in_time_counts_from_when_it_is_sent() -> None:
    before = time.monotonic_ns()
    assert before <= Pace.sent_ns(before + 10 * TIMER_NS) <= time.monotonic_ns()


def test_a_target_is_held_against_the_median_of_the_rounds() -> None:
    rounds = [replace(PACED, latency_p99_ms=value) for value in (9.0, 20.0, 300.0)]
    (verdict,) = verdicts(report(*rounds))
    assert verdict.met
    assert verdict.measured == "2.0 and 20.0 ms"


@pytest.mark.parametrize(("p50", "p99"), [(10.0, 20.0), (2.0, 50.0)])
def test_a_latency_that_is_too_long_misses_its_target(p50: float, p99: float) -> None:
    (verdict,) = verdicts(report(replace(PACED, latency_p50_ms=p50, latency_p99_ms=p99)))
    assert not verdict.met


@pytest.mark.parametrize(("seconds", "met"), [(2.0, True), (2.1, False)])
def test_a_sustained_speed_is_that_of_the_better_way(seconds: float, met: bool) -> None:
    (verdict,) = verdicts(report(replace(FULL, way="POST", seconds=9.0), replace(FULL, seconds=seconds)))
    assert verdict.met is met


def test_logs_that_are_only_a_reference_have_no_targets() -> None:
    assert verdicts(report(replace(PACED, log="memory"), replace(FULL, log="sqlite"))) == []


def test_a_busy_core_is_said_to_be_one() -> None:
    assert disturbances(report(PACED)) == []
    (line,) = disturbances(report(replace(PACED, server_wait_share=0.5)))
    assert line.startswith("redis, commit, paced: ")


def test_a_log_that_there_is_not_can_not_be_asked_for() -> None:
    assert wanted_logs(parse(["--logs", "redis,memory"])) == ["memory", "redis"]
    with pytest.raises(UsageError, match="--logs takes"):
        wanted_logs(parse(["--logs", "redis,kafka"]))
