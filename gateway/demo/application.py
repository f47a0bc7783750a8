"""The orders application as the gateway's side of the demo speaks to it, over HTTP on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from gateway.core.errors import UpstreamError
from gateway.demo.publishing import PUBLISHING_PATH

_SECONDS = 5.0


class OrdersApplication:
    """Every method raises UpstreamError where the application gives no good answer."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    @classmethod
    @asynccontextmanager
    async def at(cls, address: str) -> AsyncIterator["OrdersApplication"]:
        """The one at `address`, with connections of its own."""
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield cls(address, session)

    async def stats(self) -> dict[str, Any]:
        """How often it was asked for what."""
        return await self._ask("GET", "/stats")

    async def publishing(self) -> dict[str, Any]:
        """The state of its publishing."""
        return await self._ask("GET", PUBLISHING_PATH)

    async def publish(self, **members: str) -> dict[str, Any]:
        """Tells it the `gateway` to publish to, the `fault` to publish with. Gives the state after that."""
        return await self._ask("PATCH", PUBLISHING_PATH, members)

    async def _ask(self, method: str, path: str, members: dict[str, str] | None = None) -> dict[str, Any]:
        body = None if members is None else orjson.dumps(members)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, f"{self._address}{path}", data=body, headers=headers
            ) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise UpstreamError("The demo's orders application gave no answer.") from error
        if response.status != 200 or not isinstance(answer, dict):
            raise UpstreamError(f"The demo's orders application answered {response.status} to {path}.")
        return answer
