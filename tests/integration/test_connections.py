"""Who is connected, and the end of some: `/api/v1/admin/connections` (docs/protocol.md, section 8)."""

import asyncio
import logging

import pytest

from tests.support.admin import operator, refused
from tests.support.api import GZIP, POLL, Client, assert_problem, event, eventually, numbers
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.principals import KEY, SUBJECT, believe_callers
from tests.support.tokens import auth_settings, bearer, mint

CONNECTIONS = "/api/v1/admin/connections"
REASON = {"reason": "a test"}
ANA, BEN = [(SUBJECT, "ana")], [(SUBJECT, "ben")]


@pytest.fixture
def gateway(start_gateway, way):
    """A gateway that takes callers for the subject that they name."""
    settings = make_settings(
        components={"orders": {"entities": ["order"]}, "invoices": {"entities": ["invoice"]}},
        stream={"compression": "gzip"},
        limits={"streams_per_subject": 2},
    )
    return start_gateway(settings, way=way, extend=believe_callers)


@pytest.fixture
async def admin(gateway):
    async with operator(gateway.port) as client:
        yield client


async def listed(admin, query=""):
    response = await admin.get(f"{CONNECTIONS}{query}")
    assert response.status_code == 200, response.text
    return response.json()


@EVERY_WAY
async def test_an_open_stream_is_listed_with_whose_it_is_and_what_it_gets(client, admin):
    query = [("entity", "order:ORDER-001"), ("filter", "n=gt.1"), ("component", "orders")]
    headers = [*ANA, ("Tidegate-Client", "shop/2.1.0")]
    async with client.stream(query, headers=headers) as stream:
        connected = await stream.connected()
        answer = await listed(admin)
        [shown] = answer["connections"]

        assert shown == {
            "id": connected.data["clientId"],
            "subject": "ana",
            "key": None,
            "since": shown["since"],
            "address": "127.0.0.1",
            "client": "shop/2.1.0",
            "transport": "sse",
            "selection": "entity=order%3AORDER-001&filter=n%3Dgt.1&component=orders",
            "state": "live",
            "cursorLag": {"events": 0, "ms": 0, "more": False},
            "bufferedBytes": 0,
        }
        assert shown["since"][:11] == connected.data["timestamp"][:11]
        assert (answer["matching"], answer["more"], answer["total"]) == (1, False, 1)
        assert answer["answeredBy"]["worker"] is None
        # What is told of the selection selects the same.
        async with client.stream(path=f"/api/v1/sync/events?{shown['selection']}") as same:
            await same.connected()
            await client.publish(event(1), event(2))
            assert numbers(await stream.take(1)) == numbers(await same.take(1)) == [2]

    async def is_gone():
        return (await listed(admin))["connections"] == []

    await eventually(is_gone, "nobody is listed who has gone")


@pytest.mark.parametrize(
    ("query", "headers", "members"),
    [
        ((), [], {"subject": None, "client": "unknown", "transport": "sse", "selection": ""}),
        ((), [GZIP], {"transport": "sse-gzip"}),
        ({"clientVersion": "7"}, [("User-Agent", "curl/8.5.0")], {"client": "7"}),
        ((), [("User-Agent", "curl/8.5.0")], {"client": "curl 8.5"}),
        ((), [(KEY, "shop")], {"subject": None, "key": "shop"}),
        ({"orderID": "1"}, [], {"selection": ""}),
    ],
)
async def test_what_is_said_of_other_streams(client, admin, query, headers, members):
    async with client.stream(query, headers=headers) as stream:
        await stream.connected()
        [shown] = (await listed(admin))["connections"]
    assert shown.items() >= members.items()


async def test_a_client_that_does_not_read_shows_what_it_lacks(client, admin):
    async with client.stream({"entity": "order"}, receive_buffer=4096) as stream:
        await stream.connected()

        async def lags():
            await client.publish(*(event(n, data={"n": n, "text": "x" * 60_000}) for n in range(10)))
            [shown] = (await listed(admin))["connections"]
            lag = shown["cursorLag"]
            return lag["events"] > 0 and lag["ms"] > 0 and shown["bufferedBytes"] > 0

        await eventually(lags, "it lags, and shows by how much")


async def test_the_list_is_narrowed_down_and_bounded(client, admin):
    streams = [("order", ANA), ("order", BEN), ("invoice", ANA), ("menu", [])]
    async with asyncio.timeout(60):
        opened = [client.stream({"entity": entity}, headers=headers) for entity, headers in streams]
        entered = [await stream.__aenter__() for stream in opened]
        try:
            ids = [(await stream.connected()).data["clientId"] for stream in entered]

            async def shown(query):
                answer = await listed(admin, query)
                assert answer["total"] == 4
                return [ids.index(one["id"]) for one in answer["connections"]], answer["matching"]

            assert await shown("") == ([0, 1, 2, 3], 4)
            assert await shown("?subject=ana") == ([0, 2], 2)
            assert await shown("?component=orders") == ([0, 1], 2)
            assert await shown("?subject=ana&component=orders") == ([0], 1)
            assert await shown("?address=127.0.0.1&limit=3") == ([0, 1, 2], 4)
            assert await shown("?address=127.0.0.2") == ([], 0)
            assert await shown("?subject=nobody") == ([], 0)
        finally:
            for stream in opened:
                await stream.__aexit__(None, None, None)
    for wrong in ("0", "1001", "many"):
        refused(await admin.get(f"{CONNECTIONS}?limit={wrong}"), 400, "limit")


