"""How much polling disagrees with itself: the noise floor of every comparison with it. Pure."""

from collections.abc import Callable, Iterator, Mapping

import orjson

from flags.parity.canonical import ComparisonRules, canonical, differences
from flags.parity.report import NoiseFloor, Places


class Noise:
    """Compares polled answers of one list, asked shortly one after the other, under `rules`.

    What differs in both is noise: a time of serving, an order that is not kept, a replica that lags. A change
    that really happened in between looks the same; those that push has told are left out. Bounded: counters
    and 50 pointers.
    """

    def __init__(self, rules: ComparisonRules) -> None:
        self._rules = rules
        self._compared = 0
        self._differing = 0
        self._places = Places()

    def observing(
        self, first: Mapping[str, bytes], second: Mapping[str, bytes], changed: Callable[[str], bool]
    ) -> Iterator[None]:
        """Compares the items, JSON objects by key, of two answers; `changed` says which keys to leave out.

        An item that only one of them has differs as a whole. Done in steps, one an entity.
        """
        # One after the other: to unite the keys of two long lists takes a tenth of a second in one piece.
        for key in first:
            self._observe(key, first, second, changed)
            yield
        for key in second:
            if key not in first:
                self._observe(key, first, second, changed)
            yield

    def _observe(
        self,
        key: str,
        first: Mapping[str, bytes],
        second: Mapping[str, bytes],
        changed: Callable[[str], bool],
    ) -> None:
        if not changed(key):
            self._compared += 1
            pointers = self._pointers(first.get(key), second.get(key))
            self._differing += bool(pointers)
            self._places.add(pointers)

    def floor(self) -> NoiseFloor:
        """What was found so far."""
        return NoiseFloor(self._compared, self._differing, self._places.most_frequent())

    def _pointers(self, one: bytes | None, other: bytes | None) -> list[str]:
        if one is None or other is None:
            return [""]
        if one == other:
            return []
        first, second = (canonical(orjson.loads(item), self._rules) for item in (one, other))
        return [difference.pointer for difference in differences(first, second, self._rules)]
