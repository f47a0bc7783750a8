"""What the guard judges a component by, and how a tally gives its figures. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from flags.guard.callers import STREAMED, Side
from flags.guard.marks import NEVER, Marks
from flags.guard.tally import RECENT_SLOTS, Tally
from flags.guard.windows import SLOTS, Durations, Share


class Metric(StrEnum):
    """The guard's metrics, named as its settings are on the wire.

    `consistency`: the share of compared changes in which push and polling agreed (`flags.parity.comparison`).
    `errorRate`: the share of callers for whom the gateway itself got something wrong. `pushLagP99Ms`: from
    when the gateway had a change to when it was pushed. `firstEventSuccess`: the share of callers whose
    streams began. `fallbackRate`: the share of callers with streams that went back to polling.
    """

    CONSISTENCY = "consistency"
    ERROR_RATE = "errorRate"
    PUSH_LAG = "pushLagP99Ms"
    FIRST_EVENT = "firstEventSuccess"
    FALLBACK_RATE = "fallbackRate"


COMPARED = (Metric.ERROR_RATE, Metric.PUSH_LAG, Metric.FIRST_EVENT, Metric.FALLBACK_RATE)
"""Those in which callers who stream are compared with callers who poll."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric's value, a share from 0 to 1 or milliseconds, and from how many samples it is.

    `value` is None where there are none. `without_noise` is what it would be without what proves nothing:
    where polling disagrees with itself, the gateway's own polls failed, which hits everybody alike, or only
    the callers of one address fared badly.
    """

    value: float | None = None
    samples: int = 0
    without_noise: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All metrics at one moment. The medians and the source's lag are for people."""

    by_metric: dict[Metric, Figure]
    push_lag_p50_ms: float | None
    source_lag_p99_ms: float | None


_SPELL_SLOTS = SLOTS // 5
_NEARLY_ALL = 0.8


OF_CALLERS = (Metric.ERROR_RATE, Metric.FIRST_EVENT, Metric.FALLBACK_RATE)
"""Those of them that are shares of callers."""


class Outcome(NamedTuple):
    """How a caller fared: how many slots ago it counted last, it went badly, and well; each NEVER for not."""

    number: int
    counted: int
    bad: int
    good: int


def outcomes(tally: Tally, metric: Metric, side: Side) -> Sequence[Outcome]:
    """How those of a side fared who say something of the metric: found once for a tally that is settled.

    Those who poll have begun with their last answer that was none of failure, and have nothing to fall back
    from.
    """
    known = tally.outcomes.get((metric, side))
    if known is None:
        known = tally.outcomes[metric, side] = [
            Outcome(number, *found)
            for number, marks in tally.callers[side].items()
            if (found := _OUTCOMES[metric, side in STREAMED](marks))[0] != NEVER
        ]
    return known


def _streamed(bad: int, marks: Marks) -> tuple[int, int, int]:
    return min(marks.began, marks.mute, marks.fell_back), bad, marks.began


_OUTCOMES: Mapping[tuple[Metric, bool], Callable[[Marks], tuple[int, int, int]]] = {
    (Metric.ERROR_RATE, True): lambda marks: (marks.seen, marks.failed, marks.seen),
    (Metric.ERROR_RATE, False): lambda marks: (marks.seen, marks.failed, marks.seen),
    (Metric.FIRST_EVENT, True): lambda marks: _streamed(marks.mute, marks),
    (Metric.FIRST_EVENT, False): lambda marks: (
        min(marks.began, marks.failed),
        marks.failed if marks.failed < marks.began else NEVER,
        marks.began,
    ),
    (Metric.FALLBACK_RATE, True): lambda marks: _streamed(marks.fell_back, marks),
    (Metric.FALLBACK_RATE, False): lambda marks: (marks.seen, NEVER, marks.seen),
}


def spell_of(tally: Tally, metric: Metric) -> range:
    """The ages of a bad spell that is over: a part of the window, no longer than a fifth of it, in which
    nearly all went wrong that did, and before the last tenth. Empty where there is none.

    A bad second that everybody has left behind says nothing of the next hour. It counts still for a caller
    that has not fared well since.
    """
    by_age = [0] * (NEVER + 1)
    for side in STREAMED:
        for one in outcomes(tally, metric, side):
            by_age[one.bad] += 1
    by_age[NEVER] = 0
    starts = range(RECENT_SLOTS, SLOTS + 1)
    best = max(starts, key=lambda start: sum(by_age[start : start + _SPELL_SLOTS]))
    inside = sum(by_age[best : best + _SPELL_SLOTS])
    return range(best, best + _SPELL_SLOTS) if inside and inside >= _NEARLY_ALL * sum(by_age) else range(0)


def is_bad(one: Outcome, spell: range, slots: int) -> bool:
    """Whether it went badly for a caller in the last `slots`, beyond a spell that is over."""
    return one.bad <= slots and not (one.bad in spell and one.good < one.bad)


