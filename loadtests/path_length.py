#!/usr/bin/env python3
"""Counts what one thing costs in code: calls, files, and how often the path goes from one file to another.

A gateway is served in this process; one event goes from its POST to an open stream, one changed item of a
polled list to one, and one change of a flag to one. Counted is every call of a function of the product
(sys.setprofile), in every thread, from the beginning of a round until all has come to rest after its frame.

No timer is counted that was set before the round began: it rings when the round is over. So looks at files,
the guard's ticks and rounds of heartbeats are no part of a path; what the path itself puts off, such as the
flush that waits for more events, is. The one exception is the poller's own timer, with which the path of a
changed item begins. A round that does not come to its end so begins anew. The counts do not depend on the
machine's speed. Of several rounds the shortest counts: threads may take turns in another order.
"""

import argparse
import asyncio
import contextvars
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
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
ROUND_SECONDS = 20.0
"""What a round may take; one that is not over by then begins anew."""
TRIES = 3
QUIET_SECONDS = 0.3
"""Longer than anything that follows an event, or waits for another one."""
COUNTER = "counter of calls"
IN_TIME = ("poller of ", COUNTER)
"""How the names of the tasks begin whose timers are never held back: they begin a path, or bound a round."""
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


class Call(NamedTuple):
    """Of a function; each step of a coroutine or generator is one."""

    file: str
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"


class Length(NamedTuple):
    """How often the path `changes` from one file to another, and its `calls` in order."""

    changes: int
    calls: tuple[Call, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """In the order in which the path comes to them."""
        return tuple(dict.fromkeys(call.file for call in self.calls))


class Loop(asyncio.SelectorEventLoop):
    """While it holds back, the timers that were set before ring late; but not those of a task IN_TIME."""

    def __init__(self) -> None:
        super().__init__()
        self._period = 0
        self._holds = False
        self._held: list[Callable[[], None]] = []

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        period = self._period
        task = asyncio.current_task(self)
        in_time = task is not None and task.get_name().startswith(IN_TIME)

        def ring() -> None:
            if handle.cancelled():  # while it was held back
                return
            if self._holds and period != self._period and not in_time:
                self._held.append(ring)
            else:
                callback(*args)

        handle = super().call_at(when, ring, context=context)
        return handle

    def hold(self) -> None:
        """Holds back the timers that were set so far. What is set from now on rings in time."""
        self._period += 1
        self._holds = True

    def release(self) -> None:
        """What was held back rings."""
        self._holds = False
        held, self._held = self._held, []
        for ring in held:
            self.call_soon(ring)


class Profile:
    """Sees every call of every thread that was started after it."""

    def __init__(
        self, loop: Loop, *, round_seconds: float = ROUND_SECONDS, quiet_seconds: float = QUIET_SECONDS
    ) -> None:
        self._loop = loop
        self._round_seconds = round_seconds
        self._quiet_seconds = quiet_seconds
        self._calls: list[Call] = []
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)

    def _seen(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PRODUCT):
            self._calls.append(Call(code.co_filename.removeprefix(f"{ROOT}/"), code.co_qualname))

    async def length(self, action: Callable[[], Awaitable[None]]) -> Length:
        """Of what runs from the beginning of `action`, at rest, until all has come to rest again.

        Raises TimeoutError where none of TRIES rounds came to its end.
        """
        for _ in range(TRIES):
            length = await asyncio.create_task(self._round(action), name=COUNTER)
            if length is not None:
                return length
        raise TimeoutError(f"none of {TRIES} rounds was over within {self._round_seconds:g} seconds")

    async def _round(self, action: Callable[[], Awaitable[None]]) -> Length | None:
        """None where it did not come to its end: what it waits for may be a timer that is held back."""
        calls = None
        acting: asyncio.Future[None] | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._round_seconds):
                await self._rest(holds=True)
                self._calls.clear()
                acting = asyncio.ensure_future(action())
                await asyncio.shield(acting)
                await self._rest()
                calls = tuple(self._calls)
        self._loop.release()
        # What was held back has its turn, and what waits for it comes to its end.
        async with asyncio.timeout(self._round_seconds):
            await asyncio.sleep(self._quiet_seconds)
            if acting is not None:
                await acting
        if calls is None:
            return None
        return Length(sum(one.file != other.file for one, other in pairwise(calls)), calls)

    async def _rest(self, *, holds: bool = False) -> None:
        """Returns once nothing has run for `quiet_seconds`.

        With `holds` nothing that was under way begins anew: its next timer is held back at the next look.
        """
        seen = -1
        while seen != len(self._calls):
            if holds:
                self._loop.hold()
            seen = len(self._calls)
            await asyncio.sleep(self._quiet_seconds)


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


async def shortest(profile: Profile, action: Callable[[], Awaitable[None]], rounds: int) -> Length:
    """The length of the round with the fewest calls, and of those with the fewest changes of file."""
    lengths = [await profile.length(action) for _ in range(rounds)]
    return min(lengths, key=lambda length: (len(length.calls), length.changes))


async def post(profile: Profile, rounds: int) -> Length:
    """From the POST of one event to one stream."""
    async with client_of() as client:
        await client.publish()
        return await shortest(profile, client.publish, rounds)


async def item(profile: Profile, rounds: int) -> Length:
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
            return await shortest(profile, change, rounds)


async def flag(profile: Profile, rounds: int) -> Length:
    """From the change of a flag to one stream, which gets less, or more, from then on."""
    components = {"orders": {"entities": ["order"]}, "jobs": {"entities": ["job"]}}
    with tempfile.TemporaryDirectory() as folder:
        store = {"store": f"file:{Path(folder) / 'flags.json'}"}
        async with client_of(flags=store, components=components) as client:
            await client.make_flag()
            return await shortest(profile, client.switch, rounds)


async def measure(rounds: int) -> dict[str, Length]:
    """The shortest of so many rounds of each path."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    profile = Profile(loop)
    return {
        "one POST to one stream": await post(profile, rounds),
        "one changed item of an upstream to one stream": await item(profile, rounds),
        "one change of a flag to one stream": await flag(profile, rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each path; the shortest counts (5)")
    parser.add_argument("--files", action="store_true", help="list the files as well, in order")
    parser.add_argument(
        "--calls", action="store_true", help="list what is called, how often, in order of the first"
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=Loop) as runner:
        lengths = runner.run(measure(options.rounds))
    print("| path | calls | files | changes of file |\n| --- | ---: | ---: | ---: |")
    for what, length in lengths.items():
        print(f"| {what} | {len(length.calls)} | {len(length.files)} | {length.changes} |")
    for what, length in lengths.items():
        if options.files:
            print(f"\n{what}:\n")
            print("\n".join(f"- `{file}`" for file in length.files))
        if options.calls:
            print(f"\n{what}:\n")
            print("\n".join(f"- {count} `{call}`" for call, count in Counter(length.calls).items()))


if __name__ == "__main__":
    main()
