"""Who may publish what (docs/protocol.md, section 9)."""

import pytest

from tests.support.api import HISTORY, Client, assert_problem, event
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, mint

READER = mint(subscribe=["*"])
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"


@pytest.fixture
def gateway(start_gateway):
    return start_gateway(make_settings(auth=auth_settings()))


def of_type(entity_type, number=0):
    return event(number) | {"entityType": entity_type}


def without_entity(number=0):
    return {"eventType": "notice", "data": {"n": number}}


def cloudevent(entity_type):
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "stage_change",
        "subject": f"{entity_type}/1",
        "data": {"n": 1},
    }


async def published(gateway):
    return (await Client(gateway.port, READER).get(HISTORY)).json["events"]


async def test_what_is_granted_is_published(gateway):
    client = Client(gateway.port, mint(publish=["order", "invoice"]))
    assert (await client.post([of_type("order"), of_type("invoice")])).status == 201
    assert (await client.post(of_type("order"))).status == 201
    assert len(await published(gateway)) == 3


@pytest.mark.parametrize(
    "events",
    [
        of_type("invoice"),
        [of_type("order"), of_type("invoice"), of_type("order")],
        [*[of_type("order")] * 100, of_type("invoice")],
    ],
    ids=["one", "batch", "long"],
)
async def test_one_event_that_is_not_granted_and_nothing_is_published(gateway, events):
    answer = await Client(gateway.port, mint(publish=["order"])).post(events)
    assert_problem(answer, 403)
    assert "invoice" in answer.json["detail"]
    assert "order" not in answer.json["detail"]
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="insufficient_scope", ')
    assert await published(gateway) == []


async def test_a_refusal_names_every_type_once_and_not_more_than_help(gateway):
    client = Client(gateway.port, mint(publish=["order"]))
    answer = await client.post([of_type("job"), of_type("invoice"), of_type("job")])
    assert answer.json["detail"].endswith("do not have invoice, job.")
    answer = await client.post([of_type(f"type{number}") for number in range(1000)])
    assert answer.status == 403
    assert len(answer.json["detail"]) < 500


@pytest.mark.parametrize("kind", [CLOUDEVENT, CLOUDEVENTS])
async def test_cloudevents_need_the_same_grants(gateway, kind):
    given = [cloudevent("invoice")] if kind == CLOUDEVENTS else cloudevent("invoice")
    answer = await Client(gateway.port, mint(publish=["order"])).post(given, kind=kind)
    assert_problem(answer, 403)
    assert "invoice" in answer.json["detail"]
    assert await published(gateway) == []
    answer = await Client(gateway.port, mint(publish=["invoice"])).post(given, kind=kind)
    assert answer.status == 201


@pytest.mark.parametrize(("grant", "status"), [("global", 201), ("*", 201), ("order", 403)])
async def test_events_without_an_entity_have_a_grant_of_their_own(gateway, grant, status):
    answer = await Client(gateway.port, mint(publish=[grant])).post(without_entity())
    assert answer.status == status
    if status == 403:
        assert "without an entity" in answer.json["detail"]


@pytest.mark.parametrize(("grant", "status"), [("global", 403), ("*", 201)])
async def test_an_entity_type_may_be_called_global_and_is_not_granted_by_that_name(gateway, grant, status):
    assert (await Client(gateway.port, mint(publish=[grant])).post(of_type("global"))).status == status


@pytest.mark.parametrize("grants", [{"admin": True}, {"subscribe": ["*"]}, {}])
async def test_no_other_grant_lets_anybody_publish(gateway, grants):
    assert_problem(await Client(gateway.port, mint(**grants)).post(of_type("order")), 403)
    assert await published(gateway) == []


async def test_the_ids_of_what_was_published_are_cursors_of_the_publisher_s_scope(gateway):
    client = Client(gateway.port, mint(publish=["order"], subscribe=["order"]))
    (first,) = await client.publish(of_type("order", 1))
    await client.publish(of_type("order", 2))
    answer = await client.poll(cursor=first)
    assert [given["data"]["n"] for given in answer["events"]] == [2]
    answer = await Client(gateway.port, READER).poll(cursor=first)
    assert answer["reset"] == {"reason": "scope"}


KEYED = [("Idempotency-Key", "k")]


async def test_an_idempotency_key_is_its_publisher_s(gateway):
    ann = Client(gateway.port, mint("ann", publish=["*"]))
    bob = Client(gateway.port, mint("bob", publish=["*"]))
    first = await ann.post(of_type("order", 1), headers=KEYED)
    assert first.status == 201
    # The same events of another, and other events: neither is the first one's business.
    assert (await bob.post(of_type("order", 1), headers=KEYED)).status == 201
    other = Client(gateway.port, mint("cid", publish=["*"]))
    assert (await other.post(of_type("order", 2), headers=KEYED)).status == 201
    assert len(await published(gateway)) == 3


async def test_a_publisher_may_repeat_a_request_with_a_fresh_token(gateway):
    first = await Client(gateway.port, mint("ann", publish=["*"], claims={"jti": "1"})).post(
        of_type("order"), headers=KEYED
    )
    again = await Client(gateway.port, mint("ann", publish=["*"], claims={"jti": "2"})).post(
        of_type("order"), headers=KEYED
    )
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json


async def test_what_may_not_be_published_any_more_is_not_repeated_either(gateway):
    await Client(gateway.port, mint("ann", publish=["*"])).post(of_type("order"), headers=KEYED)
    answer = await Client(gateway.port, mint("ann", publish=["job"])).post(of_type("order"), headers=KEYED)
    assert_problem(answer, 403)


async def test_nobody_gets_at_another_s_key_by_writing_it_as_the_log_does(gateway, start_gateway):
    ann = Client(gateway.port, mint("ann", publish=["*"]))
    nameless = Client(gateway.port, mint(None, publish=["*"]))
    await ann.post(of_type("order"), headers=KEYED)
    for key in ("ann:k", "http:k", '["ann",null]:k'):
        answer = await nameless.post(of_type("order"), headers=[("Idempotency-Key", key)])
        assert answer.status == 201
