"""Which rows somebody wants, of those that the paths of lists tell apart (gateway/ports/wanted.py)."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable
from itertools import islice

from gateway.core.selected_values import selected_values
from gateway.core.selectors import Selector
from gateway.ports.clock import Clock
from gateway.ports.wanted import RowMembers, Values

MAX_POLLED = 10_000
"""Rows of polls that are remembered, far more than lists are kept; the oldest go first."""


class _Rows:
    """The wanted rows of one kind: how many readers want each, and until when the last poll counts."""

    def __init__(self) -> None:
        self.read: Counter[Values] = Counter()
        self.polled: OrderedDict[Values, float] = OrderedDict()
        self.new: dict[Values, None] = {}


class RowsWanted:
    """The rows that open streams and long polls want, and the polls of the last seconds.

    `of` are the members that are asked about. What it costs a reader to come and go is as much as its
    selection names values.
    """

    def __init__(self, of: Iterable[RowMembers], clock: Clock) -> None:
        self._clock = clock
        self._rows = {members: _Rows() for members in of}

    def add(self, selector: Selector) -> None:
        """Somebody reads by this selector; to be taken back by `remove`."""
        for members, rows in self._rows.items():
            for values in selected_values(selector, *members):
                rows.read[values] += 1
                rows.new[values] = None

    def remove(self, selector: Selector) -> None:
        """Takes back what `add` did."""
        for members, rows in self._rows.items():
            for values in selected_values(selector, *members):
                rows.read[values] -= 1
                if not rows.read[values]:
                    del rows.read[values]

    def note(self, selector: Selector, until: float) -> bool:
        """Somebody polled by this selector, which counts until then (monotonic seconds): is that news?"""
        now = self._clock.monotonic()
        is_new = False
        for members, rows in self._rows.items():
            for values in selected_values(selector, *members):
                if rows.polled.get(values, 0.0) <= now:
                    rows.new[values] = None
                    is_new = True
                rows.polled[values] = until
                rows.polled.move_to_end(values)
            over = len(rows.polled) - MAX_POLLED
            for values in list(islice(rows.polled, max(0, over))):
                del rows.polled[values]
        return is_new

    def wants_row(self, of: RowMembers, values: Values) -> bool:
        rows = self._rows[of]
        return values in rows.read or self._clock.monotonic() < rows.polled.get(values, 0.0)

    def take_new(self, of: RowMembers) -> Collection[Values]:
        rows = self._rows[of]
        taken, rows.new = rows.new, {}
        return taken
