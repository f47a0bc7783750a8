"""`Idempotency-Key`: a publisher may repeat a request, and its events are published once (section 6)."""

import asyncio

import orjson
import pytest

from adapters.memory import MemoryLog
from gateway.ports.clock import SystemClock
from tests.support.api import EVENTS, JSON, Client, assert_problem, event, eventually, numbers
from tests.support.http import connect


def key(text):
    return [("Idempotency-Key", text)]


async def published(client):
    return numbers((await client.poll(cursor="earliest", limit=1000))["events"])


async def test_a_repeated_request_gets_the_first_answer_and_publishes_nothing(client):
    first = await client.post(event(1), headers=key("a"))
    again = await client.post(event(1), headers=key("a"))

    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body
    assert await published(client) == [1]
    assert await client.metric("tidegate_publish_replayed_total") == 1


async def test_another_key_is_another_request(client):
    for text in ("a", "b"):
        assert (await client.post(event(1), headers=key(text))).status == 201

    assert await published(client) == [1, 1]


async def test_a_key_that_comes_with_another_body_is_422(client):
    await client.post(event(1), headers=key("a"))
    other = await client.post(event(2), headers=key("a"))

    assert_problem(other, 422)
    assert await published(client) == [1]


async def test_requests_with_one_key_at_the_same_time_publish_once(client):
    answers = await asyncio.gather(*(client.post(event(1), headers=key("a")) for _ in range(20)))

    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.body for answer in answers}) == 1
    assert await published(client) == [1]


async def test_where_there_is_no_room_for_a_key_the_request_is_503_and_may_come_again(start_gateway):
    bounds = {"max_events": 100, "max_age_seconds": 1e9, "max_bytes": 10**9}
    log = MemoryLog(SystemClock(), **bounds, max_key_bytes=1500)
    client = Client(start_gateway(log=log).port)
    for number, text in enumerate("ab"):
        assert (await client.post(event(number), headers=key(text))).status == 201

    refused = await client.post(event(3), headers=key("c"))

    assert_problem(refused, 503)
    assert refused.json["type"] == "urn:tidegate:problem:no-room-for-key"
    assert 1 <= int(refused.headers["Retry-After"]) <= 600
    assert (await client.post(event(0), headers=key("a"))).status == 200
    assert (await client.post(event(4))).status == 201
    assert await published(client) == [0, 1, 4]
    assert await client.metric("tidegate_problems_total", problem="no-room-for-key") == 1
    assert await client.metric("tidegate_log_keys") == 2
    assert 800 < await client.metric("tidegate_log_key_bytes") < 1500


async def test_a_refused_request_may_be_mended_under_its_key(client):
    refused = await client.post({"eventType": "bye"}, headers=key("a"))
    again = await client.post({"eventType": "bye"}, headers=key("a"))
    mended = await client.post(event(1), headers=key("a"))

    assert (refused.status, again.status, mended.status) == (422, 422, 201)


async def test_a_publisher_that_vanished_before_its_answer_may_ask_again(client):
    body = orjson.dumps(event(1))
    async with connect(client.port) as connection:
        await connection.request("POST", EVENTS, headers=[JSON, *key("a")], body=body)
        connection.reset()

    async def is_taken_in():
        answer = await client.post(body=body, headers=key("a"))
        return answer.status == 200

    await eventually(is_taken_in, "the request is answered as a repeated one")
    assert await published(client) == [1]


@pytest.mark.parametrize("second", ["a", "b"])
async def test_two_keys_are_400(client, second):
    response = await client.post(event(1), headers=[*key("a"), *key(second)])

    assert_problem(response, 400)
    assert await published(client) == []


@pytest.mark.parametrize("text", ["", "x" * 256, "a\x85b", "a\udcff"])
async def test_a_key_that_is_empty_too_long_no_text_or_has_control_characters_is_400(client, text):
    response = await client.post(event(1), headers=key(text))

    assert_problem(response, 400)
    assert await published(client) == []
