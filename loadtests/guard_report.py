"""What simulated rollouts came to, as Markdown tables."""

import math
from collections.abc import Mapping, Sequence
from statistics import median, quantiles

from loadtests.guard_rollouts import USUAL, End, Outcome, Scenario
from loadtests.report import Row, Table

MOST_FALSE = 0.05
"""The largest share of rollouts without harm that may be taken back."""

Results = Mapping[Scenario, Sequence[Outcome]]


def share(outcomes: Sequence[Outcome], end: End) -> float:
    """Which share of the rollouts ended so."""
    return sum(one.end is end for one in outcomes) / max(1, len(outcomes))


def problems(results: Results) -> list[str]:
    """What makes the run a failure: too many rollouts taken back without harm, or work that was not done."""
    found = []
    for scenario, outcomes in results.items():
        if not outcomes or not all(one.evaluations for one in outcomes):
            found.append(f"{scenario.name}: nothing was judged")
        if scenario.habits.harm and not all(one.strikes for one in outcomes):
            found.append(f"{scenario.name}: harm struck nobody in some rollout")
        if not scenario.habits.harm and any(one.strikes for one in outcomes):
            found.append(f"{scenario.name}: harm where there is to be none")
        if scenario.is_now and not scenario.is_harmful and not scenario.is_one_step:
            back = share(outcomes, End.ROLLED_BACK)
            if back > MOST_FALSE:
                found.append(f"{scenario.name}: {back:.1%} rolled back without harm")
    return found


def without_harm(now: Sequence[Outcome], before: Sequence[Outcome]) -> Table:
    """By how many callers there are: how rollouts ended, by the guard and by the fixed thresholds."""
    header = (
        *("callers", "rollouts", "rolled back", "of them by a limit", "promoted to 100 %", "on their way"),
        *("minutes to 100 %: median", "90 %", "fixed thresholds: rolled back", "promoted", "stand still"),
    )
    rows: list[Row] = []
    for callers in (*sorted({one.callers for one in now}), None):
        mine = [one for one in now if callers in (one.callers, None)]
        theirs = [one for one in before if callers in (one.callers, None)]
        through = [one.minutes for one in mine if one.end is End.PROMOTED]
        rows.append(
            (
                "all" if callers is None else f"{callers:,}",
                f"{len(mine):,}",
                f"{share(mine, End.ROLLED_BACK):.1%}",
                _by_limit(mine),
                *(f"{share(mine, end):.0%}" for end in (End.PROMOTED, End.WAITS)),
                *_median_and_most(through),
                f"{share(theirs, End.ROLLED_BACK):.1%}",
                *(f"{share(theirs, end):.0%}" for end in (End.PROMOTED, End.WAITS)),
            )
        )
    return "Rollouts without harm", header, rows


def with_harm(pairs: Sequence[tuple[Scenario, Sequence[Outcome], Sequence[Outcome]]]) -> Table:
    """For each harm: how many rollouts were taken back, and upon what; by both rules."""
    header = (
        *("harm", "callers", "margin", "rollouts", "found", "of them by a limit"),
        *("callers who stream: median", "90 %"),
        *("minutes: median", "90 %", "let through to 100 %", "still held"),
        *("fixed thresholds: found", "let through", "stand still"),
    )
    rows: list[Row] = []
    for scenario, now, before in pairs:
        found = [one for one in now if one.end is End.ROLLED_BACK]
        rows.append(
            (
                scenario.name,
                ", ".join(f"{count:,}" for count in scenario.callers),
                f"{100 * scenario.settings.margin(_metric(scenario)):g}",
                f"{len(now):,}",
                f"{share(now, End.ROLLED_BACK):.0%}",
                _by_limit(now),
                *_median_and_most([float(one.on) for one in found]),
                *_median_and_most([one.minutes for one in found]),
                *(f"{share(now, end):.0%}" for end in (End.PROMOTED, End.WAITS)),
                *(f"{share(before, end):.0%}" for end in (End.ROLLED_BACK, End.PROMOTED, End.WAITS)),
            )
        )
    return "Harm", header, rows


def durations(results: Results) -> Table:
    """How long one step takes, and how long until harm is found there."""
    header = (
        *("callers", "percentage", "of them stream", "until promoted", "with `minSamples` 10"),
        "until harm of 5 points is found, margin 2 points",
    )
    cells: dict[tuple[int, float], list[str]] = {}
    for scenario, outcomes in results.items():
        (callers,) = scenario.callers
        cells.setdefault((callers, scenario.percentage), []).append(_duration(scenario, outcomes))
    rows: list[Row] = [
        (f"{callers:,}", f"{percentage:g} %", f"{callers * percentage / 100:,.0f}", *found)
        for (callers, percentage), found in cells.items()
    ]
    return "How long a step takes", header, rows


def _duration(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    wanted = End.ROLLED_BACK if scenario.is_harmful else End.PROMOTED
    minutes = [one.minutes for one in outcomes if one.end is wanted]
    if 2 * len(minutes) > len(outcomes):
        middle = median([*minutes, *[math.inf] * (len(outcomes) - len(minutes))])
        return f"{middle:.0f} min" if middle < 120 else f"{middle / 60:.1f} h"
    back = [one for one in outcomes if one.end is End.ROLLED_BACK]
    if wanted is End.PROMOTED and back:
        return f"not in {scenario.hours:g} h: {len(back)} of {len(outcomes)} taken back"
    missing = [one.wanted for one in outcomes if one.wanted is not None]
    if not missing:
        return f"not in {scenario.hours:g} h"
    if median(missing) <= 1:
        return f"not in {scenario.hours:g} h: fewer than `minSamples` a window"
    return f"not in {scenario.hours:g} h: some {_round(median(missing)):,} callers more"


def _round(value: float) -> int:
    digits = max(0, math.floor(math.log10(max(1.0, value))) - 1)
    return int(round(value / 10**digits) * 10**digits)


def _by_limit(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(one.by_limit for one in outcomes)}"


def _metric(scenario: Scenario) -> str:
    if scenario.habits.harm:
        return "errorRate"
    return "pushLagP99Ms" if scenario.habits.lag_ms > USUAL.lag_ms else "fallbackRate"


def _median_and_most(values: Sequence[float]) -> tuple[str, str]:
    if not values:
        return "-", "-"
    most = quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
    return f"{median(values):,.0f}", f"{most:,.0f}"
