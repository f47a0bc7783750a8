"""Revocations from outside: what was published before one reaches the revoked, and nothing after it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.errors import ConfigError
from gateway.core.events import REVOCATION
from gateway.core.times import rfc3339
from gateway.ports.clock import SystemClock
from tests.support.admin import operator, refused
from tests.support.api import HISTORY, JSON, POLL, Client, Stream, assert_problem, event, eventually
from tests.support.cluster import position, shared_log
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import Headers, Response
from tests.support.principals import ISSUED_AT, KEY, SUBJECT, believe_callers
from tests.support.shaky_log import ShakyLog
from tests.support.tokens import auth_settings, mint, static_key

REVOCATIONS = "/api/v1/admin/revocations"
ANA = [(SUBJECT, "ana"), (ISSUED_AT, "1000")]
BO = [(SUBJECT, "bo"), (ISSUED_AT, "1000")]

Start = Callable[..., GatewayThread]


async def revoke(port: int, **members: Any) -> Response:
    body = orjson.dumps({"reason": "left"} | members)
    return await Client(port).request("POST", REVOCATIONS, headers=[JSON], body=body)


async def revoked(port: int, **members: Any) -> dict[str, Any]:
    answer = await revoke(port, **members)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


class Site:
    """Gateways on one log, as many at a time as it can have."""

    def __init__(self, kind: str, url: str, directory: Path, start: Start) -> None:
        self.nodes = 2 if kind in ("postgres", "redis") else 1
        self._url = url
        self._directory = directory
        self._start = start

    def start(self, **sections: Any) -> GatewayThread:
        given: dict[str, Any] = {
            "log": {"url": self._url},
            "history": {"max_events": 100},
            "flags": {"store": f"file:{self._directory}/flags.json"},
        }
        return self._start(make_settings(**given | sections), extend=believe_callers)


@asynccontextmanager
async def _url(kind: str, directory: Path) -> AsyncIterator[str]:
    if kind in ("postgres", "redis"):
        async with shared_log(kind) as url:
            yield url
    else:
        yield "memory://" if kind == "memory" else f"sqlite:///{directory}/events.db"


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def site(request: pytest.FixtureRequest, tmp_path: Path, start_gateway: Start) -> AsyncIterator[Site]:
    async with _url(request.param, tmp_path) as url:
        yield Site(request.param, url, tmp_path, start_gateway)


@pytest.fixture
def gateway(tmp_path: Path, start_gateway: Start) -> GatewayThread:
    return Site("memory", "memory://", tmp_path, start_gateway).start()


async def ids_of(stream: Stream) -> tuple[list[str], dict[str, Any]]:
    """The ids of all events up to the stream's end, and the data of its last frame."""
    frames = await stream.rest()
    assert frames[-1].event == "bye"
    return [frame.data["id"] for frame in frames[:-1] if frame.event != "connected"], frames[-1].data


