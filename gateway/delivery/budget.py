"""How much a turn of the hub writes before others get theirs."""


class Budget:
    """The writes that are `left` to the running turn. Work that has none left goes on in the next turn."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> bool:
        """Counts a write; says whether the turn has had its share."""
        self.left -= 1
        return self.left <= 0