def figures(tally: Tally, *, is_streaming: bool, trusts_timestamps: bool) -> Figures:
    """The metrics of a window: the callers' of those who are to stream where some are, else of all."""
    sides = STREAMED if is_streaming else tuple(Side)
    whole = tally.whole
    lags = whole.source_lags if trusts_timestamps else whole.lags
    return Figures(
        by_metric={
            Metric.CONSISTENCY: _share_of_good(whole.compared),
            Metric.ERROR_RATE: _error_rate(_bad_callers(tally, Metric.ERROR_RATE, sides), whole.own_polls),
            Metric.PUSH_LAG: _lag(lags),
            Metric.FIRST_EVENT: _good_callers(tally, Metric.FIRST_EVENT, STREAMED),
            Metric.FALLBACK_RATE: _bad_callers(tally, Metric.FALLBACK_RATE, STREAMED),
        },
        push_lag_p50_ms=lags.quantile(0.5),
        source_lag_p99_ms=whole.source_lags.quantile(0.99),
    )


def recent_figures(tally: Tally, *, trusts_timestamps: bool) -> dict[Metric, Figure]:
    """Of the last tenth of the window those metrics that are no shares of callers."""
    lags = tally.recent.source_lags if trusts_timestamps else tally.recent.lags
    return {Metric.CONSISTENCY: _share_of_good(tally.recent.compared), Metric.PUSH_LAG: _lag(lags)}


def lone_address(tally: Tally, metric: Metric, sides: Collection[Side] = STREAMED) -> int:
    """The tag of the address at which most callers fared badly, of those without a proven name; 0 for none.

    Beside others what befell it proves nothing: whoever has an address can make up as many callers there as
    count, or sits behind a proxy that swallows streams. 0 too where nobody else is there.
    """
    if metric not in OF_CALLERS:
        return 0
    bad: Counter[int] = Counter()
    for side in sides:
        known = tally.callers[side]
        bad.update(known[one.number].tag for one in outcomes(tally, metric, side) if one.bad <= SLOTS)
    del bad[0]
    if not bad:
        return 0
    ((tag, _),) = bad.most_common(1)
    others = (
        tally.callers[side][one.number].tag != tag for side in sides for one in outcomes(tally, metric, side)
    )
    return tag if any(others) else 0


def without_address(tally: Tally, tag: int) -> Tally:
    """The tally without those callers at an address who are to stream; as it is for 0."""
    if not tag:
        return tally
    streamed = {
        side: {number: marks for number, marks in tally.callers[side].items() if marks.tag != tag}
        for side in STREAMED
    }
    return replace(tally, callers=tally.callers | streamed, outcomes={})


def _good_callers(tally: Tally, metric: Metric, sides: Collection[Side]) -> Figure:
    return _proven(tally, metric, sides, _share_of_good)


def _bad_callers(tally: Tally, metric: Metric, sides: Collection[Side]) -> Figure:
    return _proven(tally, metric, sides, _share_of_bad)


def _proven(
    tally: Tally, metric: Metric, sides: Collection[Side], figure: Callable[[Share], Figure]
) -> Figure:
    """The figure of all callers, whose `without_noise` is that of all but a lone address."""
    found = figure(_callers(tally, metric, sides))
    tag = lone_address(tally, metric, sides)
    if not tag:
        return found
    others = figure(_callers(without_address(tally, tag), metric, sides))
    return replace(found, without_noise=others.without_noise)


def _callers(tally: Tally, metric: Metric, sides: Collection[Side]) -> Share:
    """How many callers fared well and badly; `noisy` are those of whom only a spell that is over was bad."""
    share, spell = Share(), spell_of(tally, metric)
    for side in sides:
        found = outcomes(tally, metric, side)
        bad = [one for one in found if one.bad <= SLOTS]
        noisy = sum(not is_bad(one, spell, SLOTS) for one in bad)
        share.add(len(found) - len(bad), len(bad), noisy)
    return share


def _error_rate(found: Figure, own_polls: Share) -> Figure:
    """A failing poll of the gateway's own reaches everybody: it is told, and proves nothing against push."""
    if found.value is None or not own_polls.total:
        return found
    return replace(found, value=max(found.value, own_polls.bad / own_polls.total))


def _lag(lags: Durations) -> Figure:
    p99 = lags.quantile(0.99)
    return Figure(p99, lags.total, p99)


def _share_of_good(share: Share) -> Figure:
    if not share.total:
        return Figure()
    proven = share.total - share.noisy
    without_noise = share.good / proven if proven else None
    return Figure(share.good / share.total, share.total, without_noise)


def _share_of_bad(share: Share) -> Figure:
    if not share.total:
        return Figure()
    return Figure(share.bad / share.total, share.total, (share.bad - share.noisy) / share.total)
