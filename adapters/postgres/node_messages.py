"""What the nodes of one log tell one another, by NOTIFY and LISTEN.

A notification holds less than 8,000 bytes of text, so a packet goes out in parts, all of them in one
transaction: the server gives those of one transaction together, and in their order.
"""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from adapters.postgres.address import Address
from adapters.postgres.connection import Session, connect
from adapters.postgres.faults import translated
from adapters.postgres.identity import Servers
from adapters.postgres.statements import statement

PART_BYTES = 5_900
"""Of a packet, in one notification: 7,868 characters in base64, and the part's head."""
MAX_PARTS = 32
"""More than a packet has: what says that it is a part of so many is somebody else's."""
PAUSE_SECONDS = 0.02
"""How long a node waits at least between two transactions: all that notify commit one after the other."""


class PostgresNodeLink:
    """A NodeLink (gateway/runtime/node_carrier.py) of one session, which sends and listens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._packets = 0
        self._joined = Parts()

    async def send(self, packet: bytes) -> None:
        self._packets += 1
        await self._session.fetch(statement("node_notify"), {"parts": list(parts(packet, self._packets))})

    async def hear(self) -> bytes | None:
        while True:
            with translated():
                notification = await self._session.notifies.get()
            packet = self._joined.take(notification.pid, notification.payload)
            if packet != b"":
                return packet


class PostgresNodeLinks:
    """The way to the nodes whose log is in the same schema of the same database, over one session."""

    pause_seconds = PAUSE_SECONDS

    def __init__(self, url: str) -> None:
        Address.parse(url)
        self._url = url
        self._servers = Servers()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PostgresNodeLink]:
        session = await connect(self._url, admit=self._servers.admit)
        try:
            await session.fetch(statement("node_listen"))
            yield PostgresNodeLink(session)
        finally:
            session.close()

    async def close(self) -> None:
        """Does nothing: a session ends with its link."""


def parts(packet: bytes, number: int) -> Iterator[str]:
    """The packet as texts of notifications; `number` tells it from the one before of the same session."""
    count = -(-len(packet) // PART_BYTES)
    for index in range(count):
        part = packet[index * PART_BYTES : (index + 1) * PART_BYTES]
        yield f"{number}:{index}:{count}:{b64encode(part).decode()}"


class Parts:
    """Puts packets together again. Holds one that is not complete, of MAX_PARTS parts at most."""

    def __init__(self) -> None:
        self._whose: tuple[int, str, str] | None = None
        self._parts: list[bytes] = []

    def take(self, pid: int, text: str) -> bytes | None:
        """The packet that `text`, of the server's process `pid`, completes; empty while it lacks parts.

        None where it is no part, or does not follow the one before, which is then forgotten.
        """
        try:
            number, index, count, encoded = text.split(":")
            part = b64decode(encoded, validate=True)
        except ValueError:
            return None
        if index == "0":
            self._whose, self._parts = (pid, number, count), []
        if (
            self._whose != (pid, number, count)
            or index != str(len(self._parts))
            or len(self._parts) == MAX_PARTS
        ):
            self._whose, self._parts = None, []
            return None
        self._parts.append(part)
        if str(len(self._parts)) != count:
            return b""
        packet, self._parts, self._whose = b"".join(self._parts), [], None
        return packet
