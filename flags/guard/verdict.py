"""May a component's rollout go on, must it go back, or is it to wait? Pure: figures in, a verdict out.

The rules, in the order in which they count:

- A component whose latch is set is not judged: it waits until somebody re-arms it.
- What happened before the last change of the rollout, and in the first tenth of a window after it, is not
  looked at: clients that come and go because of the change are no evidence.
- A metric that is past its `fail` threshold fails the component once it has been so for a fifth of a window,
  at every evaluation in between. Where the last tenth of the window, with samples enough for a verdict, is
  not past it, the bad spell is over and fails nothing. So a spell shorter than a tenth of a window, one bad
  second, does not flap.
- Too few samples of a metric are inconclusive, none are no data. Neither is a success, neither a failure, and
  neither ends a row of successes.
- A metric between its thresholds holds the component, and ends a row of successes.
- All metrics at or past `promote` are a success. Successes are counted a whole window apart, so that no two
  rest on the same evidence; the first a whole window after the change. Enough in a row promote to the next
  step, where automatic promotion is on.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from flags.decide.guard_settings import AtLeast, AtMost, AtMostMs, GuardSettings
from flags.guard.figure_text import limit, measured
from flags.guard.window import Figure, Figures, GuardWindow, Metric

TENTH = 0.1
"""The part of a window after a change that is not looked at, and by which a bad spell is found to be over."""

FIFTH = 0.2
"""For which part of a window a failure must last: a tenth, and another in which its end can't be seen yet."""


class Kind(StrEnum):
    """What the guard has to say."""

    PROMOTE = "promote"
    HOLD = "hold"
    FAIL = "fail"
    NO_DATA = "no_data"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict, and which figure of which metric decided it.

    `metric`, `value` and `threshold` are None where no single one did. `samples` are the metric's. `sentence`
    is for people.
    """

    kind: Kind
    sentence: str
    metric: Metric | None = None
    value: float | None = None
    threshold: float | None = None
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Promote:
    """Raise the percentage to `percentage`; with `dry_run`, only say so."""

    percentage: float
    reason: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RollBack:
    """Take the component back and set its latch; with `dry_run`, only say so."""

    metric: Metric
    value: float
    threshold: float
    reason: str
    dry_run: bool


Action = Promote | RollBack


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a component stands.

    `streaming`: its stage lets somebody stream, so that there is something to roll back. `percentage`: that
    of the stage `live`, None in any other, in which there is no next step. `latched`: a rollback has latched.
    """

    streaming: bool
    percentage: float | None
    latched: bool


