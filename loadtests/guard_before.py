"""The rule of before, for comparison: fixed thresholds for the figures of requests."""

from collections import Counter, deque

from flags.decide.guard_settings import GuardSettings
from flags.guard.callers import Side
from flags.guard.metrics import Metric
from flags.guard.verdict import FIFTH, next_step
from flags.guard.windows import SLOTS
from loadtests.guard_judges import EVERY_SECONDS, Changes, Decision
from loadtests.guard_world import WINDOW_SECONDS, Caller, What, World


class FixedThresholds:
    """The rule of before: request figures of the window, each held to `promote` and `fail` by itself.

    Past `fail` for a fifth of the window rolls back. All at `promote` or better, a window apart,
    `successes_to_promote` times in a row promotes. Errors are a share of all answers, whoever asked.
    """

    def __init__(self, settings: GuardSettings, world: World, changes: Changes) -> None:
        self._settings, self._world, self._changes = settings, world, changes
        self._window: deque[Counter[str]] = deque(maxlen=SLOTS)
        self._slot: Counter[str] = Counter()
        self._begin = 0.0
        self._successes, self._success_at = 0, 0.0
        self._failing_since: float | None = None
        self.evaluations = 0

    def settle(self, percentage: float, now: float) -> None:
        """A change starts the guard over."""
        self._percentage = percentage
        self._begin = self._success_at = now + 0.1 * WINDOW_SECONDS
        self._successes, self._failing_since = 0, None
        self._window.clear()
        self._slot.clear()

    def happened(self, at: float, what: What, caller: Caller) -> None:
        """Counts answers and reports; one that is followed stands for all that the table leaves out."""
        weight = 1 << self._world.levels[caller.side]
        if what is What.FAILED:
            self._slot["failed"] += weight
        elif what is What.CAME and caller.side is Side.TREATED and not caller.is_hopeless:
            self._slot["answered"] += weight
            self._slot["mute" if caller.is_swallowed else "began"] += weight

    def judge(self, now: float) -> Decision | None:
        """Holds the figures of the window to the thresholds."""
        self.evaluations += 1
        self._changes.advance(now)
        polls = self._world.sizes[Side.CONTROL] * EVERY_SECONDS / (0.9 * self._world.habits.poll_seconds)
        self._slot["answered"] += round(polls)
        if now > self._begin:
            self._window.append(Counter(self._slot))
        self._slot.clear()
        if now <= self._begin:
            return None
        known = self._figures(now)
        failing = [metric for metric, (value, _, fail, samples) in known.items() if value > fail and samples]
        if failing:
            return self._failing(failing[0], known[failing[0]][3], now)
        self._failing_since = None
        if any(value > promote and samples for value, promote, _, samples in known.values()):
            self._successes, self._success_at = 0, max(self._begin, now - WINDOW_SECONDS)
        elif all(samples for *_, samples in known.values()) and now - self._success_at >= WINDOW_SECONDS:
            self._successes, self._success_at = self._successes + 1, now
        step = next_step(self._settings.steps, self._percentage)
        if step is not None and self._successes >= self._settings.successes_to_promote:
            return Decision(step, "", known[Metric.FIRST_EVENT][3])
        return None

    def wanted(self, now: float) -> int | None:
        """It can't say."""
        return None

    def _failing(self, metric: Metric, samples: int, now: float) -> Decision | None:
        self._successes, self._success_at = 0, max(self._begin, now - WINDOW_SECONDS)
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since < FIFTH * WINDOW_SECONDS:
            return None
        return Decision(None, metric.value, samples, by_limit=True)

    def _figures(self, now: float) -> dict[Metric, tuple[float, float, float, int]]:
        """By metric its value, of which less is better, `promote`, `fail` and the samples; 0 for too few."""
        total: Counter[str] = Counter()
        for slot in self._window:
            total.update(slot)
        settings, streams = self._settings, total["began"] + total["mute"]
        answers = total["answered"] + total["failed"]
        mute = total["mute"] / max(1, streams)
        lags = self._changes.tally(self._begin, now).whole.lags
        first, fallback = settings.first_event_success, settings.fallback_rate
        error, lag = settings.error_rate, settings.push_lag_p99_ms
        found: dict[Metric, tuple[float, float, float, int]] = {
            Metric.ERROR_RATE: (total["failed"] / max(1, answers), error.promote, error.fail, answers),
            Metric.FIRST_EVENT: (mute, 1 - first.promote, 1 - first.fail, streams),
            Metric.FALLBACK_RATE: (mute, fallback.promote, fallback.fail, streams),
            Metric.PUSH_LAG: (lags.quantile(0.99) or 0.0, float(lag.promote), float(lag.fail), lags.total),
        }
        return {
            metric: (value, promote, fail, samples if samples >= settings.min_samples else 0)
            for metric, (value, promote, fail, samples) in found.items()
        }
