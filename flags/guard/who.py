"""Who counts: one caller, however many requests, streams and reports it makes. Pure."""

from hashlib import blake2b
from typing import NamedTuple


class Who(NamedTuple):
    """One who counts.

    `key` says which: "s:" and the subject where that is known, else "k:" and the caller's key for a flag, or
    "a:" and its address. `address` is set where nobody has checked who it is: then one address counts for a
    bounded number of callers.
    """

    key: str
    address: str | None = None

    @property
    def source(self) -> str:
        """Whom a flood of callers would come from, in eight characters: its address, or its proven name."""
        return blake2b((self.address or self.key).encode(), digest_size=4).hexdigest()

    @property
    def proven(self) -> str | None:
        """The proven name as `source` has it; None for one of whom nobody has checked who it is."""
        return self.source if self.address is None else None
