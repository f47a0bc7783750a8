"""Who ran into a limit lately, and how often each limit was met. Bounded; time comes in."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

MAX_KEPT = 1000
"""Of how many subjects and addresses it is remembered; those that met a limit last."""


@dataclass(frozen=True, slots=True)
class Met:
    """Somebody who met a limit `count` times, the last time at `last_ms`, milliseconds since 1970."""

    limit: str
    subject: str | None
    address: str | None
    count: int
    last_ms: int


class Refused:
    """What was refused since the start: `counts` by limit, and by whom of late."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self.counts: Counter[str] = Counter()
        self._latest: OrderedDict[tuple[str, str | None, str | None], Met] = OrderedDict()

    def add(self, limit: str, subject: str | None, address: str | None, now_ms: int) -> None:
        self.counts[limit] += 1
        who = (limit, subject, address)
        known = self._latest.pop(who, None)
        self._latest[who] = Met(*who, 1 if known is None else known.count + 1, now_ms)
        if len(self._latest) > self._max_kept:
            self._latest.popitem(last=False)

    def latest(self) -> Iterator[Met]:
        """Who met a limit, the latest first."""
        return iter(reversed(self._latest.values()))
