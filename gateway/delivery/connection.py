"""Who is at the other end of a stream, as operators see it: little, since it is kept for each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """`number` is the stream's id, `opened_ms` when it came, in milliseconds since 1970.

    `address` is the client's, `client` the name of its software: each is one object for all who have it.
    """

    number: int
    opened_ms: int
    address: str | None
    client: str

    @property
    def id(self) -> str:
        """The id as clients and operators know it."""
        return f"{self.number:016x}"
