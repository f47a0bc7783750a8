"""What the guard makes of a component, as JSON (docs/protocol.md, section 8)."""

from typing import Any

from flags.decide.targeting import OF_ONE_CALLER
from flags.guard.callers import Side
from flags.guard.cohorts import FEWEST, Comparison
from flags.guard.metrics import Metric
from flags.guard.tally import Tally
from flags.guard.verdict import NO_SAMPLES_OF_CALLERS, Action, Promote
from gateway.migration.guard_loop import GuardReport


def guard_members(report: GuardReport) -> dict[str, Any]:
    """All members of the answer that are of the component."""
    flag, verdict, settings = report.flag, report.verdict, report.flag.guard
    return {
        "component": flag.component,
        "revision": flag.revision,
        "verdict": verdict.kind,
        "sentence": verdict.sentence,
        "metric": verdict.metric,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "dryRun": settings.dry_run,
        "autoPromote": settings.auto_promote,
        "windowSeconds": settings.window_seconds,
        "minSamples": settings.min_samples,
        "confidence": settings.confidence,
        "metrics": _metrics(report),
        "pushLagP50Ms": report.figures.push_lag_p50_ms,
        "sourceLagP99Ms": report.figures.source_lag_p99_ms,
        "ownPolls": own_polls(report.tally),
        "cohorts": _cohorts(report),
        "state": _state(report),
        "action": None if report.action is None else _action(report.action),
    }


def node_members(tally: Tally) -> dict[str, Any]:
    """What one node saw by itself."""
    return {
        "streams": tally.streams,
        "callers": {side.name.lower(): _estimated(tally, side) for side in Side},
        "pushLagP99Ms": tally.whole.lags.quantile(0.99),
        "compared": tally.whole.compared.total,
        "ownPolls": own_polls(tally),
    }


def own_polls(tally: Tally) -> dict[str, int]:
    """The gateway's own requests to shared upstreams in the window."""
    return {"succeeded": tally.whole.own_polls.good, "failed": tally.whole.own_polls.bad}


def _metrics(report: GuardReport) -> dict[str, Any]:
    """By the names that the flag's thresholds have."""
    thresholds = report.flag.guard.wire()
    return {
        metric.value: {
            "value": figure.value,
            "samples": figure.samples,
            "measured": metric not in report.unmeasured,
            **thresholds[metric],
        }
        for metric, figure in report.figures.by_metric.items()
    }


def _cohorts(report: GuardReport) -> dict[str, Any]:
    """Those who stream beside those who poll; `metrics` is null, with `why`, where there is no control."""
    members = {
        "streaming": _estimated(report.tally, Side.TREATED),
        "polling": _estimated(report.tally, Side.CONTROL),
        "windows": report.state.evidence.windows,
    }
    if report.comparisons is None:
        return members | {"metrics": None, "why": _why(report)}
    return members | {"metrics": {one.metric.value: _comparison(one, report) for one in report.comparisons}}


def _why(report: GuardReport) -> str:
    flag = report.flag
    if report.verdict.kind == "hold" and flag.latch is not None:
        return "An automatic rollback has latched."
    if flag.percentage in (0, 100) or not report.is_drawn:
        return "Nobody is drawn by the percentage, so there is no control."
    if flag.stickiness not in OF_ONE_CALLER:
        return NO_SAMPLES_OF_CALLERS
    return f"There is no control: fewer than {FEWEST} callers stream or poll by the percentage."


def _comparison(one: Comparison, report: GuardReport) -> dict[str, Any]:
    low, high = one.interval
    return {
        "unit": "slots" if one.metric is Metric.PUSH_LAG else "callers",
        "streaming": {"count": round(one.treated.values, 3), "share": one.treated.share},
        "polling": {"count": round(one.control.values, 3), "share": one.control.share},
        "harm": one.harm,
        "low": low,
        "high": high,
        "margin": one.margin,
        "outcome": one.outcome,
        "moreWanted": one.more_wanted if one.outcome == "undecided" else 0,
        "measured": one.metric not in report.unmeasured,
    }


def _estimated(tally: Tally, side: Side) -> int:
    """How many callers there are on a side, from the sample that is kept of them."""
    return len(tally.callers[side]) << tally.levels[side]


def _state(report: GuardReport) -> dict[str, Any]:
    state = report.state
    failing = None if state.failing_since is None else round(report.now - state.failing_since, 3)
    return {
        "sinceChangeSeconds": round(report.now - state.changed_at, 3),
        "failingSeconds": failing,
        "successes": state.successes,
        "successesToPromote": report.flag.guard.successes_to_promote,
        "latch": None if report.flag.latch is None else report.flag.latch.wire(),
    }


def _action(action: Action) -> dict[str, Any]:
    if isinstance(action, Promote):
        return {"do": "promote", "percentage": action.percentage, "reason": action.reason}
    return {
        "do": "rollback",
        "metric": action.metric,
        "value": action.value,
        "threshold": action.threshold,
        "reason": action.reason,
    }
