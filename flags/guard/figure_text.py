"""The guard's figures as people read them.

A figure never looks better than it is, or a verdict would say that 99 % is below 99 %: what a metric measured
is rounded towards its bad side. What it is held to was chosen by somebody, and is shown as it was.
"""

import math

from flags.guard.metrics import Metric

_MORE_IS_BETTER = frozenset({Metric.CONSISTENCY, Metric.FIRST_EVENT})


def measured(metric: Metric, value: float) -> str:
    """Whole milliseconds, or a share in percent with two decimals at most."""
    if metric is Metric.PUSH_LAG:
        return f"{math.ceil(value)} ms"
    # Without the rounding, 0.07 would be a little over 7 %.
    hundredths = round(value * 10_000, 6)
    whole = math.floor(hundredths) if metric in _MORE_IS_BETTER else math.ceil(hundredths)
    return f"{whole / 100:g} %"


def limit(metric: Metric, value: float) -> str:
    """A threshold, in the unit of what it is for."""
    return f"{value:.10g} ms" if metric is Metric.PUSH_LAG else f"{round(value * 100, 10):g} %"
