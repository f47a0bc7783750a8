"""What the nodes of one log tell one another in passing: messages that nobody keeps."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

MAX_MESSAGE_BYTES = 32_768
"""The largest message that `send` takes."""

MessageCount = Literal["sent", "heard", "lost", "ignored"]


class NodeTopic(Protocol):
    """What nodes say of one matter among what they tell one another."""

    def send(self, message: bytes) -> None:
        """Sends a message, of MAX_MESSAGE_BYTES less one at most (else ValueError), as NodeMessages does."""
        ...


class NodeMessages(Protocol):
    """Messages from each node of a log to all the others, in the order in which one node sent them.

    A message that could not be carried is lost, and counted: who sends has to say again what must be known.
    Nobody hears what it sent itself.
    """

    @property
    def counts(self) -> Mapping[MessageCount, int]:
        """How many messages of this node the server carried (`sent`), how many of others came (`heard`), and
        how many of this node it did not carry, as far as that is known (`lost`). `ignored` counts what came
        and is no node's.
        """
        ...

    async def start(self, heard: Callable[[bytes], None]) -> None:
        """Connects, and calls `heard` with each message of another node, on the event loop.

        Where the server can't be used it goes on trying, and does not raise.
        """
        ...

    def send(self, message: bytes) -> None:
        """Sends a message, of MAX_MESSAGE_BYTES at most (else ValueError), as soon as that can be.

        Never waits. A message that would wait for too long, or behind too many others, is lost; so is one
        before `start` or after `close`.
        """
        ...

    async def close(self) -> None:
        """Sends what waits, where that takes a second at most, and closes the connections.

        Closing twice, or before `start`, does nothing.
        """
        ...
