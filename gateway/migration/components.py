"""Migration components: which entity types each owns, and how a caller gets its events.

The rules are docs/protocol.md's, section 8; `flags` decides for one caller of one component.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from flags.decide.caller import Caller
from flags.decide.decision import Decision, decide, is_retired, places_by_session
from flags.decide.flag import Flag, Flags
from flags.decide.modes import Mode
from flags.decide.stages import Stage
from gateway.core.recent import Recent
from gateway.core.selectors import Selector
from gateway.delivery.state.question import StateQuestion, question_of

STREAMING = Mode.STREAMING.value
POLLING = Mode.POLLING.value

POLL_INTERVAL_MS = 5000
"""What pollers are told where no flag says anything else."""
MAX_KEPT = 8192
"""How many ordinary selections, or plans, are remembered at most. Large ones take the room of several."""
_FEW = 4
"""For a caller of so many components deciding again costs less than remembering what was decided."""


class Asked(NamedTuple):
    """What decides how a caller gets its events: its selection, the components it names, and who it is."""

    selector: Selector
    named: tuple[str, ...]
    caller: Caller


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a caller gets its events now. Those who get them alike share a plan.

    `decisions` are those of the components that it belongs to, `modes_json` the mode of each as JSON, and
    `streaming` those of them that stream. `selector` is what a stream of it carries, and `question` the state
    of that, where it is of types that can be named. `is_polling` says that a stream has nothing to carry for
    it, `is_retired` that a poll has not. `room` is what it takes to remember, where an ordinary one takes 1.
    """

    decisions: Mapping[str, Decision]
    modes_json: str
    streaming: tuple[str, ...]
    selector: Selector
    is_polling: bool
    is_retired: bool
    poll_interval_ms: int
    question: StateQuestion | None
    room: int

    @property
    def modes(self) -> dict[str, str]:
        """The mode of each component that the caller belongs to."""
        return {component: decision.mode.value for component, decision in self.decisions.items()}

    @property
    def mode(self) -> str:
        """One mode for a caller of several components."""
        return POLLING if self.is_polling else STREAMING


class _Choices:
    """What the flags of now say of all who select the same: `belongs` are their components.

    `flags` are those of the components, and `room` is what all of it takes to remember.
    """

    __slots__ = ("belongs", "flags", "interval_ms", "retired", "room")

    def __init__(
        self,
        belongs: Sequence[str],
        flags: Sequence[Flag | None],
        retired: frozenset[str],
        interval_ms: int,
        room: int,
    ) -> None:
        self.belongs = belongs
        self.flags = flags
        self.retired = retired
        self.interval_ms = interval_ms
        self.room = room


