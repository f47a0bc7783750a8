"""Behind the proxies of docs/operations.md: what is closed, and what a browser sees of a restart."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest

from tests.support.api import EVENTS, JSON, POLL, Client, event, eventually, numbers
from tests.support.event_source import EventSource
from tests.support.gateway import ServedGateway
from tests.support.http import DEADLINE_SECONDS, Response
from tests.support.ports import own_port
from tests.support.sse import Frame
from tests.support.upstream import upstream
from tests.support.web_proxies import KINDS, in_front

LEGACY = """
[[legacy]]
component = "orders"
path = "/api/v1/orders"
upstream = "{url}"
entity = "order"
key = "orderID"
"""
CONFIG = """
[server]
drain_seconds = 1
[log]
url = "sqlite:///events.db"
[stream]
retry_ms = 100
"""
COUNT = 600
A_SECOND = 200
RESTART_AT = 200
CLOSED = (
    "/metrics",
    "/%6detrics",
    "/x/../metrics",
    "/x/%2e%2e/metrics",
    "/api/v1/admin/flags",
    "/api/v1/%61dmin/flags",
    "/api/v1/sync/../admin/flags",
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[list[ServedGateway]]:
    """The gateways of a test; those that still run are ended with it."""
    with own_port() as port:
        gateways = [ServedGateway(tmp_path, CONFIG, port)]
        yield gateways
        for gateway in gateways:
            gateway.kill()


@pytest.fixture(params=KINDS)
def proxy(request: pytest.FixtureRequest, served: list[ServedGateway], tmp_path: Path) -> Iterator[int]:
    directory = tmp_path / "proxy"
    directory.mkdir()
    with in_front(request.param, served[0].port, directory) as port:
        yield port


async def publish(port: int) -> None:
    """Publishes COUNT events, A_SECOND of them a second, each until it is answered for."""
    for number in range(COUNT):
        await eventually(partial(is_published, port, number), f"event {number} is published")
        await asyncio.sleep(1 / A_SECOND)


async def is_published(port: int, number: int) -> bool:
    headers = [JSON, ("Idempotency-Key", f"event-{number}")]
    return (await posted(port, headers, orjson.dumps(event(number)))).status in (200, 201)


async def posted(port: int, headers: list[tuple[str, str]], body: bytes) -> Response:
    return await Client(port).request("POST", EVENTS, headers=headers, body=body)


async def test_what_is_not_for_the_world_is_closed_however_it_is_written(proxy: int) -> None:
    client = Client(proxy)
    assert (await client.request("GET", "/healthz")).status == 200
    for path in CLOSED:
        assert (await client.request("GET", path)).status in (400, 403), path
    change = orjson.dumps({"stage": "off", "reason": "none"})
    answer = await client.request("PUT", "/api/v1/admin/flags/orders", headers=[JSON], body=change)
    assert answer.status == 403


async def test_a_stream_is_not_held_back(proxy: int, served: list[ServedGateway]) -> None:
    async with Client(proxy).stream({"entity": "order"}) as stream:
        await stream.connected()
        for number in range(3):
            await Client(served[0].port).publish(event(number))
            assert numbers(await stream.take(1)) == [number]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_caller_says_of_its_way_is_not_believed_of_a_proxy_that_is(
    kind: str, serve: Callable[..., ServedGateway], tmp_path: Path
) -> None:
    made_up = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=203.0.113.7;host=evil.example;proto=https"),
    ]
    async with upstream() as backend:
        config = '[server]\ntrusted_proxies = ["127.0.0.1/32"]\n' + LEGACY.format(url=backend.url)
        with in_front(kind, serve(config).port, tmp_path) as port:
            await Client(port).request("POST", "/api/v1/orders", headers=made_up, body=b"")
        asked = backend.asked[-1].headers
    # Of the chain the proxy vouches for the last address but its own.
    assert asked["X-Forwarded-For"].split(", ")[-2:] == ["127.0.0.1", "127.0.0.1"]
    assert asked.getall("X-Forwarded-Proto") == ["http"]
    assert asked.getall("X-Forwarded-Host") == ["localhost"]
    assert "Forwarded" not in asked


async def test_without_a_gateway_a_stream_is_told_to_come_back_and_all_else_is_an_error(
    proxy: int, served: list[ServedGateway]
) -> None:
    served[0].terminate()
    await served[0].exit_code()
    client = Client(proxy)
    answer = await client.request("GET", EVENTS)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert answer.body.replace(b"\r", b"") == b"retry: 5000\n\n"
    assert (await client.request("GET", POLL)).status in (502, 503)
    assert (await posted(proxy, [JSON], orjson.dumps(event()))).status in (502, 503)


async def test_a_restart_under_load_loses_nothing_and_the_browser_comes_back(
    proxy: int, served: list[ServedGateway], tmp_path: Path
) -> None:
    seen: list[int] = []
    grown = asyncio.Event()

    def take(frame: Frame) -> None:
        if frame.event == "stage_change":
            seen.append(frame.data["data"]["n"])
        assert frame.event != "reset", "a durable log goes on where it was"
        grown.set()

    async def until(count: int) -> None:
        while len(seen) < count:
            grown.clear()
            await grown.wait()

    source = EventSource(f"http://127.0.0.1:{proxy}{EVENTS}?entity=order&lastEventId=earliest", take)
    following = asyncio.create_task(source.run())
    publishing = asyncio.create_task(publish(proxy))
    try:
        async with asyncio.timeout(3 * DEADLINE_SECONDS):
            await until(RESTART_AT)
            served[0].terminate()
            await served[0].exit_code()
            served.append(await asyncio.to_thread(ServedGateway, tmp_path, CONFIG, served[0].port))
            await publishing
            done = asyncio.ensure_future(until(COUNT))
            await asyncio.wait({following, done}, return_when=asyncio.FIRST_COMPLETED)
            assert not following.done(), f"the browser gave up: {following.exception()}"
    finally:
        following.cancel()
        publishing.cancel()
        await asyncio.gather(following, publishing, return_exceptions=True)
    assert seen == list(range(COUNT))
    assert source.opened >= 2
