"""Streams that keep what they were told of a channel, and a request beside them, on asyncio."""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from loadtests.crowd import Address, RunFailedError
from loadtests.framing import unchunk
from loadtests.streams import parse_head

EVENTS = "/api/v1/sync/events"
OPEN_SECONDS = 120.0


@functools.lru_cache(maxsize=1024)
def read(block: bytes) -> tuple[str, dict[str, Any]]:
    """A block's event and its data. All readers of a channel get the same, so it is read once."""
    event, data = "message", b"{}"
    for line in block.split(b"\n"):
        name, _, value = line.partition(b": ")
        if name == b"event":
            event = value.decode()
        elif name == b"data":
            data = value
    found: dict[str, Any] = orjson.loads(data)
    return event, found


class Watcher(asyncio.Protocol):
    """One stream with that query. `users` is what `presence` told it, None before the first `sync`.

    `payloads` counts the chunks with something of presence or of events, `bytes` what was in them, `frames`
    their frames. What contradicts what it was told before is in `problems`.
    """

    def __init__(self, address: Address, query: Mapping[str, str]) -> None:
        self._address = address
        self._query = query
        self._head = b""
        self._left, self._line, self._tail = 0, b"", b""
        self._is_begun = False
        self._transport: asyncio.Transport | None = None
        self.connected = asyncio.Event()
        self.users: set[str] | None = None
        self.frames = self.payloads = self.bytes = 0
        self.problems: list[str] = []

    async def open(self) -> None:
        """Returns once the stream has said `connected`. Raises RunFailedError."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, *self._address)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self.connected.wait()
        except TimeoutError:
            raise RunFailedError(f"a stream was not open after {OPEN_SECONDS:.0f} s") from None

    def close(self) -> None:
        """Ends the stream."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        target = f"{EVENTS}?{urlencode(self._query)}"
        transport.write(f"GET {target} HTTP/1.1\r\nHost: {self._address.host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self._is_begun:
            self._head += data
            parsed = parse_head(self._head)
            if parsed is None:
                return
            if parsed[0].status != 200:
                self.problems.append(f"a stream was answered {parsed[0].status}")
            self._is_begun, data = True, parsed[1]
        parts, self._left, self._line = unchunk(self._left, self._line, data)
        *blocks, self._tail = (self._tail + b"".join(parts)).split(b"\n\n")
        told = [self._take(*read(block)) for block in blocks]
        if any(told):
            self.payloads += 1
            self.frames += sum(told)
            self.bytes += sum(map(len, parts))

    def _take(self, event: str, data: dict[str, Any]) -> bool:
        """Says whether the frame counts."""
        if event == "connected":
            self.connected.set()
        elif event in ("bye", "reset"):
            self.problems.append(f"a stream got {event}: {data['reason']}")
        elif event == "presence":
            self._tell(data["type"], data["users"].keys())
            return bool(data["type"] != "sync")
        return event not in ("connected", "heartbeat", "bye", "reset")

    def _tell(self, kind: str, users: Any) -> None:
        if kind == "sync":
            self.users = set(users)
        elif self.users is None:
            self.problems.append(f"{kind} came before sync")
        elif kind == "join":
            if not self.users.isdisjoint(users):
                self.problems.append("who was there has joined")
            self.users |= users
        elif kind == "leave":
            if not self.users >= users:
                self.problems.append("who was not there has left")
            self.users -= users


async def ask(address: Address, path: str) -> dict[str, Any]:
    """The JSON of a resource. Raises RunFailedError."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address.host}:{address.port}{path}") as got,
    ):
        if got.status != 200:
            raise RunFailedError(f"{path} answered {got.status}")
        answer: dict[str, Any] = await got.json()
        return answer


async def publish(address: Address, events: list[Mapping[str, Any]]) -> None:
    """Publishes. Raises RunFailedError."""
    url = f"http://{address.host}:{address.port}{EVENTS}"
    async with aiohttp.ClientSession() as session, session.post(url, json=events) as got:
        if got.status != 201:
            raise RunFailedError(f"publishing answered {got.status}")
