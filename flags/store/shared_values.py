"""The port to a server that several programs share, for stores of flags: values by key, compared and set."""

from typing import NamedTuple, Protocol


class Value(NamedTuple):
    """A value, and the version of it that this is."""

    content: bytes
    version: int


class SharedValues(Protocol):
    """Values by key. A key's versions are above 0 and only grow."""

    async def get(self, key: str) -> Value | None:
        """What is there, if anything. Raises StoreUnreadable where the server can't be asked."""
        ...

    async def version(self, key: str) -> int:
        """The version of what is there; 0 where nothing is. Raises as `get` does."""
        ...

    async def put(
        self, key: str, content: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        """Sets the value and gives its version; None, and nothing is changed, where it is not as expected.

        `expected` is the version that has to be there, 0 where nothing may be; None sets it whatever is. The
        value is gone after `ttl_seconds`; without it stays.
        Raises StoreUnwritable where the server refuses, and StoreUncertain where it does not answer: it may
        have been set then.
        """
        ...
