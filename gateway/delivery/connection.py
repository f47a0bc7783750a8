"""Who is at the other end of a stream, as operators see it."""

from typing import Self

_ID_BYTES = 8
_HEAD_BYTES = 14


class Connection(bytes):
    """The stream's id, a number of 64 bits; when it came, in milliseconds since 1970; who reads it.

    It is kept for each stream, so all of it is in one string of bytes: an object with these as members would
    be more than twice as large.
    """

    __slots__ = ()

    @classmethod
    def of(cls, number: int, opened_ms: int, address: str | None, client: str) -> Self:
        """`address` is the client's, without NUL characters, `client` what its software is called."""
        head = number.to_bytes(_ID_BYTES) + opened_ms.to_bytes(_HEAD_BYTES - _ID_BYTES)
        return cls(head + f"{address or ''}\0{client}".encode("utf-8", "surrogatepass"))

    @property
    def id(self) -> str:
        """The id as clients and operators know it."""
        return self[:_ID_BYTES].hex()

    @property
    def opened_ms(self) -> int:
        return int.from_bytes(self[_ID_BYTES:_HEAD_BYTES])

    @property
    def address(self) -> str | None:
        return self._names[0] or None

    @property
    def client(self) -> str:
        return self._names[2]

    @property
    def _names(self) -> tuple[str, str, str]:
        return self[_HEAD_BYTES:].decode("utf-8", "surrogatepass").partition("\0")
