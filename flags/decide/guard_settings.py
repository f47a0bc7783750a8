"""What the guard holds a component to: when it may go on, and when it must go back."""

from operator import le
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from flags.wire_model import Number, Percentage, Ratio, WireModel, shortest

Milliseconds = Annotated[Number, Field(ge=0, le=3_600_000)]


class AtLeast(WireModel):
    """A share of which more is better: promotes at `promote` or more, fails below `fail`."""

    promote: Ratio
    fail: Ratio

    @model_validator(mode="after")
    def _promote_is_stricter(self) -> Self:
        if self.promote < self.fail:
            raise PydanticCustomError("thresholds", "promote must not be less than fail")
        return self


class AtMost(WireModel):
    """A share of which less is better: promotes at `promote` or less, fails above `fail`."""

    promote: Ratio
    fail: Ratio

    @model_validator(mode="after")
    def _promote_is_stricter(self) -> Self:
        if self.promote > self.fail:
            raise PydanticCustomError("thresholds", "promote must not be more than fail")
        return self


class AtMostMs(WireModel):
    """A duration in milliseconds: promotes at `promote` or less, fails above `fail`."""

    promote: Milliseconds
    fail: Milliseconds

    @model_validator(mode="after")
    def _promote_is_stricter(self) -> Self:
        if self.promote > self.fail:
            raise PydanticCustomError("thresholds", "promote must not be more than fail")
        return self


def _ascending(steps: tuple[float, ...]) -> tuple[float, ...]:
    if any(map(le, steps, (0, *steps))):
        raise PydanticCustomError("steps", "must rise, from above 0")
    return steps


Steps = Annotated[
    tuple[Percentage, ...],
    Field(strict=False, min_length=1, max_length=100),
    AfterValidator(_ascending),
]


Margin = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), AfterValidator(shortest), SerializeAsAny()]
"""How much worse those who stream may fare than those who poll: a difference of shares, above 0."""

LATE_MARGIN = 0.04
"""That of changes that are seen late: the thresholds of their lag are no shares."""


class Margins(WireModel):
    """The margins that somebody chose, by metric; None is the distance between its `promote` and `fail`."""

    error_rate: Margin | None = None
    push_lag_p99_ms: Margin | None = Field(default=None, alias="pushLagP99Ms")
    first_event_success: Margin | None = None
    fallback_rate: Margin | None = None


class GuardSettings(WireModel):
    """Thresholds per metric, and how much evidence a verdict needs.

    With `confidence` no component is taken back, of all times that it is judged, for a difference between
    those who stream and those who poll that is no larger than its margin in truth. A change is late that is
    seen more than `fresh_ms` after the gateway knew it. With `trust_timestamps` the lag is judged from an
    event's own timestamp, which its publisher writes. A verdict takes at least `min_samples` samples of the
    last `window_seconds`. `steps` are the percentages of a gradual rollout; with `auto_promote` the guard
    goes on to the next after `successes_to_promote` successes in a row. With `dry_run` it says what it would
    do, and does nothing.
    """

    consistency: AtLeast = AtLeast(promote=0.999, fail=0.99)
    error_rate: AtMost = AtMost(promote=0.01, fail=0.05)
    push_lag_p99_ms: AtMostMs = Field(default=AtMostMs(promote=1000, fail=5000), alias="pushLagP99Ms")
    first_event_success: AtLeast = AtLeast(promote=0.99, fail=0.95)
    fallback_rate: AtMost = AtMost(promote=0.01, fail=0.05)
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    window_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    steps: Steps = (1, 5, 10, 25, 50, 100)
    successes_to_promote: Annotated[int, Field(ge=1, le=1000)] = 3
    confidence: Annotated[float, Field(ge=0.5, le=0.9999, allow_inf_nan=False)] = 0.95
    margins: Margins = Margins()
    fresh_ms: Annotated[Milliseconds, Field(gt=0)] = 1000
    trust_timestamps: bool = False
    auto_promote: bool = False
    dry_run: bool = True

    def margin(self, metric: str) -> float:
        """The margin of the metric that is called so in JSON. Raises KeyError for one without a control."""
        chosen = self.margins.wire()[metric]
        if chosen is not None:
            return float(chosen)
        threshold = self.wire()[metric]
        distance = abs(threshold["promote"] - threshold["fail"])
        return LATE_MARGIN if metric == "pushLagP99Ms" else round(distance, 10)
