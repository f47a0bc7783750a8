"""A leak: what nobody has decided is allowed."""

import pytest

from tests.support.api import EVENTS, HISTORY, POLL, Client, assert_problem, event
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, mint, static_key

# The stream comes last: where it is let in, there is no end of it.
READS = [POLL, HISTORY, EVENTS]
ADMIN = [
    "/api/v1/admin/flags",
    "/api/v1/admin/connections",
    "/api/v1/admin/audit",
    "/api/v1/admin/revocations",
]
WORTHLESS = {
    "no claim": None,
    "an empty claim": {},
    "text": "*",
    "a list": ["*"],
    "true": True,
    "no lists": {"subscribe": "*", "publish": "*", "admin": "true"},
    "an object in a list's place": {"subscribe": {"0": "*"}, "publish": {"order": True}, "admin": 1},
    "empty lists": {"subscribe": [], "publish": [], "admin": False},
    "nulls": {"subscribe": None, "publish": None, "admin": None},
    "malformed grants": {
        "subscribe": [
            "",
            " ",
            "order:",
            ":",
            "order:a=like.b",
            "a b",
            "*:1",
            None,
            1,
            True,
            ["*"],
            {},
        ],
        "publish": ["", "a b", None, 1, ["*"], {"entity": "order"}],
        "admin": [True],
    },
    "malformed objects": {
        "subscribe": [
            {"entity": "order", "filter": []},
            {"entity": "order", "filters": "a=eq.1"},
            {"entity": "order", "members": "a"},
            {"entity": ["order"]},
            {"filters": ["a=eq.1"]},
            {"entity": "order", "filters": ["nonsense"]},
            {"entity": "order", "filters": [None]},
        ]
    },
    "names in capitals": {"Subscribe": ["*"], "PUBLISH": ["*"], "Admin": True},
    "another right": {"presence": ["*"], "broadcast": ["*"]},
}


async def assert_nothing_is_allowed(client, metrics=403):
    for path in READS:
        assert_problem(await client.get(path), 403)
        assert_problem(await client.get(path, [("entity", "order")]), 403)
    assert_problem(await client.post([event(1)]), 403)
    assert_problem(await client.post([{"eventType": "hello"}]), 403)
    for path in ADMIN:
        assert_problem(await client.get(path), 403)
    assert_problem(await client.get("/metrics"), metrics)


@pytest.mark.parametrize("claim", WORTHLESS.values(), ids=WORTHLESS)
async def test_a_token_that_grants_nothing_in_so_many_words_grants_nothing(start_gateway, claim):
    gateway = start_gateway(make_settings(auth=auth_settings()))
    await assert_nothing_is_allowed(Client(gateway.port, mint(claims={"tidegate": claim})))


async def test_a_key_without_rights_has_none(start_gateway):
    key, written = static_key("idle")
    gateway = start_gateway(make_settings(auth=auth_settings(keys=[written])))
    await assert_nothing_is_allowed(Client(gateway.port, key))


async def test_a_rule_for_others_grants_nothing(start_gateway):
    rules = [
        {"when": {"role": "staff"}, "subscribe": ["*"], "publish": ["*"], "admin": True, "metrics": True},
        {"when": {"level": 1}, "subscribe": ["*"], "admin": True},
        {"when": {"roles": "staff"}, "subscribe": ["*"]},
    ]
    gateway = start_gateway(make_settings(auth=auth_settings(grants=rules)))
    for claims in (
        {},
        {"role": "Staff"},
        {"role": None},
        {"level": True},
        {"level": "1"},
        {"roles": ["staffer"]},
    ):
        await assert_nothing_is_allowed(Client(gateway.port, mint(claims=claims)))


async def test_rights_do_not_imply_one_another(start_gateway):
    gateway = start_gateway(make_settings(auth=auth_settings()))
    admin, reader, writer = (
        Client(gateway.port, mint(**rights))
        for rights in ({"admin": True}, {"subscribe": ["*"]}, {"publish": ["*"]})
    )
    assert (await admin.get(ADMIN[0])).status == 200
    assert (await reader.get(POLL)).status == 200
    assert (await writer.post([event(1)])).status == 201
    for client in (admin, writer):
        assert_problem(await client.get(POLL), 403)
    for client in (admin, reader):
        assert_problem(await client.post([event(1)]), 403)
    for client in (reader, writer):
        assert_problem(await client.get(ADMIN[0]), 403)


async def test_without_anonymous_nobody_is_anybody(start_gateway):
    gateway = start_gateway(make_settings(auth=auth_settings()))
    for path in (*READS, *ADMIN, "/metrics", "/readyz", "/nowhere", "/"):
        assert_problem(await Client(gateway.port).get(path), 401)
    assert (await Client(gateway.port).get("/healthz")).status == 200


async def test_anonymous_callers_have_what_is_theirs_and_no_token_has_it_beside_its_own(start_gateway):
    gateway = start_gateway(make_settings(auth=auth_settings(anonymous={"subscribe": ["menu"]})))
    nobody = Client(gateway.port)
    assert (await nobody.get(POLL)).status == 200
    assert_problem(await nobody.get(POLL, [("entity", "order")]), 403)
    assert_problem(await nobody.post([event(1)]), 403)
    await assert_nothing_is_allowed(Client(gateway.port, mint()))
    assert_problem(await Client(gateway.port, "nonsense").get(POLL), 401)
