"""`POST /api/v1/sync/events`: publish, in the gateway's format and as CloudEvents (protocol, section 6)."""

import asyncio
import gc
import gzip
import logging

import orjson
import pytest

from adapters.memory import MemoryLog
from gateway.core.errors import LogError
from gateway.ports.clock import SystemClock
from tests.support.api import EVENTS, JSON, Client, assert_problem, event, eventually, numbers
from tests.support.gateway import make_settings
from tests.support.http import connect
from tests.support.vectors import TIMES_KEPT, TIMES_REFUSED

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"


def cloud(number=0, **attributes):
    return {
        "specversion": "1.0",
        "id": f"A-{number}",
        "source": "/shop",
        "type": "order.paid",
        "subject": "order:ORDER-001",
        "time": "2026-11-20T10:30:00.123Z",
        "datacontenttype": "application/json",
        "data": {"n": number},
    } | attributes


async def everything(client):
    return (await client.poll(cursor="earliest", limit=1000))["events"]


async def test_one_event_is_created_with_its_id_and_cursor(client):
    response = await client.post(event(1))

    assert (response.status, response.headers["Content-Type"]) == (201, "application/json")
    assert response.json["ids"] == [response.json["cursor"]]
    assert [given["id"] for given in await everything(client)] == response.json["ids"]


async def test_a_list_is_created_in_order(client):
    response = await client.post([event(n) for n in range(1000)])

    assert response.status == 201
    assert response.json["cursor"] == response.json["ids"][-1]
    assert [given["id"] for given in await everything(client)] == response.json["ids"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_a_media_type_may_be_written_in_any_way(client, kind):
    assert (await client.post(event(1), kind=kind)).status == 201


async def test_a_compressed_body_is_taken(client):
    body = gzip.compress(orjson.dumps(event(1)))
    response = await client.post(body=body, headers=[("Content-Encoding", "gzip")])

    assert response.status == 201


@pytest.mark.parametrize("action", ["insert", "update", "delete", "signal"])
async def test_an_action_is_kept(client, action):
    await client.publish(event(1, action=action))

    assert [given["action"] for given in await everything(client)] == [action]


async def test_a_list_is_all_or_nothing(client):
    response = await client.post([event(1), {"eventType": "heartbeat"}, event(3), {"entityType": 7}])

    assert response.status == 422
    assert {error["pointer"] for error in response.json["errors"]} >= {
        "/1/eventType",
        "/3/eventType",
        "/3/entityType",
    }
    assert await everything(client) == []


INVALID = [
    ({}, "/eventType"),
    (event(eventType=""), "/eventType"),
    (event(eventType="a b"), "/eventType"),
    (event(eventType="a\n"), "/eventType"),
    (event(eventType="x" * 65), "/eventType"),
    (event(eventType=7), "/eventType"),
    *(
        (event(eventType=name), "/eventType")
        for name in ("connected", "reset", "heartbeat", "refresh", "fetch-mode", "token-expiring")
    ),
    *((event(eventType=name), "/eventType") for name in ("presence", "broadcast", "bye", "error", "open")),
    (event(entityType="or der"), "/entityType"),
    (event(entityType="x" * 65), "/entityType"),
    (event(entityId=""), "/entityId"),
    (event(entityId="x" * 257), "/entityId"),
    (event(entityId="a\x00b"), "/entityId"),
    (event(entityId="a\x85b"), "/entityId"),
    (event(entityId=1), "/entityId"),
    ({"eventType": "a", "entityType": "order"}, ""),
    ({"eventType": "a", "entityId": "ORDER-001"}, ""),
    (event(action="upsert"), "/action"),
    (event(action="leave"), "/action"),
    (event(data=[1]), "/data"),
    (event(data="text"), "/data"),
    (event(previous=1), "/previous"),
    (event(actor="me"), "/actor"),
    (event(metadata=[]), "/metadata"),
    (event(timestamp="yesterday"), "/timestamp"),
    (event(timestamp="2026-02-30T10:00:00Z"), "/timestamp"),
    (event(timestamp=1732125600), "/timestamp"),
    (event(source=5), "/source"),
]


@pytest.mark.parametrize(("given", "pointer"), INVALID)
async def test_an_invalid_event_is_422_with_a_pointer_to_the_place(client, given, pointer):
    alone = await client.post(given)
    listed = await client.post([event(1), given])

    for response, place in ((alone, pointer), (listed, f"/1{pointer}")):
        assert_problem(response, 422)
        assert [error["pointer"] for error in response.json["errors"]] == [place]
        assert all(error["detail"] for error in response.json["errors"])
    assert await everything(client) == []


@pytest.mark.parametrize("value", [1, "text", None, True])
async def test_what_is_no_object_is_422_in_words_that_a_publisher_knows(client, value):
    response = await client.post([event(1), value])

    assert_problem(response, 422)
    assert [error["pointer"] for error in response.json["errors"]] == ["/1"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
async def test_another_media_type_is_415(client, kind):
    response = await client.post(event(1), kind=kind)

    assert_problem(response, 415)


async def test_a_list_that_is_empty_or_too_long_is_422(client):
    for given in ([], [event(n) for n in range(1001)]):
        assert (await client.post(given)).status == 422


async def test_an_event_over_its_size_is_413_and_one_at_it_is_not(start_gateway):
    client = Client(start_gateway(make_settings(publish={"max_event_bytes": 2000})).port)
    small, large = event(data={"text": "x" * 1500}), event(data={"text": "x" * 2500})
    refused = await client.post([small, large])

    assert (refused.status, refused.json["errors"][0]["pointer"]) == (413, "/1")
    assert await everything(client) == []
    assert (await client.post(small)).status == 201


async def test_a_request_over_its_size_is_413(start_gateway):
    client = Client(start_gateway(make_settings(publish={"max_request_bytes": 1000})).port)
    body = orjson.dumps([event(n) for n in range(20)])
    declared = await client.post(body=body)
    chunked = await client.post(
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), headers=[("Transfer-Encoding", "chunked")]
    )
    expanding = await client.post(
        body=gzip.compress(b"[" + b" " * 1_000_000 + b"]"), headers=[("Content-Encoding", "gzip")]
    )

    for response in (declared, chunked, expanding):
        assert_problem(response, 413)
    assert await everything(client) == []


async def test_a_cloudevent_becomes_an_event(client):
    response = await client.post(cloud(1, traceparent="00-abc"), kind=CLOUDEVENT)
    [published] = await everything(client)

    assert response.status == 201
    assert published == {
        "id": response.json["cursor"],
        "eventType": "order.paid",
        "entityType": "order",
        "entityId": "ORDER-001",
        "action": "update",
        "data": {"n": 1},
        "timestamp": "2026-11-20T10:30:00.123Z",
        "metadata": {
            "cloudevent": {
                "id": "A-1",
                "source": "/shop",
                "datacontenttype": "application/json",
                "traceparent": "00-abc",
            }
        },
    }


@pytest.mark.parametrize(
    ("subject", "entity"),
    [("order/ORDER-001", ("order", "ORDER-001")), ("order:a/b:c", ("order", "a/b:c"))],
)
async def test_a_subject_is_split_at_its_first_separator(client, subject, entity):
    await client.post(cloud(subject=subject), kind=CLOUDEVENT)
    [published] = await everything(client)

    assert (published["entityType"], published["entityId"]) == entity


async def test_a_cloudevent_without_a_subject_is_global(client):
    given = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "closing"}
    await client.post(given, kind=CLOUDEVENT)
    [published] = await everything(client)

    assert published["action"] == "signal"
    assert published.keys().isdisjoint({"entityType", "entityId", "data"})


