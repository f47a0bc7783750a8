#!/usr/bin/env python3
"""Counts what one thing costs in code: calls, files, and how often the path goes from one file to another.

A gateway is served in this process; one event goes from its POST to an open stream, one changed item of a
polled list to one, and one change of a flag to one. What of the product runs meanwhile is counted
(sys.setprofile), in every thread. The counts do not depend on the machine's speed. Of several rounds the
shortest counts, for a timer of the gateway's own may ring within one.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
from aiohttp import web

from gateway.http.server import GatewayRunner
from gateway.service.app import create_app
from gateway.service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = tuple(f"{ROOT / package}/" for package in ("gateway", "adapters", "flags"))
DEADLINE_SECONDS = 30.0
QUIET_SECONDS = 0.3
"""Longer than anything that follows an event, or waits for another one."""
EVENTS = "/api/v1/sync/events"
ROUTE: dict[str, Any] = {
    "component": "orders",
    "path": "/api/v1/orders",
    "entity": "order",
    "key": "id",
    "items": "",
    "shared": True,
    "interval_seconds": 1.0,
}
FLAG = "/api/v1/admin/flags/orders"


class Length(NamedTuple):
    """`calls` of the product's functions, each step of a coroutine or generator one; its `files` in order."""

    calls: int
    changes: int
    files: tuple[str, ...]


class Counter:
    """Sees every call of every thread that was started after it; counts them while it is on."""

    def __init__(self) -> None:
        self._is_on = False
        self.names: list[str] = []
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)

    def _seen(self, frame: FrameType, event: str, argument: Any) -> None:
        if self._is_on and event == "call" and frame.f_code.co_filename.startswith(PRODUCT):
            self.names.append(frame.f_code.co_filename)

    async def length(self, action: Callable[[], Awaitable[None]]) -> Length:
        """Of what runs from the beginning of `action` until all has come to rest."""
        self.names.clear()
        self._is_on = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            await action()
        await asyncio.sleep(QUIET_SECONDS)
        self._is_on = False
        pairs = zip(self.names, self.names[1:], strict=False)
        files = tuple(name.removeprefix(f"{ROOT}/") for name in dict.fromkeys(self.names))
        return Length(len(self.names), sum(one != other for one, other in pairs), files)


class Client:
    """Of a gateway at `url`: what it does there comes back on `stream`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, stream: aiohttp.ClientResponse) -> None:
        self._session = session
        self._url = url
        self._stream = stream
        self._gets_orders = True

    async def publish(self) -> None:
        """One event is posted."""
        event = {"eventType": "moved", "entityType": "order", "entityId": "1", "action": "update"}
        async with self._session.post(self._url + EVENTS, json=event) as answer:
            assert answer.status == 201, await answer.text()
        await self.until("moved")

    async def make_flag(self) -> None:
        """The flag that `switch` changes: live, and everybody streams."""
        for method, stage, known in (("PUT", "shadow", "If-None-Match"), ("PATCH", "live", "If-Match")):
            change = {"stage": stage, "percentage": 100, "reason": "to count"}
            flag = self._session.request(method, self._url + FLAG, json=change, headers={known: "*"})
            async with flag as answer:
                assert answer.ok, await answer.text()
        await self.until("fetch-mode")

    async def switch(self) -> None:
        """The flag changes, and with it what the stream gets: orders no more, or again."""
        self._gets_orders = not self._gets_orders
        change = {"percentage": 100 if self._gets_orders else 0, "reason": "to count"}
        async with self._session.patch(self._url + FLAG, json=change, headers={"If-Match": "*"}) as answer:
            assert answer.status == 200, await answer.text()
        await self.until("fetch-mode")

    async def until(self, event: str) -> None:
        """Reads the stream until a frame of that name came whole."""
        line, seen = b"", False
        while not (seen and line == b"\n"):
            line = await self._stream.content.readline()
            assert line, f"the stream ended before {event}"
            seen = seen or line == f"event: {event}\n".encode()


@asynccontextmanager
async def served(runner: web.AppRunner) -> AsyncIterator[str]:
    """The address of what is served on a free port of 127.0.0.1."""
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(**sections: Any) -> AsyncIterator[Client]:
    """A client with an open stream, of a gateway with these settings."""
    settings = Settings.model_validate({"server": {"drain_seconds": 0.5}} | sections)
    async with served(GatewayRunner(create_app(settings))) as url, aiohttp.ClientSession() as session:
        query = {"component": "orders,jobs", "clientId": "counter"}
        async with session.get(url + EVENTS, params=query) as stream:
            client = Client(session, url, stream)
            await client.until("connected")
            yield client


async def post(counter: Counter, rounds: int) -> Length:
    """From the POST of one event to one stream."""
    async with client_of() as client:
        await client.publish()
        return min([await counter.length(client.publish) for _ in range(rounds)])


async def item(counter: Counter, rounds: int) -> Length:
    """From the poll that finds one item of an upstream changed to one stream."""
    order = {"id": 1, "status": 0}

    async def listed(request: web.Request) -> web.Response:
        return web.json_response([order])

    backend = web.Application()
    backend.router.add_get("/orders", listed)
    async with served(web.AppRunner(backend)) as upstream:
        route = ROUTE | {"upstream": f"{upstream}/orders"}
        async with client_of(legacy=[route], components={"orders": {"entities": ["order"]}}) as client:

            async def change() -> None:
                order["status"] += 1
                await client.until("order_updated")

            await asyncio.sleep(2 * ROUTE["interval_seconds"])
            await change()
            return min([await counter.length(change) for _ in range(rounds)])


async def flag(counter: Counter, rounds: int) -> Length:
    """From the change of a flag to one stream, which gets less, or more, from then on."""
    components = {"orders": {"entities": ["order"]}, "jobs": {"entities": ["job"]}}
    with tempfile.TemporaryDirectory() as folder:
        store = {"store": f"file:{Path(folder) / 'flags.json'}"}
        async with client_of(flags=store, components=components) as client:
            await client.make_flag()
            return min([await counter.length(client.switch) for _ in range(rounds)])


async def measure(rounds: int) -> dict[str, Length]:
    """The shortest of so many rounds of each path."""
    counter = Counter()
    return {
        "one POST to one stream": await post(counter, rounds),
        "one changed item of an upstream to one stream": await item(counter, rounds),
        "one change of a flag to one stream": await flag(counter, rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each path; the shortest counts (5)")
    parser.add_argument("--files", action="store_true", help="list the files as well, in order")
    options = parser.parse_args()
    lengths = asyncio.run(measure(options.rounds))
    print("| path | calls | files | changes of file |\n| --- | ---: | ---: | ---: |")
    for what, length in lengths.items():
        print(f"| {what} | {length.calls} | {len(length.files)} | {length.changes} |")
    if options.files:
        for what, length in lengths.items():
            print(f"\n{what}:\n")
            print("\n".join(f"- `{file}`" for file in length.files))


if __name__ == "__main__":
    main()
