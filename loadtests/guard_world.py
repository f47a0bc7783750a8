"""The callers of a simulated rollout: who comes and goes, on which side, and what fails for whom.

Time is virtual, everything follows from a seed. What is simplified, and why that does not favour the guard:

- Only a sample of callers is followed, as the guard's table keeps only a sample of a large crowd: by a hash
  of the name that has nothing to do with how a caller fares. It is the table's own or a smaller one, so that
  the guard knows no more than it would. The table is told how small its sample is to be.
- Callers fail, come and leave at random moments, each with a rate of its own that stays. A caller that leaves
  is followed by a new one on the same side, so that the sides keep their sizes. A name may come back after
  hours: that is one caller, hence less evidence.
- Failures of one minute have nothing to do with each other. What hits everybody at once hits both sides.
- Those who change sides do so at the change itself: the guard does not look at the tenth of a window after.
- Harm strikes other callers in each window. Were it always the same, a small side would know only by luck.
"""

import heapq
import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from flags.decide.rollout import bucket
from flags.guard.callers import SAMPLED, Side, is_sampled, number_of
from flags.guard.who import Who

WINDOW_SECONDS = 300.0
NAMES = 1 << 18
"""So many names there are; more than twice the callers of the largest rollout."""
VISIT_SECONDS = 2400.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How callers are. `harm` is the share of those who stream that fare worse in a window than without it.

    In a window a caller has an error with a chance of its own, beta-distributed with the mean `errors`;
    `hopeless` is the share for whom everything fails, and `swallowed` that of streams whose client sees
    nothing and goes back to polling. A change is published every `change_seconds`, and takes `lag_ms` to the
    streams (median of a log-normal distribution with `lag_spread`); pollers ask every `poll_seconds`.
    """

    harm: float = 0.0
    errors: float = 0.01
    hopeless: float = 0.002
    swallowed: float = 0.002
    poll_seconds: float = 5.0
    change_seconds: float = 2.0
    lag_ms: float = 250.0
    lag_spread: float = 0.5


class What(Enum):
    """What happens to a caller."""

    CAME = "came"
    FAILED = "failed"
    LEFT = "left"


@dataclass(slots=True, eq=False)
class Caller:
    """One who is there. `is_swallowed` is its stream; `interval` its own, about that of the habits."""

    slot: int
    who: Who
    side: Side
    rate: float
    is_hopeless: bool
    is_swallowed: bool
    interval: float
    came_at: float
    failed_at: float = -math.inf
    is_there: bool = True

    @property
    def polls(self) -> bool:
        """Whether it polls, by its side or because its stream showed nothing."""
        return self.side is Side.CONTROL or self.is_swallowed

    def polled_at(self, now: float) -> float:
        """When it polled last, at `now` or before; before `came_at` where it has not yet."""
        return now - (now - self.slot * 0.618034) % self.interval


Event = tuple[float, int, What, Caller]


@lru_cache(maxsize=1)
def numbers() -> "array[int]":
    """The number of each name, by which a table keeps it or not."""
    return array("Q", (number_of(name_of(index)) for index in range(NAMES)))


@lru_cache(maxsize=32)
def sample(level: int) -> "array[int]":
    """The names that a table of this level keeps."""
    return array("L", (index for index, number in enumerate(numbers()) if is_sampled(number, level)))


def name_of(index: int) -> str:
    """A caller's name, as one that was let in by name has it."""
    return f"s:{index}"