async def test_exactly_what_was_before_it_reaches_the_revoked_live_and_replayed_on_every_node(
    site: Site,
) -> None:
    gateways = [site.start() for _ in range(site.nodes)]
    ports = [gateway.port for gateway in gateways]
    first = Client(ports[0])
    begin = await first.now()
    old = [await first.publish(*(event(number) for number in range(90))) for _ in range(8)]
    published = [given for ids in old for given in ids]
    async with AsyncExitStack() as stack:

        async def opened(port: int, who: Headers, *, cursor: str | None = None) -> Stream:
            headers = [*who, *([] if cursor is None else [("Last-Event-ID", cursor)])]
            return await stack.enter_async_context(Client(port).stream(headers=headers))

        # The log in memory holds as little as the history does.
        since = begin if site._url != "memory://" else old[-1][0]
        live = [await opened(port, ANA) for port in ports]
        replayed = [await opened(port, ANA, cursor=since) for port in ports]
        others = [await opened(port, BO, cursor=since) for port in ports]
        for stream in live:
            await stream.connected()

        async def publish(port: int) -> None:
            for number in range(20):
                published.extend(await Client(port).publish(*(event(number) for _ in range(5))))

        (made, *_) = await asyncio.gather(revoked(ports[-1], subject="ana"), *map(publish, ports))
        end = position(made["cursor"])
        last = (await first.publish(event(eventType="the_end")))[0]
        before = [given for given in sorted(published, key=position) if position(given) < end]
        after = [given for given in sorted(published, key=position) if position(given) > end]
        for stream in live:
            ids, bye = await ids_of(stream)
            assert ids == before[len(before) - len(ids) :]
            assert not before or not ids or ids[-1] == before[-1]
            assert (bye["reason"], bye["reconnect"]) == ("revoked", False)
        for stream in replayed:
            ids, bye = await ids_of(stream)
            assert ids == [given for given in before if position(given) > position(since)]
            assert (bye["reason"], bye["reconnect"]) == ("revoked", False)
        for stream in others:
            ids = []
            while (frame := await stream.next()).data.get("id") != last:
                ids += [] if frame.event == "connected" else [frame.data["id"]]
            assert ids == [given for given in [*before, *after] if position(given) > position(since)]
    for port in ports:
        refusal = await Client(port).get(POLL, headers=ANA)
        assert_problem(refusal, 401)
        assert refusal.json["detail"] == "The token was revoked."


async def test_a_restart_forgives_nobody(site: Site) -> None:
    gateway = site.start()
    await revoked(gateway.port, subject="ana")
    await revoked(gateway.port, key="ci")
    made = (await Client(gateway.port).get(REVOCATIONS)).json
    # So that the log's newest events, which a start reads, hold neither.
    for _ in range(2):
        await Client(gateway.port).publish(*(event(number) for number in range(90)))
    gateway.stop()
    again = site.start()
    assert (await Client(again.port).get(REVOCATIONS)).json == made
    for who in (ANA, [(KEY, "ci")]):
        assert_problem(await Client(again.port).get(POLL, headers=who), 401)
    for who in (BO, [(KEY, "cd")], [(SUBJECT, "ana"), (ISSUED_AT, "9999999999")]):
        assert (await Client(again.port).get(POLL, headers=who)).status == 200


async def test_a_poll_that_waits_is_refused_when_its_caller_is_revoked_and_others_wait_on(
    gateway: GatewayThread,
) -> None:
    client = Client(gateway.port)
    hers, his = (asyncio.create_task(client.get(POLL, {"wait": 30}, headers=who)) for who in (ANA, BO))

    async def both_wait() -> bool:
        return gateway.call(lambda: len(gateway.parts.delivery.hub.groups.long_polls)) == 2

    await eventually(both_wait, "both wait")
    await revoked(gateway.port, subject="ana")
    assert_problem(await hers, 401)
    assert not his.done()
    await client.publish(event(1))
    assert [given["data"]["n"] for given in (await his).json["events"]] == [1]


async def test_nobody_is_shown_a_revocation(gateway: GatewayThread) -> None:
    client = Client(gateway.port)
    begin = await client.now()
    made = await revoked(gateway.port, subject="ana")
    for query in ({}, {"eventTypes": REVOCATION}, {"filter": "subject=eq.ana"}):
        assert (await client.poll(cursor=begin, **query))["events"] == []
        assert (await client.get(HISTORY, query)).json["events"] == []
        async with client.stream(query, headers=[("Last-Event-ID", begin)]) as stream:
            await stream.connected()
            await client.publish(event(1))
            if not query:
                assert (await stream.next()).data["data"] == {"n": 1}
    # Its place is a cursor like any other.
    assert [given["data"]["n"] for given in (await client.poll(cursor=made["cursor"]))["events"]] == [1, 1, 1]


