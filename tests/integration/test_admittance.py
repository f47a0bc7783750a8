"""Who is let in, and what each route asks of its caller (docs/protocol.md, section 9)."""

import logging

import orjson
import pytest
from aiohttp import web

from gateway.runtime.logs import LogfmtFormatter
from tests.support.api import EVENTS, HISTORY, JSON, POLL, STATE, Client, assert_problem, event
from tests.support.gateway import make_settings
from tests.support.http import connect
from tests.support.legacy import PATH, route_settings
from tests.support.tokens import auth_settings, bearer, mint, static_key

SYNC = "/api/v1/sync"
ADMIN = "/api/v1/admin"
FLAG = ADMIN + "/flags/{component}"

RIGHTS = {
    "open": [("GET", "/healthz")],
    "caller": [
        ("GET", "/readyz"),
        ("GET", f"{SYNC}/fetch-mode"),
        ("GET", f"{SYNC}/preference"),
        ("PUT", f"{SYNC}/preference"),
        ("POST", f"{SYNC}/telemetry"),
        ("*", PATH),
        ("*", PATH + "/"),
        ("*", PATH + "/{below}"),
    ],
    "subscribe": [("GET", EVENTS), ("GET", POLL), ("GET", HISTORY), ("GET", STATE)],
    "publish": [("POST", EVENTS)],
    "presence": [("GET", SYNC + "/presence/{channel}"), ("PUT", SYNC + "/presence/{channel}")],
    "broadcast": [("POST", SYNC + "/broadcast/{channel}")],
    "metrics": [("GET", "/metrics")],
    "admin": [
        ("GET", f"{ADMIN}/flags"),
        ("GET", FLAG),
        ("PUT", FLAG),
        ("PATCH", FLAG),
        ("DELETE", FLAG),
        ("GET", FLAG + "/revisions"),
        ("GET", FLAG + "/pollers"),
        ("GET", FLAG + "/parity"),
        ("GET", FLAG + "/telemetry"),
        ("GET", FLAG + "/guard"),
        ("POST", FLAG + "/rollback"),
        ("POST", FLAG + "/{switch}"),
        ("GET", f"{ADMIN}/explain"),
        ("GET", f"{ADMIN}/kill"),
        ("GET", f"{ADMIN}/connections"),
        ("DELETE", f"{ADMIN}/connections"),
        ("DELETE", ADMIN + "/connections/{id}"),
        ("GET", f"{ADMIN}/audit"),
        ("GET", f"{ADMIN}/revocations"),
        ("POST", f"{ADMIN}/revocations"),
        ("POST", ADMIN + "/{switch}"),
    ],
}
"""What a caller needs for each route that there is: nothing, to be known, or a grant."""

ROUTES = [route for routes in RIGHTS.values() for route in routes]
ALL = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"], "broadcast": ["*"], "admin": True}
WITHOUT = {
    "subscribe": ALL | {"subscribe": []},
    "publish": ALL | {"publish": []},
    "presence": ALL | {"presence": []},
    "broadcast": ALL | {"broadcast": []},
    "metrics": ALL | {"admin": False},
    "admin": ALL | {"admin": False},
}
"""All grants that a token may have but those of the right."""
WRONG = {
    "of-another": mint(secret="another secret, as long as it should be"),
    "expired": mint(lifetime=-3600),
    "no-token": "nonsense",
    "key": "tgk_nonsense",
    "empty": "",
}


@pytest.fixture
def gateway(start_gateway, refusing):
    """A gateway that asks for tokens, with a legacy route whose upstream is away."""
    return start_gateway(
        make_settings(auth=auth_settings(), legacy=[route_settings(refusing, 3600.0)]),
    )


async def status_of(port, route, *headers):
    """The status and fields of a request that the route answers; a stream is not waited for."""
    method, path = route
    target = path.format(component="orders", switch="kill", below="1", id="1", channel="portal")
    async with connect(port) as connection:
        asked = "GET" if method == "*" else method
        body = None if asked == "GET" else orjson.dumps(event())
        await connection.request(asked, target, headers=[JSON, *headers], body=body)
        return await connection.head()


def test_every_route_says_what_its_callers_need(gateway):
    there = {
        (route.method, route.resource.canonical)
        for route in gateway.app.router.routes()
        # A HEAD is answered by what answers the GET; of the client's files each is open (test_static.py).
        if route.method != "HEAD" and not route.resource.canonical.startswith("/static/")
    }
    assert there == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_without_a_token_nothing_but_the_health_check_answers(gateway, route):
    status, headers = await status_of(gateway.port, route)
    if route in RIGHTS["open"]:
        assert status == 200
    else:
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_with_a_wrong_token_nothing_but_the_health_check_answers(gateway, route, wrong):
    status, headers = await status_of(gateway.port, route, bearer(WRONG[wrong]))
    if route in RIGHTS["open"]:
        assert status == 200
    else:
        assert status == 401
        assert headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')


