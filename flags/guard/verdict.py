"""May a component's rollout go on, must it go back, or is it to wait? Pure: figures in, a verdict out.

The rules, in the order in which they count:

- A component whose latch is set is not judged: it waits until somebody re-arms it.
- What happened before the last change of the rollout, and in the first tenth of a window after it, is not
  looked at: clients that come and go because of the change are no evidence.
- A metric that is past its `fail` threshold in the last window fails the component: that is a limit that no
  rollout may pass. So does harm that is past its margin: those who stream fare worse than those who poll, and
  it is not chance (flags/guard/cohorts.py).
- A failure counts once it has lasted for a fifth of a window, at every evaluation in between. Where the last
  tenth of the window, with samples enough for a verdict, is not past the limit, the bad spell is over and
  fails nothing. So a spell shorter than a tenth of a window, one bad second, does not flap.
- Too few samples of a metric are inconclusive, none are no data. Neither is a success, neither a failure, and
  neither ends a row of successes.
- A metric between its thresholds holds the component, and ends a row of successes. One that has a control is
  not held to its `promote` threshold: its harm has to be below the margin. As long as that is open the
  component is held, and the row goes on.
- What is left is a success. Successes are counted a whole window apart, so that no two rest on the same
  evidence; the first a whole window after the change. Enough in a row promote to the next step, where
  automatic promotion is on and there is a control.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from flags.decide.guard_settings import AtLeast, AtMost, AtMostMs, GuardSettings
from flags.guard.callers import CALLERS_AN_ADDRESS, STREAMED
from flags.guard.cohort_text import beside, side_by_side
from flags.guard.cohorts import FEWEST, Comparison, Outcome, compare, has_control
from flags.guard.confidence import Arm
from flags.guard.evidence import Evidence
from flags.guard.figure_text import limit, measured
from flags.guard.metrics import Figure, Metric, figures, lone_address, recent_figures, without_address
from flags.guard.tally import Tally
from flags.guard.window import TENTH
from flags.guard.windows import SLOTS

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

    `metric`, `value` and `threshold` are None where no single one did. `samples` are the metric's. `words`
    are for people, behind what is to be said of the `comparison`. With a `comparison` the value is the harm
    beside those who poll, and the threshold its margin; with `is_open` more evidence will decide, and a row
    of successes goes on.
    """

    kind: Kind
    words: str
    metric: Metric | None = None
    value: float | None = None
    threshold: float | None = None
    samples: int = 0
    is_open: bool = False
    comparison: Comparison | None = None

    @property
    def sentence(self) -> str:
        """For people. The bounds in it take some milliseconds, so that it is made where somebody reads it."""
        beginning = "" if self.comparison is None else beside(self.comparison)
        return f"{beginning} {self.words}".strip()


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
    `draws_callers`: each caller is drawn by itself, and not with others, as by a tenant.
    """

    streaming: bool
    percentage: float | None
    latched: bool
    draws_callers: bool = True

    def is_of_streams(self, tally: Tally) -> bool:
        """Whether those who are to stream are judged, and not all who are there: at 0 % there may be none."""
        return self.streaming and (self.percentage != 0 or any(tally.callers[side] for side in STREAMED))


@dataclass(frozen=True, slots=True)
class GuardState:
    """What the guard remembers between evaluations.

    `changed_at` is when the rollout last changed (its stage, percentage, latch, or what draws), or the guard
    began: then it starts over with `GuardState(now)`. `acted` says that the failure of `failing_since` has
    been acted upon. `evidence` is of the windows that were over by `closed_at`.
    """

    changed_at: float
    successes: int = 0
    success_at: float | None = None
    failing_since: float | None = None
    acted: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    closed_at: float | None = None


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
    tally: Tally,
    state: GuardState,
    rollout: Rollout,
    now: float,
    unmeasured: Collection[Metric] = (),
) -> Evaluation:
    """Judges a component at `now` (monotonic seconds) by what all nodes saw from `begin_of(settings, state)`
    on.

    `unmeasured` are metrics that the component can't have: consistency where push is made from the very poll,
    the clients' metrics where nobody streams yet. No promotion waits for them.
    """
    if rollout.latched:
        sentence = "An automatic rollback has latched: nothing is judged until the component is re-armed."
        return Evaluation(Verdict(Kind.HOLD, sentence), GuardState(state.changed_at))
    state = _with_evidence(settings, tally, state, now)
    comparisons = compared(settings, tally, state, rollout, now)
    known = figures(
        tally, is_streaming=rollout.is_of_streams(tally), trusts_timestamps=settings.trust_timestamps
    ).by_metric
    verdict = judge(settings, known, unmeasured, comparisons)
    if verdict.kind is Kind.FAIL and _is_over(settings, tally, verdict):
        words = f"{verdict.words} The last {TENTH * settings.window_seconds:g} s are better."
        verdict = replace(verdict, kind=Kind.HOLD, words=words)
    if verdict.kind is Kind.FAIL:
        return _failing(settings, state, rollout, verdict, now)
    state = replace(state, failing_since=None, acted=False)
    if verdict.kind is Kind.HOLD and not verdict.is_open:
        return Evaluation(verdict, replace(state, successes=0, success_at=None))
    if verdict.kind is Kind.PROMOTE and comparisons is None and rollout.percentage is not None:
        return Evaluation(_without_control(rollout, rollout.percentage, verdict), state)
    if verdict.kind is Kind.PROMOTE:
        return _succeeding(settings, state, rollout, verdict, now)
    if verdict.kind is Kind.INCONCLUSIVE and tally.is_crowded:
        verdict = replace(verdict, words=f"{verdict.words} {_CROWDED}")
    return Evaluation(verdict, state)


_CROWDED = (
    f"More than {CALLERS_AN_ADDRESS} callers came from one address, and the others do not count: "
    "server.trusted_proxies tells apart who is behind a proxy."
)


def begin_of(settings: GuardSettings, state: GuardState) -> float:
    """From when on it counts what happened: a tenth of a window after the change."""
    return state.changed_at + TENTH * settings.window_seconds


def compared(
    settings: GuardSettings, tally: Tally, state: GuardState, rollout: Rollout, now: float
) -> Sequence[Comparison] | None:
    """Those who stream beside those who poll, since the last change; None where there is no control.

    Harm of before that the last window does not show any more, or at a single address alone, is not held
    against push.
    """
    if rollout.percentage is None or not 0 < rollout.percentage < 100 or not rollout.draws_callers:
        return None
    since = begin_of(settings, state) if state.closed_at is None else state.closed_at
    slots = math.ceil(max(0.0, now - since) * SLOTS / settings.window_seconds)
    arms = state.evidence.arms(tally, min(SLOTS, slots))
    if not has_control(arms):
        return None
    return [
        one.unless_over(*_lately(tally, one.metric)) if one.outcome is Outcome.WORSE else one
        for one in compare(settings, arms, state.evidence.arms(tally, 0))
    ]


def _lately(tally: Tally, metric: Metric) -> tuple[Arm, Arm]:
    """Both sides in the last window, but for an address whose callers prove nothing."""
    return Evidence().arms(without_address(tally, lone_address(tally, metric)), SLOTS)[metric]


def judge(
    settings: GuardSettings,
    known: Mapping[Metric, Figure],
    unmeasured: Collection[Metric],
    comparisons: Sequence[Comparison] | None,
) -> Verdict:
    """The verdict on all metrics together."""
    controls = {one.metric: one for one in comparisons or ()}
    verdicts = [
        _judge_metric(
            metric, figure, _threshold(settings, metric), settings.min_samples, controls.get(metric)
        )
        for metric, figure in known.items()
        if metric not in unmeasured
    ]
    if all(verdict.kind is Kind.NO_DATA for verdict in verdicts):
        return Verdict(Kind.NO_DATA, "No traffic: neither a success nor a failure.")
    ranked = sorted(verdicts, key=lambda verdict: verdict.is_open)
    for kind in (Kind.FAIL, Kind.HOLD, Kind.INCONCLUSIVE, Kind.NO_DATA):
        for verdict in ranked:
            if verdict.kind is kind:
                # One metric without data beside others with data leaves the whole undecided.
                return replace(verdict, kind=Kind.INCONCLUSIVE) if kind is Kind.NO_DATA else verdict
    if comparisons is None:
        return Verdict(Kind.PROMOTE, "Every metric is good enough to go on.")
    return Verdict(
        Kind.PROMOTE, f"No harm beside those who poll: {', '.join(map(side_by_side, comparisons))}."
    )


def _judge_metric(
    metric: Metric,
    figure: Figure,
    threshold: AtLeast | AtMost | AtMostMs,
    min_samples: int,
    comparison: Comparison | None,
) -> Verdict:
    def verdict(kind: Kind, threshold: float | None, sentence: str) -> Verdict:
        held_to = None if threshold is None else float(threshold)
        return Verdict(kind, sentence, metric, figure.value, held_to, figure.samples)

    if figure.value is None:
        return verdict(Kind.NO_DATA, None, f"{metric} has no samples.")
    shown = f"{metric} is {measured(metric, figure.value)} over {_samples(figure.samples)}"
    if comparison is not None and comparison.outcome is Outcome.WORSE:
        found = _beside(comparison, figure.samples)
        if found.samples >= min_samples:
            return found
    if figure.samples < min_samples:
        if comparison is not None and comparison.treated.values >= min_samples:
            # Fewer than that in the last window, and enough since the change.
            return _beside(comparison, figure.samples)
        return verdict(Kind.INCONCLUSIVE, None, f"{shown}: a verdict takes {min_samples}.")
    more_is_better = isinstance(threshold, AtLeast)
    if _past(figure.value, threshold.fail, more_is_better):
        bound = f"{'below' if more_is_better else 'above'} {limit(metric, threshold.fail)}"
        if figure.without_noise is None or not _past(figure.without_noise, threshold.fail, more_is_better):
            noise = "where polling disagrees with itself" if metric is Metric.CONSISTENCY else _NOISE
            detail = f"{shown}, {bound}, but only {noise}."
            return verdict(Kind.INCONCLUSIVE, threshold.fail, detail)
        return verdict(Kind.FAIL, threshold.fail, f"{shown}, {bound}.")
    if comparison is not None:
        return _beside(comparison, figure.samples)
    if _past(figure.value, threshold.promote, more_is_better):
        wanted = f"{'at least' if more_is_better else 'at most'} {limit(metric, threshold.promote)}"
        return verdict(Kind.HOLD, threshold.promote, f"{shown}: going on takes {wanted}.")
    return verdict(Kind.PROMOTE, threshold.promote, f"{shown}.")


_NOISE = (
    "in a bad spell that is over, at a single address, or in the gateway's own polls, which hits everybody "
    "alike"
)


def _beside(comparison: Comparison, samples: int) -> Verdict:
    """What the control says of a metric."""
    kind = {Outcome.WORSE: Kind.FAIL, Outcome.FINE: Kind.PROMOTE, Outcome.UNDECIDED: Kind.HOLD}
    return Verdict(
        kind[comparison.outcome],
        "",
        comparison.metric,
        comparison.harm,
        comparison.margin,
        max(samples, math.floor(comparison.treated.values)),
        is_open=comparison.outcome is Outcome.UNDECIDED,
        comparison=comparison,
    )


NO_SAMPLES_OF_CALLERS = (
    "The percentage draws by what many callers share (stickiness), and those fare alike: they are no "
    "samples, so there is no control."
)


def _without_control(rollout: Rollout, percentage: float, verdict: Verdict) -> Verdict:
    if percentage in (0, 100):
        side = "streams" if percentage == 100 else "polls"
        sentence = f"Every limit is kept. Everybody {side}, so there is no control: nothing is promoted."
        return replace(verdict, words=sentence)
    if not rollout.draws_callers:
        sentence = f"Every limit is kept. {NO_SAMPLES_OF_CALLERS} Nothing is promoted."
        return replace(verdict, kind=Kind.INCONCLUSIVE, words=sentence)
    sentence = (
        f"Every limit is kept, but fewer than {FEWEST} callers stream or poll by the percentage: without a "
        "control nothing is promoted."
    )
    return replace(verdict, kind=Kind.INCONCLUSIVE, words=sentence)


def _with_evidence(settings: GuardSettings, tally: Tally, state: GuardState, now: float) -> GuardState:
    """The state with the window that is over, where one is.

    A window that by itself shows no harm where those before it did is the first of those that count: what did
    the harm was mended.
    """
    since = begin_of(settings, state) if state.closed_at is None else state.closed_at
    if now - since < settings.window_seconds:
        return replace(state, closed_at=since)
    alone = Evidence().with_window(tally)
    before, lately = (
        compare(settings, arms, arms) for arms in (state.evidence.arms(tally, 0), alone.arms(tally, 0))
    )
    is_mended = any(
        one.outcome is Outcome.WORSE and other.outcome is Outcome.FINE
        for one, other in zip(before, lately, strict=True)
    )
    evidence = alone if is_mended else state.evidence.with_window(tally)
    return replace(state, evidence=evidence, closed_at=now)


def _is_over(settings: GuardSettings, tally: Tally, verdict: Verdict) -> bool:
    """Whether what failed is a bad spell that the last tenth of the window has left behind.

    Of callers that was seen before: who fared badly, and well since (`metrics.spell_of`).
    """
    if verdict.metric is None or verdict.comparison is not None:
        return False
    found = recent_figures(tally, trusts_timestamps=settings.trust_timestamps).get(verdict.metric)
    if found is None or found.value is None or found.samples < settings.min_samples:
        return False
    threshold = _threshold(settings, verdict.metric)
    return not _past(found.value, threshold.fail, isinstance(threshold, AtLeast))


def _failing(
    settings: GuardSettings, state: GuardState, rollout: Rollout, verdict: Verdict, now: float
) -> Evaluation:
    since = now if state.failing_since is None else state.failing_since
    state = replace(state, successes=0, success_at=None, failing_since=since)
    lasts = FIFTH * settings.window_seconds
    if now - since < lasts:
        words = f"{verdict.words} It fails if that lasts {lasts:g} s; so far {now - since:.1f} s."
        return Evaluation(replace(verdict, kind=Kind.HOLD, words=words.strip()), state)
    if state.acted or not rollout.streaming or verdict.metric is None:
        return Evaluation(verdict, state)
    value, threshold = verdict.value or 0.0, verdict.threshold or 0.0
    action = RollBack(verdict.metric, value, threshold, verdict.sentence, settings.dry_run)
    return Evaluation(verdict, replace(state, acted=True), action)


def _succeeding(
    settings: GuardSettings, state: GuardState, rollout: Rollout, verdict: Verdict, now: float
) -> Evaluation:
    looked_at_since = begin_of(settings, state)
    last = looked_at_since if state.success_at is None else state.success_at
    if now - last >= settings.window_seconds:
        state = replace(state, successes=state.successes + 1, success_at=now)
    wanted = settings.successes_to_promote
    verdict = replace(verdict, words=f"{verdict.words} Successes in a row: {state.successes} of {wanted}.")
    step = None if rollout.percentage is None else next_step(settings.steps, rollout.percentage)
    if not settings.auto_promote or step is None or state.successes < wanted:
        return Evaluation(verdict, state)
    return Evaluation(verdict, replace(state, successes=0), Promote(step, verdict.sentence, settings.dry_run))


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
