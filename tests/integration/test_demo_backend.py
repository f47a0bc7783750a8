"""The demo's orders application over HTTP, in process on a real port and as the command that it is."""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from gateway.demo import simulator
from gateway.demo.backend import ADDRESS_LINE, MAX_BODY_BYTES, create_app
from gateway.demo.store import OrderStore
from gateway.ports.clock import SystemClock

DEADLINE_SECONDS = 60
"""When a test that waits for another process gives up; nothing here takes that long unless it is broken."""


@pytest.fixture
async def backend():
    """A client of the application with five orders: ORDER-001 is empty, ORDER-005 is paid."""
    store = OrderStore(SystemClock(), max_orders=6)
    simulator.fill(store, random.Random(1), 5)
    async with TestClient(TestServer(create_app(store))) as client:
        yield client


async def refusal(response: aiohttp.ClientResponse) -> tuple[int, str, set[str]]:
    body = await response.json()
    assert body["message"]
    return response.status, body["error"], set(body.get("members", ()))


async def test_the_list_has_all_orders_and_their_number(backend):
    response = await backend.get("/orders")
    body = await response.json()

    assert response.status == 200
    assert body["total"] == len(body["docs"]) == 5
    assert [order["orderStage"] for order in body["docs"]] == ["empty", "initiated", "open", "billed", "paid"]
    assert body["docs"][0].keys() == {
        *("orderID", "orderStage", "paymentStatus", "overallStatus"),
        *("customer", "amount", "updatedAt"),
    }


@pytest.mark.parametrize("path", ["/orders", "/orders/ORDER-001"])
async def test_an_unchanged_resource_is_304_with_the_same_strong_etag(backend, path):
    etag = (await backend.get(path)).headers["ETag"]
    again = await backend.get(path, headers={"If-None-Match": f'"other", W/{etag}'})

    assert not etag.startswith("W/")
    assert (again.status, again.headers["ETag"], await again.read()) == (304, etag, b"")


@pytest.mark.parametrize("path", ["/orders", "/orders/ORDER-001"])
async def test_a_changed_resource_has_another_etag(backend, path):
    etag = (await backend.get(path)).headers["ETag"]
    await backend.patch("/orders/ORDER-001", json={"orderStage": "initiated"})
    again = await backend.get(path, headers={"If-None-Match": etag})

    assert again.status == 200
    assert again.headers["ETag"] != etag


async def test_a_created_order_is_empty_and_found_at_its_location(backend):
    created = await backend.post("/orders", json={"customer": "Ada Berg", "amount": 12.5})
    order = await created.json()
    found = await backend.session.get(created.url.join(URL(created.headers["Location"])))

    assert (created.status, order["orderStage"], order["amount"]) == (201, "empty", 12.5)
    assert await found.json() == order


async def test_an_order_is_replaced_whole(backend):
    order = await (await backend.get("/orders/ORDER-003")).json()
    order |= {"customer": "Eva Novak", "overallStatus": "on_hold"}
    replaced = await backend.put("/orders/ORDER-003", json=order)
    after = await replaced.json()

    assert replaced.status == 200
    assert after | {"updatedAt": ""} == order | {"updatedAt": ""}


async def test_an_order_is_changed_in_part(backend):
    changed = await backend.patch("/orders/ORDER-004", json={"orderStage": "paid"})
    order = await changed.json()

    assert changed.status == 200
    assert (order["orderStage"], order["paymentStatus"], order["overallStatus"]) == (
        "paid",
        "settled",
        "completed",
    )


async def test_a_deleted_order_is_gone(backend):
    deleted = await backend.delete("/orders/ORDER-005")

    assert deleted.status == 204
    assert await refusal(await backend.get("/orders/ORDER-005")) == (404, "unknown_order", set())


@pytest.mark.parametrize("body", [b"", b"{", b'{"amount": NaN}', b"\xff\xfe", b'{"customer": "\\ud800"}'])
async def test_a_body_that_is_not_json_is_refused(backend, body):
    response = await backend.post("/orders", data=body, headers={"Content-Type": "application/json"})

    assert await refusal(response) == (400, "bad_request", set())


async def test_a_body_of_another_media_type_is_refused(backend):
    response = await backend.post("/orders", data={"customer": "Ada Berg"})

    assert await refusal(response) == (415, "unsupported_media_type", set())


