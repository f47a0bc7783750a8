"""Nodes of one process that hear one another, and a link that is as awkward as a server may be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from gateway.core.errors import LogError
from gateway.ports.node_messages import NodeMessages
from tests.support.http import DEADLINE_SECONDS


class Untroubled:
    """Who is told that messages can't be carried, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.lasts = False

    def failed(self, **fields: Any) -> None:
        self.lasts = True
        self.told.append(str(fields["error"]))

    def over(self, **fields: Any) -> None:
        self.lasts = False


class Listening:
    """A node, and what it has heard."""

    def __init__(self, messages: NodeMessages) -> None:
        self.messages = messages
        self.heard: list[bytes] = []

    async def start(self) -> None:
        await self.messages.start(self.heard.append)

    async def hears(self, *expected: bytes) -> None:
        """Waits until it has heard as many, which have to be these."""
        await until(lambda: len(self.heard) >= len(expected))
        assert self.heard == list(expected)


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds. Raises TimeoutError where it never does."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - a server makes it true
            await asyncio.sleep(0.001)


class Exchange:
    """A server in this process: what one link sends, all of them hear."""

    def __init__(self) -> None:
        self.links: set[ExchangeLink] = set()
        self.is_up = True
        self.is_deaf = False
        """Whether it takes packets and gives them to nobody."""
        self.packets: list[bytes] = []
        self.opened = 0

    def give(self, packet: bytes | None) -> None:
        """All links hear it; None stands for what can't be a packet."""
        for link in self.links:
            link.queue.put_nowait(packet)

    def cut(self) -> None:
        """Ends every link; `is_up` says whether there are new ones."""
        for link in self.links:
            link.queue.put_nowait(_CUT)


_CUT = object()


class ExchangeLink:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, packet: bytes) -> None:
        if not self._exchange.is_up:
            raise LogError("The exchange is down.")
        self._exchange.packets.append(packet)
        if not self._exchange.is_deaf:
            self._exchange.give(packet)

    async def hear(self) -> bytes | None:
        packet: Any = await self.queue.get()
        if packet is _CUT:
            raise LogError("The exchange has cut this link.")
        heard: bytes | None = packet
        return heard


class ExchangeLinks:
    """The way to an exchange: NodeLinks (gateway/runtime/node_carrier.py)."""

    pause_seconds = 0.0

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.is_closed = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ExchangeLink]:
        if not self._exchange.is_up:
            raise LogError("The exchange is down.")
        link = ExchangeLink(self._exchange)
        self._exchange.links.add(link)
        self._exchange.opened += 1
        try:
            yield link
        finally:
            self._exchange.links.discard(link)

    async def close(self) -> None:
        self.is_closed = True


class Awkward(Exchange):
    """Gives packets late, doubled, beside garbage, and cuts links, as `random` has it; until `calm`."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random: Random | None = random

    def calm(self) -> None:
        """From now on it is an exchange like any other."""
        self._random = None

    def give(self, packet: bytes | None) -> None:
        if self._random is None:
            return super().give(packet)
        chance = self._random.random()
        if chance < 0.1:
            super().give(b"\xffgarbage")
        if chance < 0.2:
            super().give(packet)
        if chance > 0.95:
            return self.cut()
        asyncio.get_running_loop().call_later(self._random.random() / 1000, super().give, packet)
        return None
