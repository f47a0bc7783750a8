"""Which client software is known to report on its streams. Pure."""

from collections import OrderedDict
from collections.abc import Iterable

SEVERAL = 3
"""From so many sources on a name is known of everybody's streams."""


class Reporters:
    """The names under which client software reported, the `capacity` that did so last, and from which
    sources.

    A native EventSource without telemetry must not count as a stream that failed: so only software that has
    reported before is held to reporting. Whoever reports in the name of software that never does could make
    everybody's streams fail: a name counts for the sources that used it, and once SEVERAL have for all. Names
    that are made up push others out; those then count for less, never against anybody.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._names: OrderedDict[str, set[str]] = OrderedDict()

    def add(self, names: Iterable[str], source: str) -> None:
        """Somebody at this source (`Who.source`) has reported with software of these names."""
        for name in names:
            sources = self._names.setdefault(name, set())
            if len(sources) < SEVERAL:
                sources.add(source)
            self._names.move_to_end(name)
        while len(self._names) > self._capacity:
            self._names.popitem(last=False)

    def knows(self, names: Iterable[str], source: str) -> bool:
        """Whether a stream of this source, with software of these names, is held to reporting."""
        known = self._names
        return bool(known) and any(
            name in known and (source in known[name] or len(known[name]) >= SEVERAL) for name in names
        )
