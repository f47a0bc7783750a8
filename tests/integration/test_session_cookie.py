"""Callers that give no key get a session, by which they stay on their side (docs/protocol.md, section 8)."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.admin import ORDERS as ORDERS_FLAG
from tests.support.admin import operator
from tests.support.api import EVENTS, POLL, Client
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import Response, connect
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.migration import FETCH_MODE
from tests.support.tokens import auth_settings, mint
from tests.support.upstream import Upstream, upstream

COOKIE = re.compile(
    r"tidegate_session=([A-Za-z0-9_-]{22}); Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly(; Secure)?\Z"
)
PROXY = ("X-Forwarded-For", "203.0.113.7")
OF_ORDERS = {"component": "orders"}
LIST = {"limit": "5"}
"""A query with which a read of the list goes through to the upstream."""
PREFERENCE = "/api/v1/sync/preference"


class Cohort:
    """A gateway with component `orders`, whose flag a test sets."""

    def __init__(self, gateway: GatewayThread, backend: Upstream) -> None:
        self.gateway = gateway
        self.backend = backend
        self.client = Client(gateway.port)

    async def flag(self, **fields: Any) -> None:
        """Makes the flag: half of the callers stream, where `fields` say nothing else."""
        async with operator(self.gateway.port) as admin:
            await admin.make(**({"stage": "live", "percentage": 50} | fields))

    async def patch(self, **fields: Any) -> None:
        async with operator(self.gateway.port) as admin:
            assert (await admin.patch(ORDERS_FLAG, **fields)).status_code == 200

    async def opened(self, *headers: tuple[str, str], **query: str) -> Response:
        """The head of the answer to an EventSource, which a 204 ends for good."""
        path = f"{EVENTS}?entity=order" + "".join(f"&{name}={value}" for name, value in query.items())
        async with connect(self.gateway.port) as connection:
            await connection.request("GET", path, headers=headers)
            status, answered = await connection.head()
            return Response(status, answered, b"")


@asynccontextmanager
async def a_cohort(start_gateway: Any, directory: Path, **sections: Any) -> AsyncIterator[Cohort]:
    async with upstream() as backend:
        backend.says(listed(order("A")), ETag='"v1"')
        given = {
            "flags": {"store": f"file:{directory / 'flags.json'}"},
            "legacy": [route_settings(backend.url, 2.0, events="external")],
        }
        yield Cohort(start_gateway(make_settings(**(given | sections))), backend)


@pytest.fixture
async def cohort(start_gateway: Callable[..., GatewayThread], tmp_path: Path) -> AsyncIterator[Cohort]:
    async with a_cohort(start_gateway, tmp_path) as one:
        yield one


def cookies(response: Response) -> list[str]:
    """The cookies that an answer sets."""
    given: list[str] = response.headers.getall("Set-Cookie", [])
    return given


def session_of(response: Response) -> str:
    """The session that an answer gives."""
    (cookie,) = cookies(response)
    match = COOKIE.match(cookie)
    assert match is not None, cookie
    return match[1]


def sends(session: str) -> tuple[str, str]:
    return ("Cookie", f"theme=dark; tidegate_session={session}")


async def ask(cohort: Cohort, way: str, *headers: tuple[str, str]) -> Response:
    """One of the resources that give sessions."""
    match way:
        case "path":
            return await cohort.client.get(PATH, headers=headers)
        case "path that goes through":
            return await cohort.client.get(PATH, LIST, headers=headers)
        case "304":
            return await cohort.client.get(PATH, headers=[*headers, ("If-None-Match", '"v1"')])
        case "poll":
            return await cohort.client.get(POLL, OF_ORDERS, headers=headers)
        case "fetch-mode":
            return await cohort.client.get(FETCH_MODE, OF_ORDERS, headers=headers)
        case _:
            return await cohort.opened(*headers)


WAYS = ("path", "path that goes through", "304", "poll", "fetch-mode", "stream")


def streams(response: Response) -> bool:
    return response.headers["Fetch-Mode"] == "streaming" if "Fetch-Mode" in response.headers else True


@pytest.mark.parametrize("way", WAYS)
async def test_the_answer_is_decided_by_the_session_that_it_gives(cohort: Cohort, way: str) -> None:
    await cohort.flag()

    sides = set()
    for _ in range(40):
        answer = await ask(cohort, way)
        cookie = sends(session_of(answer))
        again = [await ask(cohort, other, cookie) for other in WAYS]
        assert {streams(response) for response in again} == {streams(answer)}
        assert not any(cookies(response) for response in again)
        assert again[-1].status == (200 if streams(answer) else 204)
        sides.add(streams(answer))
        if len(sides) == 2:
            break
    assert sides == {True, False}


async def test_a_stream_that_is_refused_gives_a_session_too(cohort: Cohort) -> None:
    await cohort.flag(killed=True)

    answer = await cohort.opened()
    not_modified = await ask(cohort, "304")

    assert (answer.status, not_modified.status) == (204, 304)
    assert session_of(answer) != session_of(not_modified)
    assert answer.headers["Cache-Control"] == "no-store"
    assert not_modified.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "fields",
    [
        {"percentage": 0},
        {"percentage": 100},
        {"stage": "shadow"},
        {"stage": "rampdown"},
        {"stickiness": "client"},
        {"stickiness": "tenant"},
        {"stickiness": "claim:plan"},
    ],
)
async def test_where_a_session_decides_nothing_none_is_given(cohort: Cohort, fields: dict[str, Any]) -> None:
    await cohort.flag(**fields)

    assert not any([cookies(await ask(cohort, way)) for way in WAYS])


async def test_without_a_flag_none_is_given(cohort: Cohort) -> None:
    assert not any([cookies(await ask(cohort, way)) for way in WAYS])


async def test_another_components_flag_gives_none(cohort: Cohort) -> None:
    async with operator(cohort.gateway.port) as admin:
        await admin.make("/api/v1/admin/flags/billing", stage="live", percentage=50)

    assert not any([cookies(await ask(cohort, way)) for way in WAYS])
    assert session_of(await cohort.client.get(FETCH_MODE, {"component": "billing"}))


async def test_who_has_a_key_gets_none(cohort: Cohort) -> None:
    await cohort.flag()

    for way in WAYS:
        assert not cookies(await ask(cohort, way, ("Tidegate-Client-Id", "c")))
        assert not cookies(await ask(cohort, way, sends("s")))


async def test_a_flag_that_goes_by_sessions_gives_one_beside_a_client_id(cohort: Cohort) -> None:
    await cohort.flag(stickiness="session")

    assert session_of(await ask(cohort, "poll", ("Tidegate-Client-Id", "c")))


async def test_who_chose_for_itself_keeps_its_choice(cohort: Cohort) -> None:
    await cohort.flag(stickiness="session", percentage=99.999)
    chosen = await cohort.client.request(
        "PUT",
        PREFERENCE,
        {"clientId": "c"},
        headers=[("Content-Type", "application/json")],
        body=b'{"delivery":"polling"}',
    )
    assert chosen.status == 200

    answer = await ask(cohort, "poll", ("Tidegate-Client-Id", "c"))

    assert (streams(answer), cookies(answer)) == (False, [])


async def test_a_choice_is_kept_by_the_session(cohort: Cohort) -> None:
    await cohort.flag(percentage=99.999)
    cookie = sends(session_of(await ask(cohort, "fetch-mode")))
    chosen = await cohort.client.request(
        "PUT",
        PREFERENCE,
        headers=[("Content-Type", "application/json"), cookie],
        body=b'{"delivery":"polling"}',
    )

    assert chosen.status == 200
    assert not streams(await ask(cohort, "path", cookie))
    assert (await ask(cohort, "fetch-mode", cookie)).json["cause"] == "user_opt_out"


async def test_of_two_that_were_set_at_once_the_last_counts(cohort: Cohort) -> None:
    await cohort.flag()
    sessions: dict[bool, str] = {}
    while len(sessions) < 2:
        answer = await ask(cohort, "path")
        sessions[streams(answer)] = session_of(answer)

    first, last = sends(sessions[True])[1], sends(sessions[False])[1]
    assert not streams(await ask(cohort, "path", ("Cookie", f"{first}; {last}")))
    assert not streams(await ask(cohort, "path", ("Cookie", first), ("Cookie", last)))


async def test_errors_give_none(cohort: Cohort) -> None:
    await cohort.flag()
    bad = await cohort.client.get(POLL, {"component": "orders", "limit": "x"})
    cohort.backend.says(b"no", status=404)
    through = await ask(cohort, "path that goes through")

    assert [(bad.status, cookies(bad)), (through.status, cookies(through))] == [(400, []), (404, [])]


async def test_a_page_of_another_site_could_keep_none(cohort: Cohort) -> None:
    await cohort.flag()

    answer = await ask(cohort, "fetch-mode", ("Sec-Fetch-Site", "cross-site"))

    assert cookies(answer) == []
    assert (answer.json["mode"], answer.json["cause"]) == ("polling", "TARGETING_KEY_MISSING")
    assert session_of(await ask(cohort, "fetch-mode", ("Sec-Fetch-Site", "same-site")))


async def test_no_cache_keeps_a_cookie_with_what_an_upstream_lets_it_keep(cohort: Cohort) -> None:
    await cohort.flag()
    cohort.backend.says(listed(order("A")), Cache_Control="public, max-age=60", Set_Cookie="own=1")

    first = await ask(cohort, "path that goes through")
    cookie = next(cookie for cookie in cookies(first) if COOKIE.match(cookie))
    later = await ask(cohort, "path that goes through", ("Cookie", cookie.partition(";")[0]))

    assert first.headers.getall("Cache-Control") == ["public, max-age=60", "private"]
    assert "own=1" in cookies(first)
    assert later.headers.getall("Cache-Control") == ["public, max-age=60"]
    assert cookies(later) == ["own=1"]


@pytest.mark.parametrize("size", [10, 200_000])
async def test_answers_that_share_their_header_fields_share_no_cookie(cohort: Cohort, size: int) -> None:
    cohort.backend.says(listed(order("A", text="x" * size)))
    await cohort.flag()

    given = [session_of(await ask(cohort, "path")) for _ in range(5)]

    assert len(set(given)) == 5
    assert cookies(await ask(cohort, "path", sends(given[0]))) == []
    assert "Cookie" not in (await ask(cohort, "path")).headers.get("Vary", "")


@pytest.mark.parametrize(
    ("trusted", "fields", "is_secure"),
    [
        ([], [PROXY, ("X-Forwarded-Proto", "https")], False),
        (["127.0.0.1/32"], [PROXY, ("X-Forwarded-Proto", "https")], True),
        (["127.0.0.1/32"], [("Forwarded", "for=203.0.113.7;proto=https")], True),
        (["127.0.0.1/32"], [PROXY], False),
    ],
)
async def test_the_cookie_is_for_https_alone_where_the_caller_came_by_it(
    start_gateway: Any,
    tmp_path: Path,
    trusted: list[str],
    fields: list[tuple[str, str]],
    is_secure: bool,
) -> None:
    async with a_cohort(start_gateway, tmp_path, server={"trusted_proxies": trusted}) as cohort:
        await cohort.flag()
        (cookie,) = cookies(await ask(cohort, "fetch-mode", *fields))

    assert COOKIE.match(cookie)
    assert cookie.endswith("; Secure") is is_secure


async def test_it_can_be_switched_off(start_gateway: Any, tmp_path: Path) -> None:
    flags = {"store": f"file:{tmp_path}/flags.json", "session_cookie": False}
    async with a_cohort(start_gateway, tmp_path, flags=flags) as cohort:
        await cohort.flag()
        answers = {way: await ask(cohort, way) for way in WAYS}
        given = await ask(cohort, "fetch-mode", sends("s"))

    assert not any(cookies(answer) for answer in answers.values())
    assert answers["fetch-mode"].json["cause"] == "TARGETING_KEY_MISSING"
    assert given.json["cause"] is None


async def test_a_user_needs_none(start_gateway: Any, tmp_path: Path) -> None:
    auth = auth_settings(anonymous={"subscribe": ["order"]})
    async with a_cohort(start_gateway, tmp_path, auth=auth) as cohort:
        root = ("Authorization", f"Bearer {mint('root', admin=True)}")
        made = await cohort.client.request(
            "PUT",
            f"{ORDERS_FLAG}?force=true",
            headers=[root, ("Content-Type", "application/json"), ("If-None-Match", "*")],
            body=b'{"stage":"live","percentage":50,"reason":"a test"}',
        )
        assert made.status == 201
        user = ("Authorization", f"Bearer {mint('ann', subscribe=['order'])}")

        assert not any([cookies(await ask(cohort, way, user)) for way in WAYS])
        assert session_of(await ask(cohort, "fetch-mode"))


async def test_an_answer_that_varies_by_cookies_is_the_same_for_whoever_has_a_session(cohort: Cohort) -> None:
    cohort.backend.says(listed(order("A")), Vary="Cookie")
    await cohort.flag()

    first = await ask(cohort, "path")
    alone = await ask(cohort, "path", ("Cookie", f"tidegate_session={session_of(first)}"))
    with_others = await ask(cohort, "path", sends("s"))

    assert "fwd=" not in alone.headers["Cache-Status"]
    assert "fwd=" in with_others.headers["Cache-Status"]


async def test_a_page_of_another_origin_gets_one_with_its_credentials(
    start_gateway: Any, tmp_path: Path
) -> None:
    origin = "http://shop.localhost:3000"
    async with a_cohort(start_gateway, tmp_path, cors={"origins": [origin]}) as cohort:
        await cohort.flag()
        fields = [("Origin", origin), ("Sec-Fetch-Site", "same-site")]
        answers = [await ask(cohort, way, *fields) for way in WAYS]

    for answer in answers:
        assert session_of(answer)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("sent", ["tidegate_session=s", "tidegate_session=s; theme=dark"])
async def test_upstreams_never_see_the_session(cohort: Cohort, sent: str) -> None:
    other = sent.removeprefix("tidegate_session=s").removeprefix("; ")

    await ask(cohort, "path that goes through", ("Cookie", sent), ("Cookie", "lang=en"))
    written = await cohort.client.request("POST", PATH, headers=[("Cookie", sent)], body=b"{}")

    assert written.status == 200
    read, write = cohort.backend.asked[-2:]
    assert read.headers.getall("Cookie") == [*filter(None, [other]), "lang=en"]
    assert write.headers.getall("Cookie", []) == [*filter(None, [other])]


async def test_it_is_no_credential_of_a_write(cohort: Cohort) -> None:
    await cohort.flag()
    cookie = sends(session_of(await ask(cohort, "path")))
    json = ("Content-Type", "application/json")

    refused = await cohort.client.request(
        "PUT",
        PREFERENCE,
        headers=[json, cookie, ("Origin", "https://elsewhere.example")],
        body=b'{"delivery":"streaming"}',
    )

    assert refused.status == 403
    assert (await cohort.client.get(PREFERENCE, headers=[cookie])).json == {"delivery": "auto"}


async def test_fetch_mode_says_how_the_key_came_about(cohort: Cohort) -> None:
    without_flag = await ask(cohort, "fetch-mode", sends("s"))
    await cohort.flag()
    given = await ask(cohort, "fetch-mode")
    back = await ask(cohort, "fetch-mode", sends(session_of(given)))
    client = await ask(cohort, "fetch-mode", ("Tidegate-Client-Id", "c"))
    await cohort.patch(stickiness="tenant")
    none = await ask(cohort, "fetch-mode", sends("s"))

    answers = (without_flag, given, back, client, none)
    assert [answer.json["keyFrom"] for answer in answers] == [None, "new-session", "session", "client", None]


async def test_a_caller_without_a_key_streams_with_everybody(cohort: Cohort) -> None:
    await cohort.flag(percentage=100)

    answers = [await ask(cohort, way) for way in WAYS]

    assert all(streams(answer) for answer in answers)
    assert answers[-1].status == 200


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ({"path": "/api/v1/customers/{customer}/orders"}, "/api/v1/customers/7/orders"),
        ({"vary_query": ["status"]}, f"{PATH}?status=open"),
        ({}, f"{PATH}/"),
        ({"shared": False}, PATH),
    ],
)
async def test_every_list_of_a_route_gives_sessions(
    start_gateway: Any, tmp_path: Path, route: dict[str, Any], path: str
) -> None:
    async with upstream() as backend:
        backend.says(listed(order("A")))
        url = backend.url + ("/{customer}" if "path" in route else "")
        settings = make_settings(
            flags={"store": f"file:{tmp_path}/flags.json"},
            legacy=[route_settings(url, 2.0, **({"events": "external"} | route))],
        )
        cohort = Cohort(start_gateway(settings), backend)
        await cohort.flag()
        first = await cohort.client.get(path)
        again = await cohort.client.get(path, headers=[sends(session_of(first))])

    assert (first.status, again.status) == (200, 200)
    assert again.headers["Fetch-Mode"] == first.headers["Fetch-Mode"]
    assert cookies(again) == []


async def test_a_stream_that_begins_with_the_state_gives_one(cohort: Cohort) -> None:
    await cohort.flag()

    assert session_of(await cohort.opened(state="with"))
