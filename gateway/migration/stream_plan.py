"""What a change of the flags means for the streams that are open (docs/protocol.md, section 8).

The hub asks for each of them; it knows nothing of flags itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flags.decide.caller import Caller
from gateway.core import chance, control_frames
from gateway.core.recent import Recent
from gateway.core.selectors import Selector
from gateway.delivery.reassign import Reassignment
from gateway.migration.components import MAX_KEPT, Asked, Components, Plan
from gateway.migration.links import poll_url

Selection = tuple[Selector, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Footing:
    """What a stream was opened with, and what it was sent last."""

    asked: Asked
    plan: Plan


class StreamPlans:
    """Says what each open stream is to get from now on.

    `current` gives the caller as it is now: its own choice may have changed. `draw(low, high)` is where
    chance comes in.
    """

    def __init__(
        self,
        components: Components,
        current: Callable[[Caller], Caller],
        draw: Callable[[float, float], float] = chance.draw,
    ) -> None:
        self._draw = draw
        self._components = components
        self._current = current
        self._footings: Recent[Asked, Footing] = Recent(MAX_KEPT, lambda footing: footing.plan.room)

    def footing(self, asked: Asked) -> Footing:
        """What a stream that asks for this stands on now. Equal ones are one object while they are new.

        It is kept as long as the stream is open, and of a stream nothing else is.
        """
        plan = self._components.plan(asked)
        caller = asked.caller
        if caller.client or caller.session or caller.user:
            # Hardly any other stream is this caller's: it is not looked for.
            return Footing(asked, plan)
        return self._shared(asked, plan)

    def _shared(self, asked: Asked, plan: Plan) -> Footing:
        footing = self._footings.get(asked)
        if footing is None or footing.plan is not plan:
            footing = self._footings.put(asked, Footing(asked, plan))
        return footing

    def reassignment(self, footing: Footing) -> Reassignment | None:
        """See gateway.delivery.reassign.ReassignmentFor."""
        asked = footing.asked
        caller = self._current(asked.caller)
        if caller is not asked.caller:
            asked = Asked(asked.selector, asked.named, caller)
        plan = self._components.plan(asked)
        known = footing.plan
        if plan is known or (plan.modes == known.modes and plan.selector == known.selector):
            return None
        after = self._shared(asked, plan)
        tell = partial(self._tell, footing, after)
        return Reassignment(plan.selector, after, tell, ends=plan.is_polling, question=plan.question)

    def _tell(self, before: Footing, after: Footing, cursor: str) -> bytes:
        modes = before.plan.modes
        asked, plan = after.asked, after.plan
        frames = []
        for component, decision in plan.decisions.items():
            if modes.get(component) != decision.mode:
                flag = self._components.flag(component)
                interval_ms = plan.poll_interval_ms if flag is None else flag.poll_interval_ms
                frames.append(
                    control_frames.fetch_mode(
                        component=component,
                        mode=decision.mode,
                        reason=decision.reason,
                        delay_ms=round(self._draw(0, interval_ms)),
                        cursor=cursor,
                        poll_url=poll_url(
                            asked.selector.narrowed(self._components.owned(component)),
                            (component,),
                            asked.caller,
                            cursor,
                        ),
                    )
                )
        return b"".join(frames)