async def test_a_batch_of_cloudevents_is_all_or_nothing(client):
    refused = await client.post([cloud(0), cloud(1, type="bye"), cloud(2, subject="order")], kind=CLOUDEVENTS)
    nothing = await everything(client)
    taken = await client.post([cloud(0), cloud(1)], kind=CLOUDEVENTS)

    assert (refused.status, nothing) == (422, [])
    assert (taken.status, numbers(await everything(client))) == (201, [0, 1])


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"source": None}, "/source"),
        ({"type": 5}, "/type"),
        ({"type": "a b"}, "/type"),
        ({"type": "reset"}, "/type"),
        ({"subject": "ORDER-001"}, "/subject"),
        ({"subject": "order:"}, "/subject"),
        ({"time": "noon"}, "/time"),
        ({"data": "text"}, "/data"),
        ({"data_base64": "AAAA"}, "/data_base64"),
    ],
)
async def test_an_invalid_cloudevent_is_422_and_the_pointer_names_its_attribute(client, attributes, pointer):
    response = await client.post(cloud(**attributes), kind=CLOUDEVENT)

    assert response.status == 422
    assert [error["pointer"] for error in response.json["errors"]] == [pointer]


async def test_a_time_is_read_alike_in_an_event_and_a_cloudevent(client):
    given, kept = zip(*TIMES_KEPT, strict=True)
    await client.post([event(n, timestamp=time) for n, time in enumerate(given)])
    await client.post([cloud(n, time=time) for n, time in enumerate(given)], kind=CLOUDEVENTS)

    assert [published["timestamp"] for published in await everything(client)] == [*kept, *kept]
    for time in TIMES_REFUSED:
        for response in (
            await client.post(event(0, timestamp=time)),
            await client.post(cloud(0, time=time), kind=CLOUDEVENT),
        ):
            assert response.status == 422


async def test_one_cloudevent_and_a_batch_of_them_are_different_media_types(client):
    assert (await client.post([cloud()], kind=CLOUDEVENT)).status == 422
    assert (await client.post(cloud(), kind=CLOUDEVENTS)).status == 422


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_another_method_is_405_and_says_which_are_allowed(client, method):
    response = await client.request(method, EVENTS)

    assert_problem(response, 405)
    assert {name.strip() for name in response.headers["Allow"].split(",")} == {"GET", "POST"}


class StuckLog(MemoryLog):
    """A log that takes nothing, and says so only when it is told to."""

    def __init__(self):
        super().__init__(SystemClock(), max_events=100, max_age_seconds=1e9, max_bytes=2**20)
        self.asked = asyncio.Event()
        self.may_fail = asyncio.Event()

    def append_now(self, events):
        return None

    async def append(self, events):
        self.asked.set()
        await self.may_fail.wait()
        raise LogError("The server is gone.")


@pytest.mark.parametrize("headers", [[], [("Idempotency-Key", "k")]])
async def test_a_failure_that_the_publisher_did_not_wait_for_is_counted_and_told(
    start_gateway, caplog, headers
):
    log = StuckLog()
    gateway = start_gateway(log=log, half_closed_seconds=0.01)
    caplog.set_level(logging.INFO)
    async with connect(gateway.port) as connection:
        await connection.request("POST", EVENTS, headers=[JSON, *headers], body=orjson.dumps(event(1)))
        await eventually_in(gateway, log.asked.is_set, "the log was asked")
    await eventually_in(gateway, lambda: not gateway.server.connections, "the gateway saw that it was left")
    gateway.call(log.may_fail.set)
    await Client(gateway.port).metric_becomes("tidegate_problems_total", 1, problem="log-unavailable")
    gateway.call(gc.collect)

    assert gateway.errors == []
    assert caplog.messages.count("request_refused") == 1


async def eventually_in(gateway, holds, what):
    async def asked():
        return gateway.call(holds)

    await eventually(asked, what)
