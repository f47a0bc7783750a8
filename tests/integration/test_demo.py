"""`tidegate demo` as a newcomer runs it: two processes, one page, and an orderly end."""

import asyncio
import json
import re
import signal

import aiohttp
import psutil
import pytest
from yarl import URL

from tests.support.demo import address_of, running
from tests.support.http import DEADLINE_SECONDS

IMPORT = r'^import .* from "([^"]+)";$'
"""A line of a script that loads another one."""


def backend_of(process: asyncio.subprocess.Process) -> psutil.Process:
    [backend] = psutil.Process(process.pid).children()
    assert "gateway.demo.backend" in backend.cmdline()
    return backend


async def first_event(response: aiohttp.ClientResponse, event_type: str) -> dict[str, object]:
    """The data of the next event of that type."""
    current = None
    async for line in response.content:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            current = value
        elif field == "data" and current == event_type:
            return json.loads(value)
    raise AssertionError(f"the stream ended without {event_type}")


async def let_everybody_stream(session: aiohttp.ClientSession, address: str) -> None:
    """Moves the demo's component from shadow to live, for all."""
    flag = f"{address}api/v1/admin/flags/orders"
    change = {"stage": "live", "percentage": 100, "reason": "a test"}
    answer = await session.patch(flag, json=change, headers={"If-Match": "*"})
    assert answer.status == 200


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_page_and_all_that_it_loads_come_from_the_printed_address(session):
    async with running("--port", "0") as process:
        address = await address_of(process)
        response = await session.get(address)
        wanted = re.findall(r'<(?:script|link) [^>]*(?:src|href)="(?!data:)([^"]+)"', await response.text())
        answers = {}
        while wanted:
            path = wanted.pop()
            if path not in answers:
                answers[path] = await session.get(address.rstrip("/") + path)
                wanted += re.findall(IMPORT, await answers[path].text(), re.MULTILINE)

    assert (response.status, response.content_type) == (200, "text/html")
    assert answers.keys() >= {
        *("/demo/cohorts.js", "/demo/gateway.js", "/demo/panel.js", "/demo/pushed.js", "/demo/room.js"),
    }
    assert {answer.content_type: answer.status for answer in answers.values()} == {
        "text/css": 200,
        "text/javascript": 200,
    }


async def test_an_order_that_is_advanced_on_the_page_is_pushed_to_it(session):
    async with running("--port", "0") as process:
        address = await address_of(process)
        await let_everybody_stream(session, address)
        api = f"{address}api/v1"
        listed = await session.get(f"{api}/orders")
        empty = next(order for order in (await listed.json())["docs"] if order["orderStage"] == "empty")
        resume = {"entity": "order", "clientId": "test", "lastEventId": listed.headers["Sync-Cursor"]}
        async with session.get(f"{api}/sync/events", params=resume) as stream:
            moved = await session.patch(f"{api}/orders/{empty['orderID']}", json={"orderStage": "initiated"})
            event = await first_event(stream, "stage_change")

    assert moved.status == 200
    assert event["entityId"] == event["orderID"] == empty["orderID"]
    assert event["data"] == await moved.json() | {"previousStage": "empty", "newStage": "initiated"}


@pytest.mark.parametrize(
    ("name", "other"), [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1"), ("[::1]", "[::1]")]
)
async def test_a_window_of_the_first_tenth_is_a_new_client_that_streams_at_10_percent(session, name, other):
    async with running("--port", "0") as process:
        address = URL(await address_of(process))
        host = {"Host": f"{name}:{address.port}"}
        sent = [
            await session.get(address / "demo/first-tenth", headers=host, allow_redirects=False)
            for _ in range(3)
        ]
        places = [URL(answer.headers["Location"]) for answer in sent]
        clients = {place.query["client"] for place in places}
        change = {"stage": "live", "percentage": 10, "reason": "a test"}
        flag = address / "api/v1/admin/flags/orders"
        assert (await session.patch(flag, json=change, headers={"If-Match": "*"})).status == 200
        asked = [
            await session.get(
                address / "api/v1/sync/fetch-mode", params={"component": "orders", "clientId": client}
            )
            for client in clients
        ]
        modes = {(await answer.json())["mode"] for answer in asked}

    assert [answer.status for answer in sent] == [302] * 3
    assert {str(place.origin()) for place in places} == {f"http://{other}:{address.port}"}
    assert {place.path for place in places} == {"/"}
    assert (len(clients), modes) == (3, {"streaming"})


async def test_the_made_up_clients_are_counted_on_both_sides_of_a_percentage(session):
    async with running("--port", "0") as process:
        flag = URL(await address_of(process)) / "api/v1/admin/flags/orders"
        change = {"stage": "live", "percentage": 25, "reason": "a test"}
        assert (await session.patch(flag, json=change, headers={"If-Match": "*"})).status == 200
        # Bounded by the deadline of `running`.
        while True:
            cohorts = (await (await session.get(flag / "guard")).json())["cohorts"]
            if cohorts["streaming"] + cohorts["polling"] == 20:
                break

    assert (cohorts["streaming"], cohorts["polling"]) == (6, 14)


async def test_many_readers_of_the_list_are_one_to_the_orders_application(session):
    async with running("--port", "0") as process:
        address = await address_of(process)
        lists = await asyncio.gather(*(session.get(f"{address}api/v1/orders") for _ in range(50)))
        stats = await (await session.get(f"{address}demo/stats")).json()

    assert {response.status for response in lists} == {200}
    assert stats["requests"]["list"] < 50


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_streams_the_gateway_and_the_orders_application(session, stop):
    async with running("--port", "0") as process:
        address = await address_of(process)
        backend = backend_of(process)
        await let_everybody_stream(session, address)
        async with session.get(f"{address}api/v1/sync/events?clientId=test") as stream:
            await first_event(stream, "connected")
            process.send_signal(stop)
            bye = await first_event(stream, "bye")
        _, complaints = await process.communicate()

    assert bye["reason"] == "drain"
    assert (process.returncode, complaints) == (0, b"")
    assert not backend.is_running()


async def test_the_demo_says_so_and_fails_when_the_orders_application_dies(session):
    async with running("--port", "0") as process:
        await address_of(process)
        backend_of(process).kill()
        _, complaints = await process.communicate()

    assert process.returncode == 1
    assert b"The demo's orders application ended by itself" in complaints
    assert b"Traceback" not in complaints


async def test_the_orders_application_does_not_outlive_a_demo_that_was_killed():
    async with running("--port", "0") as process:
        await address_of(process)
        backend_of(process)
        process.kill()
        # Both hold the other end of this pipe: it ends once both have.
        assert await process.stderr.read() == b""


async def test_a_port_in_use_is_one_clear_sentence_and_leaves_nothing_behind():
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken, running("--port", str(port)) as process:
        _, complaints = await process.communicate()

    assert process.returncode == 2
    assert complaints.decode().splitlines() == [
        f"Port {port} is in use by another program: choose another with --port (0: any free one)."
    ]


async def test_ctrl_c_before_it_serves_is_an_end_as_asked() -> None:
    async with running("--port", "0") as demo:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not psutil.Process(demo.pid).children():  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.01)
        demo.send_signal(signal.SIGINT)
        _, err = await demo.communicate()
    assert (demo.returncode, err) == (0, b"")
