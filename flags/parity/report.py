"""What comparing push with polling came to: outcomes, counts, and the report. Pure data."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from flags.parity.canonical import Difference
from flags.parity.kind_counts import KindCounts, PlaceKinds, merged

_MAX_EXAMPLES = 20
_MAX_LAGS = 1000
_MAX_VALUE_BYTES = 256


class Outcome(StrEnum):
    """How one entity compared in one polled answer, or in the answers until its difference was settled.

    `match`: the same. `ignored`: the same but for what the rules overlook. `push_behind`: push told it after
    polling showed it, within the settle window. `push_ahead`: push told it before polling showed it, within
    the window. `missing`: polling shows an entity that push does not. `extra`: the other way round.
    `duplicate`: push told one change twice. `reordered`: push told changes in another order.
    `mismatch`: both show it, and not the same. `incomparable`: nothing can be said, for a reason.
    """

    MATCH = "match"
    IGNORED = "ignored"
    PUSH_BEHIND = "push_behind"
    PUSH_AHEAD = "push_ahead"
    MISSING = "missing"
    EXTRA = "extra"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    MISMATCH = "mismatch"
    INCOMPARABLE = "incomparable"


AGREEMENTS = frozenset({Outcome.MATCH, Outcome.IGNORED, Outcome.PUSH_BEHIND, Outcome.PUSH_AHEAD})
"""The outcomes that speak for push. All others but `incomparable` speak against it."""


class Reason(StrEnum):
    """Why something was incomparable.

    `same source`: push is made from the very poll. `no base`: no polled answer has given the entity its
    first state yet. `no state`: an event came without data. `in motion`: the entity changed again before
    its difference was settled. `late answer`: the polled answer was too old when it came to be compared.
    `out of memory`: the entity is not among those that the memory is spent on. `restarted`: the fold began
    anew. `unread`: the polled answer has an item of the entity that can't be read.
    """

    SAME_SOURCE = "same source"
    NO_BASE = "no base"
    NO_STATE = "no state"
    IN_MOTION = "in motion"
    LATE_ANSWER = "late answer"
    OUT_OF_MEMORY = "out of memory"
    RESTARTED = "restarted"
    UNREAD = "unread"


WHY: Mapping[str, str] = {
    Reason.SAME_SOURCE: "Push is made from the very poll: comparing the two proves nothing.",
    Reason.NO_BASE: "No change has been compared yet: polled answers only gave entities their first states.",
    Reason.NO_STATE: "The events come without data: push tells no state that could be compared.",
    Reason.IN_MOTION: "Every difference was overtaken by a further change before it was settled.",
    Reason.LATE_ANSWER: "The polled answers were too old when they came to be compared.",
    Reason.OUT_OF_MEMORY: "The entities that changed are not among those that the memory suffices for.",
    Reason.RESTARTED: "Comparing has begun anew since, and nothing has been settled yet.",
    Reason.UNREAD: "The polled items of the entities that changed can't be read.",
}
"""Each reason in a sentence for people."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted since the last time: agreements, and what spoke against push.

    `noisy` of those `differed` are in places where polling disagrees with itself. `lags_ms` is how long after
    the polled answer push told the same, one for each `push_behind`.
    """

    agreed: int = 0
    differed: int = 0
    noisy: int = 0
    lags_ms: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class DifferingPlace:
    """A JSON pointer into the items of one type, and in how many counted differences it was named."""

    pointer: str
    count: int


@dataclass(frozen=True, slots=True)
class Example:
    """One difference with its values: kept only where that is switched on."""

    entity_type: str
    entity_id: str
    pointer: str
    pushed: Any
    polled: Any


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """How often two polls close together differ from one another, with no event that would explain it.

    `differing` of `compared` entities did; `places` names where, the most frequent first.
    """

    compared: int = 0
    differing: int = 0
    places: tuple[DifferingPlace, ...] = ()

    @property
    def ratio(self) -> float | None:
        """The share that differed, 0 to 1; None before the first comparison."""
        return self.differing / self.compared if self.compared else None


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What is known of one component's parity, since the process began.

    `samples` are the polled answers that were compared; `dropped` those that were taken and not compared,
    for want of time, or as their log or the reason to compare was gone. `unchanged` counts entities that
    neither push nor polling has moved since they last agreed: they prove nothing, and are in no figure.
    `pending` differences wait to be settled, `standing` ones were settled and have not gone away.
    `noisy` counted differences lie in places where polling disagrees with itself. `broken_chains` are events
    that start from a state that push had not told: a sign of lost events, even where a later one has mended
    the state. `tracked_share` is the share of entities that the memory suffices for. `places` gives, by
    entity type, the pointers that differed last, `kinds` the members with the kinds of their differences.
    """

    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    incomparable: Mapping[Reason, int] = field(default_factory=dict)
    samples: int = 0
    dropped: int = 0
    unchanged: int = 0
    pending: int = 0
    standing: int = 0
    noisy: int = 0
    broken_chains: int = 0
    tracked_share: float = 1.0
    noise_floor: NoiseFloor = NoiseFloor()
    places: Mapping[str, tuple[DifferingPlace, ...]] = field(default_factory=dict)
    kinds: Mapping[str, tuple[PlaceKinds, ...]] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def comparable(self) -> int:
        """How many outcomes say anything."""
        return sum(count for outcome, count in self.outcomes.items() if outcome is not Outcome.INCOMPARABLE)

    @property
    def consistency(self) -> float | None:
        """The share of agreements among the comparable, 0 to 1; None where nothing was comparable."""
        agreed = sum(self.outcomes.get(outcome, 0) for outcome in AGREEMENTS)
        return agreed / self.comparable if self.comparable else None


