"""Administration, metrics and choices with tokens (docs/protocol.md, sections 8 and 9)."""

import orjson
import pytest

from tests.support.admin import FLAGS, KILL_ALL, ORDERS
from tests.support.api import JSON, Client, assert_problem
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, mint, static_key

FETCH_MODE = "/api/v1/sync/fetch-mode"
PREFERENCE = "/api/v1/sync/preference"


@pytest.fixture
def gateway(start_gateway, flags_file):
    """A gateway that asks for tokens, with component `orders`."""
    return start_gateway(
        make_settings(
            auth=auth_settings(),
            flags={"store": f"file:{flags_file}"},
            components={"orders": {"entities": ["order"]}},
        )
    )


@pytest.fixture
def admin(gateway):
    return Client(gateway.port, mint("ann", admin=True))


async def change(client, path, method="POST", headers=(), **members):
    body = orjson.dumps({"reason": "a test", **members})
    return await client.request(method, path, headers=[JSON, *headers], body=body)


async def last_who(client):
    return (await client.get(f"{ORDERS}/revisions")).json["revisions"][-1]["who"]


async def test_changes_are_kept_under_the_token_s_subject(admin):
    assert (await change(admin, ORDERS, "PUT")).status == 201
    assert await last_who(admin) == "ann"


async def test_changes_with_a_static_key_are_kept_under_its_name(start_gateway, flags_file):
    key, settings = static_key("ci", admin=True)
    gateway = start_gateway(
        make_settings(
            auth=auth_settings(keys=[settings]),
            flags={"store": f"file:{flags_file}"},
            components={"orders": {"entities": ["order"]}},
        )
    )
    client = Client(gateway.port, key)
    assert (await change(client, ORDERS, "PUT")).status == 201
    assert await last_who(client) == "key:ci"


async def test_a_name_that_the_caller_gives_itself_does_not_count(admin):
    await change(admin, ORDERS, "PUT", headers=[("Tidegate-Operator", "eve")])
    assert await last_who(admin) == "ann"


async def test_a_token_without_a_name_changes_nothing(gateway, admin):
    nameless = Client(gateway.port, mint(None, admin=True))
    assert (await nameless.get(FLAGS)).status == 200
    assert_problem(await change(nameless, ORDERS, "PUT"), 403)
    assert_problem(await change(nameless, KILL_ALL), 403)
    answer = (await admin.get(FLAGS)).json
    assert (answer["flags"], answer["killAll"]) == ([], False)


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-For", "192.0.2.1")],
        [("Via", "1.1 proxy")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Host", "gateway")],
    ],
)
async def test_an_administrator_may_come_from_anywhere(admin, headers):
    assert (await admin.get(FLAGS, headers=headers)).status == 200


async def test_being_on_this_machine_is_not_enough(gateway):
    for token in (None, mint("ann"), mint("ann", subscribe=["*"], publish=["*"])):
        client = Client(gateway.port, token)
        assert (await client.get(FLAGS)).status == (401 if token is None else 403)
        assert (await change(client, KILL_ALL)).status == (401 if token is None else 403)


@pytest.mark.parametrize("admin_claim", [1, "true", ["true"], {}, None, "*"])
async def test_nothing_but_true_makes_an_administrator(gateway, admin_claim):
    token = mint("ann", claims={"tidegate": {"admin": admin_claim}})
    assert_problem(await Client(gateway.port, token).get(FLAGS), 403)


async def choose(client, delivery, *headers):
    body = orjson.dumps({"delivery": delivery})
    return await client.request("PUT", PREFERENCE, headers=[JSON, *headers], body=body)


async def chosen(client, *headers):
    return (await client.get(PREFERENCE, headers=headers)).json["delivery"]


async def test_a_choice_is_the_user_s_wherever_it_comes_from(gateway):
    ann, ann_again = Client(gateway.port, mint("ann")), Client(gateway.port, mint("ann"))
    bob = Client(gateway.port, mint("bob"))
    assert (await choose(ann, "polling", ("Tidegate-Client-Id", "tab-1"))).status == 200
    assert await chosen(ann_again, ("Tidegate-Client-Id", "tab-2")) == "polling"
    assert await chosen(bob, ("Tidegate-Client-Id", "tab-1")) == "auto"


async def test_two_tenants_may_have_a_user_of_one_name(gateway):
    ann = Client(gateway.port, mint("ann", claims={"tenant": "acme"}))
    other = Client(gateway.port, mint("ann", claims={"tenant": "globex"}))
    await choose(ann, "polling")
    assert (await chosen(ann), await chosen(other)) == ("polling", "auto")


async def targeted(admin, attribute, value):
    """Has the flag stream to callers with that attribute alone."""
    rule = {"attribute": attribute, "operator": "in", "values": [value], "mode": "streaming"}
    answer = await change(admin, ORDERS, "PUT", stage="live", percentage=0, targeting=[rule], killed=False)
    assert answer.status == 201, answer.body


async def mode(client, *headers, **query):
    answer = await client.get(FETCH_MODE, {"component": "orders", **query}, headers=headers)
    assert answer.status == 200, answer.body
    return answer.json["mode"]


@pytest.mark.parametrize(
    ("attribute", "value", "claims"),
    [
        ("user", "ann", {"sub": "ann"}),
        ("tenant", "acme", {"tenant": "acme"}),
        ("claim:role", "editor", {"role": "editor"}),
        ("claim:roles", "editor", {"roles": ["reader", "editor"]}),
        ("claim:level", "7", {"level": 7}),
    ],
)
async def test_flags_decide_by_what_the_token_says(gateway, admin, attribute, value, claims):
    await targeted(admin, attribute, value)
    assert await mode(Client(gateway.port, mint(claims=claims))) == "streaming"
    assert await mode(Client(gateway.port, mint("bob", claims={"role": "none"}))) == "polling"


async def test_a_user_is_never_what_the_request_says(gateway, admin):
    await targeted(admin, "user", "ann")
    bob = Client(gateway.port, mint("bob"))
    assert await mode(bob, user="ann", sub="ann", tenant="acme", **{"claim.sub": "ann"}) == "polling"
    fields = [("X-User", "ann"), ("Tidegate-Operator", "ann"), ("Cookie", "user=ann"), ("Remote-User", "ann")]
    assert await mode(bob, *fields) == "polling"


async def test_a_fresh_token_makes_the_same_caller(gateway):
    callers = [
        Client(gateway.port, mint("ann", claims={"role": "x", "jti": str(number)}, lifetime=1000 + number))
        for number in range(3)
    ]
    assert {await mode(client) for client in callers} == {"streaming"}
