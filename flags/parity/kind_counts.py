"""Of what kinds the differences of each member were: counted, bounded, without their values. Pure data."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from flags.parity.canonical import Difference
from flags.parity.kinds import Form, Found, Kind, classify

_MAX_FORMS = 4
_MAX_NAMES = 16


@dataclass(frozen=True, slots=True)
class PlaceKinds:
    """The differences at one member of the items of a type, so far.

    `pushed` and `polled` are the forms in which its values came; None where there were more than a few. `gap`
    is the largest distance of numbers of kind `rounding`. `names` are members that had the same value on the
    other side each time; `is_telling` where that was more than null.
    """

    pointer: str
    counts: Mapping[Kind, int]
    pushed: frozenset[Form] | None = frozenset()
    polled: frozenset[Form] | None = frozenset()
    gap: float = 0.0
    names: frozenset[str] = frozenset()
    is_telling: bool = False

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def with_more(self, other: "PlaceKinds") -> "PlaceKinds":
        """Both together."""
        return replace(
            self,
            counts=dict(Counter(self.counts) + Counter(other.counts)),
            pushed=_forms(self.pushed, other.pushed),
            polled=_forms(self.polled, other.polled),
            gap=max(self.gap, other.gap),
            names=self.names & other.names,
            is_telling=self.is_telling or other.is_telling,
        )


class KindCounts:
    """The kinds of the pointers that differed last, at most `most` of them; the oldest is forgotten."""

    def __init__(self, most: int = 50) -> None:
        self._most = most
        self._places: dict[str, PlaceKinds] = {}

    def add(self, found: Sequence[Difference]) -> None:
        """Counts where one item differed."""
        for one in classify(found):
            _put(self._places, _place(one))
        while len(self._places) > self._most:
            del self._places[next(iter(self._places))]

    def latest(self) -> tuple[PlaceKinds, ...]:
        """The last to differ first."""
        return tuple(reversed(self._places.values()))


def merged(places: Iterable[PlaceKinds]) -> tuple[PlaceKinds, ...]:
    """One for each pointer, of several lists of one type."""
    found: dict[str, PlaceKinds] = {}
    for place in places:
        _put(found, place)
    return tuple(reversed(found.values()))


def _put(places: dict[str, PlaceKinds], place: PlaceKinds) -> None:
    known = places.pop(place.pointer, None)
    places[place.pointer] = place if known is None else known.with_more(place)


def _place(found: Found) -> PlaceKinds:
    return PlaceKinds(
        found.pointer,
        {found.kind: 1},
        frozenset({found.pushed}),
        frozenset({found.polled}),
        found.gap,
        frozenset(sorted(found.names)[:_MAX_NAMES]),
        found.is_telling,
    )


def _forms(one: frozenset[Form] | None, other: frozenset[Form] | None) -> frozenset[Form] | None:
    if one is None or other is None or len(one | other) > _MAX_FORMS:
        return None
    return one | other
