"""A component's flag, and all of them at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from flags.decide.guard_settings import GuardSettings
from flags.decide.stages import Stage
from flags.decide.targeting import MAX_RULES, Rule, Stickiness
from flags.wire_model import Name, Number, Percentage, Text, Timestamp, WireModel


class Latch(WireModel):
    """Why the guard took a component back. It holds until somebody re-arms the component."""

    at: Timestamp
    metric: Text
    value: Number
    threshold: Number
    reason: Text


def _own_name(given: dict[str, Any]) -> str:
    return str(given["component"])


class Flag(WireModel):
    """Everything that decides how callers of a component get its events (flags/decide/decision.py).

    `percentage` of the callers stream while the stage is `live`, bucketed by `stickiness` within `group`,
    which is the component's own name unless several components are to move a caller as one. `targeting`
    is read from top to bottom; the first rule that matches counts. `killed` and `latch` send everybody to
    polling. `sunset` is when polling ends. `poll_interval_ms` is what pollers are told; one in
    `check_ratio` polled answers is compared with what was pushed. `revision` is the store's.
    """

    component: Name
    stage: Annotated[Stage, Field(strict=False)] = Stage.OFF
    percentage: Percentage = 0
    stickiness: Stickiness = "default"
    group: Name = Field(default_factory=_own_name)
    targeting: Annotated[tuple[Rule, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    killed: bool = False
    latch: Latch | None = None
    sunset: Timestamp | None = None
    poll_interval_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 5000
    check_ratio: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    guard: GuardSettings = GuardSettings()
    revision: Annotated[int, Field(ge=1)]

    def numbered(self, revision: int) -> "Flag":
        """The same flag as another revision."""
        return self if revision == self.revision else self.model_copy(update={"revision": revision})


@dataclass(frozen=True, slots=True)
class Flags:
    """All flags at one moment. Nobody changes it; the store gives a new one.

    `kill_all` sends every caller of every component to polling. `stale` says that the store can't be
    reached, or holds something that can't be used: these are the last good flags.
    """

    by_component: Mapping[str, Flag] = field(default_factory=lambda: MappingProxyType({}))
    kill_all: bool = False
    stale: bool = False

    def get(self, component: str) -> Flag | None:
        """The component's flag, or None where it has none."""
        return self.by_component.get(component)
