"""Nodes of one test that hear one another: what becomes of a message, and when, the test says."""

from collections.abc import Callable, Mapping, Sequence

from gateway.ports.node_messages import MAX_MESSAGE_BYTES, MessageCount


def at_once(heard: Callable[[bytes], None], message: bytes) -> None:
    """Every message is heard as it is sent."""
    heard(message)


class Mesh:
    """`carry(heard, message)` is called with each message for each of the other nodes, which hear it so."""

    def __init__(self, carry: Callable[[Callable[[bytes], None], bytes], None] = at_once) -> None:
        self.carry = carry
        self.links: list[MeshLink] = []
        self.sent: list[bytes] = []

    def link(self) -> "MeshLink":
        """The messages of one node more."""
        link = MeshLink(self)
        self.links.append(link)
        return link


class MeshLink:
    """A gateway.ports.node_messages.NodeMessages."""

    counts: Mapping[MessageCount, int] = {}

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._heard: Callable[[bytes], None] | None = None

    async def start(self, heard: Callable[[bytes], None]) -> None:
        self.listen(heard)

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """As `start`, of which nothing has to be waited for."""
        self._heard = heard

    def hear(self, message: bytes) -> None:
        """A message comes, unless the node has ended."""
        if self._heard is not None:
            self._heard(message)

    def send(self, message: bytes) -> None:
        assert len(message) <= MAX_MESSAGE_BYTES
        if self not in self._mesh.links:
            return
        self._mesh.sent.append(message)
        others: Sequence[MeshLink] = [link for link in self._mesh.links if link is not self]
        for other in others:
            self._mesh.carry(other.hear, message)

    def kill(self) -> None:
        """The node is gone without a word."""
        self._heard = None
        self._mesh.links.remove(self)

    async def close(self) -> None:
        self._heard = None