async def test_a_body_over_the_limit_is_refused(backend):
    body = b'{"customer": "' + b"A" * MAX_BODY_BYTES + b'"}'
    response = await backend.post("/orders", data=body, headers={"Content-Type": "application/json"})

    assert (await refusal(response))[0] == 413


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/orders", {"amount": 1}, (422, "invalid_order", {"customer"})),
        ("POST", "/orders", ["Ada"], (422, "invalid_order", set())),
        ("PATCH", "/orders/ORDER-001", {"orderStage": "shipped"}, (422, "invalid_order", {"orderStage"})),
        ("PATCH", "/orders/ORDER-001", {"orderStage": "paid"}, (409, "forbidden_move", {"orderStage"})),
        ("PATCH", "/orders/ORDER-001", {"updatedAt": "x"}, (409, "stale_order", {"updatedAt"})),
        ("PATCH", "/orders/ORDER-001", {}, (422, "invalid_order", set())),
        ("PATCH", "/orders/ORDER-999", {"orderStage": "open"}, (404, "unknown_order", set())),
        ("PUT", "/orders/ORDER-999", {}, (404, "unknown_order", set())),
        ("DELETE", "/orders/ORDER-999", None, (404, "unknown_order", set())),
        ("GET", "/orders/%00", None, (404, "unknown_order", set())),
        ("GET", "/invoices", None, (404, "not_found", set())),
        ("PATCH", "/orders", None, (405, "method_not_allowed", set())),
    ],
)
async def test_bad_input_is_refused_and_changes_nothing(backend, method, path, body, expected):
    before = await (await backend.get("/orders")).json()
    response = await backend.request(method, path, json=body)

    assert await refusal(response) == expected
    assert await (await backend.get("/orders")).json() == before


async def test_a_full_store_takes_no_further_order(backend):
    order = {"customer": "Ada Berg", "amount": 1}
    assert (await backend.post("/orders", json=order)).status == 201

    assert await refusal(await backend.post("/orders", json=order)) == (409, "too_many_orders", set())


async def test_the_requests_are_counted_by_kind(backend):
    etag = (await backend.get("/orders")).headers["ETag"]
    await backend.get("/orders", headers={"If-None-Match": etag})
    await backend.get("/orders/ORDER-001")
    await backend.get("/orders/ORDER-999")
    await backend.patch("/orders/ORDER-001", json={"orderStage": "initiated"})
    stats = await (await backend.get("/stats")).json()

    assert stats == {
        "requests": {"list": 2, "one": 2, "stats": 1, "update": 1},
        "notModified": 1,
        "refused": 1,
    }


@contextlib.asynccontextmanager
async def running(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m gateway.demo.backend` with its pipes; ended by the test, or killed here."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.demo.backend", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def address_of(process: asyncio.subprocess.Process) -> str:
    line = (await process.stdout.readline()).decode()
    assert line.startswith(ADDRESS_LINE + "http://127.0.0.1:"), line
    return line.removeprefix(ADDRESS_LINE).strip()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_serves_at_the_printed_address_and_ends_with_0_on_a_signal(stop):
    options = ("--port", "0", "--orders", "3", "--simulate-every", "60")
    async with running(*options) as process, aiohttp.ClientSession() as session:
        response = await session.get(f"{await address_of(process)}/orders")
        assert (await response.json())["total"] == 3
        process.send_signal(stop)
        rest, complaints = await process.communicate()

    assert (process.returncode, rest, complaints) == (0, b"", b"")


async def test_the_command_ends_with_its_standard_input_where_told_to():
    async with running("--stop-with-stdin") as process:
        await address_of(process)
        process.stdin.close()
        assert await process.wait() == 0


async def test_the_simulator_changes_orders_while_the_command_serves():
    async with (
        running("--seed", "1", "--simulate-every", "0.01") as process,
        aiohttp.ClientSession() as session,
    ):
        orders = f"{await address_of(process)}/orders"
        first = await (await session.get(orders)).read()
        # Bounded by the deadline of `running`.
        while await (await session.get(orders)).read() == first:
            pass


async def test_a_port_in_use_is_one_clear_sentence_and_exit_code_1():
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken, running("--port", str(port)) as process:
        _, complaints = await process.communicate()

    assert process.returncode == 1
    assert complaints.decode().startswith(f"The demo's backend can't serve on port {port}: ")


@pytest.mark.parametrize(
    "options", [("--port", "65536"), ("--orders", "-1"), ("--simulate-every", "nan"), ("--seed", "x")]
)
async def test_a_wrong_option_is_exit_code_2(options):
    async with running(*options) as process:
        _, complaints = await process.communicate()

    assert process.returncode == 2
    assert options[0] in complaints.decode()
