"""The README's script for a page, as it stands there, behind a proxy and through restarts."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest

from tests.support.api import Client, event
from tests.support.gateway import ServedGateway
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import PATH, listed, order
from tests.support.npm import EVENTSOURCE, installed, require
from tests.support.ports import own_port
from tests.support.upstream import upstream
from tests.support.web_proxies import in_front

README = Path(__file__).parents[2] / "README.md"
PAGE = Path(__file__).parent / "clients" / "readme.mjs"
CONFIG = """
[server]
drain_seconds = 1
[log]
url = "sqlite:///events.db"
[stream]
retry_ms = 100
[[legacy]]
component = "orders"
path = "{path}"
upstream = "{upstream}"
entity = "order"
items = "/docs"
key = "orderID"
shared = true
events = "external"
"""


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[[], ServedGateway]]:
    """Starts the gateway, always at one port and on the same files."""
    started: list[ServedGateway] = []
    with own_port() as port:
        async with upstream() as backend:
            backend.says(listed(order("ORDER-001", stage="open")))
            config = CONFIG.format(path=PATH, upstream=backend.url)

            def begin() -> ServedGateway:
                started.append(ServedGateway(tmp_path, config, port))
                return started[-1]

            yield begin
            for gateway in started:
                gateway.kill()


async def stop(gateway: ServedGateway) -> None:
    gateway.terminate()
    assert await gateway.exit_code() == 0


def lose_the_log(directory: Path) -> None:
    for file in directory.glob("events.db*"):
        file.unlink()


async def test_the_page_shows_every_change_through_restarts_and_a_lost_history(
    start: Callable[[], ServedGateway], tmp_path: Path
) -> None:
    (script,) = re.findall(r"^```js\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "page.js").write_text(script)
    npm, proxy = tmp_path / "npm", tmp_path / "proxy"
    npm.mkdir()
    proxy.mkdir()
    page = installed(PAGE, npm, EVENTSOURCE)
    gateway = await asyncio.to_thread(start)
    with in_front("nginx", gateway.port, proxy) as port:
        process = await asyncio.create_subprocess_exec(
            *(require("node"), str(page), f"http://127.0.0.1:{port}", str(tmp_path / "page.js")),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None

        async def shown() -> object:
            async with asyncio.timeout(3 * DEADLINE_SECONDS):
                return orjson.loads(await process.stdout.readline())

        try:
            assert await shown() == {"all": 1}
            await Client(gateway.port).metric_becomes("tidegate_streams", 1)
            await Client(gateway.port).publish(event(1))
            assert await shown() == {"n": 1}

            await stop(gateway)
            gateway = await asyncio.to_thread(start)
            await Client(gateway.port).publish(event(2))
            assert await shown() == {"n": 2}

            await stop(gateway)
            lose_the_log(tmp_path)
            gateway = await asyncio.to_thread(start)
            assert await shown() == {"all": 1}
            await Client(gateway.port).metric_becomes("tidegate_streams", 1)
            await Client(gateway.port).publish(event(3))
            assert await shown() == {"n": 3}
        finally:
            process.kill()
            await process.wait()
