"""What all nodes saw, for the one that judges: this node's tallies beside those of the others.

Each node says once a second what it saw (gateway/migration/node_summaries.py). The one that leads judges the
sum, and says how far it has come, so that the next one goes on from there.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flags.guard.evidence import Evidence
from flags.guard.tally import Sums, Tally
from flags.guard.verdict import GuardState
from flags.guard.windows import SLOTS
from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

TALLIES = "tallies"
JUDGED = "judged"
"""Where both stand in what a node says."""


class Told(Protocol):
    """What another node said `age_seconds` ago, and whether it has said nothing for long."""

    @property
    def node(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def age_seconds(self) -> float: ...

    @property
    def is_gone(self) -> bool: ...

    @property
    def content(self) -> Mapping[str, Any]: ...


class Nodes(Protocol):
    """The other nodes of a log; `leads` says whether it is this one that judges.

    `has_lease` is true also while it ends, when it judges no more, and no other does yet.
    """

    @property
    def leads(self) -> bool: ...

    @property
    def has_lease(self) -> bool: ...

    @property
    def others(self) -> Sequence[Told]: ...


class Alone:
    """The only node that there is."""

    leads = has_lease = True
    others: Sequence[Told] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """How far the node that judges has come with a component: `rollout` is what it judged, as text.

    It said so at `told_at`, in monotonic seconds of this node.
    """

    rollout: str
    state: GuardState
    told_at: float


class GuardSums:
    """The sum of what the nodes saw. What can't be read of another node is left out, which a line says."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._unread: dict[str, str] = {}

    @property
    def leads(self) -> bool:
        """Whether this node judges."""
        return self._nodes.leads

    @property
    def has_lease(self) -> bool:
        """Whether no other node can have judged since this one did."""
        return self._nodes.has_lease

    @property
    def told(self) -> Sequence[Told]:
        """What the other nodes said last, for `tally` and `others`."""
        return self._nodes.others

    def tally(
        self,
        component: str,
        own: Tally,
        others: Sequence[Told],
        window_seconds: float,
        counted_seconds: float,
    ) -> Tally:
        """What all nodes saw of the component. `own` is added to, and is of no use any more.

        It takes some tens of milliseconds for each node that saw thousands, and may run in a thread.
        """
        for _, other in self.others(component, others, window_seconds, counted_seconds):
            own.merge(other)
        own.settle()
        return own

    def others(
        self, component: str, others: Sequence[Told], window_seconds: float, counted_seconds: float
    ) -> Sequence[tuple[str, Tally]]:
        """What each other node saw, with its id.

        What counts began `counted_seconds` ago: a node that has ended, or lags, says what was before it too.
        """
        found = []
        for told in others:
            given = _member(told.content, TALLIES, component)
            if given is None:
                continue
            try:
                slots = math.floor(told.age_seconds * SLOTS / window_seconds)
                tally = Tally.of(given).aged(slots)
            except ValueError:
                self._leave_out(told)
                continue
            if counted_seconds < window_seconds:
                tally = tally.since(math.floor(counted_seconds * SLOTS / window_seconds))
            if told.age_seconds > counted_seconds:
                tally.whole, tally.recent = Sums(), Sums()
            if told.is_gone:
                tally.streams = 0
            found.append((told.node, tally))
        return found

    def judged(self, component: str, others: Sequence[Told], now: float) -> Judged | None:
        """How far another node has come with the component; None where none says so. May run in a thread."""
        for told in sorted(others, key=lambda told: told.age_seconds):
            given = _member(told.content, JUDGED, component)
            if given is None:
                continue
            try:
                told_at = now - told.age_seconds
                return Judged(str(given["rollout"]), _state(given, told_at), told_at)
            except (ValueError, KeyError, TypeError, OverflowError):
                self._leave_out(told)
        return None

    @property
    def unread(self) -> Mapping[str, str]:
        """The nodes of whom something could not be read since they came: their names, by id."""
        there = {told.node for told in self._nodes.others}
        for node in tuple(self._unread):
            if node not in there:
                self._unread.pop(node, None)
        return dict(self._unread)

    def warnings(self) -> list[str]:
        """What an operator should see to, one sentence each."""
        return [
            f"What {name} says to the guard can't be read: it is left out." for name in self.unread.values()
        ]

    def _leave_out(self, told: Told) -> None:
        # Also in a thread: nothing is asked of the nodes here.
        if told.node not in self._unread:
            self._unread[told.node] = told.name
            log_event(_log, logging.WARNING, "node_tally_left_out", node=told.name)


def judged_wire(rollout: str, state: GuardState, now: float) -> dict[str, Any]:
    """How far this node has come, as JSON: times as seconds before `now`."""

    def ago(at: float | None) -> float | None:
        return None if at is None else round(now - at, 3)

    return {
        "rollout": rollout,
        "changedAgo": ago(state.changed_at),
        "successes": state.successes,
        "successAgo": ago(state.success_at),
        "failingAgo": ago(state.failing_since),
        "acted": state.acted,
        "closedAgo": ago(state.closed_at),
        "evidence": state.evidence.wire(),
    }


def _state(given: Mapping[str, Any], now: float) -> GuardState:
    def at(name: str) -> float | None:
        ago = given[name]
        if ago is None:
            return None
        if not isinstance(ago, int | float) or not math.isfinite(ago):
            raise ValueError(f"{name} is a number of seconds")
        return now - ago

    changed_at = at("changedAgo")
    if changed_at is None:
        raise ValueError("a change was at some time")
    return GuardState(
        changed_at,
        int(given["successes"]),
        at("successAgo"),
        at("failingAgo"),
        bool(given["acted"]),
        Evidence.of(given["evidence"]),
        at("closedAgo"),
    )


def _member(content: Mapping[str, Any], name: str, component: str) -> Mapping[str, Any] | None:
    found = content.get(name)
    given = found.get(component) if isinstance(found, Mapping) else None
    return given if isinstance(given, Mapping) else None
