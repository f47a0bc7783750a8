"""What clients report of their delivery, and who still polls (docs/protocol.md, section 8)."""

from collections import Counter

import pytest

from tests.support.admin import FLAGS, ORDERS, operator, refused
from tests.support.api import Client
from tests.support.clock import ManualClock
from tests.support.gateway import make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import upstream

TELEMETRY = "/api/v1/sync/telemetry"
REPORT = {"clientId": "c1", "component": "orders", "mode": "streaming", "clientVersion": "2.1.0"}


async def test_reports_are_taken_and_summed_up(admin):
    for more in ({"firstEventMs": 120}, {"firstEventMs": 120.5}, {"fallback": "mute"}, {"mode": "polling"}):
        response = await admin.send("POST", TELEMETRY, REPORT | more)
        assert (response.status_code, response.content) == (202, b"")

    answer = (await admin.get(f"{ORDERS}/telemetry")).json()

    assert answer["reports"] == {"streaming": 3, "polling": 1}
    assert answer["fallbacks"] == {"mute": 1}
    assert answer["fallbacksByVersion"] == [{"clientVersion": "2.1.0", "fallbacks": 1, "error": 0}]
    assert answer["firstEventP50Ms"] == pytest.approx(120, rel=0.05)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"clientId": ""}, "/clientId"),
        ({"clientId": "a\nb"}, "/clientId"),
        ({"clientId": "x" * 257}, "/clientId"),
        ({"attempt": ""}, "/attempt"),
        ({"attempt": "a b"}, "/attempt"),
        ({"attempt": "x" * 65}, "/attempt"),
        ({"attempt": 7}, "/attempt"),
        ({"component": "or ders"}, "/component"),
        ({"component": "unheard-of"}, "/component"),
        ({"mode": "carrier pigeon"}, "/mode"),
        ({"clientVersion": 2}, "/clientVersion"),
        ({"firstEventMs": -1}, "/firstEventMs"),
        ({"firstEventMs": 86_400_001}, "/firstEventMs"),
        ({"firstEventMs": "12"}, "/firstEventMs"),
        ({"fallback": "bored"}, "/fallback"),
        ({"colour": "green"}, "/colour"),
    ],
)
async def test_a_bad_report_is_pointed_at_and_not_taken(admin, change, place):
    refused(await admin.send("POST", TELEMETRY, REPORT | change), 422, place)
    assert (await admin.get(f"{ORDERS}/telemetry")).json()["reports"] == {}


@pytest.mark.parametrize("missing", ["component", "mode", "clientVersion"])
async def test_a_report_lacks_nothing(admin, missing):
    report = {name: value for name, value in REPORT.items() if name != missing}
    refused(await admin.send("POST", TELEMETRY, report), 422, f"/{missing}")


async def test_a_report_names_its_stream_by_id_or_by_attempt(admin):
    nameless = {name: value for name, value in REPORT.items() if name != "clientId"}
    refused(await admin.send("POST", TELEMETRY, nameless), 422, "")
    for names in ({"attempt": "a_1-Z"}, {"clientId": "c1"}, {"clientId": "c1", "attempt": "a"}):
        assert (await admin.send("POST", TELEMETRY, nameless | names)).status_code == 202


async def test_a_stream_that_never_said_who_it_is_is_known_by_its_attempt(start_gateway):
    components = {"orders": {"entities": ["order"]}}
    gateway = start_gateway(make_settings(components=components), clock=ManualClock())
    client, streams = Client(gateway.port), {"component": "orders", "clientVersion": "2.1.0"}
    telemetry = gateway.parts.migration.telemetry
    nameless = {name: value for name, value in REPORT.items() if name != "clientId"}
    async with operator(gateway.port) as admin:
        assert (await admin.send("POST", TELEMETRY, REPORT)).status_code == 202
        async with (
            client.stream(streams | {"attempt": "first"}) as first,
            client.stream(streams | {"attempt": "second"}) as second,
        ):
            await first.connected()
            await second.connected()
            await client.metric_becomes("tidegate_streams", 2)
            assert gateway.call(lambda: telemetry.waiting) == 2
            for _ in range(2):
                report = nameless | {"attempt": "first", "firstEventMs": 5}
                assert (await admin.send("POST", TELEMETRY, report)).status_code == 202
            assert gateway.call(lambda: telemetry.waiting) == 1
            report = nameless | {"attempt": "third", "firstEventMs": 5}
            assert (await admin.send("POST", TELEMETRY, report)).status_code == 202
            assert gateway.call(lambda: (telemetry.waiting, telemetry.unmatched)) == (1, 1)