class World:
    """The callers of one rollout; `there` are those who are followed: one of 2 to the power of the side's
    level. So no side takes more than `room` of the guard's table, where those who left are for a while too.

    `strikes` counts how often harm has struck somebody who streams.
    """

    def __init__(self, habits: Habits, callers: int, percentage: float, seed: str, room: float = 0.8) -> None:
        self.habits = habits
        self._room = room
        self.random = random.Random(seed)
        self.strikes = 0
        self.group = seed
        self.there: dict[int, Caller] = {}
        self.by_side: dict[Side, int] = {Side.TREATED: 0, Side.CONTROL: 0}
        self.hopeless: dict[Side, int] = {Side.TREATED: 0, Side.CONTROL: 0}
        self.sizes: dict[Side, int] = {Side.TREATED: 0, Side.CONTROL: 0}
        first = self.random.randrange(NAMES)
        self._names = array("L", ((first + slot) % NAMES for slot in range(callers)))
        self._buckets = array("L", (bucket(self.group, name_of(index)) for index in self._names))
        self._taken = set(self._names)
        self._drawn = round(percentage * 1000)
        self._events: list[Event] = []
        self._order = 0
        self.levels = dict.fromkeys(self.by_side, 0)

    def _side(self, slot: int) -> Side:
        return Side.TREATED if self._buckets[slot] < self._drawn else Side.CONTROL

    def _level(self, side: Side) -> int:
        known = [numbers()[index] for slot, index in enumerate(self._names) if self._side(slot) is side]
        level = 0
        while len(known) > self._room * SAMPLED:
            level += 1
            known = [number for number in known if is_sampled(number, level)]
        return level

    def settle(self, percentage: float, now: float) -> list[tuple[What, Caller]]:
        """The rollout stands at `percentage` from now on: gives those who are new on their side, and those
        who are followed no longer."""
        self._drawn = round(percentage * 1000)
        self.levels = {side: max(level, self._level(side)) for side, level in self.levels.items()}
        self.sizes = dict.fromkeys(self.sizes, 0)
        happened = []
        known = numbers()
        for slot, index in enumerate(self._names):
            side, caller = self._side(slot), self.there.get(slot)
            self.sizes[side] += 1
            is_kept = is_sampled(known[index], self.levels[side])
            if caller is None:
                if is_kept:
                    happened.append((What.CAME, self._begin(slot, side, now)))
            elif not is_kept:
                self._end(caller)
                happened.append((What.LEFT, caller))
            elif caller.side is not side:
                self._count(caller, -1)
                caller.side, caller.came_at = side, now
                self._count(caller, 1)
                happened.append((What.CAME, caller))
        return happened

    def advance(self, now: float) -> Iterator[tuple[float, What, Caller]]:
        """What happens until `now`, in order of time."""
        while self._events and self._events[0][0] <= now:
            at, _, what, caller = heapq.heappop(self._events)
            if not caller.is_there:
                continue
            if what is What.FAILED:
                self._schedule(caller, what, at)
                is_harm = self.random.random() < self._of_harm(caller)
                self.strikes += is_harm and caller.side is Side.TREATED
                if caller.side is Side.TREATED or not is_harm:
                    caller.failed_at = at
                    yield at, what, caller
            else:
                self._end(caller)
                yield at, what, caller
                self._rename(caller)
                yield at, What.CAME, self._begin(caller.slot, caller.side, at)

    def _of_harm(self, caller: Caller) -> float:
        """Which part of its failures a caller has only where it streams."""
        return 0.0 if caller.is_hopeless else self._harm_rate() / (caller.rate + self._harm_rate())

    def _harm_rate(self) -> float:
        # Of those who fare badly anyway harm makes nobody fare worse.
        fine = (1 - self.habits.errors) * (1 - self.habits.hopeless)
        return -math.log1p(-self.habits.harm / fine) / WINDOW_SECONDS

    def _begin(self, slot: int, side: Side, now: float) -> Caller:
        habits, draw = self.habits, self.random
        own = min(draw.betavariate(0.3, 0.3 / habits.errors - 0.3), 0.999)
        self.there[slot] = caller = Caller(
            slot,
            Who(name_of(self._names[slot])),
            side,
            -math.log1p(-own) / WINDOW_SECONDS,
            is_hopeless=draw.random() < habits.hopeless,
            is_swallowed=draw.random() < habits.swallowed,
            interval=habits.poll_seconds * draw.uniform(0.8, 1.0),
            came_at=now,
        )
        self._count(caller, 1)
        self._schedule(caller, What.FAILED, now)
        self._schedule(caller, What.LEFT, now)
        return caller

    def _schedule(self, caller: Caller, what: What, now: float) -> None:
        if what is What.LEFT:
            wait = self.random.expovariate(1 / VISIT_SECONDS)
        elif caller.is_hopeless:
            wait = max(caller.interval, WINDOW_SECONDS / 60)
        else:
            rate = caller.rate + self._harm_rate()
            wait = self.random.expovariate(rate) if rate else math.inf
        self._order += 1
        if wait < math.inf:
            heapq.heappush(self._events, (now + wait, self._order, what, caller))

    def _rename(self, caller: Caller) -> None:
        """Somebody new takes the place of one who left: on the same side, and also kept by the table."""
        names = sample(self.levels[caller.side])
        while True:
            index = names[self.random.randrange(len(names))]
            self._buckets[caller.slot] = bucket(self.group, name_of(index))
            if index not in self._taken and self._side(caller.slot) is caller.side:
                break
        self._taken.discard(self._names[caller.slot])
        self._taken.add(index)
        self._names[caller.slot] = index

    def _end(self, caller: Caller) -> None:
        caller.is_there = False
        del self.there[caller.slot]
        self._count(caller, -1)

    def _count(self, caller: Caller, more: int) -> None:
        self.by_side[caller.side] += more
        self.hopeless[caller.side] += more if caller.is_hopeless else 0
