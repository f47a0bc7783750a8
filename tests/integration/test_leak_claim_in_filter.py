"""A leak: a claim is spliced into a filter's text, and says more there than its value."""

import pytest

from tests.support.api import Client, assert_problem
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, mint
from tests.support.ways import watching

SUBJECTS = [
    "ann",
    'ann",owner=neq."x',
    "ann,owner=neq.x",
    "x),owner=in.(ann",
    "(ann,bob)",
    "*",
    "{sub}",
    "eq.ann",
    "in.(ann,bob)",
    "is.null",
    "null",
    "true",
    "7",
    '"7"',
    "ann' or 'a'='a",
    "ann\\",
    "ann\u2028id: 1",
    " ann",
]


@pytest.fixture
def gateway(start_gateway):
    """A gateway whose rules make rows of claims."""
    rules = [
        {"when": {"by": "owner"}, "subscribe": ["order:owner=eq.{sub}"]},
        {"when": {"by": "id"}, "subscribe": ["order:{sub}"]},
        {"when": {"by": "tags"}, "subscribe": ["order:owner=in.{tags}"]},
    ]
    return start_gateway(make_settings(auth=auth_settings(grants=rules), stream={"heartbeat_seconds": 0.2}))


def order_of(number, owner):
    """An order whose id, too, is its owner's name, where that is text."""
    entity_id = owner if isinstance(owner, str) else f"order {number}"
    return {"eventType": "changed", "entityType": "order", "entityId": entity_id, "data": {"owner": owner}}


OWNERS = [*SUBJECTS, "bob", 7, True, None, 7.5, ["ann"], {"a": "ann"}]


async def owners_told(gateway, token):
    """The owners of what a caller is told, by every way, when an order of each owner changes."""
    publisher = Client(gateway.port, mint(publish=["*"]))
    async with watching(gateway.port, token) as watch:
        *_, last = await publisher.publish(*(order_of(*each) for each in enumerate(OWNERS)))
        return [one["data"]["owner"] for one in (await watch.told(last)).events]


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("by", ["owner", "id"])
async def test_a_caller_is_told_of_its_own_name_and_of_none_that_its_name_would_write(gateway, subject, by):
    token = mint(subject, claims={"by": by})
    assert await owners_told(gateway, token) == [subject]


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (["ann", "bob"], ["ann", "bob"]),
        ([7], [7]),
        (["7"], ["7"]),
        ([True], [True]),
        (['ann",owner=neq."x', "null"], ['ann",owner=neq."x', "null"]),
        (["x),owner=in.(ann"], ["x),owner=in.(ann"]),
    ],
)
async def test_a_list_is_its_values_each_of_its_own_type(gateway, tags, told):
    assert await owners_told(gateway, mint(claims={"by": "tags", "tags": tags})) == told


@pytest.mark.parametrize("tags", [[], None, {"a": 1}, [None], [["ann"]], [{"a": "ann"}]])
async def test_a_claim_that_is_no_value_grants_nothing(gateway, tags):
    token = mint(claims={"by": "tags", "tags": tags})
    assert_problem(await Client(gateway.port, token).get("/api/v1/sync/poll"), 403)


@pytest.mark.parametrize("claims", [{"by": "tags"}, {"by": "owner", "sub": None}, {"by": "id", "sub": None}])
async def test_a_claim_that_is_absent_grants_nothing(gateway, claims):
    assert_problem(await Client(gateway.port, mint(claims=claims)).get("/api/v1/sync/poll"), 403)