@pytest.mark.parametrize(
    ("right", "route"),
    [(right, route) for right in WITHOUT for route in RIGHTS[right]],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
async def test_a_token_with_every_other_grant_is_not_enough(gateway, right, route):
    status, headers = await status_of(gateway.port, route, bearer(mint(**WITHOUT[right])))
    assert status == 403
    assert headers["WWW-Authenticate"].startswith('Bearer error="insufficient_scope", error_description="')


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_with_the_grants_that_it_needs_every_route_answers(gateway, route):
    status, _ = await status_of(gateway.port, route, bearer(mint(**ALL)))
    assert status not in (401, 403)


@pytest.mark.parametrize("route", RIGHTS["caller"], ids=" ".join)
async def test_whoever_is_known_may_ask_for_what_needs_no_grant(gateway, route):
    status, _ = await status_of(gateway.port, route, bearer(mint()))
    assert status not in (401, 403)


async def test_a_scraper_s_key_is_for_metrics_and_for_nothing_else(start_gateway):
    key, settings = static_key("prometheus", metrics=True)
    port = start_gateway(make_settings(auth=auth_settings(keys=[settings]))).port
    assert (await Client(port, key).get("/metrics")).status == 200
    assert (await Client(port, key).get("/readyz")).status == 200
    for route in [*RIGHTS["admin"], *RIGHTS["subscribe"], *RIGHTS["publish"]]:
        assert (await status_of(port, route, bearer(key)))[0] == 403, route


async def test_a_backend_s_key_may_do_what_it_is_granted(start_gateway):
    key, settings = static_key("shop", subscribe=["order"], publish=["order"])
    port = start_gateway(make_settings(auth=auth_settings(keys=[settings]))).port
    client = Client(port, key)
    await client.publish(event(1))
    assert len((await client.get(HISTORY)).json["events"]) == 1
    assert (await client.post(event(1) | {"entityType": "invoice"})).status == 403
    assert (await client.get(POLL, {"entity": "invoice"})).status == 403


async def test_keys_alone_are_enough_to_start_with_and_then_no_token_counts(start_gateway):
    key, settings = static_key("shop", subscribe=["order"])
    port = start_gateway(make_settings(auth={"mode": "jwt", "keys": [settings]})).port
    assert (await Client(port, key).get(POLL)).status == 200
    assert (await Client(port, mint(subscribe=["order"])).get(POLL)).status == 401


async def test_whoever_may_come_without_a_token_gets_what_nobody_needs_one_for(start_gateway):
    anonymous = {"subscribe": ["menu"]}
    port = start_gateway(make_settings(auth=auth_settings(anonymous=anonymous))).port
    client = Client(port)
    assert (await client.get(POLL, {"entity": "menu"})).status == 200
    assert (await client.get("/readyz")).status == 200
    for path, query in [(POLL, {"entity": "order"}), ("/metrics", {}), (f"{ADMIN}/flags", {})]:
        answer = await client.get(path, query)
        assert_problem(answer, 403)
    assert_problem(await client.post(event(1)), 403)
    for wrong in WRONG.values():
        assert_problem(await Client(port, wrong).get(POLL, {"entity": "menu"}), 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("POST", "/healthz"),
        ("OPTIONS", "/healthz"),
        ("GET", "/healthz/"),
        ("DELETE", POLL),
        ("OPTIONS", POLL),
        ("TRACE", POLL),
        ("HEAD", EVENTS),
    ],
)
async def test_what_there_is_not_is_not_told_to_whom_nobody_knows(gateway, method, path):
    answer = await Client(gateway.port).request(method, path)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    known = await Client(gateway.port, mint()).request(method, path)
    assert known.status in (404, 405)


async def test_nothing_but_the_health_check_itself_is_open_where_a_route_takes_every_path(
    start_gateway, backend
):
    settings = make_settings(auth=auth_settings(), legacy=[route_settings(backend.url, 3600.0, path="/")])
    client = Client(start_gateway(settings).port)
    assert (await client.get("/healthz")).status == 200
    for method, path in [("POST", "/healthz"), ("GET", "/healthz/x"), ("GET", "/%68ealthz/"), ("GET", "/")]:
        assert (await client.request(method, path)).status == 401, (method, path)
    assert backend.asked == []


async def test_a_refusal_is_a_problem(gateway):
    assert_problem(await Client(gateway.port).get(POLL), 401)
    assert_problem(await Client(gateway.port, WRONG["expired"]).get(POLL), 401)
    assert_problem(await Client(gateway.port, mint()).get(POLL), 403)


async def test_refusals_are_counted_by_what_was_wrong(gateway):
    admin = Client(gateway.port, mint(admin=True))
    for problem in ("token-required", "invalid-token", "several-tokens", "insufficient-scope"):
        assert await admin.metric("tidegate_problems_total", problem=problem) == 0
    await Client(gateway.port).get(POLL)
    await Client(gateway.port, WRONG["expired"]).get(POLL)
    await Client(gateway.port, mint()).get(POLL)
    for problem in ("token-required", "invalid-token", "insufficient-scope"):
        assert await admin.metric("tidegate_problems_total", problem=problem) == 1


