"""Which client software is known to report on its streams. Pure."""

from collections import OrderedDict
from collections.abc import Iterable


class Reporters:
    """The names under which client software reported, the `capacity` that did so last.

    A native EventSource without telemetry must not count as a stream that failed: so only software that has
    reported before is held to reporting. Names that are made up push others out; those then count for less,
    never against anybody.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._names: OrderedDict[str, None] = OrderedDict()

    def add(self, names: Iterable[str]) -> None:
        """Software of these names has reported."""
        for name in names:
            self._names[name] = None
            self._names.move_to_end(name)
        while len(self._names) > self._capacity:
            self._names.popitem(last=False)

    def knows(self, names: Iterable[str]) -> bool:
        """Whether one of the names has reported."""
        known = self._names
        return bool(known) and any(name in known for name in names)
