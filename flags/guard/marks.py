"""What is known of one caller in a window, in few bytes. Pure."""

from typing import NamedTuple

from flags.guard.windows import SLOTS

NEVER = 255
"""The age of what was not seen within the window."""


class Marks(NamedTuple):
    """A caller: its address' tag, and how many slots ago it was seen, failed, began, was mute, fell back."""

    tag: int
    seen: int
    failed: int = NEVER
    began: int = NEVER
    mute: int = NEVER
    fell_back: int = NEVER

    def aged(self, slots: int) -> "Marks | None":
        """The same so many slots later; None where the window has left it behind."""
        if self.seen + slots > SLOTS:
            return None
        ages = (age + slots if age + slots <= SLOTS else NEVER for age in self[1:])
        return Marks(self.tag, *ages)

    def since(self, slots: int) -> "Marks | None":
        """The same without what was longer ago than so many slots; None where nothing is left."""
        if self.seen > slots:
            return None
        return Marks(self.tag, *(age if age <= slots else NEVER for age in self[1:]))

    def merge(self, other: "Marks") -> "Marks":
        """What two nodes saw of one caller."""
        return Marks(self.tag or other.tag, *map(min, self[1:], other[1:]))
