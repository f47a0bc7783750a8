"""NodeMessages over any server that gives what one session sends to all who listen, the sender among them.

That a node hears itself is what it goes by: a packet is carried once it has come back. Until then the next
one waits, and what is said meanwhile shares it: so a slow server gets larger packets instead of more of them.
A link on which nothing comes back is dead, whatever its sockets say; that finds a cut without a word, a
server that is not the other nodes', and a pooler that does not pass on what is listened for.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from gateway.core.backoff import Backoff
from gateway.core.errors import LogError
from gateway.core.node_packets import NODE_BYTES, Packet
from gateway.ports.clock import Clock
from gateway.ports.node_messages import MAX_MESSAGE_BYTES, MessageCount
from gateway.runtime.outbox import Outbox
from gateway.runtime.slices import Slices
from gateway.runtime.supervisor import Supervisor

PACKET_BYTES = 65_536
"""How many bytes of messages go into one packet."""
PROBE_SECONDS = 5.0
"""How often a packet is sent at least, an empty one where there is nothing to say."""
ECHO_SECONDS = 5.0
"""How long a packet may take to come back before its link is taken for dead."""
CLOSE_SECONDS = 1.0
"""How long closing waits for what is still to be sent."""
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0


class NodeLink(Protocol):
    """One live connection. Both methods raise LogError, after which the link is of no use."""

    async def send(self, packet: bytes) -> None:
        """Gives the packet to all who listen, in the order of the calls."""
        ...

    async def hear(self) -> bytes | None:
        """The next packet of whomever; None for what can't be one."""
        ...


class NodeLinks(Protocol):
    """The way to the other nodes of a log."""

    @property
    def pause_seconds(self) -> float:
        """How long a node waits at least between two packets."""
        ...

    def open(self) -> AbstractAsyncContextManager[NodeLink]:
        """A link for the time of a `with`, which hears whatever is sent meanwhile. Raises LogError."""
        ...

    async def close(self) -> None:
        """Ends every connection. Closing twice does nothing."""
        ...


class Trouble(Protocol):
    """Who is told when the messages can't be carried: gateway/runtime/outage.py has one."""

    def failed(self, **fields: Any) -> None: ...

    def over(self, **fields: Any) -> None: ...


class NodeCarrier:
    """NodeMessages over one of `links` at a time, a new one whenever one fails. Closes `links` at the end.

    `trouble` is told when nothing can be carried, and when it can again.
    """

    def __init__(
        self,
        links: NodeLinks,
        clock: Clock,
        trouble: Trouble,
        *,
        probe_seconds: float = PROBE_SECONDS,
        echo_seconds: float = ECHO_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        self._links = links
        self._trouble = trouble
        self._probe_seconds = probe_seconds
        self._echo_seconds = echo_seconds
        self._backoff = backoff or Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        self._outbox = Outbox(clock)
        self._slices = Slices(clock)
        self._node = secrets.token_bytes(NODE_BYTES)
        self._number = 0
        self._came_back = 0
        self._echoed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tried = asyncio.Event()
        self._tasks = Supervisor(clock.monotonic)
        self._is_open = False
        self._sent = self._heard = self._lost = self._ignored = 0

    @property
    def counts(self) -> Mapping[MessageCount, int]:
        lost = self._lost + self._outbox.lost
        return {"sent": self._sent, "heard": self._heard, "lost": lost, "ignored": self._ignored}

    async def start(self, heard: Callable[[bytes], None]) -> None:
        self._is_open = True
        self._tasks.run("node_messages", lambda: self._keep(heard))
        # Once a server that is there has been reached: whoever is told something after this hears it.
        await self._tried.wait()

    def send(self, message: bytes) -> None:
        if len(message) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message has {MAX_MESSAGE_BYTES} bytes at most, and not {len(message)}")
        if self._is_open:
            self._idle.clear()
            self._outbox.put(message)
        else:
            self._lost += 1

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._idle.wait()
        await self._tasks.close()
        self._outbox.clear()
        await self._links.close()

    async def _keep(self, heard: Callable[[bytes], None]) -> None:
        while True:
            try:
                async with self._links.open() as link, asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._listen(link, heard))
                    tasks.create_task(self._speak(link))
            except* LogError as failed:
                self._trouble.failed(error=failed.exceptions[0])
            finally:
                self._tried.set()
            await asyncio.sleep(self._backoff.next())

    async def _speak(self, link: NodeLink) -> None:
        while True:
            messages = self._outbox.take(PACKET_BYTES)
            try:
                await self._carry(link, messages)
            except BaseException:
                self._lost += len(messages)
                raise
            self._sent += len(messages)
            await asyncio.sleep(self._links.pause_seconds)
            if not self._outbox:
                self._idle.set()
                await self._outbox.wait(self._probe_seconds)

    async def _carry(self, link: NodeLink, messages: list[bytes]) -> None:
        """Sends one packet, and returns once it has come back."""
        self._number += 1
        self._echoed.clear()
        packet = Packet(self._node, self._number, tuple(messages)).pack()
        try:
            async with asyncio.timeout(self._echo_seconds):
                await link.send(packet)
                while self._came_back != self._number:
                    await self._echoed.wait()
                    self._echoed.clear()
        except TimeoutError as error:
            raise LogError(
                "What this node tells the others does not come back from the log's server: it is out of"
                " reach, or a pooler before it does not pass on what a session listens for."
            ) from error
        self._backoff.reset()
        self._trouble.over()
        self._tried.set()

    async def _listen(self, link: NodeLink, heard: Callable[[bytes], None]) -> None:
        while True:
            # A link that has more at once would leave nobody else a turn.
            await asyncio.sleep(0)
            data = await link.hear()
            try:
                packet = Packet.unpack(data or b"")
            except ValueError:
                self._ignored += 1
                continue
            if packet.node == self._node:
                self._came_back = packet.number
                self._echoed.set()
                continue
            self._heard += len(packet.messages)
            # What a message says may be a millisecond's work.
            await self._slices.run(map(heard, packet.messages))
