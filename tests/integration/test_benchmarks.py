"""The benchmarks as commands, with the smallest sizes: that they run, check, and say what they found."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import program

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 600.0

pytestmark = pytest.mark.slow


def run(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The benchmark, ended; its error is the assertion's message where it fails."""
    ended = subprocess.run(
        [sys.executable, f"loadtests/{script}.py", *options],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        text=True,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def results_of(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The raw results that a run has written; they are removed."""
    found = re.search(r"^Results: (.+)$", ended.stderr, re.MULTILINE)
    assert ended.returncode == 0, ended.stderr
    assert found is not None, ended.stderr
    path = Path(found[1])
    results: dict[str, Any] = json.loads(path.read_text())
    path.unlink()
    return results


def test_the_comparison_with_peers_measures_what_needs_no_installation() -> None:
    gateways = {"gateway", "gateway-compact", "gateway-flag", "gateway-flag-browsers", "gateway-flag-jwt"}
    servers = gateways | {"baseline", "bare aiohttp", "bare-browsers"}
    ended = run("peers", "--quick", "--streams", "20", "--only", ",".join(servers))
    results = results_of(ended)

    sizes = {load["server"]: load["bytes_per_delivery"] for load in results["loads"]}
    assert sizes.keys() == {"gateway", "gateway-compact", "baseline"}
    assert sizes["gateway-compact"] < sizes["gateway"]
    assert {connect["server"] for connect in results["connects"]} == servers
    lists = {(one["answer"], one["server"]) for one in results["answers"] if "nginx" not in one["server"]}
    assert {server for _, server in lists} == {
        *("gateway", "gateway, by browsers", "gateway, token", "bare aiohttp")
    }
    assert len(lists) == 10
    assert results["problems"] == []
    # What was not measured is said to be so.
    assert (
        "| CPU per delivery at most 0.9 of nchan's; single events, 20 streams |  | not measured |"
        in ended.stdout
    )


def test_the_growth_of_cost_is_a_table_a_sentence_and_a_plot(tmp_path: Path) -> None:
    ended = run("growth", "--quick", "--only", "sizes", "--plots", str(tmp_path))
    points = results_of(ended)["passes"]["sizes"][0]

    assert [path.name for path in tmp_path.iterdir()] == ["growth-sizes.svg"]
    assert points.keys() == {"100", "4000", "60000"}
    assert "### Size of an event" in ended.stdout
    assert "![Size of an event](growth-sizes.svg)" in ended.stdout


def test_an_idle_stream_without_a_transport_takes_less_than_half() -> None:
    found = {
        one["streams"]: one
        for one in results_of(run("stream_memory", "--quick", "--streams", "150"))["found"]
    }

    alike, transports = found["alike"], found["alike, on transports"]
    assert sum(alike["objects"].values()) < sum(transports["objects"].values()) / 2
    assert "StreamSocket" in alike["objects"]
    assert "TCPTransport" in transports["objects"]


def test_clients_that_come_back_are_measured_with_the_front_door_and_without_it(tmp_path: Path) -> None:
    ended = run(
        "growth", "--quick", "--only", "replays,replays-browsers,replays-jwt", "--plots", str(tmp_path)
    )
    passes = results_of(ended)["passes"]

    assert passes["replays"][0].keys() == {"1", "30", "300"}
    assert passes["replays-browsers"][0].keys() == passes["replays-jwt"][0].keys() == {"30", "300"}
    assert all(
        one["seconds without front door"] > 0 for points in passes.values() for one in points[0].values()
    )
    assert "of the seconds that the gateway takes without its front door" in ended.stdout


def test_compressed_streams_take_fewer_bytes_for_the_same_events() -> None:
    results = results_of(run("compression", "--quick", "--streams", "10"))
    found = {(load["load"], load["server"]): load for load in results["loads"]}

    for name in {load for load, _ in found}:
        plain, packed = found[name, "plain"], found[name, "gzip"]
        assert packed["deliveries"] == plain["deliveries"] > 0
        assert packed["bytes_per_delivery"] < plain["bytes_per_delivery"]


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("peers", ("--only", "gateway,apache")),
        ("peers", ("--rounds", "0")),
        ("growth", ("--only", "weather")),
        ("compression", ("--streams", "0")),
        ("storm", ("--clients", "0")),
        ("page", ("--events", "10")),
    ],
)
def test_options_that_allow_no_run_end_with_2_and_a_sentence(script: str, options: tuple[str, ...]) -> None:
    ended = run(script, *options)

    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


def test_a_storm_brings_everybody_what_was_missed_with_the_front_door_and_without_it() -> None:
    ended = run("storm", "--quick", "--clients", "80", "--at-once", "40", "--stayed", "5")
    storms = results_of(ended)["storms"]

    assert [storm["way"] for storm in storms] == ["gateway", "gateway without its front door"]
    assert all(storm["during"]["longest_ms"] > 0 for storm in storms)
    assert "| gateway without its front door |" in ended.stdout


def test_a_busy_channel_is_held_against_events_as_many_and_as_large() -> None:
    ended = run("presence", "--quick", "--users", "10", "--rate", "5")
    without, channel, events = results_of(ended)["runs"]

    assert without["payloads"] == 0
    assert channel["payloads"] > 0
    assert events["payloads"] == events["frames"] > 0
    assert "| the channel alone |" in ended.stdout


def test_the_state_of_a_list_reaches_every_client_by_each_way() -> None:
    ended = run("state", "--quick", "--clients", "5", "--items", "300")
    taken = {one["way"]: one for one in results_of(ended)["taken"]}

    assert {"stream with state", "GET /state", "legacy path"} <= taken.keys()
    assert all(one["bytes"] > 5 * 250_000 for one in taken.values())
    assert "| stream with state |" in ended.stdout


def test_a_page_gets_every_event_of_a_round_and_its_heap_is_read() -> None:
    program()
    ended = run("page", "--quick", "--rounds", "1")
    results = results_of(ended)

    assert [one["way"] for one in results["rounds"]] == ["backlog", "as they come"]
    assert results["hour"]["events"] == 2_000
    assert "| 1,000 | backlog |" in ended.stdout