async def test_invented_streams_are_counted_and_judged_by_nobody(start_gateway):
    clock = ManualClock()
    components = {"orders": {"entities": ["order"]}}
    gateway = start_gateway(make_settings(components=components), clock=clock)
    kinds = ({"fallback": "mute"}, {"fallback": "error"}, {"fallback": "short"}, {"firstEventMs": 1})
    async with operator(gateway.port) as admin:
        for number in range(400):
            if number % 40 == 0:
                clock.advance(10)
            report = REPORT | {"clientId": f"made-up-{number}", "attempt": f"a{number}"} | kinds[number % 4]
            assert (await admin.send("POST", TELEMETRY, report)).status_code == 202
        answer = (await admin.get(f"{ORDERS}/telemetry")).json()

    assert answer["fallbacks"] == {"mute": 100, "error": 100, "short": 100}
    migration = gateway.parts.migration
    assert gateway.call(lambda: migration.telemetry.unmatched) == 400
    assert gateway.call(lambda: migration.telemetry.remembered) == 0
    assert gateway.call(lambda: len(migration.windows["orders"].callers)) == 0


async def test_clients_behind_a_proxy_on_this_machine_do_not_share_one_client_s_limit(admin):
    statuses = Counter()
    for number in range(300):
        report = REPORT | {"clientId": f"c{number}", "firstEventMs": 5}
        statuses[(await admin.send("POST", TELEMETRY, report)).status_code] += 1
    assert statuses == {202: 300}


async def test_a_report_is_small_json(admin):
    refused(await admin.send("POST", TELEMETRY, REPORT | {"clientVersion": "x" * 5000}), 413)
    refused(await admin.send("POST", TELEMETRY, [REPORT]), 422, "")
    response = await admin.http.post(TELEMETRY, content=b"{", headers={"Content-Type": "text/plain"})
    refused(response, 415)


async def test_a_flood_of_reports_is_told_to_wait_and_the_gateway_lives_on(start_gateway):
    # Time stands still, so that no machine is too slow for a flood.
    components = {"orders": {"entities": ["order"]}}
    gateway = start_gateway(make_settings(components=components), clock=ManualClock())
    async with operator(gateway.port) as client:
        for _ in range(2000):
            assert (await client.send("POST", TELEMETRY, REPORT)).status_code == 202
        response = await client.send("POST", TELEMETRY, REPORT)
        refused(response, 429)
        assert int(response.headers["Retry-After"]) >= 1
        assert (await client.get("/healthz")).status_code == 200


async def test_a_component_that_has_a_flag_but_no_configuration_is_known(admin):
    await admin.make(f"{FLAGS}/billing", stage="live")
    assert (await admin.send("POST", TELEMETRY, REPORT | {"component": "billing"})).status_code == 202


async def test_who_polls_is_known_by_the_name_of_its_software(admin):
    for agent in ("curl/8.5.0", "curl/8.5.0", "Mozilla/5.0 (X11) Chrome/131.0.0.0 Safari/537.36"):
        await admin.get("/api/v1/sync/poll?component=orders", User_Agent=agent)
    await admin.get("/api/v1/sync/poll?entity=order", Tidegate_Client="shop/2.1.0")
    await admin.get("/api/v1/sync/poll?entity=invoice", Tidegate_Client="till/1.0.0")
    await admin.get("/api/v1/sync/poll?component=made-up")

    answer = (await admin.get(f"{ORDERS}/pollers")).json()

    polls = {poller["client"]: poller["polls"] for poller in answer["pollers"]}
    assert polls == {"curl 8.5": 2, "Chrome 131": 1, "shop/2.1.0": 1}
    assert answer["polls"] == 4
    refused(await admin.get(f"{FLAGS}/made-up/pollers"), 404)


async def test_whoever_is_told_410_still_polls(admin):
    await admin.make(stage="complete")
    response = await admin.get("/api/v1/sync/poll?component=orders", Tidegate_Client="old/1.0")
    assert response.status_code == 410
    assert [p["client"] for p in (await admin.get(f"{ORDERS}/pollers")).json()["pollers"]] == ["old/1.0"]