async def test_what_was_made_is_answered_and_listed(gateway: GatewayThread) -> None:
    made = await revoked(gateway.port, tokenId="t-1", issuedBefore="2026-11-20T10:30:00+01:00")
    assert made == {
        "tokenId": "t-1",
        "issuedBefore": "2026-11-20T09:30:00.000Z",
        "reason": "left",
        "cursor": made["cursor"],
    }
    by_subject = await revoked(gateway.port, subject="ana")
    listed = (await Client(gateway.port).get(REVOCATIONS)).json
    assert listed == {"revocations": [made, by_subject], "total": 2}
    one = (await Client(gateway.port).get(REVOCATIONS, {"limit": 1})).json
    assert one == {"revocations": [by_subject], "total": 2}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["", "/reason"]),
        ({"reason": "r"}, [""]),
        ({"reason": "r", "subject": "ana", "key": "ci"}, [""]),
        ({"reason": "r", "subject": ""}, ["/subject"]),
        ({"reason": "r", "subject": None}, ["/subject"]),
        ({"reason": "r", "subject": 7}, ["/subject"]),
        ({"reason": "r", "subject": "a\nb"}, ["/subject"]),
        ({"reason": "r", "tokenId": "x" * 257}, ["/tokenId"]),
        ({"reason": "", "subject": "ana"}, ["/reason"]),
        ({"reason": " ", "subject": "ana"}, ["/reason"]),
        ({"reason": "a\nb", "subject": "ana"}, ["/reason"]),
        ({"reason": 7, "subject": "ana"}, ["/reason"]),
        ({"subject": "ana"}, ["/reason"]),
        ({"reason": "r", "subject": "ana", "issuedBefore": 7}, ["/issuedBefore"]),
        ({"reason": "r", "subject": "ana", "issuedBefore": None}, ["/issuedBefore"]),
        ({"reason": "r", "subject": "ana", "issuedBefore": "yesterday"}, ["/issuedBefore"]),
        ({"reason": "r", "subject": "ana", "issuedBefore": "2999-01-01T00:00:00Z"}, ["/issuedBefore"]),
        ({"reason": "r", "subject": "ana", "until": "x"}, ["/until"]),
    ],
)
async def test_what_is_wrong_with_a_body_is_pointed_at_and_nothing_is_revoked(
    gateway: GatewayThread, body: dict[str, Any], places: list[str]
) -> None:
    async with operator(gateway.port) as admin:
        refused(await admin.send("POST", REVOCATIONS, body), 422, *places)
        assert (await admin.get(REVOCATIONS)).json() == {"revocations": [], "total": 0}


async def test_one_of_tokens_that_were_issued_long_ago_holds_all_the_same(gateway: GatewayThread) -> None:
    await revoked(gateway.port, subject="ana", issuedBefore="1970-01-01T01:00:00Z")
    await revoked(gateway.port, subject="cy")
    assert_problem(await Client(gateway.port).get(POLL, headers=ANA), 401)
    later = [(SUBJECT, "ana"), (ISSUED_AT, "3600")]
    assert (await Client(gateway.port).get(POLL, headers=later)).status == 200


async def test_a_time_that_is_a_little_ahead_is_taken(gateway: GatewayThread) -> None:
    now_ms = SystemClock().wall_ms()
    made = await revoked(gateway.port, subject="ana", issuedBefore=rfc3339(now_ms + 60_000))
    assert made["issuedBefore"] == rfc3339(now_ms + 60_000)


async def test_where_the_log_takes_nothing_nothing_is_revoked(tmp_path: Path, start_gateway: Start) -> None:
    log = ShakyLog()
    settings = make_settings(flags={"store": f"file:{tmp_path}/flags.json"})
    gateway = start_gateway(settings, log=log, extend=believe_callers)
    gateway.call(log.lose)
    assert_problem(await revoke(gateway.port, subject="ana"), 503)
    assert (await Client(gateway.port).get(REVOCATIONS)).json["total"] == 0


