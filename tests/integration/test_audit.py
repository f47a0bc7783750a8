"""Who published, who changed what, and who was refused: the audit trail, as an operator finds it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.times import rfc3339
from gateway.runtime.repeats import MAX_KEYS
from gateway.service.settings import Settings
from tests.support.api import JSON, Client, event
from tests.support.audit import AUDIT, audit, audit_becomes
from tests.support.clock import ManualClock
from tests.support.cluster import publish_once, shared_log
from tests.support.gateway import GatewayThread, make_settings
from tests.support.tokens import auth_settings, bearer, mint, static_key

Start = Callable[..., GatewayThread]

FLAG = "/api/v1/admin/flags/orders"
SECRET_DATA = "nobody but a reader may see this"
SAID_WITH_JSON = [JSON]


def admin_client(gateway: GatewayThread, subject: str = "ana") -> Client:
    return Client(gateway.port, mint(subject, admin=True, publish=["*"]))


def settings_in(directory: Path, **sections: Any) -> Settings:
    """Settings of a gateway that asks for tokens, and keeps its flags in `directory`."""
    given = {"flags": {"store": f"file:{directory}/flags.json"}, "auth": auth_settings()}
    return make_settings(**given | sections)


@pytest.fixture
def secured(start_gateway: Start, tmp_path: Path) -> GatewayThread:
    """A gateway that asks for tokens."""
    return start_gateway(settings_in(tmp_path))


@asynccontextmanager
async def kept(kind: str, directory: Path) -> AsyncIterator[str]:
    """The URL of a fresh log of that kind."""
    if kind in ("postgres", "redis"):
        async with shared_log(kind) as url:
            yield url
    else:
        yield "memory://" if kind == "memory" else f"sqlite:///{directory}/events.db"


async def change(client: Client, method: str, path: str, **body: Any) -> Any:
    return await client.request(method, path, headers=SAID_WITH_JSON, body=orjson.dumps(body))


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres", "redis"])
async def test_a_publish_is_one_entry_whatever_the_log(start_gateway, kind, tmp_path):
    async with kept(kind, tmp_path) as url:
        gateway = start_gateway(settings_in(tmp_path, log={"url": url}))
        client = admin_client(gateway)
        published = [
            event(1, entityType="order", entityId="A", data={"note": SECRET_DATA}),
            event(2, entityType="row", entityId="B"),
            {"eventType": "notice"},
        ]
        response = await client.post(published)
        assert response.status == 201, response.body

        [entry] = await audit(client, kind="publish")

        gateway.stop()
    assert entry["who"] == "ana"
    assert entry["kind"] == "publish"
    assert entry["events"] == 3
    assert entry["eventTypes"] == sorted({given["eventType"] for given in published})
    assert entry["entityTypes"] == ["global", "order", "row"]
    assert entry["address"] == "127.0.0.1"
    assert response.json["cursor"].startswith(entry["cursor"])
    assert entry["requestId"] == dict(response.headers)["Request-Id"]


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
async def test_where_the_log_lasts_the_trail_lasts_too(start_gateway, kind, tmp_path):
    async with kept(kind, tmp_path) as url:
        settings = settings_in(tmp_path, log={"url": url})
        gateway = start_gateway(settings)
        await admin_client(gateway).publish(event(1))
        gateway.stop()

        gateway = start_gateway(settings)
        await admin_client(gateway, "bea").publish(event(2))
        found = await audit(admin_client(gateway))

        gateway.stop()
    assert [entry["who"] for entry in found] == ["bea", "ana"]


async def test_nodes_of_one_log_have_one_trail(start_gateway, log_url, tmp_path):
    settings = settings_in(tmp_path, log={"url": log_url})
    one, other = start_gateway(settings), start_gateway(settings)

    await admin_client(one).publish(event(1))
    await audit_becomes(admin_client(other), ["ana"], "who")
    await admin_client(other, "bea").publish(event(2))

    await audit_becomes(admin_client(one), ["bea", "ana"], "who")
    for gateway in (one, other):
        gateway.stop()


async def test_workers_of_one_address_have_one_trail(serve, log_url):
    served = await asyncio.to_thread(serve, f'[server]\nworkers = 2\n[log]\nurl = "{log_url}"\n')
    client = Client(served.port)
    for number in range(8):
        await publish_once([served.port], [event(number)], f"key {number}")

    await audit_becomes(client, [1] * 8, "events", kind="publish")


async def test_a_repeated_request_says_so(client):
    for _ in range(2):
        await client.post([event(1)], headers=[("Idempotency-Key", "k")])

    repeated, first = await audit(client, kind="publish")

    assert repeated["replayed"] is True
    assert "replayed" not in first
    assert repeated["cursor"] == first["cursor"]


async def test_a_change_of_a_flag_has_who_what_and_why(secured):
    client = admin_client(secured)
    made = await change(client, "PUT", f"{FLAG}?force=true", stage="shadow", reason="a trial")
    assert made.status == 201, made.body
    await change(client, "POST", f"{FLAG}/kill", reason="it burns")

    killed, put = await audit(client, kind="admin")

    assert (put["who"], put["method"], put["path"]) == ("ana", "PUT", FLAG)
    assert (put["reason"], put["change"], put["status"]) == ("a trial", {"stage": "shadow"}, 201)
    assert put["query"] == {"force": "true"}
    assert (killed["path"], killed["reason"]) == (f"{FLAG}/kill", "it burns")


async def test_whatever_is_changed_under_the_administration_is_there(secured):
    client = admin_client(secured)

    ended = await client.request(
        "DELETE",
        "/api/v1/admin/connections",
        {"subject": "bob"},
        headers=SAID_WITH_JSON,
        body=orjson.dumps({"reason": "he left"}),
    )
    assert ended.status == 200, ended.body

    [entry] = await audit(client, kind="admin")
    assert (entry["path"], entry["query"]) == ("/api/v1/admin/connections", {"subject": "bob"})
    assert entry["reason"] == "he left"


async def test_a_revocation_says_whose_rights_ended_and_why(secured):
    client = admin_client(secured)

    revoked = await change(client, "POST", "/api/v1/admin/revocations", subject="bob", reason="he left")
    assert revoked.status == 201, revoked.body

    [entry] = await audit(client, kind="admin")
    assert entry["path"] == "/api/v1/admin/revocations"
    assert (entry["who"], entry["reason"], entry["change"]) == ("ana", "he left", {"subject": "bob"})


async def test_what_changed_nothing_is_no_entry(secured):
    client = admin_client(secured)
    refused = await change(client, "PUT", FLAG, reason="a typo", stag="off")
    assert (await client.get("/api/v1/admin/flags")).status == 200

    assert refused.status == 422
    assert await audit(client) == []


async def test_a_refused_token_is_an_entry_with_its_reason_and_address(secured):
    token = mint(secret="x" * 32)
    answer = await Client(secured.port, token).get("/api/v1/sync/poll")
    assert answer.status == 401

    [entry] = await audit(admin_client(secured), kind="auth")

    assert entry["who"] is None
    assert (entry["status"], entry["address"], entry["count"]) == (401, "127.0.0.1", 1)
    assert entry["reason"] == answer.json["detail"]
    assert entry["requestId"] == dict(answer.headers)["Request-Id"]


async def test_a_caller_that_may_not_is_an_entry_under_its_name(secured):
    answer = await Client(secured.port, mint("bob", publish=["row"])).post(event(1))
    assert answer.status == 403

    [entry] = await audit(admin_client(secured), kind="auth")

    assert (entry["who"], entry["status"]) == ("bob", 403)


async def test_a_flood_of_bad_tokens_is_a_count_and_pushes_nothing_out(start_gateway, tmp_path):
    settings = settings_in(tmp_path, audit={"max_entries": 3})
    gateway = start_gateway(settings)
    client = admin_client(gateway)
    await client.publish(event(1))
    await change(client, "PUT", f"{FLAG}?force=true", stage="shadow", reason="a trial")
    bad = Client(gateway.port, mint(secret="x" * 32))
    for _ in range(20):
        assert (await bad.get("/api/v1/sync/poll")).status == 401

    found = await audit(client, kind="auth")

    assert sum(entry["count"] for entry in found) == 20
    assert len(found) < 20
    assert len(await audit(client, kind="admin")) == 1
    assert len(await audit(client, kind="publish")) == 1


async def test_nobodys_token_and_nobodys_payload_is_in_it(secured):
    key, _ = static_key("other")
    token = mint("bob")
    client = admin_client(secured)
    await client.publish(event(1, entityId="A", data={"note": SECRET_DATA}))
    for secret in (token[:-4] + "AAAA", key, f"Bearer {token}"):
        await client.get("/api/v1/sync/poll", {"access_token": secret})
        await Client(secured.port).get("/api/v1/sync/poll", headers=[bearer(secret)])
    path = f"{FLAG}?force=true&note={token}"
    made = await change(client, "PUT", path, stage="shadow", reason=f"for {token} and {key}")
    assert made.status == 201, made.body

    response = await client.get(AUDIT)

    assert response.json["entries"][0]["reason"] == "for *** and ***"
    text = response.body.decode()
    assert SECRET_DATA not in text
    for secret in (token, key, token.rpartition(".")[2]):
        assert secret not in text


async def test_pages_go_on_where_the_last_one_ended(client):
    for number in range(5):
        await client.publish(event(number))

    pages, cursor = [], ""
    while cursor is not None:
        response = await client.get(AUDIT, {"limit": 2, "cursor": cursor})
        pages.append([entry["id"] for entry in response.json["entries"]])
        cursor = response.json["nextCursor"]

    ids = [entry["id"] for entry in await audit(client)]
    assert len(ids) == 5
    assert pages == [ids[:2], ids[2:4], ids[4:]]


async def test_time_caller_and_kind_choose(start_gateway):
    clock = ManualClock()
    gateway = start_gateway(make_settings(), clock=clock)
    client = Client(gateway.port)
    for name in ("one", "two", "one"):
        await client.post(event(1), headers=[("Tidegate-Operator", name)])
        clock.advance(1)
    began = ManualClock().wall_ms()

    assert [entry["at"] for entry in await audit(client, who="loopback:one")] == [
        rfc3339(began + 2000),
        rfc3339(began),
    ]
    since, until = rfc3339(began + 1000), rfc3339(began + 2000)
    assert [entry["who"] for entry in await audit(client, since=since, until=until)] == ["loopback:two"]
    assert await audit(client, kind="auth") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("since", "yesterday"),
        ("until", "2026-13-01T00:00:00Z"),
        ("cursor", "x"),
        ("kind", "publishing"),
    ],
)
async def test_a_wrong_parameter_is_refused(client, name, value):
    response = await client.get(AUDIT, {name: value})

    assert response.status == 400
    assert response.json["errors"][0]["parameter"] == name


async def test_the_trail_is_for_administrators_alone(secured):
    assert (await Client(secured.port).get(AUDIT)).status == 401
    assert (await Client(secured.port, mint("bob")).get(AUDIT)).status == 403
    assert (await admin_client(secured).get(AUDIT)).status == 200


async def test_a_refusal_has_one_id_in_its_answer_and_in_the_log(client, caplog):
    caplog.set_level("INFO")

    answer = await client.get("/api/v1/sync/poll", {"limit": "x"})

    [record] = [record for record in caplog.records if record.getMessage() == "request_refused"]
    assert record.fields["request_id"] == dict(answer.headers)["Request-Id"]
    assert len(record.fields["request_id"]) == 32


async def test_metrics_count_the_entries(client):
    await client.publish(event(1))

    assert await client.metric("tidegate_audit_entries_total", kind="publish") == 1
    assert await client.metric("tidegate_audit_entries_total", kind="auth") == 0
    assert await client.metric("tidegate_audit_lost_total") == 0
    await client.metric_becomes("tidegate_audit_waiting", 0)


async def test_many_refusals_of_different_kinds_are_bounded(secured):
    for number in range(MAX_KEYS + 20):
        await Client(secured.port, mint(f"user-{number}")).get(f"{AUDIT}")

    found = await audit(admin_client(secured), kind="auth", limit=1000)

    assert sum(entry["count"] for entry in found) == MAX_KEYS + 20
