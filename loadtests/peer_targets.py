"""The targets beside the peers, held against the medians of a run."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadtests.answers import (
    BARE,
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
from loadtests.peer_measure import ConnectResult
from loadtests.report import GENERATOR_FULL, NOT_MEASURED, Verdict, merged_loads

# The numbers of streams that the targets name.
MANY, FEW = 8_000, 1_000
NCHAN = "nchan"
# Streams that are opened with a flag to be decided, and with a token too: of a bare handler's CPU at most so
# much, and of nchan's so many times as much. Browsers are held against browsers.
OPENINGS = {
    "gateway-flag": "a flag and a clientId",
    "gateway-flag-browsers": "a flag and a clientId, by browsers,",
    "gateway-flag-jwt": "a flag, a clientId and a token",
}
_BARES = {"gateway-flag-browsers": "bare-browsers"}
PEERS = {"bare-browsers": "bare aiohttp"}
OF_BARE, OF_NCHAN = 0.4, 2.0
# A list, and a 304 of it, beside nginx's cache.
OF_NGINX = 2.0

Key = tuple[str, int, str]
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Medians:
    """One figure for each server and number of streams, over the rounds."""

    loads: dict[Key, LoadResult]
    bytes_per_stream: dict[Place, float]
    connect_us: dict[Place, float]
    connects_per_second: dict[Place, float]

    def counts(self) -> list[int]:
        """The numbers of streams, ascending."""
        return sorted({streams for _, streams in self.connect_us})

    def nearest(self, streams: int) -> int:
        """What stands for a target's number of streams: it, or the largest that was measured below it."""
        below = [count for count in self.counts() if count <= streams]
        return below[-1] if below else self.counts()[0]


def medians(
    loads: Sequence[LoadResult], memory: Sequence[MemoryResult], connects: Sequence[ConnectResult]
) -> Medians:
    """Medians over the rounds, each field by itself."""
    return Medians(
        {(load.server, load.streams, load.load): load for load in merged_loads(loads)},
        by_place(((one.server, one.streams), one.bytes_per_stream) for one in memory),
        by_place(((one.server, one.streams), one.cpu_us_per_connection) for one in connects),
        by_place(((one.server, one.streams), one.per_second) for one in connects),
    )


def by_place(figures: Iterable[tuple[Place, float]]) -> dict[Place, float]:
    """The median at each place."""
    groups: dict[Place, list[float]] = {}
    for place, figure in figures:
        groups.setdefault(place, []).append(figure)
    return {place: statistics.median(group) for place, group in groups.items()}


def user_us(load: LoadResult) -> float:
    """The part of a delivery's CPU that is not the kernel's."""
    return load.cpu_us_per_delivery * (1 - load.cpu_system_share)


def kernel_us(load: LoadResult) -> float:
    """The kernel's part."""
    return load.cpu_us_per_delivery * load.cpu_system_share


def verdicts(found: Medians, loads: Sequence[LoadResult], answers: Sequence[AnswerResult]) -> list[Verdict]:
    """The targets held against the medians; one of which a side is absent is not met, and says so.

    `loads` are those of the single rounds.
    """
    many, few = found.nearest(MANY), found.nearest(FEW)
    return [
        _cpu(found, NCHAN, many, 0.9),
        _p99(loads, many),
        _speed(found, few),
        _memory(found, many),
        *(_cpu(found, "sse-starlette", count, 0.3) for count in found.counts()),
        *(_cpu(found, "better-sse", count, 0.6) for count in found.counts()),
        *(_opening(found, name, _BARES.get(name, BARE), OF_BARE, many) for name in OPENINGS),
        *(_opening(found, name, NCHAN, OF_NCHAN, many) for name in OPENINGS if name not in _BARES),
        *_answer_verdicts(answers),
    ]


def _answer_verdicts(answers: Sequence[AnswerResult]) -> list[Verdict]:
    us = by_answer((one.answer, one.server, one.cpu_us_per_request) for one in answers)
    poll = "a poll answer of 100 events costs at most 3 times an empty one"
    found = [
        _times(
            f"a {answer} costs at most {OF_NGINX} times nginx's from its cache{tokens}, by the server's CPU",
            us.get((answer, name)),
            us.get((answer, by(NGINX) if name == by(GATEWAY) else NGINX)),
            OF_NGINX,
        )
        for name, tokens in ((GATEWAY, ""), (by(GATEWAY), ", by browsers"), (WITH_TOKEN, ", with a token"))
        for answer in (LIST_304, LIST_200)
    ]
    return [*found, _times(poll, us.get((POLL_FULL, GATEWAY)), us.get((POLL_EMPTY, GATEWAY)), 3)]