@dataclass(frozen=True, slots=True)
class GuardState:
    """What the guard remembers between evaluations.

    `changed_at` is when stage, percentage or latch last changed, or the guard began: then it starts over with
    `GuardState(now)`. `acted` says that the failure of `failing_since` has been acted upon.
    """

    changed_at: float
    successes: int = 0
    success_at: float | None = None
    failing_since: float | None = None
    acted: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict, what to do, and the state for the next evaluation.

    Whoever can't carry out an action keeps the state from before, and is told again.
    """

    verdict: Verdict
    state: GuardState
    action: Action | None = None


def evaluate(
    settings: GuardSettings,
    window: GuardWindow,
    state: GuardState,
    rollout: Rollout,
    now: float,
    unmeasured: Collection[Metric] = (),
) -> Evaluation:
    """Judges a component at `now` (monotonic seconds).

    `unmeasured` are metrics that the component can't have: consistency where push is made from the very poll,
    the clients' metrics where nobody streams yet. No promotion waits for them.
    """
    if rollout.latched:
        sentence = "An automatic rollback has latched: nothing is judged until the component is re-armed."
        return Evaluation(Verdict(Kind.HOLD, sentence), GuardState(state.changed_at))
    start = state.changed_at + TENTH * window.seconds
    verdict = judge(settings, window.figures(start, now), unmeasured)
    if verdict.kind is Kind.FAIL and _is_over(settings, window, verdict, start, now):
        sentence = f"{verdict.sentence} The last {TENTH * window.seconds:g} s are better."
        verdict = replace(verdict, kind=Kind.HOLD, sentence=sentence)
    if verdict.kind is Kind.FAIL:
        return _failing(settings, window, state, rollout, verdict, now)
    state = replace(state, failing_since=None, acted=False)
    if verdict.kind is Kind.HOLD:
        return Evaluation(verdict, replace(state, successes=0, success_at=None))
    if verdict.kind is Kind.PROMOTE:
        return _succeeding(settings, window, state, rollout, verdict, now)
    return Evaluation(verdict, state)


def judge(settings: GuardSettings, figures: Figures, unmeasured: Collection[Metric] = ()) -> Verdict:
    """The verdict on these figures alone, whatever came before."""
    verdicts = [
        _judge_metric(metric, figure, _threshold(settings, metric), settings.min_samples)
        for metric, figure in figures.by_metric.items()
        if metric not in unmeasured
    ]
    if all(verdict.kind is Kind.NO_DATA for verdict in verdicts):
        return Verdict(Kind.NO_DATA, "No traffic: neither a success nor a failure.")
    for kind in (Kind.FAIL, Kind.HOLD, Kind.INCONCLUSIVE, Kind.NO_DATA):
        for verdict in verdicts:
            if verdict.kind is kind:
                # One metric without data beside others with data leaves the whole undecided.
                return replace(verdict, kind=Kind.INCONCLUSIVE) if kind is Kind.NO_DATA else verdict
    return Verdict(Kind.PROMOTE, "Every metric is good enough to go on.")


def _judge_metric(
    metric: Metric, figure: Figure, threshold: AtLeast | AtMost | AtMostMs, min_samples: int
) -> Verdict:
    def verdict(kind: Kind, threshold: float | None, sentence: str) -> Verdict:
        held_to = None if threshold is None else float(threshold)
        return Verdict(kind, sentence, metric, figure.value, held_to, figure.samples)

    if figure.value is None:
        return verdict(Kind.NO_DATA, None, f"{metric} has no samples.")
    shown = f"{metric} is {measured(metric, figure.value)} over {_samples(figure.samples)}"
    if figure.samples < min_samples:
        return verdict(Kind.INCONCLUSIVE, None, f"{shown}: a verdict takes {min_samples}.")
    more_is_better = isinstance(threshold, AtLeast)
    if _past(figure.value, threshold.fail, more_is_better):
        bound = f"{'below' if more_is_better else 'above'} {limit(metric, threshold.fail)}"
        if figure.without_noise is None or not _past(figure.without_noise, threshold.fail, more_is_better):
            detail = f"{shown}, {bound}, but only where polling disagrees with itself."
            return verdict(Kind.INCONCLUSIVE, threshold.fail, detail)
        return verdict(Kind.FAIL, threshold.fail, f"{shown}, {bound}.")
    if _past(figure.value, threshold.promote, more_is_better):
        wanted = f"{'at least' if more_is_better else 'at most'} {limit(metric, threshold.promote)}"
        return verdict(Kind.HOLD, threshold.promote, f"{shown}: going on takes {wanted}.")
    return verdict(Kind.PROMOTE, threshold.promote, f"{shown}.")


def _is_over(
    settings: GuardSettings, window: GuardWindow, verdict: Verdict, start: float, now: float
) -> bool:
    """Whether what failed is a bad spell that the last tenth of the window has left behind."""
    if verdict.metric is None:
        return False
    recent = window.figures(max(start, now - TENTH * window.seconds), now).by_metric[verdict.metric]
    threshold = _threshold(settings, verdict.metric)
    if recent.value is None or recent.samples < settings.min_samples:
        return False
    return not _past(recent.value, threshold.fail, isinstance(threshold, AtLeast))


def _failing(
    settings: GuardSettings,
    window: GuardWindow,
    state: GuardState,
    rollout: Rollout,
    verdict: Verdict,
    now: float,
) -> Evaluation:
    since = now if state.failing_since is None else state.failing_since
    state = replace(state, successes=0, success_at=None, failing_since=since)
    lasts = FIFTH * window.seconds
    if now - since < lasts:
        sentence = f"{verdict.sentence} It fails if that lasts {lasts:g} s; so far {now - since:.1f} s."
        return Evaluation(replace(verdict, kind=Kind.HOLD, sentence=sentence), state)
    if state.acted or not rollout.streaming or verdict.metric is None:
        return Evaluation(verdict, state)
    value, threshold = verdict.value or 0.0, verdict.threshold or 0.0
    action = RollBack(verdict.metric, value, threshold, verdict.sentence, settings.dry_run)
    return Evaluation(verdict, replace(state, acted=True), action)


def _succeeding(
    settings: GuardSettings,
    window: GuardWindow,
    state: GuardState,
    rollout: Rollout,
    verdict: Verdict,
    now: float,
) -> Evaluation:
    looked_at_since = state.changed_at + TENTH * window.seconds
    last = looked_at_since if state.success_at is None else state.success_at
    if now - last >= window.seconds:
        state = replace(state, successes=state.successes + 1, success_at=now)
    wanted = settings.successes_to_promote
    sentence = f"{verdict.sentence} Successes in a row: {state.successes} of {wanted}."
    verdict = replace(verdict, sentence=sentence)
    step = None if rollout.percentage is None else next_step(settings.steps, rollout.percentage)
    if not settings.auto_promote or step is None or state.successes < wanted:
        return Evaluation(verdict, state)
    return Evaluation(verdict, replace(state, successes=0), Promote(step, sentence, settings.dry_run))


def next_step(steps: Collection[float], percentage: float) -> float | None:
    """The least step above `percentage`, or None where there is none."""
    return min((float(step) for step in steps if step > percentage), default=None)


def _threshold(settings: GuardSettings, metric: Metric) -> AtLeast | AtMost | AtMostMs:
    match metric:
        case Metric.CONSISTENCY:
            return settings.consistency
        case Metric.ERROR_RATE:
            return settings.error_rate
        case Metric.PUSH_LAG:
            return settings.push_lag_p99_ms
        case Metric.FIRST_EVENT:
            return settings.first_event_success
        case Metric.FALLBACK_RATE:
            return settings.fallback_rate


def _past(value: float, limit: float, more_is_better: bool) -> bool:
    return value < limit if more_is_better else value > limit


def _samples(count: int) -> str:
    return f"{count} sample" if count == 1 else f"{count} samples"
