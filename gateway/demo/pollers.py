"""Software that nobody updates: made-up clients that poll the orders, whatever they are told of push."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import aiohttp

LIST_PATH = "/api/v1/orders"
CLIENT = "old-terminal/1.0"
CLIENTS = tuple(f"client-{number:02d}" for number in range(1, 21))
"""Their ids, which `migration.js` has too. With the page's windows they are fewer than the guard counts of
one address (docs/protocol.md, section 8)."""
EVERY_SECONDS = 2.0
_REQUEST_SECONDS = 5.0


async def run(
    gateway: str,
    rng: random.Random,
    every_seconds: float = EVERY_SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Has each of CLIENTS ask the gateway at that address for the list, until it is cancelled.

    Each asks every `every_seconds` on average, so that they do not come all at once, and never more than one
    request at a time. Whatever the answer is, also none, they ask again.
    """
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    # Each keeps nothing but its list: a cookie would be another name for it.
    jar = aiohttp.DummyCookieJar()
    async with (
        aiohttp.ClientSession(timeout=timeout, cookie_jar=jar) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for client in CLIENTS:
            tasks.create_task(_poll(session, f"{gateway}{LIST_PATH}", client, rng, every_seconds, sleep))


async def _poll(
    session: aiohttp.ClientSession,
    url: str,
    client: str,
    rng: random.Random,
    every_seconds: float,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    headers = {"Tidegate-Client-Id": client, "Tidegate-Client": CLIENT}
    while True:
        await sleep(every_seconds * rng.uniform(0.5, 1.5))
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(url, headers=headers) as response:
                await response.read()
                if response.status == 200 and "ETag" in response.headers:
                    headers["If-None-Match"] = response.headers["ETag"]
