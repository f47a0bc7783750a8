"""How much a turn of the hub writes before others get theirs."""


class Budget:
    """The writes that are `left` to the running turn. Work that has none left goes on in the next turn."""

    __slots__ = ("_writes_a_turn", "left")

    def __init__(self, writes_a_turn: int) -> None:
        self.left = self._writes_a_turn = writes_a_turn

    def renew(self) -> None:
        """A turn begins."""
        self.left = self._writes_a_turn

    def spend(self) -> bool:
        """Counts a write; says whether the turn has had its share."""
        self.left -= 1
        return self.left <= 0
