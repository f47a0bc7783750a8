"""A leak: rights that were taken away go on for whoever had a stream open, or an answer at hand."""

import asyncio

import pytest

from tests.support.admin import operator
from tests.support.api import EVENTS, HISTORY, POLL, Client, assert_problem, event, numbers
from tests.support.clock import ManualClock
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.tokens import auth_settings, bearer, mint, static_key

KEY, WRITTEN_KEY = static_key("reader", subscribe=["order"])
TOKEN = mint("ann", subscribe=["order"], claims={"jti": "the one"})


@pytest.fixture
def gateway(start_gateway, way, tmp_path):
    """A gateway that asks for tokens, and has one static key."""
    flags = {"store": f"file:{tmp_path}/flags.json"}
    settings = make_settings(auth=auth_settings(keys=[WRITTEN_KEY]), flags=flags)
    return start_gateway(settings, way=way)


async def revoke(gateway, **whom):
    async with operator(gateway.port) as admin:
        admin.http.headers.update([bearer(mint("root", admin=True))])
        body = {"reason": "a test", **whom}
        assert (await admin.send("POST", "/api/v1/admin/revocations", body)).status_code == 201


@EVERY_WAY
@pytest.mark.parametrize(
    ("token", "whom"),
    [(TOKEN, {"subject": "ann"}), (TOKEN, {"tokenId": "the one"}), (KEY, {"key": "reader"})],
    ids=["subject", "token", "key"],
)
async def test_whoever_is_revoked_gets_what_was_before_and_nothing_after_by_any_way(gateway, token, whom):
    publisher, reader = Client(gateway.port, mint("bob", publish=["*"])), Client(gateway.port, token)
    async with reader.stream() as stream, asyncio.timeout(DEADLINE_SECONDS):
        connected = await stream.connected()
        await publisher.publish(event(1))
        assert numbers(await stream.take(1)) == [1]
        cursor = stream.last_event_id
        poll = asyncio.create_task(reader.get(POLL, [("cursor", cursor), ("wait", 60)]))
        await revoke(gateway, **whom)
        await publisher.publish(event(2))
        [*before, bye] = await stream.rest()
        assert before == []
        assert (bye.event, bye.data["reason"], bye.data["reconnect"]) == ("bye", "revoked", False)
        assert_problem(await poll, 401)
    for path in (POLL, HISTORY, EVENTS):
        for query in ([], [("cursor", cursor)], [("cursor", connected.id)], [("cursor", "earliest")]):
            assert_problem(await reader.get(path, query), 401)
    conditional = await reader.get(POLL, headers=[("If-None-Match", f'"{cursor}"')])
    assert_problem(conditional, 401)


@EVERY_WAY
async def test_whoever_may_see_less_than_before_does_not_go_on_with_what_it_had(gateway):
    publisher = Client(gateway.port, mint("bob", publish=["*"]))
    before = Client(gateway.port, mint("ann", subscribe=["order", "invoice"]))
    cursor = (await before.get(POLL)).json["cursor"]
    await publisher.publish(event(1))
    after = Client(gateway.port, mint("ann", subscribe=["invoice"]))

    answer = await after.get(POLL, [("cursor", cursor)])
    assert (answer.json["events"], answer.json["reset"]) == ([], {"reason": "scope"})
    conditional = await after.get(POLL, headers=[("If-None-Match", f'"{cursor}"')])
    assert (conditional.status, conditional.json["reset"]) == (200, {"reason": "scope"})
    async with after.stream(headers=[("Last-Event-ID", cursor)]) as stream:
        assert (await stream.connected()).data["recovered"] is False
        assert (await stream.next()).data["reason"] == "scope"
    assert_problem(await after.get(HISTORY, [("entity", "order")]), 403)


@EVERY_WAY
async def test_a_stream_ends_with_its_token_and_a_fresh_one_goes_on_where_it_was(
    start_gateway, way, tmp_path
):
    clock = ManualClock()
    now = clock.wall_ms() / 1000
    settings = make_settings(auth=auth_settings(), flags={"store": f"file:{tmp_path}/flags.json"})
    gateway = start_gateway(settings, way=way, clock=clock)
    publisher = Client(gateway.port, mint("bob", publish=["*"], now=now, lifetime=7200))
    reader = Client(gateway.port, mint("ann", subscribe=["order"], now=now, lifetime=30))
    async with reader.stream() as stream, asyncio.timeout(DEADLINE_SECONDS):
        await stream.connected()
        # Less than a minute is left from the beginning.
        assert (await stream.next()).event == "token-expiring"
        await publisher.publish(event(1))
        assert numbers(await stream.take(1)) == [1]
        cursor = stream.last_event_id
        clock.advance(31)
        [bye] = await stream.rest()
        assert (bye.event, bye.data["reason"], bye.data["reconnect"]) == ("bye", "token_expired", True)
    assert_problem(await reader.get(POLL, [("cursor", cursor)]), 401)
    await publisher.publish(event(2))
    fresh = Client(gateway.port, mint("ann", subscribe=["order"], now=now + 31))
    answer = await fresh.get(POLL, [("cursor", cursor)])
    assert numbers(answer.json["events"]) == [2]
