"""How much a turn of the hub writes before others get theirs."""

WRITES_A_TURN = 256
"""About two milliseconds of writes, the kernel's part included."""


class Budget:
    """The writes that are `left` to the running turn. Work that has none left goes on in the next turn."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = WRITES_A_TURN

    def renew(self) -> None:
        """A turn begins."""
        self.left = WRITES_A_TURN

    def spend(self) -> bool:
        """Counts a write; says whether the turn has had its share of them."""
        self.left -= 1
        return self.left <= 0
