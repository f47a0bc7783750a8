"""Which changes a client has seen, and how old each was by then. Pure; times are seconds of one clock."""

import statistics
from collections.abc import Collection, Iterable

import orjson

# The member of an order that carries the number of its last change.
MARKED = "customer"
_MARK = "change "


def mark(number: int) -> str:
    """What the marked member holds after change `number`."""
    return f"{_MARK}{number}"


def marked(order: dict[str, str]) -> int | None:
    """The number of the order's last change; None where it had none of ours yet."""
    text = order[MARKED]
    return int(text.removeprefix(_MARK)) if text.startswith(_MARK) else None


def shown(body: bytes) -> frozenset[int]:
    """The changes that a list of orders shows: of each order the last one."""
    numbers = (marked(order) for order in orjson.loads(body)["docs"])
    return frozenset(number for number in numbers if number is not None)


class Changes:
    """When each change was made."""

    def __init__(self) -> None:
        self.made_at: dict[int, float] = {}

    def make(self, now: float) -> int:
        """The number of a change that is made now; they count from 0."""
        number = len(self.made_at)
        self.made_at[number] = now
        return number


class Viewer:
    """One client. `staleness` has the age of each change when the client first saw it; `repeated` counts
    changes that were told again to one who is told of each once."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._seen: set[int] = set()
        self.staleness: list[float] = []
        self.repeated = 0

    def see(self, numbers: Iterable[int], now: float) -> None:
        """A list shows these changes, most of them for the second time."""
        for number in numbers:
            if number not in self._seen:
                self._seen.add(number)
                self.staleness.append(now - self._changes.made_at[number])

    def hear(self, number: int, now: float) -> None:
        """An event tells of this change."""
        self.repeated += number in self._seen
        self.see((number,), now)

    @property
    def unseen(self) -> int:
        """How many changes it has not seen."""
        return len(self._changes.made_at) - len(self._seen)


def percentiles(viewers: Collection[Viewer]) -> tuple[float, float]:
    """The median and the 99th percentile of the staleness over all clients and changes.

    Raises ValueError where there are fewer than two.
    """
    ages = [age for viewer in viewers for age in viewer.staleness]
    if len(ages) < 2:
        raise ValueError("nothing to take a percentile of")
    cuts = statistics.quantiles(ages, n=100, method="inclusive")
    return cuts[49], cuts[98]
