"""Tokens in a cookie: an EventSource can't send header fields (docs/protocol.md, section 9)."""

import orjson
import pytest

from tests.support.api import EVENTS, HISTORY, JSON, POLL, Client, assert_problem, event
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, bearer, mint

APP = "https://app.example"
BODY = orjson.dumps(event(1))
TOKEN = mint(subscribe=["*"], publish=["*"], admin=True)


def cookie(value, name="session"):
    return ("Cookie", f"{name}={value}")


@pytest.fixture
def gateway(start_gateway):
    return start_gateway(make_settings(auth=auth_settings(cookie="session"), cors={"origins": [APP]}))


@pytest.fixture
def client(gateway):
    return Client(gateway.port)


async def published(gateway):
    """What was published so far."""
    return (await Client(gateway.port, TOKEN).get(HISTORY)).json["events"]


@pytest.mark.parametrize("given", [TOKEN, f'"{TOKEN}"', f"{TOKEN}; theme=dark", f"{TOKEN}; session="])
async def test_a_read_may_have_its_token_in_the_cookie(client, given):
    assert (await client.get(POLL, headers=[cookie(given)])).status == 200


async def test_a_stream_opens_with_its_token_in_the_cookie(client):
    async with client.stream({"entity": "order"}, headers=[cookie(TOKEN), ("Origin", APP)]) as stream:
        await stream.connected()


@pytest.mark.parametrize("name", ["Session", "session2", "tidegate_session"])
async def test_a_cookie_of_another_name_is_no_token(client, name):
    answer = await client.get(POLL, headers=[cookie(TOKEN, name)])
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_no_cookie_counts_where_none_is_named(start_gateway):
    client = Client(start_gateway(make_settings(auth=auth_settings())).port)
    assert (await client.get(POLL, headers=[cookie(TOKEN)])).status == 401


@pytest.mark.parametrize("value", ["nonsense", mint(lifetime=-3600), "a.b.c", "tgk_x"])
async def test_a_cookie_that_holds_no_valid_token_is_refused(client, value):
    answer = await client.get(POLL, headers=[cookie(value)])
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", ')
    assert_problem(answer, 401)


async def test_an_empty_cookie_is_one_that_was_taken_away(client):
    answer = await client.get(POLL, headers=[cookie("")])
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_of_two_cookies_that_differ_neither_counts(client):
    for lines in ([cookie(f"{TOKEN}; session={mint()}")], [cookie(TOKEN), cookie("other")]):
        assert_problem(await client.get(POLL, headers=lines), 400)
    assert (await client.get(POLL, headers=[cookie(TOKEN), cookie(TOKEN)])).status == 200


async def test_a_token_in_a_header_counts_before_the_cookie(client):
    headers = [cookie("nonsense"), bearer(TOKEN)]
    assert (await client.get(POLL, headers=headers)).status == 200
    assert (await client.get(POLL, headers=[cookie(TOKEN), bearer("nonsense")])).status == 401


@pytest.mark.parametrize("origin", [APP, "http://localhost", "https://localhost"])
async def test_a_page_that_may_write_writes_with_its_cookie(client, gateway, origin):
    headers = [cookie(TOKEN), ("Origin", origin), JSON]
    assert (await client.request("POST", EVENTS, headers=headers, body=BODY)).status == 201
    assert len(await published(gateway)) == 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Sec-Fetch-Site", "same-origin")],
        [("Referer", f"{APP}/")],
        [("Access-Control-Request-Method", "POST")],
    ],
)
async def test_a_write_whose_page_nobody_knows_has_no_credentials_in_its_cookie(client, gateway, headers):
    answer = await client.request("POST", EVENTS, headers=[cookie(TOKEN), JSON, *headers], body=BODY)
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Origin" in answer.json["detail"]
    assert await published(gateway) == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", f"{APP}:444", "http://localhost:1"])
async def test_a_page_of_another_site_can_not_write_with_the_cookie(client, gateway, origin):
    headers = [cookie(TOKEN), ("Origin", origin), JSON]
    assert_problem(await client.request("POST", EVENTS, headers=headers, body=BODY), 403)
    for kill in ("/api/v1/admin/kill", "/api/v1/admin/flags/orders/kill"):
        answer = await client.request("POST", kill, headers=headers, body=b'{"reason":"r"}')
        assert_problem(answer, 403)
    assert await published(gateway) == []


async def test_of_two_origins_both_have_to_be_known(client):
    headers = [cookie(TOKEN), ("Origin", APP), ("Origin", "https://evil.example"), JSON]
    assert_problem(await client.request("POST", EVENTS, headers=headers, body=BODY), 403)


async def test_a_program_writes_with_its_token_in_a_header_and_no_origin(client, gateway):
    headers = [cookie(TOKEN), bearer(TOKEN), JSON]
    assert (await client.request("POST", EVENTS, headers=headers, body=BODY)).status == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"])
async def test_whatever_may_change_something_is_a_write(client, method):
    answer = await client.request(method, "/nowhere", headers=[cookie(TOKEN)])
    assert answer.status == 401
    answer = await client.request(method, "/nowhere", headers=[cookie(TOKEN), ("Origin", APP)])
    assert answer.status == 404


async def test_where_anybody_may_come_a_write_with_a_cookie_that_does_not_count_comes_as_nobody_else(
    start_gateway,
):
    auth = auth_settings(cookie="session", anonymous={"publish": ["*"], "subscribe": ["*"]})
    client = Client(start_gateway(make_settings(auth=auth)).port)
    assert (await client.request("POST", EVENTS, headers=[JSON], body=BODY)).status == 201
    answer = await client.request("POST", EVENTS, headers=[cookie(TOKEN), JSON], body=BODY)
    assert_problem(answer, 401)
