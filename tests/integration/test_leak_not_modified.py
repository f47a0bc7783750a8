"""A leak: a 304 tells a caller that another one's answer, which it has, is still right for it."""

import pytest

from tests.support.api import POLL, Client
from tests.support.tokens import mint
from tests.support.ways import place, scope_of

ANN = mint("ann", subscribe=["order:owner=eq.ann"])
OTHERS = {
    "another": mint("bob", subscribe=["order:owner=eq.bob"]),
    "more": mint("ann", subscribe=["order"]),
    "fewer members": mint(
        "ann", subscribe=[{"entity": "order", "filters": ["owner=eq.ann"], "members": ["n"]}]
    ),
}
PUBLISHER = mint("backend", publish=["*"])
FORMS = ('"{}"', 'W/"{}"', '"{}-gzip"', '"{};gzip"', "{}", '"x", "{}"')


def order(n, owner):
    data = {"n": n, "owner": owner}
    return {"eventType": "changed", "entityType": "order", "entityId": str(n), "data": data}


def condition(form, cursor):
    return [("If-None-Match", form.format(cursor))]


@pytest.fixture
async def tag(reading_gateway):
    """Ann's entity tag, of an answer after which nothing has happened."""
    publisher = Client(reading_gateway.port, PUBLISHER)
    await publisher.publish(*(order(n, owner) for n in range(3) for owner in ("ann", "bob")))
    answer = await Client(reading_gateway.port, ANN).get(POLL)
    return answer.headers["ETag"].strip('"')


@pytest.mark.parametrize("form", FORMS)
async def test_an_own_tag_is_answered_with_304(reading_gateway, tag, form):
    answer = await Client(reading_gateway.port, ANN).get(POLL, headers=condition(form, tag))
    assert (answer.status, answer.body) == (304, b"")
    fresh = Client(reading_gateway.port, mint("another", subscribe=["order:owner=eq.ann"]))
    assert (await fresh.get(POLL, headers=condition(form, tag))).status == 304


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whose", OTHERS)
async def test_another_one_s_tag_is_never_answered_with_304(reading_gateway, tag, whose, form):
    client = Client(reading_gateway.port, OTHERS[whose])
    for query in ([], [("wait", "10")], [("entity", "order")]):
        answer = await client.get(POLL, query, headers=condition(form, tag))
        assert (answer.status, answer.json["events"]) == (200, [])
        assert "reset" in answer.json
        assert answer.headers["ETag"].strip('"') == answer.json["cursor"]
        assert scope_of(answer.json["cursor"]) != scope_of(tag)
        assert answer.headers["Cache-Control"] == "private, no-cache"


async def test_beside_another_one_s_newer_tag_an_own_older_one_counts(reading_gateway, tag):
    bob = Client(reading_gateway.port, OTHERS["another"])
    own = await bob.now()
    publisher = Client(reading_gateway.port, PUBLISHER)
    await publisher.publish(order(7, "bob"), order(8, "ann"))
    newer = await Client(reading_gateway.port, ANN).now()
    assert place(newer) > place(own)
    for given in (f'"{newer}", "{own}"', f'"{own}", "{newer}", "{tag}"'):
        answer = await bob.get(POLL, headers=[("If-None-Match", given)])
        assert answer.status == 200
        assert [one["data"] for one in answer.json["events"]] == [{"n": 7, "owner": "bob"}]


async def test_where_nothing_matched_since_the_tag_moves_on_in_its_own_scope(reading_gateway, tag):
    await Client(reading_gateway.port, PUBLISHER).publish(order(9, "bob"))
    answer = await Client(reading_gateway.port, ANN).get(POLL, headers=condition('"{}"', tag))
    assert answer.status == 304
    assert scope_of(answer.headers["ETag"].strip('"')) == scope_of(tag)