class Components:
    """The configured components, and the flags as they are when it is asked.

    `owned` are the entity types of each. One without a flag streams and polls freely, but for those that are
    `without_source` of events: these are polled, whatever their flags say.
    """

    def __init__(
        self,
        owned: Mapping[str, frozenset[str]],
        flags: Callable[[], Flags],
        without_source: Collection[str] = (),
    ) -> None:
        self._owned = owned
        self._flags = flags
        self._without_source = frozenset(without_source)
        self._choices: Recent[tuple[Selector, Sequence[str]], _Choices] = Recent(
            MAX_KEPT, lambda choices: choices.room
        )
        self._plans: Recent[tuple[_Choices, tuple[Decision, ...]], Plan] = Recent(
            MAX_KEPT, lambda plan: plan.room
        )
        self._recent: Recent[Asked, Plan] = Recent(MAX_KEPT, lambda plan: plan.room)
        self._recent_flags = Flags()
        self._placed_by_session: dict[str, set[str]] = {}
        self._owners: dict[str, list[str]] = {}
        for component, entity_types in sorted(owned.items()):
            for entity_type in entity_types:
                self._owners.setdefault(entity_type, []).append(component)

    def owned(self, component: str) -> frozenset[str]:
        """The entity types that the component owns; none where it is not configured."""
        return self._owned.get(component, frozenset())

    def owned_by(self, components: Iterable[str]) -> frozenset[str]:
        """The entity types that any of these components owns."""
        return frozenset().union(*map(self.owned, components))

    def flag(self, component: str) -> Flag | None:
        """The component's flag as it is now."""
        return self._flags().get(component)

    def is_free(self, component: str) -> bool:
        """Whether every caller of the component gets the same answer, since no flag says anything of it."""
        flags = self._flags()
        return not flags.kill_all and flags.get(component) is None and self._has_source(component)

    def decision(self, component: str, caller: Caller) -> Decision:
        """How the caller gets the component's events, and why."""
        flags = self._flags()
        return decide(
            flags.get(component),
            caller,
            kill_all=flags.kill_all,
            stale=flags.stale,
            has_source=self._has_source(component),
        )

    def lacks_session(self, selector: Selector, named: Sequence[str], caller: Caller) -> bool:
        """Whether a percentage is to place the caller of what is selected, and it lacks a session for it."""
        self._take_over(self._flags())
        if not self._placed_by_session or caller.preference != "auto":
            return False
        wanting = [
            components
            for stickiness, components in self._placed_by_session.items()
            if caller.key(stickiness) is None
        ]
        belongs = self._belongs(selector, named) if wanting else ()
        return any(not components.isdisjoint(belongs) for components in wanting)

    def is_retired(self, component: str) -> bool:
        """Whether polling the component is over for everybody."""
        flags = self._flags()
        return self._has_source(component) and is_retired(flags.get(component), kill_all=flags.kill_all)

    def plan(self, asked: Asked) -> Plan:
        """How this caller gets its events now."""
        self._take_over(self._flags())
        choices = self._choices_of(asked.selector, asked.named)
        if len(choices.belongs) <= _FEW:
            return self._decide(asked, choices)
        return self._recent.get(asked) or self._recent.put(asked, self._decide(asked, choices))

    def _choices_of(self, selector: Selector, named: Sequence[str]) -> _Choices:
        found = self._choices.get((selector, named))
        if found is None:
            belongs = self._belongs(selector, named)
            flags = self._flags()
            found = self._choices.put(
                (selector, named),
                _Choices(
                    belongs,
                    [flags.get(component) for component in belongs],
                    frozenset(component for component in belongs if self.is_retired(component)),
                    self._poll_interval_ms(belongs),
                    room_of(selector, belongs),
                ),
            )
        return found

    def _take_over(self, flags: Flags) -> None:
        """Forgets what was found under other flags: nobody changes these, so that it holds while they do."""
        if flags is self._recent_flags:
            return
        self._recent_flags = flags
        self._choices.clear()
        self._plans.clear()
        self._recent.clear()
        self._placed_by_session.clear()
        for component, flag in flags.by_component.items():
            if places_by_session(flag) and self._has_source(component):
                self._placed_by_session.setdefault(flag.stickiness, set()).add(component)

    def _decide(self, asked: Asked, choices: _Choices) -> Plan:
        flags = self._recent_flags
        decisions = tuple(
            [
                decide(
                    flag,
                    asked.caller,
                    kill_all=flags.kill_all,
                    stale=flags.stale,
                    has_source=component not in self._without_source,
                )
                for component, flag in zip(choices.belongs, choices.flags, strict=True)
            ]
        )
        plan = self._plans.get((choices, decisions))
        if plan is None:
            made = dict(zip(choices.belongs, decisions, strict=True))
            plan = self._plans.put((choices, decisions), self._make_plan(asked, made, choices))
        return plan

    def _make_plan(self, asked: Asked, decisions: Mapping[str, Decision], choices: _Choices) -> Plan:
        streaming = tuple(
            component for component, decision in decisions.items() if decision.mode is Mode.STREAMING
        )
        retired = choices.retired
        selector = self._without(asked.selector, streaming)
        left = self._without(asked.selector, decisions.keys() - retired)
        modes = {component: decision.mode.value for component, decision in decisions.items()}
        return Plan(
            decisions,
            orjson.dumps(modes).decode(),
            streaming,
            selector,
            is_polling=bool(decisions) and not streaming and self._is_all(asked, selector),
            is_retired=bool(decisions) and retired == decisions.keys() and self._is_all(asked, left),
            poll_interval_ms=choices.interval_ms,
            question=question_of(selector, self.owned_by(asked.named)),
            room=choices.room,
        )

    def _belongs(self, selector: Selector, named: Sequence[str]) -> Sequence[str]:
        """The components that the caller names; else every one that owns a type it could receive."""
        if named:
            return named
        return tuple(
            component
            for component, entity_types in sorted(self._owned.items())
            if any(selector.may_receive(entity_type) for entity_type in entity_types)
        )

    def _without(self, selector: Selector, carrying: Iterable[str]) -> Selector:
        """`selector` without the types that are owned, and by none of the components in `carrying`."""
        carried = frozenset(carrying)
        withheld = frozenset(
            entity_type
            for entity_type, owners in self._owners.items()
            if carried.isdisjoint(owners) and selector.may_receive(entity_type)
        )
        return replace(selector, withheld=withheld) if withheld else selector

    @staticmethod
    def _is_all(asked: Asked, left: Selector) -> bool:
        """Whether its components are all that the caller is about: it names them, or it asked for no type.

        Else it is where nothing is left of the types that it asked for.
        """
        return bool(asked.named) or not asked.selector.entities or left.is_barren

    def _poll_interval_ms(self, belongs: Iterable[str]) -> int:
        flags = self._flags()
        known = [flag.poll_interval_ms for flag in map(flags.get, belongs) if flag is not None]
        return min(known, default=POLL_INTERVAL_MS)

    def in_rampdown(self, belongs: Iterable[str]) -> list[Flag]:
        """The flags of those components that are in `rampdown`."""
        flags = map(self._flags().get, filter(self._has_source, belongs))
        return [flag for flag in flags if flag is not None and flag.stage is Stage.RAMPDOWN]

    def _has_source(self, component: str) -> bool:
        return component not in self._without_source


def room_of(selector: Selector, components: Sized) -> int:
    """What it takes to remember a selection and its components, where an ordinary one takes 1.

    Callers select as they like, up to a thousand values.
    """
    return 1 + (selector.size + len(components)) // 8
