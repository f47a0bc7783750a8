"""The guard's view of a component as lines for people: the verdict, the limits, and both cohorts side by
side."""

from collections.abc import Mapping
from typing import Any

from flags.guard.figure_text import limit, measured
from flags.guard.metrics import Metric
from gateway.cli.nodes_view import whose_lines
from gateway.cli.terminal import printable, table

Members = Mapping[str, Any]

_BADLY: Mapping[str, str] = {
    Metric.ERROR_RATE: "an error",
    Metric.PUSH_LAG: "changes late",
    Metric.FIRST_EVENT: "no first event",
    Metric.FALLBACK_RATE: "a fallback",
}
_OUTCOMES = {"worse": "worse", "fine": "no harm", "undecided": "open"}


def guard_lines(answer: Members) -> list[str]:
    """The verdict, each metric with its limits, both cohorts, and what is done about it."""
    if "callers" in answer:
        return _node_lines(answer)
    dry = " (dry run)" if answer.get("dryRun") else ""
    return [
        f"{_text(answer.get('component'))}: {_text(answer.get('verdict'))}{dry}",
        f"  {_text(answer.get('sentence'))}",
        *_limit_lines(answer.get("metrics")),
        *_own_poll_lines(answer.get("ownPolls")),
        *_cohort_lines(answer.get("cohorts"), answer.get("confidence")),
        _action_line(answer),
        *whose_lines(answer),
    ]


def _limit_lines(metrics: object) -> list[str]:
    rows: list[tuple[str, ...]] = [("METRIC", "VALUE", "SAMPLES", "PROMOTE", "FAIL", "")]
    for name, metric in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(metric, Mapping):
            value = _figure(name, metric.get("value"), is_limit=False)
            limits = [_figure(name, metric.get(member), is_limit=True) for member in ("promote", "fail")]
            note = "" if metric.get("measured") else "not measured"
            rows.append((_text(name), value, _text(metric.get("samples")), *limits, note))
    return table(rows)


def _own_poll_lines(polls: object) -> list[str]:
    failed = polls.get("failed") if isinstance(polls, Mapping) else None
    if not isinstance(failed, int) or not failed or not isinstance(polls, Mapping):
        return []
    succeeded = _text(polls.get("succeeded"))
    return [f"{failed} of the gateway's own polls failed, {succeeded} did not: that hits both sides"]


def _cohort_lines(cohorts: object, confidence: object) -> list[str]:
    """Those who stream beside those who poll; why there is no control where there is none."""
    if not isinstance(cohorts, Mapping):
        return []
    metrics = cohorts.get("metrics")
    if not isinstance(metrics, Mapping):
        return [_text(cohorts.get("why"))]
    head = (
        f"{_text(cohorts.get('streaming'))} callers stream and {_text(cohorts.get('polling'))} poll by the "
        f"percentage; bounds hold at any time with a confidence of {_percent(confidence)}"
    )
    rows: list[tuple[str, ...]] = [("WITH", "STREAMING", "POLLING", "HARM", "BOUNDS", "MARGIN", "", "MORE")]
    for name, one in metrics.items():
        if isinstance(one, Mapping):
            rows.append(_cohort_row(name, one))
    return [head, *table(rows)]


def _cohort_row(name: object, one: Members) -> tuple[str, ...]:
    bounds = f"{_points(one.get('low'))} to {_points(one.get('high'))}"
    more = one.get("moreWanted")
    wanted = (
        "out of reach" if more is None else f"about {_text(more)} {_text(one.get('unit'))}" if more else ""
    )
    outcome = _OUTCOMES.get(str(one.get("outcome")), _text(one.get("outcome")))
    return (
        _BADLY.get(str(name), _text(name)),
        _side(one.get("streaming"), one.get("unit")),
        _side(one.get("polling"), one.get("unit")),
        _points(one.get("harm")),
        bounds,
        _points(one.get("margin")),
        outcome if one.get("measured") else "not measured",
        "out of reach" if more is None else wanted,
    )


def _side(side: object, unit: object) -> str:
    if not isinstance(side, Mapping) or not side.get("count"):
        return "-"
    count = side["count"]
    shown = f"{count:.0f}" if isinstance(count, int | float) else _text(count)
    return f"{_percent(side.get('share'))} of {shown}{' slots' if unit == 'slots' else ''}"


def _node_lines(answer: Members) -> list[str]:
    """What one node saw by itself."""
    callers = answer.get("callers")
    counted = callers.items() if isinstance(callers, Mapping) else ()
    sides = [f"{_text(count)} {_text(side)}" for side, count in counted]
    return [
        f"{_text(answer.get('streams'))} streams open; callers: {', '.join(sides) or '-'}; "
        f"99th percentile of the lag {_figure('pushLagP99Ms', answer.get('pushLagP99Ms'), is_limit=False)}; "
        f"{_text(answer.get('compared'))} compared",
        *_own_poll_lines(answer.get("ownPolls")),
    ]


def _action_line(answer: Members) -> str:
    action = answer.get("action")
    if not isinstance(action, Mapping):
        return "nothing to do"
    would = "would " if answer.get("dryRun") else "will "
    if action.get("do") == "promote":
        return f"{would}promote to {_text(action.get('percentage'))} %"
    return f"{would}roll back: {_text(action.get('reason'))}"


def _figure(name: object, value: object, *, is_limit: bool) -> str:
    """A figure in its unit; of a metric that this version does not know, as it came."""
    try:
        metric = Metric(str(name))
    except ValueError:
        return _text(value)
    if not isinstance(value, int | float):
        return "-"
    return limit(metric, value) if is_limit else measured(metric, value)


def _percent(share: object) -> str:
    return f"{round(share * 100, 2):g} %" if isinstance(share, int | float) else "-"


def _points(share: object) -> str:
    """A difference of shares, in percentage points."""
    return f"{round(share * 100, 2):g}" if isinstance(share, int | float) else "-"


def _text(value: object) -> str:
    return "-" if value is None else printable(str(value))
