"""The comparison with the peers: its medians, its targets, and what it says of what is missing."""

from dataclasses import replace

import pytest

from loadtests.answers import (
    GATEWAY,
    LIST_200,
    LIST_304,
    NGINX,
    POLL_EMPTY,
    POLL_FULL,
    WITH_TOKEN,
    AnswerResult,
    by,
)
from loadtests.measure import SINGLE, SINGLES_FULL, LoadResult, MemoryResult
from loadtests.peer_measure import Amounts, ConnectResult, Round
from loadtests.peer_report import PeerReport, as_markdown, medians, verdicts
from loadtests.peer_targets import kernel_us, user_us

MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "memoryGiB": 4.0,
    "kernel": "6.1",
    "python": "3.11",
    "packages": {"aiohttp": "3.14"},
}
LOAD = LoadResult(
    server="gateway",
    streams=8_000,
    load=SINGLE,
    events=40,
    deliveries=320_000,
    seconds=5.0,
    deliveries_per_second=64_000.0,
    cpu_us_per_delivery=8.0,
    cpu_system_share=0.75,
    latency_p50_ms=30.0,
    latency_p99_ms=60.0,
    bytes_per_delivery=240.0,
    server_cpu_share=0.5,
    server_wait_share=0.0,
    generator_cpu_share=0.2,
)
CONNECT = ConnectResult("gateway", 8_000, 2.0, 200.0, 0.8, 0.0, 0.3)


def report(*rounds: Round) -> PeerReport:
    made = PeerReport(command="python loadtests/peers.py", date="2026-11-20T10:00:00Z", machine=MACHINE)
    for one in rounds:
        made.add(one)
    return made


def peer(
    name: str, us: float, *, p99: float = 60.0, full_us: float = 6.0, connect_us: float = 200.0
) -> Round:
    each = 1_500 if name == "gateway" else 9_000
    single = replace(LOAD, server=name, cpu_us_per_delivery=us, latency_p99_ms=p99)
    full = replace(single, load=SINGLES_FULL, cpu_us_per_delivery=full_us)
    return Round(
        connect=replace(CONNECT, server=name, cpu_us_per_connection=connect_us),
        memory=MemoryResult(name, 8_000, 1_000_000, 1_000_000 + 8_000 * each),
        loads=(single, full),
    )


def opening(name: str, us: float) -> Round:
    return Round(connect=replace(CONNECT, server=name, cpu_us_per_connection=us))


def answers(*, ours: float, token: float, nginx: float, empty: float, full: float) -> list[AnswerResult]:
    us = {(POLL_EMPTY, GATEWAY): empty, (POLL_FULL, GATEWAY): full}
    for answer in (LIST_304, LIST_200):
        us |= {(answer, GATEWAY): ours, (answer, WITH_TOKEN): token, (answer, NGINX): nginx}
        us |= {(answer, by(GATEWAY)): ours, (answer, by(NGINX)): nginx}
    return [AnswerResult(*key, 8_000, 9_000.0, each, 100, 0.0, 0.2) for key, each in us.items()]


def met(made: PeerReport) -> dict[str, bool]:
    return {verdict.target: verdict.met for verdict in verdicts(made)}


def test_every_target_can_be_met() -> None:
    made = report(
        peer("gateway", 8.0, full_us=0.5),
        peer("nchan", 10.0, connect_us=20.0),
        peer("sse-starlette", 40.0),
        peer("better-sse", 20.0),
        opening("gateway-flag", 39.0),
        opening("gateway-flag-browsers", 2 * 39.0),
        opening("gateway-flag-jwt", 40.0),
        opening("bare aiohttp", 100.0),
        opening("bare-browsers", 200.0),
    )
    made.answers = answers(ours=19.0, token=20.0, nginx=10.0, empty=100.0, full=290.0)

    assert all(met(made).values())
    assert len(met(made)) == 18


def test_every_target_can_be_missed() -> None:
    made = report(
        peer("gateway", 9.5, p99=61.0, full_us=0.7),
        replace_memory(peer("nchan", 10.0, connect_us=20.0), 4_000),
        peer("sse-starlette", 31.0),
        peer("better-sse", 15.0),
        opening("gateway-flag", 41.0),
        opening("gateway-flag-browsers", 2 * 41.0),
        opening("gateway-flag-jwt", 41.0),
        opening("bare aiohttp", 100.0),
        opening("bare-browsers", 200.0),
    )
    made.answers = answers(ours=21.0, token=21.0, nginx=10.0, empty=100.0, full=310.0)

    assert not any(met(made).values())


