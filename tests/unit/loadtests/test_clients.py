"""loadtests/clients.py: what a client that follows a stream makes of what comes on it."""

import asyncio

import pytest

from gateway.core.events import CONTROL_EVENT_TYPES
from loadtests.clients import Traffic, follow
from loadtests.crowd import Address, RunFailedError
from loadtests.freshness import Changes, Viewer
from tests.support.tcp_server import accepting

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


async def test_no_control_event_is_taken_for_a_published_one() -> None:
    names = ["connected", *sorted(CONTROL_EVENT_TYPES - {"connected", "reset", "bye"}), "bye"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"".join(b"event: %b\ndata: {}\n\n" % name.encode() for name in names))
        await writer.drain()
        writer.close()

    opened = asyncio.Event()
    async with accepting(serve) as port:
        with pytest.raises(RunFailedError, match="told bye"):
            await follow(Address("127.0.0.1", port), "order", opened, Viewer(Changes()), Traffic())

    assert opened.is_set()
