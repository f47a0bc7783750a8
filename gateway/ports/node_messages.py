"""What the nodes of one log tell one another in passing: messages that nobody keeps."""

from collections.abc import Callable
from typing import Protocol

MAX_MESSAGE_BYTES = 32_768
"""The largest message that `send` takes."""


class NodeMessages(Protocol):
    """Messages from each node of a log to all the others, in the order in which one node sent them.

    A message that could not be carried is lost, and counted: who sends has to say again what must be known.
    Nobody hears what it sent itself.
    """

    @property
    def lost(self) -> int:
        """How many messages of this node were not carried, as far as that is known."""
        ...

    async def start(self, heard: Callable[[bytes], None]) -> None:
        """Connects, and calls `heard` with each message of another node, on the event loop.

        Where the server can't be used it goes on trying, and does not raise.
        """
        ...

    def send(self, message: bytes) -> None:
        """Sends it as soon as that can be, and never waits. Raises ValueError over MAX_MESSAGE_BYTES."""
        ...

    async def close(self) -> None:
        """Closes the connections. Closing twice, or before `start`, does nothing."""
        ...