async def test_one_that_cant_be_kept_holds_and_its_maker_is_told(
    tmp_path: Path, start_gateway: Start
) -> None:
    (tmp_path / "flags.revocations.db").mkdir()
    settings = make_settings(flags={"store": f"file:{tmp_path}/flags.json"})
    with pytest.raises(ConfigError):
        start_gateway(settings, extend=believe_callers)
    (tmp_path / "flags.revocations.db").rmdir()
    gateway = start_gateway(settings, extend=believe_callers)
    (tmp_path / "flags.revocations.db").mkdir()
    answer = await revoke(gateway.port, subject="ana")
    assert_problem(answer, 503)
    assert answer.json["type"] == "urn:tidegate:problem:revocation-uncertain"
    assert_problem(await Client(gateway.port).get(POLL, headers=ANA), 401)
    (tmp_path / "flags.revocations.db").rmdir()
    assert (await revoke(gateway.port, subject="ana")).status == 201
    assert (tmp_path / "flags.revocations.db").is_file()


async def test_where_what_is_kept_is_damaged_nobody_is_served(tmp_path: Path, start_gateway: Start) -> None:
    gateway = Site("memory", "memory://", tmp_path, start_gateway).start()
    await revoked(gateway.port, subject="ana")
    gateway.stop()
    with closing(sqlite3.connect(tmp_path / "flags.revocations.db")) as database, database:
        database.execute("update shared set value = ?", (b"[",))
    with pytest.raises(ConfigError, match="damaged"):
        Site("memory", "memory://", tmp_path, start_gateway).start()


async def test_tokens_and_keys_that_are_revoked_count_no_more_and_fresh_ones_do(
    tmp_path: Path, start_gateway: Start
) -> None:
    key, of_key = static_key("ci", subscribe=["*"])
    settings = make_settings(
        auth=auth_settings(keys=[of_key]), flags={"store": f"file:{tmp_path}/flags.json"}
    )
    port = start_gateway(settings).port
    now = SystemClock().wall_ms() / 1000
    old, one, other = (
        mint("ana", subscribe=["*"], now=now - 60, claims={"jti": name}) for name in ("t0", "t1", "t2")
    )
    admin = Client(port, mint("root", admin=True, publish=["*"]))
    revocations = [{"tokenId": "t1"}, {"key": "ci"}, {"subject": "ana"}]
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(Client(port, who).stream()) for who in (one, key, old)]
        for number, (who, stream, revocation) in enumerate(
            zip((one, key, old), streams, revocations, strict=True)
        ):
            await stream.connected()
            await admin.publish(event(number))
            assert (await Client(port, who).get(POLL)).status == 200
            body = orjson.dumps({"reason": "left"} | revocation)
            made = await admin.request("POST", REVOCATIONS, headers=[JSON], body=body)
            assert made.status == 201, made.body
            bye = (await stream.rest())[-1]
            assert (bye.event, bye.data["reason"]) == ("bye", "revoked")
            refusal = await Client(port, who).get(POLL)
            assert_problem(refusal, 401)
            assert 'error="invalid_token"' in refusal.headers["WWW-Authenticate"]
    assert_problem(await Client(port, other).get(POLL), 401)
    fresh = mint("ana", subscribe=["*"], now=now + 5)
    assert (await Client(port, fresh).get(POLL)).status == 200


async def test_administration_is_for_administrators(gateway: GatewayThread) -> None:
    async with operator(gateway.port) as admin:
        foreign = {"Origin": "http://evil.example"}
        refused(await admin.http.get(REVOCATIONS, headers=foreign), 403)
        body = {"reason": "r", "subject": "ana"}
        refused(await admin.http.post(REVOCATIONS, json=body, headers=foreign), 403)
        refused(
            await admin.http.post(REVOCATIONS, content=b"{}", headers={"Content-Type": "text/plain"}), 415
        )


def test_a_file_is_made_only_where_something_is_revoked(tmp_path: Path, start_gateway: Start) -> None:
    Site("memory", "memory://", tmp_path, start_gateway).start()
    assert not (tmp_path / "flags.revocations.db").exists()
