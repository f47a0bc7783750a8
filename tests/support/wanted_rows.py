"""Which rows are wanted, as a test says."""

from collections.abc import Collection

from gateway.ports.wanted import RowMembers, Values


class Rows:
    """Those that a test wants."""

    def __init__(self) -> None:
        self.wanted: set[Values] = set()
        self._new: list[Values] = []

    def want(self, *values: str) -> None:
        self.wanted.add(values)
        self._new.append(values)

    def wants_row(self, of: RowMembers, values: Values) -> bool:
        return values in self.wanted

    def take_new(self, of: RowMembers) -> Collection[Values]:
        new, self._new = self._new, []
        return new