def by_answer(figures: Iterable[tuple[str, str, float]]) -> dict[tuple[str, str], float]:
    """The median of each sort of request, by answer and server."""
    groups: dict[tuple[str, str], list[float]] = {}
    for answer, server, figure in figures:
        groups.setdefault((answer, server), []).append(figure)
    return {key: statistics.median(group) for key, group in groups.items()}


def _times(target: str, ours: float | None, theirs: float | None, most: float) -> Verdict:
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    return Verdict(
        target, f"{ours / theirs:.2f} times ({ours:.1f} against {theirs:.1f} µs)", ours / theirs <= most
    )


def _memory(found: Medians, streams: int) -> Verdict:
    target = f"memory per idle stream at most 0.35 of nchan's, {streams:,} streams"
    ours = found.bytes_per_stream.get((GATEWAY, streams))
    theirs = found.bytes_per_stream.get((NCHAN, streams))
    # With a few streams a server may need no further page of memory: that is no figure to divide by.
    if ours is None or theirs is None or theirs <= 0:
        return Verdict(target, NOT_MEASURED, met=False)
    return Verdict(target, f"{ours / theirs:.3f}", ours / theirs <= 0.35)


def _cpu(found: Medians, peer: str, streams: int, most: float) -> Verdict:
    target = f"CPU per delivery at most {most} of {peer}'s; single events, {streams:,} streams"
    ours, theirs = found.loads.get((GATEWAY, streams, SINGLE)), found.loads.get((peer, streams, SINGLE))
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    ratio = ours.cpu_us_per_delivery / theirs.cpu_us_per_delivery
    parts = f"user {user_us(ours):.2f} against {user_us(theirs):.2f} µs"
    return Verdict(target, f"{ratio:.3f} ({parts})", ratio <= most)


def _p99(loads: Sequence[LoadResult], streams: int) -> Verdict:
    """Round by round: a median would hide the one in which streams waited."""
    target = f"p99 no worse than nchan's in every round; single events, {streams:,} streams"
    ours, theirs = (
        [
            one.latency_p99_ms
            for one in loads
            if (one.server, one.streams, one.load) == (name, streams, SINGLE)
        ]
        for name in (GATEWAY, NCHAN)
    )
    # A server that failed in a round is not asked again: what there is of both begins with the first round.
    pairs = list(zip(ours, theirs, strict=False))
    if not pairs:
        return Verdict(target, NOT_MEASURED, met=False)
    measured = "; ".join(f"{own:.1f} against {other:.1f}" for own, other in pairs)
    return Verdict(target, f"{measured} ms", all(own <= other for own, other in pairs))


def _speed(found: Medians, streams: int) -> Verdict:
    """By the server's CPU: by the clock, the generator's core may set the pace of the faster side."""
    target = f"deliveries/s at least 10 times nchan's at full speed, {streams:,} streams, by the server's CPU"
    key = (streams, SINGLES_FULL)
    ours, theirs = found.loads.get((GATEWAY, *key)), found.loads.get((NCHAN, *key))
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    ratio = theirs.cpu_us_per_delivery / ours.cpu_us_per_delivery
    clock = ours.deliveries_per_second / theirs.deliveries_per_second
    bound = "at least " if ours.generator_cpu_share > GENERATOR_FULL else ""
    return Verdict(target, f"{ratio:.1f} times (by the clock {bound}{clock:.1f})", ratio >= 10)


def _opening(found: Medians, name: str, peer: str, most: float, streams: int) -> Verdict:
    target = (
        f"opening a stream with {OPENINGS[name]} takes at most {most} of {PEERS.get(peer, peer)}'s CPU, "
        f"{streams:,} streams"
    )
    ours, theirs = found.connect_us.get((name, streams)), found.connect_us.get((peer, streams))
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    return Verdict(target, f"{ours / theirs:.2f} ({ours:.0f} against {theirs:.0f} µs)", ours / theirs <= most)
