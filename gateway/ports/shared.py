"""What the nodes of a cluster tell one another beside the events: small values, in the log's server.

`SharedStore` is what an adapter implements; tests/conformance/ holds the suite that every one of them passes.
"""

from typing import NamedTuple, Protocol


class SharedEntry(NamedTuple):
    """A value, and the version of it that this is."""

    value: bytes
    version: int


class SharedStore(Protocol):
    """Values by key, changed by comparing and setting, seen by every node as soon as they are set.

    A version is above 0 and belongs to one `put`: a key's versions only grow, also over a `remove` or an
    expiry. Keys are 1 to 512 characters of printable ASCII, values up to 32 MiB. All methods raise LogError
    where the server can't be used; a call that was cancelled or failed may have been carried out.
    """

    async def start(self) -> None:
        """Connects. Raises LogError where the server can't be used, with what to do about it."""
        ...

    async def close(self) -> None:
        """Closes its connections. Closing twice, or before `start`, does nothing."""
        ...

    async def get(self, key: str) -> SharedEntry | None:
        """What is there; None where nothing is, or no more."""
        ...

    async def version(self, key: str) -> int:
        """The version of what is there, without what that is; 0 where nothing is, or no more."""
        ...

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        """Sets the value and gives its version; None, and nothing is changed, where it is not as expected.

        `expected` is the version that has to be there, 0 where nothing may be; None sets it whatever is.
        After `ttl_seconds` by the server's clock it is as if removed; without it stays.
        """
        ...

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        """Removes what is there; says whether that was so, and the version the `expected` one."""
        ...
