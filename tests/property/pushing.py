"""A naive world for parity: an upstream that changes, push that tells it with a lag, polls that are stale.

Times are seconds. The truth is a list of changes; all else is derived from it, so that a test can break one
thing and know what ought to be found.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson
from hypothesis import strategies as st

from flags.parity.canonical import STRICT
from flags.parity.comparison import Parity, PolledAnswer
from flags.parity.fold import PushedEvent
from tests.support.steps import finish

SETTLE = 2.0
FIRST_CHANGE = 3 * SETTLE
KEYS = ("A", "B")

State = dict[str, dict[str, Any]]


class Change(NamedTuple):
    """At `at` the upstream's item `key` becomes `item`, or goes away."""

    at: float
    key: str
    item: dict[str, Any] | None


class Poll(NamedTuple):
    """Asked, answered with what was true at `shows`, and compared."""

    asked_at: float
    received_at: float
    shows: float
    compared_at: float


@dataclass
class World:
    """An upstream's history, what push says of it (in the log's order, with arrival times), and the polls."""

    initial: State
    changes: list[Change]
    pushed: list[tuple[float, PushedEvent]]
    polls: list[Poll]
    begins_at: float = 0.0

    def truth(self, at: float) -> State:
        """The upstream's items at one moment."""
        state = dict(self.initial)
        for change in self.changes:
            if change.at <= at:
                state.pop(change.key, None)
                if change.item is not None:
                    state[change.key] = change.item
        return state

    def told(self) -> State:
        """What a client holds that began with the initial items and was told everything."""
        state = dict(self.initial)
        for _, event in self.pushed:
            state.pop(event.entity_id, None)
            if event.action != "delete":
                assert event.data is not None
                state[event.entity_id] = dict(event.data)
        return state

    def settled(self, rounds: int) -> None:
        """Adds polls, a little over a settle window apart, after everything has come to rest."""
        last = max([0.0, *(at for at, _ in self.pushed), *(poll.compared_at for poll in self.polls)])
        at = last + 2 * SETTLE
        for _ in range(rounds):
            at += SETTLE + 0.25
            self.polls.append(Poll(at, at, at, at))

    def renumber(self) -> None:
        """Gives the events the positions in which they are told."""
        self.pushed = [
            (at, replace(event, position=(number, 0))) for number, (at, event) in enumerate(self.pushed, 1)
        ]

    def run(self, parity: Parity) -> None:
        """Plays it all in the order of time."""
        steps: list[tuple[float, int, PushedEvent | Poll]] = []
        steps += [(at, 0, event) for at, event in self.pushed if at > self.begins_at]
        steps += [(poll.compared_at, 1, poll) for poll in self.polls if poll.asked_at >= self.begins_at]
        for at, _, step in sorted(steps, key=lambda step: step[:2]):
            if isinstance(step, PushedEvent):
                finish(parity.applying(step, at))
            else:
                finish(parity.comparing(self._answer(step), at))

    def parity(self) -> Parity:
        """A comparison that begins where this world says."""
        position = self._cursor(self.begins_at)
        return Parity("order", STRICT, SETTLE, position, self.begins_at)

    def _cursor(self, at: float) -> tuple[int, ...]:
        return max([(0, 0), *(event.position for arrived, event in self.pushed if arrived <= at)])

    def _answer(self, poll: Poll) -> PolledAnswer:
        items = {key: orjson.dumps(item) for key, item in self.truth(poll.shows).items()}
        return PolledAnswer(self._cursor(poll.asked_at), poll.asked_at, poll.received_at, items)


SOON = st.integers(0, 6).map(lambda ticks: ticks / 4)
WITHIN = st.integers(0, 8).map(lambda ticks: ticks * SETTLE / 8)
ITEMS = st.integers(0, 2).map(lambda stage: {"stage": stage})
STEPS = st.tuples(SOON, st.sampled_from(KEYS), st.none() | ITEMS | ITEMS, WITHIN)
POLLS = st.tuples(SOON, SOON.map(lambda seconds: seconds / 4), WITHIN, st.booleans(), SOON)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Worlds in which push is right: full states, in order, each within a settle window of its change.

    They are at rest until FIRST_CHANGE, with one poll before it, and the comparison begins at 0.
    """
    initial = draw(st.dictionaries(st.sampled_from(KEYS), ITEMS))
    with_previous = draw(st.booleans())
    at, arrived, state = FIRST_CHANGE, 0.0, dict(initial)
    changes: list[Change] = []
    pushed: list[tuple[float, PushedEvent]] = []
    for gap, key, item, lag in draw(st.lists(STEPS, min_size=2, max_size=12)):
        before = state.get(key)
        if before == item:
            continue
        at += gap
        arrived = max(arrived, at + lag)
        changes.append(Change(at, key, item))
        pushed.append((arrived, event(len(changes), key, before, item, with_previous=with_previous)))
        state.pop(key, None)
        if item is not None:
            state[key] = item
    return World(initial, changes, pushed, draw(polls()))


@st.composite
def polls(draw: st.DrawFn) -> list[Poll]:
    """Polls one after the other, each at most one settle window stale and compared soon after."""
    at = SETTLE + 0.25
    found = [Poll(at, at, at, at)]
    at = FIRST_CHANGE - 1
    for gap, took, stale, is_stale, waited in draw(st.lists(POLLS, min_size=2, max_size=12)):
        asked = at + gap
        received = asked + took
        shows = asked - stale if is_stale else received
        at = received + waited
        found.append(Poll(asked, received, shows, at))
    return found


def event(
    number: int,
    key: str,
    before: dict[str, Any] | None,
    item: dict[str, Any] | None,
    *,
    with_previous: bool = True,
) -> PushedEvent:
    """The event, at position `number`, that tells a change from `before` to `item`."""
    action = "delete" if item is None else "insert" if before is None else "update"
    return PushedEvent((number, 0), f"order_{action}", key, action, item, before if with_previous else None)