async def test_the_credentials_of_another_scheme_are_none_of_the_gateway_s(gateway):
    answer = await Client(gateway.port).get(POLL, headers=[("Authorization", "Basic YTpi")])
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.fixture
def query_gateway(start_gateway):
    return start_gateway(make_settings(auth=auth_settings(query_token=True)))


async def test_a_token_in_the_query_counts_where_that_is_switched_on_alone(gateway, query_gateway):
    token = mint(subscribe=["order"])
    assert (await Client(query_gateway.port).get(POLL, {"access_token": token})).status == 200
    assert (await Client(query_gateway.port).get(POLL, {"access_token": "nonsense"})).status == 401
    answer = await Client(gateway.port).get(POLL, {"access_token": token})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_stream_opens_with_a_token_in_its_query(query_gateway):
    query = {"access_token": mint(subscribe=["order"], publish=["order"]), "entity": "order"}
    async with Client(query_gateway.port).stream(query) as stream:
        await stream.connected()
        await Client(query_gateway.port, query["access_token"]).publish(event(1))
        assert (await stream.next()).data["data"] == {"n": 1}


async def test_a_token_that_is_sent_in_two_ways_is_a_bad_request(query_gateway):
    token = mint(subscribe=["order"])
    client = Client(query_gateway.port)
    for query, headers in [
        ([("access_token", token)], [bearer(token)]),
        ([("access_token", token)] * 2, []),
        ([], [bearer(token)] * 2),
    ]:
        answer = await client.get(POLL, query, headers=headers)
        assert_problem(answer, 400)
        if query:
            assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_request", ')


@pytest.fixture
def log_lines(caplog):
    """Gives the log lines so far as they are written, with their fields."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(LogfmtFormatter())
    return lambda: caplog.text


@pytest.mark.parametrize("path", [POLL, "/nowhere", "/metrics", "/api/v1/sync/fetch-mode"])
@pytest.mark.parametrize("sent", ["bearer", "query", "both", "cookie"])
@pytest.mark.parametrize("token", [mint(), *WRONG.values(), "tgk_the-secret"])
async def test_no_token_is_repeated_in_an_answer_or_a_log_line(start_gateway, log_lines, token, sent, path):
    auth = auth_settings(query_token=True, cookie="session")
    client = Client(start_gateway(make_settings(auth=auth)).port)
    query = {"access_token": token} if sent in ("query", "both") else {}
    headers = [bearer(token)] if sent in ("bearer", "both") else []
    headers += [("Cookie", f"session={token}")] if sent == "cookie" else []
    answer = await client.get(path, query, headers=headers)
    assert answer.status >= 400
    assert "event=request_refused" in log_lines()
    assert f"path={path}" in log_lines()
    told = log_lines() + answer.body.decode() + repr(answer.headers.items())
    assert not token or token[-10:] not in told


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x?access_token=%b HTTP/1.1\r\nHost: localhost\r\nno field\r\n\r\n",
        b"GET /x?access_token=%b HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /x?access_token=%b HTTP/1.1\r\nHost: localhost\r\nExpect: much\r\n\r\n",
        b"GET /x?access_token=%b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x, chunked\r\n\r\n",
        b"GET http://evil.example/x?access_token=%b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\x01\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_can_not_be_read_is_not_repeated_either(query_gateway, log_lines, head):
    async with connect(query_gateway.port) as connection:
        await connection.send(head % b"the-very-secret")
        answer = await connection.response()
    assert answer.status >= 400
    assert b"the-very-secret" not in answer.body
    assert "event=request_refused" in log_lines()
    assert "the-very-secret" not in log_lines() + repr(answer.headers.items())


async def test_an_upstream_that_fails_has_no_token_of_a_query_in_its_log_lines(
    start_gateway, refusing, log_lines
):
    for on in (True, False):
        settings = make_settings(
            auth=auth_settings(query_token=on), legacy=[route_settings(refusing, 3600.0, shared=False)]
        )
        client = Client(start_gateway(settings).port)
        token = mint("ann")
        headers = [] if on else [bearer(token)]
        for method in ("GET", "POST"):
            path = f"{PATH}/1?access_token={token}"
            assert (await client.request(method, path, headers=headers)).status == 502
        assert "event=upstream_failed" in log_lines()
        assert token[-10:] not in log_lines()


async def test_a_page_of_another_origin_asks_first_without_a_token_and_may_read_why_it_is_refused(
    start_gateway,
):
    app = "https://app.example"
    settings = make_settings(auth=auth_settings(), cors={"origins": [app]})
    client = Client(start_gateway(settings).port)
    preflight = [("Origin", app), ("Access-Control-Request-Method", "GET")]
    assert (await client.request("OPTIONS", POLL, headers=preflight)).status == 204
    answer = await client.get(POLL, headers=[("Origin", app)])
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, app)
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"].split(", ")


async def test_a_handler_that_nobody_was_let_in_to_fails(start_gateway):
    def extend(app: web.Application) -> None:
        app.middlewares.clear()

    client = Client(start_gateway(make_settings(auth=auth_settings()), extend=extend).port)
    assert (await client.get(POLL)).status == 500