@pytest.mark.parametrize(("own", "reached"), [((60.0, 70.0), True), ((50.0, 71.0), False)])
def test_p99_is_held_round_by_round(own: tuple[float, float], reached: bool) -> None:
    made = report(
        *(peer("gateway", 8.0, p99=p99) for p99 in own),
        *(peer("nchan", 10.0, p99=p99) for p99 in (60.0, 70.0)),
    )

    (verdict,) = (one for one in verdicts(made) if one.target.startswith("p99"))

    assert verdict.measured == f"{own[0]:.1f} against 60.0; {own[1]:.1f} against 70.0 ms"
    assert verdict.met is reached


def test_p99_of_a_peer_that_fell_is_compared_for_the_rounds_before() -> None:
    made = report(peer("gateway", 8.0), peer("nchan", 10.0, p99=70.0), peer("gateway", 8.0, p99=80.0))

    (verdict,) = (one for one in verdicts(made) if one.target.startswith("p99"))

    assert (verdict.measured, verdict.met) == ("60.0 against 70.0 ms", True)


def replace_memory(found: Round, each: int) -> Round:
    return replace(found, memory=MemoryResult("nchan", 8_000, 0, 8_000 * each))


def test_a_target_without_its_peer_is_not_met_and_says_that_it_was_not_measured() -> None:
    found = verdicts(report(peer("gateway", 8.0)))

    assert {(verdict.measured, verdict.met) for verdict in found} == {("not measured", False)}
    assert (
        "| p99 no worse than nchan's in every round; single events, 8,000 streams |  | not measured |"
        in as_markdown(report(peer("gateway", 8.0)))
    )


def test_memory_too_small_to_be_seen_is_not_measured() -> None:
    made = report(peer("gateway", 8.0), replace_memory(peer("nchan", 10.0), 0))

    found = {verdict.target: verdict.measured for verdict in verdicts(made)}
    assert found["memory per idle stream at most 0.35 of nchan's, 8,000 streams"] == "not measured"


def test_nothing_measured_gives_no_verdicts() -> None:
    assert verdicts(report()) == []


def test_medians_are_taken_over_the_rounds() -> None:
    found = medians(report(*(peer("gateway", us) for us in (7.0, 30.0, 8.0))))

    assert found.loads["gateway", 8_000, SINGLE].cpu_us_per_delivery == 8.0


def test_user_and_kernel_parts_make_the_whole() -> None:
    assert (user_us(LOAD), kernel_us(LOAD)) == (2.0, 6.0)


@pytest.mark.parametrize(("asked", "found"), [(8_000, 8_000), (10_000, 8_000), (1_000, 8_000)])
def test_a_number_of_streams_that_was_not_measured_is_replaced_by_one_that_was(
    asked: int, found: int
) -> None:
    assert medians(report(peer("gateway", 8.0))).nearest(asked) == found


def test_the_page_names_what_is_missing_and_why() -> None:
    made = report(peer("gateway", 8.0))
    made.missing["nchan"] = "apt-get can't be run"

    page = as_markdown(made)

    assert "- nchan is missing: apt-get can't be run." in page


def test_the_page_says_in_words_how_streams_were_opened() -> None:
    made = report(opening("gateway-flag", 41.0))
    made.answers = answers(ours=19.0, token=20.0, nginx=10.0, empty=100.0, full=290.0)

    page = as_markdown(made)

    assert "| gateway with a flag and a clientId | 8,000 |" in page
    assert "| 200 with a list of 16 KB | nginx proxy_cache | 8,000 | 10.0 |" in page


def test_a_load_during_which_the_core_was_taken_is_called_disturbed() -> None:
    disturbed = replace(LOAD, server_wait_share=0.4)

    page = as_markdown(report(Round(connect=CONNECT, loads=(disturbed,))))

    assert (
        "Disturbed: gateway, 8,000 streams, single events: something else had the server's core for 40%"
        in page
    )


def test_a_round_that_failed_leaves_its_problems() -> None:
    made = report(Round(connect=CONNECT, problems=("nchan, 8,000 streams: it fell",)))

    assert made.problems == ["nchan, 8,000 streams: it fell"]


def test_every_load_has_at_least_something_to_do() -> None:
    amounts = Amounts(10, 10, {"gateway": 10}, 1.0)

    assert (amounts.singles(16_000), amounts.bursts(16_000), amounts.full("gateway", 16_000)) == (2, 1, 8)
