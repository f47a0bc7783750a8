"""Who counts: one caller, however many requests, streams and reports it makes. Pure."""

from typing import NamedTuple


class Who(NamedTuple):
    """One who counts.

    `key` says which: "s:" and the subject where that is known, else "k:" and the caller's key for a flag, or
    "a:" and its address. `address` is set where nobody has checked who it is: then one address counts for a
    bounded number of callers.
    """

    key: str
    address: str | None = None