class Places:
    """The pointers that differed last, with their counts: a bounded memory that forgets the oldest."""

    def __init__(self, most: int = 50) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def add(self, pointers: Iterable[str]) -> None:
        """Counts each once more."""
        for pointer in pointers:
            self._counts[pointer] = self._counts.pop(pointer, 0) + 1
        while len(self._counts) > self._most:
            del self._counts[next(iter(self._counts))]

    def latest(self) -> tuple[DifferingPlace, ...]:
        """The last to differ first."""
        return tuple(DifferingPlace(*item) for item in reversed(self._counts.items()))

    def most_frequent(self) -> tuple[DifferingPlace, ...]:
        """The one with the highest count first."""
        return _most_frequent(self.latest())


class ParityCounts:
    """Counts the outcomes of one polled list of `entity_type`. Bounded: 50 pointers, 20 examples."""

    def __init__(self, entity_type: str) -> None:
        self._entity_type = entity_type
        self._outcomes: Counter[Outcome] = Counter()
        self._reasons: Counter[Reason] = Counter()
        self._places = Places()
        self._kinds = KindCounts()
        self._examples: deque[Example] = deque(maxlen=_MAX_EXAMPLES)
        self._noisy = 0
        self._drained = Tally()
        self._lags_ms: deque[float] = deque(maxlen=_MAX_LAGS)
        self.samples = 0
        self.unchanged = 0

    def count(self, outcome: Outcome, pointers: Iterable[str] = (), *, noisy: bool = False) -> None:
        """One outcome, and where the two sides differed; `noisy`: polling disagrees with itself there."""
        self._outcomes[outcome] += 1
        self._places.add(pointers)
        self._noisy += noisy

    def classify(self, differences: Sequence[Difference]) -> None:
        """Counts of what kinds the differences of one item are; no value of it is kept."""
        self._kinds.add(differences)

    def count_incomparable(self, reason: Reason, count: int = 1) -> None:
        """So many times nothing could be said."""
        if count:
            self._outcomes[Outcome.INCOMPARABLE] += count
            self._reasons[reason] += count

    def lag(self, lag_ms: float) -> None:
        """How long after polling push told the same."""
        self._lags_ms.append(lag_ms)

    def keep(self, entity_id: str, differences: Iterable[Difference]) -> None:
        """Keeps the values of a difference, large ones by their size only."""
        for pointer, pushed, polled, _ in differences:
            self._examples.append(
                Example(self._entity_type, entity_id, pointer, _shown(pushed), _shown(polled))
            )

    def drain(self) -> Tally:
        """What was counted since the last call."""
        agreed = sum(self._outcomes[outcome] for outcome in AGREEMENTS)
        total = Tally(
            agreed, self._outcomes.total() - agreed - self._outcomes[Outcome.INCOMPARABLE], self._noisy
        )
        before, self._drained = self._drained, total
        lags_ms = tuple(self._lags_ms)
        self._lags_ms.clear()
        return Tally(
            total.agreed - before.agreed,
            total.differed - before.differed,
            total.noisy - before.noisy,
            lags_ms,
        )

    def report(self) -> ParityReport:
        """The figures that are kept here; `Parity` adds its own."""
        places, kinds = self._places.latest(), self._kinds.latest()
        return ParityReport(
            outcomes=dict(self._outcomes),
            incomparable=dict(self._reasons),
            samples=self.samples,
            unchanged=self.unchanged,
            noisy=self._noisy,
            places={self._entity_type: places} if places else {},
            kinds={self._entity_type: kinds} if kinds else {},
            examples=tuple(self._examples),
        )


def combine(reports: Iterable[ParityReport]) -> ParityReport:
    """One report for a component with several polled lists; the smallest tracked share stands for all."""
    parts = list(reports)
    outcomes: Counter[Outcome] = Counter()
    reasons: Counter[Reason] = Counter()
    places: dict[str, tuple[DifferingPlace, ...]] = {}
    kinds: dict[str, tuple[PlaceKinds, ...]] = {}
    for part in parts:
        outcomes.update(part.outcomes)
        reasons.update(part.incomparable)
        for entity_type, found in part.places.items():
            places[entity_type] = _merged(places.get(entity_type, ()) + found)
        for entity_type, counted in part.kinds.items():
            kinds[entity_type] = merged(kinds.get(entity_type, ()) + counted)
    return ParityReport(
        outcomes=dict(outcomes),
        incomparable=dict(reasons),
        samples=sum(part.samples for part in parts),
        dropped=sum(part.dropped for part in parts),
        unchanged=sum(part.unchanged for part in parts),
        pending=sum(part.pending for part in parts),
        standing=sum(part.standing for part in parts),
        noisy=sum(part.noisy for part in parts),
        broken_chains=sum(part.broken_chains for part in parts),
        tracked_share=min((part.tracked_share for part in parts), default=1.0),
        noise_floor=NoiseFloor(
            compared=sum(part.noise_floor.compared for part in parts),
            differing=sum(part.noise_floor.differing for part in parts),
            places=_most_frequent(place for part in parts for place in part.noise_floor.places),
        ),
        places=places,
        kinds=kinds,
        examples=tuple(example for part in parts for example in part.examples),
    )


def _merged(places: Iterable[DifferingPlace]) -> tuple[DifferingPlace, ...]:
    counts: Counter[str] = Counter()
    for place in places:
        counts[place.pointer] += place.count
    return tuple(DifferingPlace(*item) for item in counts.items())


def _most_frequent(places: Iterable[DifferingPlace]) -> tuple[DifferingPlace, ...]:
    return tuple(sorted(_merged(places), key=lambda place: -place.count))


def _shown(value: Any) -> Any:
    size = len(orjson.dumps(value))
    return value if size <= _MAX_VALUE_BYTES else f"({size} bytes)"
