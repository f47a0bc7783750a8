"""Clients that poll a list or follow a stream, on asyncio: each a coroutine with one connection."""

import asyncio
import functools
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from loadtests.crowd import READ_BYTES, Address, RunFailedError
from loadtests.decoder import Decoder, Frame
from loadtests.dialect import EVENTS_PATH
from loadtests.framing import ENDED, UNFRAMED, unchunk
from loadtests.freshness import Viewer, marked, shown
from loadtests.streams import FATAL, IGNORED, Head, parse_head

ANSWER_SECONDS = 30.0
# All pollers get the same few bodies.
_shown = functools.lru_cache(maxsize=64)(shown)
_event = functools.lru_cache(maxsize=64)(orjson.loads)


@dataclass(slots=True)
class Traffic:
    """What some clients have sent and received so far: requests, their answers, and bytes both ways."""

    requests: int = 0
    not_modified: int = 0
    size: int = 0

    def copy(self) -> "Traffic":
        return Traffic(self.requests, self.not_modified, self.size)


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to a server, on which requests follow one another; `traffic` counts everything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: Traffic) -> None:
        self._reader = reader
        self._writer = writer
        self._traffic = traffic

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        """Sends a request; a header field's name has its dashes as underscores."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        self._traffic.requests += 1
        self._traffic.size += len(request)
        self._writer.write(request)
        await self._writer.drain()

    async def head(self) -> Head:
        """The head of the answer."""
        text = await self._reader.readuntil(b"\r\n\r\n")
        self._traffic.size += len(text)
        parsed = parse_head(text)
        assert parsed is not None
        return parsed[0]

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """A request and its answer. Raises RunFailedError for a status that is neither 2xx nor 304."""
        async with asyncio.timeout(ANSWER_SECONDS):
            await self.send(method, path, body, **headers)
            head = await self.head()
            length = 0 if head.status == 304 else int(head.headers.get("content-length", "0"))
            content = await self._reader.readexactly(length)
        self._traffic.size += length
        self._traffic.not_modified += head.status == 304
        if head.status != 304 and not 200 <= head.status < 300:
            raise RunFailedError(f"{method} {path} was answered {head.status}: {content[:200].decode()}")
        return Answer(head.status, head.headers, content)

    async def read(self) -> bytes:
        """The next bytes of a body without a length; b"" at the end."""
        data = await self._reader.read(READ_BYTES)
        self._traffic.size += len(data)
        return data


@asynccontextmanager
async def connect(address: Address, traffic: Traffic) -> AsyncIterator[Connection]:
    """A connection, closed at the end."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield Connection(reader, writer, traffic)
    finally:
        writer.close()


async def poll(
    address: Address, path: str, first_at: float, interval_s: float, viewer: Viewer, traffic: Traffic
) -> None:
    """Polls a list with its ETag, for ever: at `first_at` and every interval after it (monotonic seconds)."""
    await ask_again(address, itertools.repeat(path), first_at, interval_s, seen_by(viewer), traffic)


def seen_by(viewer: Viewer) -> Callable[[bytes], None]:
    """Takes a list for what a viewer sees now."""
    return lambda body: viewer.see(_shown(body), time.monotonic())


async def ask_again(
    address: Address,
    paths: Iterator[str],
    first_at: float,
    interval_s: float,
    take: Callable[[bytes], None],
    traffic: Traffic,
) -> None:
    """Asks for one path after the other as `poll` does, for ever; `take` gets the body of each 200.

    As a browser's cache does, it sends the ETag that came with the last answer for the same path.
    """
    asked, etag, due = "", "", first_at
    async with connect(address, traffic) as connection:
        for path in paths:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            condition = {"If_None_Match": etag} if etag and path == asked else {}
            answer = await connection.ask("GET", path, **condition)
            if answer.status == 200:
                asked, etag = path, answer.headers["etag"]
                take(answer.body)
            due += interval_s


async def follow(
    address: Address, entity: str, opened: asyncio.Event, viewer: Viewer, traffic: Traffic
) -> None:
    """Follows the stream of an entity type, for ever; sets `opened` at `connected`.

    Raises RunFailedError where the stream is refused, ends, or says that it has lost something.
    """
    await listen(address, entity, opened, lambda frame: _hear(viewer, _event(frame.data)), traffic)


async def listen(
    address: Address, entity: str, opened: asyncio.Event, take: Callable[[Frame], None], traffic: Traffic
) -> None:
    """Follows a stream as `follow` does; `take` gets the frame of each event."""
    async with connect(address, traffic) as connection:
        await connection.send("GET", f"{EVENTS_PATH}?entity={entity}", Accept="text/event-stream")
        head = await connection.head()
        if head.status != 200:
            raise RunFailedError(f"a stream was answered {head.status}")
        chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
        left, line, decoder = (0 if chunked else UNFRAMED), b"", Decoder()
        while (data := await connection.read()) and left != ENDED:
            parts, left, line = unchunk(left, line, data)
            for frame in decoder.feed(b"".join(parts)):
                if frame.event == "connected":
                    opened.set()
                elif frame.event in FATAL:
                    raise RunFailedError(f"a stream was told {frame.event}: {frame.data}")
                elif frame.event not in IGNORED:
                    take(frame)
    raise RunFailedError("a stream ended")


def _hear(viewer: Viewer, event: dict[str, Any]) -> None:
    number = marked(event["data"])
    if number is not None:
        viewer.hear(number, time.monotonic())


class Relay:
    """Passes bytes on between the gateway and its upstream, and counts them: the gateway's own word is not
    what its cost is measured by."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._carrying: set[asyncio.Task[None]] = set()
        self.size = 0

    def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes a connection over, until either side ends it."""
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def ended(self) -> None:
        """Waits until the gateway has ended its connections; raises what went wrong on one."""
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(*self._carrying)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                self.size += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            # One side is gone, at the latest at the end of a run: closing tells the other one.
            return
        finally:
            writer.close()


@asynccontextmanager
async def relay(target: Address) -> AsyncIterator[tuple[Relay, Address]]:
    """A relay on a free port, and where it listens. It is left after whoever uses it has ended."""
    running = Relay(target)
    server = await asyncio.start_server(running.carry, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield running, Address(host, port)
    finally:
        server.close()
        await running.ended()
