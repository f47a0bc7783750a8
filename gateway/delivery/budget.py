"""How much a turn of the hub writes before others get theirs."""

WRITES_A_TURN = 256
"""About two milliseconds of writes, the kernel's part included."""
BYTES_A_WRITE = 32_768
"""To write so many bytes, or to put them together, takes about as long as a write of few."""
COMPRESSED_A_WRITE = 2_048
"""As long as that takes it to compress so many (gateway/core/gzip_stream.py)."""


class Budget:
    """The writes that are `left` to the running turn. Work that has none left goes on in the next turn."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = WRITES_A_TURN

    def renew(self) -> None:
        """A turn begins."""
        self.left = WRITES_A_TURN

    def spend(self) -> bool:
        """Counts a write; says whether the turn has had its share."""
        self.left -= 1
        return self.left <= 0
