"""The orders application publishes its changes to a gateway that comes, goes, and loses its answers."""

import asyncio
import contextlib
import random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.backoff import Backoff
from gateway.demo import simulator
from gateway.demo.backend import create_app
from gateway.demo.outbox import Outbox
from gateway.demo.publisher import Fault, Publisher
from gateway.demo.store import OrderStore
from gateway.ports.clock import SystemClock
from tests.support.api import Client
from tests.support.command import relay
from tests.support.gateway import make_settings
from tests.support.http import DEADLINE_SECONDS


@contextlib.asynccontextmanager
async def orders_application(max_events=100):
    """A client of the application with its publisher at work and three orders, the first of them empty."""
    at_once = Backoff(0.0, 0.0)
    publisher = Publisher(Outbox(max_events), at_once)
    store = OrderStore(SystemClock())
    simulator.fill(store, random.Random(1), 3)
    store.record = publisher.record
    work = asyncio.create_task(publisher.run())
    async with TestClient(TestServer(create_app(store, publisher))) as client:
        yield client
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


@pytest.fixture
async def application():
    async with orders_application() as client:
        yield client


async def tell(application, **members):
    response = await application.patch("/publishing", json=members)
    assert response.status == 200
    return await response.json()


async def settled(application, holds):
    """The publisher's state once it `holds`."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            state = await (await application.get("/publishing")).json()
            if holds(state):
                return state


def delivered(state):
    return state["waiting"] == 0


async def advance(application, *stages, order="ORDER-001"):
    for stage in stages:
        response = await application.patch(f"/orders/{order}", json={"orderStage": stage})
        assert response.status == 200


async def published(gateway):
    """Every event that the gateway holds."""
    return (await Client(gateway.port).poll(cursor="earliest"))["events"]


async def stages_told(gateway):
    events = await published(gateway)
    return [event["data"]["orderStage"] for event in events if event["eventType"] == "stage_change"]


async def test_what_happens_before_the_gateway_is_known_is_published_once_it_is(application, gateway):
    await advance(application, "initiated", "open")
    assert (await settled(application, lambda state: True))["published"] == 0

    await tell(application, gateway=f"http://127.0.0.1:{gateway.port}")
    state = await settled(application, delivered)

    assert state["gateway"] == f"http://127.0.0.1:{gateway.port}"
    # The first step takes the order out of its draft, which is a change of its own.
    assert (state["published"], state["refused"]) == (3, 0)
    assert await stages_told(gateway) == ["initiated", "open"]


async def test_a_gateway_that_restarts_loses_and_doubles_nothing(application, start_gateway):
    first = start_gateway()
    async with relay(first.port) as between:
        await tell(application, gateway=f"http://127.0.0.1:{between.port}")
        await advance(application, "initiated")
        await settled(application, delivered)
        first.stop()
        between.cut()
        await advance(application, "open", "billed")
        await settled(application, lambda state: state["retries"] > 0)
        second = start_gateway()
        between.target_port = second.port
        await settled(application, delivered)

    assert await stages_told(second) == ["open", "billed"]


async def test_a_request_whose_answer_was_lost_is_repeated_and_doubles_nothing(application, start_gateway):
    answers = iter([web.Response(status=503)])

    @web.middleware
    async def lose_the_first_answer(request, handler):
        answer = await handler(request)
        return next(answers, answer) if request.method == "POST" else answer

    gateway = start_gateway(extend=lambda app: app.middlewares.append(lose_the_first_answer))
    await advance(application, "initiated", "open")
    await tell(application, gateway=f"http://127.0.0.1:{gateway.port}")
    state = await settled(application, delivered)

    assert (state["retries"], state["published"]) == (1, 3)
    assert await stages_told(gateway) == ["initiated", "open"]


async def test_events_that_the_gateway_refuses_are_counted_and_hold_up_nothing(
    application, start_gateway, caplog
):
    strict = start_gateway(make_settings(publish={"max_event_bytes": 100}))
    gateway = start_gateway()
    await tell(application, gateway=f"http://127.0.0.1:{strict.port}")
    await advance(application, "initiated")
    refused = (await settled(application, delivered))["refused"]
    await tell(application, gateway=f"http://127.0.0.1:{gateway.port}")
    await advance(application, "open")
    state = await settled(application, delivered)

    assert refused == 2
    assert (state["refused"], state["published"]) == (2, 1)
    assert "events_refused" in caplog.messages
    assert await stages_told(gateway) == ["open"]


async def test_a_change_that_can_not_be_told_is_not_made():
    async with orders_application(max_events=2) as application:
        await advance(application, "initiated")
        refused = await application.patch("/orders/ORDER-001", json={"orderStage": "open"})
        why = (await refused.json())["error"]
        order = await (await application.get("/orders/ORDER-001")).json()

    assert (refused.status, why) == (503, "outbox_full")
    assert order["orderStage"] == "initiated"


async def test_stale_push_tells_old_states_until_it_is_mended_and_then_corrects_them(application, gateway):
    await tell(application, gateway=f"http://127.0.0.1:{gateway.port}", fault=Fault.STALE_PUSH)
    await advance(application, "initiated", "open")
    await settled(application, delivered)
    assert await stages_told(gateway) == ["empty", "initiated"]

    state = await tell(application, fault=Fault.NONE)
    await settled(application, delivered)
    events = await published(gateway)

    assert state["fault"] == "none"
    correction = events[-1]
    assert correction["eventType"] == "order_updated"
    assert correction["previous"] == events[-2]["data"]
    assert correction["data"] == await (await application.get("/orders/ORDER-001")).json()


async def test_a_deleted_order_needs_no_correction(application, gateway):
    await tell(application, gateway=f"http://127.0.0.1:{gateway.port}", fault=Fault.STALE_PUSH)
    await advance(application, "initiated")
    await application.delete("/orders/ORDER-001")
    await tell(application, fault=Fault.NONE)
    await settled(application, delivered)

    assert (await published(gateway))[-1]["eventType"] == "order_deleted"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"fault": "lost-push"}, 422),
        ({"fault": None}, 422),
        ({"gateway": "http://192.0.2.1:8080"}, 422),
        ({"gateway": "https://127.0.0.1:8080"}, 422),
        ({"gateway": "http://127.0.0.1:8080/x"}, 422),
        ({"gateway": "http://[127.0.0.1"}, 422),
        ({"gateway": 8080}, 422),
        ({"gateway": "http://127.0.0.1:8080", "fault": "x"}, 422),
        ({"faults": "none"}, 422),
        ({}, 422),
        ([], 422),
    ],
)
async def test_a_bad_wish_is_refused_and_changes_nothing(application, body, status):
    response = await application.patch("/publishing", json=body)
    state = await (await application.get("/publishing")).json()

    assert response.status == status
    assert (await response.json())["message"]
    assert (state["gateway"], state["fault"]) == (None, "none")


async def test_a_body_that_a_page_of_another_site_could_send_is_refused(application):
    response = await application.patch("/publishing", data=b'{"fault": "stale-push"}')
    assert response.status == 415
    broken = await application.patch("/publishing", data=b"{", headers={"Content-Type": "application/json"})
    assert broken.status == 400
