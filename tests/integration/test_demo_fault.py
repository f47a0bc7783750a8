"""`tidegate demo --fault`: push is broken in a demo that runs, or in a new one, and mended again."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.cli.demo import change_fault
from gateway.demo.page import add_page
from gateway.demo.publisher import Fault
from tests.support.command import command, run
from tests.support.ports import own_port

DEMO_LINE = "The demo is at "


async def address_of(demo) -> str:
    line = await demo.line()
    assert line.startswith(DEMO_LINE), line
    return line.removeprefix(DEMO_LINE).split()[0].rstrip("/")


@pytest.fixture
async def demo() -> AsyncIterator[str]:
    """The address of a demo in which nothing happens by itself."""
    async with command("demo", "--port", "0", "--every", "0") as running:
        yield await address_of(running)


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


def port_of(address):
    return address.rpartition(":")[2]


async def fault_of(session, address):
    async with session.get(f"{address}/demo/fault") as response:
        return (await response.json())["fault"]


async def told_of_a_change(session, address):
    """Advances the first order; the stages before and after, and the one that was pushed."""
    async with session.get(f"{address}/api/v1/sync/poll?entity=order") as response:
        cursor = (await response.json())["cursor"]
    change = {"orderStage": "initiated"}
    async with session.patch(f"{address}/api/v1/orders/ORDER-001", json=change) as response:
        assert response.status == 200
    query = {"eventTypes": "stage_change", "cursor": cursor, "wait": "15"}
    async with session.get(f"{address}/api/v1/sync/poll", params=query) as response:
        [event] = (await response.json())["events"]
    return event["previous"]["orderStage"], event["data"]["orderStage"]


async def test_a_running_demo_is_broken_and_mended_with_a_line_each(demo, session):
    port = port_of(demo)
    broken = await run("demo", "--port", port, "--fault", "stale-push")
    assert await fault_of(session, demo) == "stale-push"
    assert await told_of_a_change(session, demo) == ("empty", "empty")
    mended = await run("demo", "--port", port, "--fault", "none")
    assert await fault_of(session, demo) == "none"

    assert [(code, err) for code, _, err in (broken, mended)] == [(0, ""), (0, "")]
    assert broken[1] == (
        f"The demo at {demo}/ now publishes each changed order's old state; mend it with --fault none.\n"
    )
    assert mended[1] == (
        f"The demo at {demo}/ publishes what is true again, and has corrected what it said before.\n"
    )


async def test_a_demo_without_a_fault_pushes_what_is_true(demo, session):
    assert await told_of_a_change(session, demo) == ("empty", "initiated")


async def test_a_new_demo_starts_with_the_fault_on(session):
    async with command("demo", "--port", "0", "--every", "0", "--fault", "stale-push") as running:
        assert await fault_of(session, await address_of(running)) == "stale-push"


@pytest.mark.parametrize("value", ["lost-push", "", "None", "stale_push"])
async def test_an_unknown_fault_is_one_sentence_and_exit_code_2(value):
    code, out, err = await run("demo", "--port", "0", "--fault", value)
    assert (code, out) == (2, "")
    assert err == f"tidegate: --fault must be stale-push or none, and is {value!r}.\n"


async def test_what_is_no_demo_is_left_alone(gateway):
    code, out, err = await run("demo", "--port", str(gateway.port), "--fault", "stale-push")
    assert (code, out) == (2, "")
    assert err.startswith(f"Port {gateway.port} is in use by another program")


async def test_a_demo_whose_application_is_gone_is_to_be_tried_again(start_gateway):
    with own_port() as port:
        nowhere = f"http://127.0.0.1:{port}"
        gateway = start_gateway(extend=lambda app: add_page(app, nowhere))
        code, out, err = await run("demo", "--port", str(gateway.port), "--fault", "none")
    assert (code, out) == (4, "")
    assert (
        err
        == f"tidegate: the demo at http://127.0.0.1:{gateway.port}/ can't change its fault now: try again.\n"
    )


async def test_where_nothing_listens_there_is_nothing_to_break():
    with own_port() as port:
        assert await change_fault(port, Fault.STALE_PUSH) is None


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Origin": "http://evil.example"}, b'{"fault": "stale-push"}', 403),
        ({"Content-Type": "text/plain"}, b'{"fault": "stale-push"}', 415),
        ({}, b'{"fault": "x"}', 422),
        ({}, b'{"fault": ["none"]}', 422),
        ({}, b'{"faults": "none"}', 422),
        ({}, b"{", 400),
    ],
)
async def test_a_request_that_is_not_the_operators_breaks_nothing(demo, session, headers, body, status):
    headers = {"Content-Type": "application/json", **headers}
    async with session.put(f"{demo}/demo/fault", data=body, headers=headers) as response:
        assert response.status == status
    assert await fault_of(session, demo) == "none"