async def test_who_meets_a_limit_is_listed_the_latest_first(client, admin):
    async with client.stream(headers=ANA) as one, client.stream(headers=ANA) as other:
        await one.connected()
        await other.connected()
        for _ in range(2):
            async with client.stream(headers=ANA) as stream:
                assert [frame.event for frame in await stream.rest()] == ["bye"]
        assert_problem(await client.get(POLL, {"wait": 5}, headers=ANA), 429)
        [met] = (await listed(admin))["refused"]
    assert met.pop("last").endswith("Z")
    assert met == {"limit": "streams_per_subject", "subject": "ana", "address": "127.0.0.1", "count": 3}


@EVERY_WAY
async def test_one_stream_is_ended_for_good_and_no_other(client, admin):
    async with client.stream(headers=ANA) as stream, client.stream(headers=ANA) as other:
        ended = (await stream.connected()).data["clientId"]
        await other.connected()
        response = await admin.send("DELETE", f"{CONNECTIONS}/{ended}", REASON)
        assert (response.status_code, response.json()["ended"]) == (200, 1)
        [bye] = await stream.rest()
        assert (bye.event, bye.id) == ("bye", None)
        assert bye.data == {"reason": "disconnected", "reconnect": False, "retryMs": bye.retry}
        assert bye.retry >= 30_000
        await client.publish(event(1))
        assert numbers(await other.take(1)) == [1]
    await client.metric_becomes("tidegate_streams", 0)
    assert await client.metric("tidegate_byes_total", reason="disconnected") == 1


@EVERY_WAY
async def test_a_subjects_streams_are_ended_and_leave_their_room(client, admin):
    async with client.stream(headers=BEN) as bens:
        await bens.connected()
        for _ in range(2):
            async with client.stream(headers=ANA) as one, client.stream(headers=ANA) as other:
                for stream in (one, other):
                    assert (await stream.next()).event == "connected"
                response = await admin.send("DELETE", f"{CONNECTIONS}?subject=ana", REASON)
                assert (response.status_code, response.json()["ended"]) == (200, 2)
                for stream in (one, other):
                    [bye] = await stream.rest()
                    assert bye.data["reason"] == "disconnected"
            await client.metric_becomes("tidegate_streams", 1)
        response = await admin.send("DELETE", f"{CONNECTIONS}?subject=ana", REASON)
        assert (response.status_code, response.json()["ended"]) == (200, 0)
        await client.publish(event(1))
        assert numbers(await bens.take(1)) == [1]


async def test_an_end_needs_no_reason(client, admin):
    async with client.stream(headers=ANA) as stream:
        shown = (await stream.connected()).data["clientId"]
        response = await admin.http.delete(f"{CONNECTIONS}/{shown}")
        assert (response.status_code, response.json()["ended"]) == (200, 1)
        assert [frame.event for frame in await stream.rest()] == ["bye"]


async def test_an_end_says_why_and_of_what(client, admin, caplog):
    async with client.stream(headers=ANA) as stream:
        shown = (await stream.connected()).data["clientId"]
        path = f"{CONNECTIONS}/{shown}"
        refused(await admin.send("DELETE", path, {}), 422, "/reason")
        refused(await admin.send("DELETE", path, {"reason": ""}), 422, "/reason")
        refused(await admin.send("DELETE", path, {"reason": "a\nb"}), 422, "/reason")
        refused(await admin.send("DELETE", path, {"reason": "x" * 1001}), 422, "/reason")
        refused(await admin.send("DELETE", path, REASON | {"local": True}), 422, "/local")
        refused(await admin.send("DELETE", CONNECTIONS, REASON), 400, "subject")
        for unknown in ("0" * 16, "1", shown.upper() + "x", "..", "%00"):
            refused(await admin.send("DELETE", f"{CONNECTIONS}/{unknown}", REASON), 404)
        assert (await listed(admin))["matching"] == 1
        with caplog.at_level(logging.INFO):
            await admin.send("DELETE", path, REASON, Tidegate_Operator="olga")
    [line] = [record for record in caplog.records if record.msg == "connections_ended"]
    assert line.fields == {"who": "loopback:olga", "why": "a test", "ended": 1, "id": shown}


async def test_with_tokens_subjects_are_theirs_and_administrators_end_them(start_gateway):
    gateway = start_gateway(make_settings(auth=auth_settings(), limits={"streams_per_subject": 1}))
    client = Client(gateway.port)
    ana, fresh, ben = (bearer(mint(name, subscribe=["order"])) for name in ("ana", "ana", "ben"))
    boss = dict([bearer(mint("boss", admin=True))])
    async with (
        operator(gateway.port) as admin,
        client.stream(headers=[ana]) as anas,
        client.stream(headers=[ben]) as bens,
    ):
        await anas.connected()
        await bens.connected()
        async with client.stream(headers=[fresh]) as one_too_many:
            [bye] = await one_too_many.rest()
            assert bye.data["reason"] == "limit"
        refused(await admin.get(CONNECTIONS), 401)
        refused(await admin.get(CONNECTIONS, **dict([ana])), 403)
        refused(await admin.send("DELETE", f"{CONNECTIONS}?subject=ben", REASON, **dict([ana])), 403)
        answer = (await admin.get(CONNECTIONS, **boss)).json()
        assert [one["subject"] for one in answer["connections"]] == ["ana", "ben"]
        assert [met["subject"] for met in answer["refused"]] == ["ana"]
        response = await admin.send("DELETE", f"{CONNECTIONS}?subject=ana", REASON, **boss)
        assert (response.status_code, response.json()["ended"]) == (200, 1)
        [bye] = await anas.rest()
        assert bye.data["reason"] == "disconnected"
        assert (await admin.get(CONNECTIONS, **boss)).json()["matching"] == 1


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", "?subject=ana"), ("DELETE", "/1")])
async def test_administrators_alone_see_and_end_connections(admin, method, path):
    response = await admin.send(method, f"{CONNECTIONS}{path}", REASON, X_Forwarded_For="203.0.113.7")
    refused(response, 403)
