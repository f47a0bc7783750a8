"""`GET /api/v1/sync/state`: what there is, and from where a stream goes on (docs/protocol.md, section 4)."""

import asyncio

import pytest

from tests.support.api import POLL, STATE, Client, assert_problem, event
from tests.support.gateway import make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.tokens import auth_settings, mint

QUERY = {"entity": "order"}
TWO = listed(order("A", n=1), order("B", n=2))


@pytest.fixture
def gateway(start_gateway, backend):
    """A gateway whose orders are listed by an upstream that is asked when somebody wants to know."""
    backend.says(TWO)
    return start_gateway(make_settings(legacy=[route_settings(backend.url, 3600.0)]))


@pytest.fixture
def granting(start_gateway, backend):
    """The same, and what callers see is what they are granted."""
    backend.says(TWO)
    return start_gateway(
        make_settings(auth=auth_settings(), legacy=[route_settings(backend.url, 3600.0)]),
    )


def items(answer):
    assert answer.status == 200, answer.body
    return [(item["entityType"], item["entityId"], item["data"]) for item in answer.json["items"]]


BOTH = [("order", "A", {"orderID": "A", "n": 1}), ("order", "B", {"orderID": "B", "n": 2})]


@pytest.mark.parametrize("query", [QUERY, {"component": "orders"}, QUERY | {"eventTypes": "other"}], ids=str)
async def test_the_items_of_the_list_and_where_they_stand(client, query):
    answer = await client.get(STATE, query)
    assert items(answer) == BOTH
    assert list(answer.json) == ["cursor", "items", "asOf"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Sync-Cursor"] == answer.json["cursor"]
    assert answer.headers["Age"] == "0"


async def test_a_stream_from_there_gets_what_comes_and_nothing_else(client):
    await client.publish(event(1, of="B"))
    answer = await client.get(STATE, QUERY)
    link = answer.headers["Link"]
    assert link.endswith('; rel="alternate"; type="text/event-stream"')
    async with client.stream(path=link[1 : link.index(">")]) as stream:
        assert (await stream.connected()).data["recovered"] is True
        await client.publish(event(2, of="A"))
        assert (await stream.next()).data["data"] == {"n": 2}


async def test_filters_and_ids_apply_to_the_items(client):
    assert items(await client.get(STATE, QUERY | {"filter": "n=gt.1"})) == BOTH[1:]
    assert items(await client.get(STATE, {"entity": "order:A"})) == BOTH[:1]
    assert items(await client.get(STATE, {"entity": "order:C"})) == []


async def test_who_has_it_is_told_so_until_it_changes(client, backend):
    answer = await client.get(STATE, QUERY)
    has = [("If-None-Match", answer.headers["ETag"])]
    again = await client.get(STATE, QUERY, headers=has)
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert "Sync-Cursor" in again.headers
    assert "Link" in again.headers
    backend.says(listed(order("A", n=1)))
    await client.request("DELETE", "/api/v1/orders/B")
    assert items(await client.get(STATE, QUERY, headers=has)) == BOTH[:1]


async def test_a_head_is_the_same_without_its_body(client):
    answer = await client.get(STATE, QUERY)
    head = await client.request("HEAD", STATE, QUERY)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.body))
    assert head.headers["ETag"] == answer.headers["ETag"]


async def test_many_who_ask_at_once_are_told_of_one_reading(client, backend, gateway):
    answers = await asyncio.gather(*(client.get(STATE, QUERY) for _ in range(50)))
    assert {answer.headers["ETag"] for answer in answers} == {answers[0].headers["ETag"]}
    assert all(items(answer) == BOTH for answer in answers)
    assert len(backend.asked) == 1
    assert await client.metric("tidegate_state_reads_total") == 1


async def test_a_selection_without_a_type_is_refused(client):
    assert_problem(await client.get(STATE), 400)
    assert_problem(await client.get(STATE, {"filter": "n=eq.1"}), 400)


@pytest.mark.parametrize(
    "query", [{"entity": "job"}, {"entity": "order,job"}, {"component": "jobs"}], ids=str
)
async def test_what_nothing_knows_is_not_found(client, query):
    answer = await client.get(STATE, query)
    assert_problem(answer, 404)
    assert answer.json["type"] == "urn:tidegate:problem:no-such-state"


async def test_what_is_not_known_yet_is_to_be_asked_again(start_gateway, refusing):
    client = Client(start_gateway(make_settings(legacy=[route_settings(refusing, 3600.0)])).port)
    answer = await client.get(STATE, QUERY)
    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["type"] == "urn:tidegate:problem:state-unknown"


async def test_a_caller_sees_the_rows_and_members_that_it_is_granted(granting):
    row = {"entity": "order", "filters": ["n=eq.2"], "members": ["n"]}
    answer = await Client(granting.port, mint(subscribe=[row])).get(STATE, QUERY)
    assert items(answer) == [("order", "B", {"n": 2})]
    everything = await Client(granting.port, mint(subscribe=["order"])).get(STATE, QUERY)
    assert items(everything) == BOTH
    scopes = [str(one.json["cursor"]).rsplit(".", 1)[1] for one in (answer, everything)]
    assert scopes[0] != scopes[1]
    assert answer.headers["ETag"] != everything.headers["ETag"]


async def test_a_filter_on_what_is_not_shown_is_refused(granting):
    row = {"entity": "order", "members": ["n"]}
    client = Client(granting.port, mint(subscribe=[row]))
    assert_problem(await client.get(STATE, QUERY | {"filter": "orderID=eq.A"}), 403)
    assert_problem(await client.get(STATE, {"entity": "job"}), 403)


async def test_a_large_state_comes_whole_and_as_its_reader_takes_it(client, backend, gateway):
    backend.says(listed(*(order(str(number), text="x" * 1000) for number in range(3000))))
    answer = await client.get(STATE, QUERY)
    assert [entity_id for _, entity_id, _ in items(answer)] == [str(number) for number in range(3000)]


async def test_a_poll_from_the_cursor_goes_on_as_well(client):
    cursor = (await client.get(STATE, QUERY)).json["cursor"]
    await client.publish(event(2, of="A"))
    answer = await client.get(POLL, {"cursor": cursor, "entity": "order"})
    assert [one["data"] for one in answer.json["events"]] == [{"n": 2}]


async def test_of_answers_that_can_t_be_told_the_last_good_one_is_the_state(client, backend):
    backend.says(b"{}")
    assert_problem(await client.get(STATE, QUERY), 503)
    backend.says(TWO)
    await client.request("POST", PATH)
    assert items(await client.get(STATE, QUERY)) == BOTH
    backend.says(b"{}")
    await client.request("POST", PATH)
    assert items(await client.get(STATE, QUERY)) == BOTH


async def test_bad_items_are_left_out(client, backend):
    backend.says(listed(order("A", n=1), "nonsense", order("B", n=2)))
    assert items(await client.get(STATE, QUERY)) == BOTH


async def test_what_a_route_serves_without_events_is_no_state(start_gateway, backend):
    routes = [route_settings(backend.url, 3600.0, events="none")]
    client = Client(start_gateway(make_settings(legacy=routes)).port)
    assert_problem(await client.get(STATE, QUERY), 404)
