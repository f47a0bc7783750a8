"""Through which protocols the stores of flags report log lines and outages: their maker says to where."""

from collections import Counter
from threading import Lock
from typing import Any, Protocol


class Outage(Protocol):
    """Something that can be out of reach. It may be told so as often as somebody finds that out."""

    def failed(self, **fields: Any) -> None:
        """One more try failed; `fields` say how. The first is a line, and one a minute after that."""
        ...

    def over(self, **fields: Any) -> None:
        """A try succeeded: a line where any had failed."""
        ...


class Tell(Protocol):
    """Logs `event`, a stable name, with its fields. `level` is one of `logging`'s; safe from any thread."""

    def __call__(self, level: int, event: str, **fields: object) -> None: ...

    def outage(self, name: str) -> Outage:
        """The outage whose lines are `name`_failed, `name`_still_failing and `name`_recovered."""
        ...


class CountingTell:
    """Passes on what it is told, and counts it: `counts` has how often each event was told.

    Of an outage the beginning is counted, under the name of its line.
    """

    def __init__(self, tell: Tell) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = Lock()
        self._tell = tell

    def __call__(self, level: int, event: str, **fields: object) -> None:
        self.count(event)
        self._tell(level, event, **fields)

    def count(self, event: str) -> None:
        with self._lock:
            self.counts[event] += 1

    def outage(self, name: str) -> Outage:
        return _CountedOutage(self, name, self._tell.outage(name))


class _CountedOutage:
    """An Outage that is counted when it begins."""

    def __init__(self, counting: CountingTell, name: str, outage: Outage) -> None:
        self._counting = counting
        self._event = f"{name}_failed"
        self._outage = outage
        self._lasts = False

    def failed(self, **fields: object) -> None:
        if not self._lasts:
            self._lasts = True
            self._counting.count(self._event)
        self._outage.failed(**fields)

    def over(self, **fields: object) -> None:
        self._lasts = False
        self._outage.over(**fields)