async def test_a_refused_poll_is_no_poll(admin):
    assert (await admin.get("/api/v1/sync/poll?component=orders&limit=x")).status_code == 400
    assert (await admin.get(f"{ORDERS}/pollers")).json()["pollers"] == []


async def test_pollers_of_a_legacy_path_are_counted_with_the_requests_they_saved(start_gateway, tmp_path):
    async with upstream() as backend:
        backend.says(listed(order("A")), ETag='"v1"')
        route = {"component": "orders", "path": PATH, "upstream": backend.url, "entity": "order"}
        route |= {"items": "/docs", "key": "orderID", "shared": True, "interval_seconds": 3600.0}
        settings = make_settings(flags={"store": f"file:{tmp_path / 'flags.json'}"}, legacy=[route])
        async with operator(start_gateway(settings).port) as admin:
            for _ in range(5):
                assert (await admin.get(PATH, User_Agent="curl/8.5.0")).status_code == 200
            answer = (await admin.get(f"{ORDERS}/pollers")).json()

    assert [(poller["client"], poller["polls"]) for poller in answer["pollers"]] == [("curl 8.5", 5)]
    assert (answer["upstreamRequests"], answer["savedBySnapshot"]) == (1, 4)


async def test_a_poll_that_went_through_saved_no_request(start_gateway, tmp_path):
    async with upstream() as backend:
        backend.says(listed(order("A")), Vary="X-Tenant")
        route = route_settings(backend.url, 3600.0)
        settings = make_settings(flags={"store": f"file:{tmp_path / 'flags.json'}"}, legacy=[route])
        async with operator(start_gateway(settings).port) as admin:
            for headers in ({}, {}, {"X_Tenant": "7"}):
                assert (await admin.get(PATH, User_Agent="curl/8.5.0", **headers)).status_code == 200
            assert (await admin.get(f"{PATH}/", User_Agent="curl/8.5.0")).status_code == 200
            answer = (await admin.get(f"{ORDERS}/pollers")).json()

    assert [(poller["client"], poller["polls"]) for poller in answer["pollers"]] == [("curl 8.5", 4)]
    assert (answer["upstreamRequests"], answer["savedBySnapshot"]) == (1, 1)


async def test_explain_says_what_a_caller_gets_and_why(admin):
    await admin.make(stage="live", percentage=50, targeting=[rule_for_staff()])
    answer = (await admin.get("/api/v1/admin/explain?user=u42")).json()
    [decision] = answer["decisions"]
    assert (decision["component"], decision["mode"], decision["reason"]) == ("orders", "streaming", "SPLIT")
    assert f"bucket {decision['bucket']} is below 50000" in decision["why"]
    assert (decision["key"], decision["keyFrom"]) == ("u42", "user")

    answer = (await admin.get("/api/v1/admin/explain?user=u42&claim.team=staff&component=orders")).json()
    assert answer["decisions"][0]["mode"] == "polling"
    assert "Rule 1" in answer["decisions"][0]["why"]


async def test_explain_knows_the_choice_that_the_caller_made(admin):
    await admin.make(stage="live", percentage=100)
    chosen = await admin.send("PUT", "/api/v1/sync/preference?clientId=c7", {"delivery": "polling"})
    assert chosen.status_code == 200, chosen.text
    answer = (await admin.get("/api/v1/admin/explain?client=c7")).json()
    assert (answer["delivery"], answer["decisions"][0]["cause"]) == ("polling", "user_opt_out")
    answer = (await admin.get("/api/v1/admin/explain?client=c7&delivery=auto")).json()
    assert answer["decisions"][0]["mode"] == "streaming"


@pytest.mark.parametrize(
    ("query", "status", "place"),
    [
        ("delivery=pigeon", 400, ["delivery"]),
        ("capable=perhaps", 400, ["capable"]),
        (f"user={'x' * 257}", 400, ["user"]),
        ("component=made-up", 404, []),
    ],
)
async def test_explain_refuses_what_it_can_not_explain(admin, query, status, place):
    refused(await admin.get(f"/api/v1/admin/explain?{query}"), status, *place)


def rule_for_staff():
    return {"attribute": "claim:team", "operator": "eq", "value": "staff", "mode": "polling"}
