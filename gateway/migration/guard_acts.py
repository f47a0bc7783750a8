"""What the guard does: it changes a flag as any operator would, and says so."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flags.decide.flag import Flag
from flags.errors import FlagError
from flags.guard.verdict import Action, RollBack
from flags.store.port import FlagStore
from gateway.core.times import rfc3339
from gateway.ports.clock import Clock
from gateway.runtime.logs import log_event
from gateway.runtime.outage import REMINDER_SECONDS

_log = logging.getLogger(__name__)

WHO = "guard"
"""Who made the change, in the audit trail."""

Acted = Callable[[str, Mapping[str, Any], str], None]
"""Hears of what was done: the component, the change and the reason."""


@dataclass(slots=True)
class GuardCounters:
    """What the guard has done since the process began, by component.

    `refused` are actions that the store did not take, each time; `dry_runs` those that it was only to tell.
    `evaluations` are those of all components.
    """

    evaluations: int = 0
    rollbacks: Counter[str] = field(default_factory=Counter)
    promotions: Counter[str] = field(default_factory=Counter)
    dry_runs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class GuardActs:
    """Carries out what a verdict asks for, and counts it. `acted` hears of what was done."""

    def __init__(self, store: FlagStore, clock: Clock, acted: Acted) -> None:
        self._store = store
        self._clock = clock
        self._acted = acted
        self._refusal_told_at: dict[str, float] = {}
        self.counters = GuardCounters()

    def tell_of(self, flag: Flag, action: Action) -> None:
        """A dry run only says what it would do."""
        self.counters.dry_runs[flag.component] += 1
        _tell(logging.WARNING, "guard_dry_run", flag, action)

    async def carry_out(self, flag: Flag, action: Action) -> bool:
        """Changes the flag, if it is still the one that was judged; says whether the store took it."""
        fields, reason = self._change(flag, action)
        try:
            await self._store.change(
                flag.component, fields, expected_revision=flag.revision, who=WHO, reason=reason
            )
        except FlagError as error:
            self._refused(flag, action, error)
            return False
        self._refusal_told_at.pop(flag.component, None)
        self._acted(flag.component, fields, reason)
        if isinstance(action, RollBack):
            self.counters.rollbacks[flag.component] += 1
            _tell(logging.WARNING, "guard_rolled_back", flag, action)
        else:
            self.counters.promotions[flag.component] += 1
            _tell(logging.INFO, "guard_promoted", flag, action)
        return True

    def _change(self, flag: Flag, action: Action) -> tuple[dict[str, Any], str]:
        if isinstance(action, RollBack):
            latch = {
                "at": rfc3339(self._clock.wall_ms()),
                "metric": action.metric.value,
                "value": action.value,
                "threshold": action.threshold,
                "reason": action.reason,
            }
            return {"latch": latch}, f"automatic rollback: {action.reason}"
        reason = f"promotion from {flag.percentage:g} % to {action.percentage:g} %: {action.reason}"
        return {"percentage": action.percentage}, reason

    def _refused(self, flag: Flag, action: Action, error: FlagError) -> None:
        self.counters.refused[flag.component] += 1
        now = self._clock.monotonic()
        if now - self._refusal_told_at.get(flag.component, -math.inf) >= REMINDER_SECONDS:
            self._refusal_told_at[flag.component] = now
            _tell(logging.ERROR, "guard_refused", flag, action, error=error.detail)


def _tell(level: int, event: str, flag: Flag, action: Action, **fields: object) -> None:
    if isinstance(action, RollBack):
        what: dict[str, object] = {
            "action": "roll_back",
            "metric": action.metric,
            "value": action.value,
            "threshold": action.threshold,
        }
    else:
        what = {"action": "promote", "percentage": action.percentage}
    log_event(_log, level, event, component=flag.component, **what, reason=action.reason, **fields)
