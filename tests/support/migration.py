"""A gateway whose flags a test changes, with an upstream behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.api import Client
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import listed, order, route_settings
from tests.support.upstream import Upstream, upstream

FETCH_MODE = "/api/v1/sync/fetch-mode"
ORDERS = [("component", "orders")]


class Migration:
    """A gateway with component `orders`, which owns orders, and `billing`, which owns invoices."""

    def __init__(self, gateway: GatewayThread, backend: Upstream, path: Path) -> None:
        self.gateway = gateway
        self.backend = backend
        self.path = path
        self.client = Client(gateway.port)

    async def change(self, component: str = "orders", **fields: Any) -> None:
        """Makes the flag, or changes it."""
        store = self.gateway.parts.flags.store
        known = self.gateway.call(store.snapshot).get(component)
        await self._run(
            store.change(
                component,
                fields,
                expected_revision=0 if known is None else known.revision,
                who="test",
                reason="a test",
            )
        )

    async def kill_all(self, killed: bool) -> None:
        await self._run(self.gateway.parts.flags.store.kill_all(killed, who="test", reason="a test"))

    async def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.gateway.loop))

    async def fetch_mode(self, **query: str) -> Any:
        response = await self.client.get(FETCH_MODE, {"component": "orders"} | query)
        assert response.status == 200
        return response.json


@asynccontextmanager
async def a_migration(
    start_gateway: Callable[..., GatewayThread],
    directory: Path,
    *,
    interval_seconds: float = 2.0,
    **options: Any,
) -> AsyncIterator[Migration]:
    """No flag is there yet. What the upstream lists has the ETag "v1". `options` are the gateway's."""
    async with upstream() as backend:
        backend.says(listed(order("A", orderStage="open")), ETag='"v1"')
        path = directory / "flags.json"
        settings = make_settings(
            flags={"store": f"file:{path}"},
            components={"billing": {"entities": ["invoice"]}},
            legacy=[route_settings(backend.url, interval_seconds, events="external")],
        )
        yield Migration(start_gateway(settings, **options), backend, path)
