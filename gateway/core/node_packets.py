"""Several messages of one node as one piece of bytes, which says whose it is and where it belongs."""

import struct
from collections.abc import Iterable
from typing import NamedTuple, Self

NODE_BYTES = 8

_HEAD = struct.Struct(f">4s{NODE_BYTES}sQ")
_LENGTH = struct.Struct(">I")
_MARK = b"tgn2"
"""What each packet begins with. Its last byte is the version: nodes of another one are not understood."""


class Packet(NamedTuple):
    """Messages of `node`, in order; its packets are numbered."""

    node: bytes
    number: int
    messages: tuple[bytes, ...]

    def pack(self) -> bytes:
        """The packet as bytes."""
        head = _HEAD.pack(_MARK, self.node, self.number)
        return b"".join((head, *_framed(self.messages)))

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """What `pack` made `data` of. Raises ValueError where it did not."""
        if len(data) < _HEAD.size or not data.startswith(_MARK):
            raise ValueError("this is no packet of a node")
        _, node, number = _HEAD.unpack_from(data)
        messages = []
        start = _HEAD.size
        while start < len(data):
            begin = start + _LENGTH.size
            if begin > len(data):
                raise ValueError("the packet ends within a length")
            start = begin + _LENGTH.unpack_from(data, start)[0]
            if start > len(data):
                raise ValueError("the packet ends within a message")
            messages.append(data[begin:start])
        return cls(node, number, tuple(messages))


def _framed(messages: Iterable[bytes]) -> Iterable[bytes]:
    for message in messages:
        yield _LENGTH.pack(len(message))
        yield message
