"""Selecting what to receive: the same parameters on stream, poll and history (protocol, section 3)."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

from gateway.http import parameters
from gateway.migration.links import QUERY_PARAMETERS
from tests.support.api import EVENTS, HISTORY, POLL, Client, assert_problem, event
from tests.support.gateway import make_settings

ORDERS = [
    event(0, of="ORDER-001", data={"n": 0, "branch_id": 7, "customer": {"name": "Ann", "vip": True}}),
    event(1, of="ORDER-002", data={"n": 1, "branch_id": 8, "customer": {"name": "Bob", "vip": False}}),
    event(2, of="INV-1", entityType="invoice", eventType="payment_update", data={"n": 2, "branch_id": "7"}),
    event(3, of="ORDER-003", data={"n": 3, "branch_id": None, "due": "2026-11-20"}),
    {"eventType": "notice", "data": {"n": 4, "branch_id": 7.0}},
    event(5, of="ORDER:005/a", data={"n": 5, "branch_id": True}),
    event(6, of='a,"b', data={"n": 6, "branch_id": 2.0**70, "note": 'Acme (EU, "x\\'}),
]

SELECTIONS = [
    ([], [0, 1, 2, 3, 4, 5, 6]),
    ([("entity", "order")], [0, 1, 3, 5, 6]),
    ([("entity", "order:ORDER-001")], [0]),
    ([("entity", "order:ORDER:005/a")], [5]),
    ([("entity", "order:ORDER-001,invoice")], [0, 2]),
    ([("entity", "order:ORDER-001"), ("entity", "order:ORDER-002")], [0, 1]),
    ([("orderID", "ORDER-001,ORDER-003")], [0, 3]),
    ([("orderID", "ORDER-001"), ("entity", "invoice")], [0, 2]),
    ([("eventTypes", "payment_update,notice")], [2, 4]),
    ([("event_type", "payment_update"), ("types", "notice")], [2, 4]),
    ([("entity", "invoice"), ("eventTypes", "stage_change")], []),
    ([("filter", "branch_id=eq.7")], [0, 4]),
    ([("filter", "branch_id=neq.7")], [1, 2, 3, 5, 6]),
    ([("filter", "branch_id=in.(7,8)")], [0, 1, 4]),
    ([("filter", "branch_id=gt.7")], [1, 6]),
    ([("filter", "branch_id=gte.7"), ("filter", "branch_id=lte.7")], [0, 4]),
    ([("filter", "branch_id=lt.8,customer.vip=is.true")], [0]),
    ([("filter", "branch_id=is.null")], [3]),
    ([("filter", "branch_id=is.true")], [5]),
    ([("filter", "branch_id=eq.true")], [5]),
    ([("filter", "branch_id=eq.null")], [3]),
    ([("filter", "customer.vip=is.false")], [1]),
    ([("filter", "customer.name=eq.Ann")], [0]),
    ([("filter", "customer.name=gt.Ann")], [1]),
    ([("filter", "due=gte.2026-01-01")], [3]),
    ([("filter", "due=is.null"), ("entity", "order")], [0, 1, 5, 6]),
    ([("filter", 'branch_id=eq."7"')], [2]),
    ([("filter", 'branch_id=in.("7",8)')], [1, 2]),
    ([("filter", r'note=eq."Acme (EU, \"x\\"')], [6]),
    ([("filter", r'note=in.("Acme (EU, \"x\\",b),n=eq.5')], []),
    ([("filter", "note=neq.Acme (EU,n=eq.6")], [6]),
    ([("filter", "note=neq.Acme (EU,n=eq.5")], []),
    ([("filter", f"branch_id=eq.{2**70 + 1}")], [6]),
    ([("filter", f"branch_id=eq.{2**71}")], []),
    ([("entity", r'order:"a,\"b"')], [6]),
    ([("orderID", r'"a,\"b",ORDER-001')], [0, 6]),
    ([("unknown", "ignored"), ("eventTypes", "notice")], [4]),
]


class NotedQuery:
    """A request's query, which notes what is asked of it."""

    def __init__(self, query, read):
        self._query, self._read = query, read

    def get(self, name, default=None):
        self._read.add(name)
        return self._query.get(name, default)

    def getall(self, name, default):
        self._read.add(name)
        return self._query.getall(name, default)

    def __contains__(self, name):
        self._read.add(name)
        return name in self._query


@pytest.fixture
def client(start_gateway):
    return Client(start_gateway(make_settings(entities={"order": {"id_alias": "orderID"}})).port)


def seen(events):
    return [given["data"]["n"] for given in events]


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
async def test_every_transport_selects_the_same(client, selection, expected):
    end = {"eventType": "notice", "entityType": "order", "entityId": "END", "data": {"n": 99}}
    everything = client.stream()
    async with everything as witness, client.stream(selection) as live:
        await witness.connected()
        await live.connected()
        await client.publish(*ORDERS)
        await witness.take(len(ORDERS))
        streamed = await live.take(len(expected))
    async with client.stream([*selection, ("lastEventId", "earliest")]) as resumed:
        await resumed.connected()
        replayed = await resumed.take(len(expected))
    await client.publish(end)
    polled = (await client.get(POLL, [*selection, ("cursor", "earliest")])).json["events"]
    history = (await client.get(HISTORY, selection)).json["events"]

    for events in (streamed, replayed, polled, history):
        assert [n for n in seen(events) if n != 99] == expected


async def test_every_parameter_that_is_read_is_one_of_those_that_no_alias_can_take(client, monkeypatch):
    read = set()
    noted = property(lambda request: NotedQuery(request.rel_url.query, read))
    monkeypatch.setattr(web.BaseRequest, "query", noted)

    def shared(text):
        query = parameters.SharedQuery(text)
        query.query = NotedQuery(query.query, read)
        return query

    monkeypatch.setattr(parameters, "_kept", shared)
    async with client.stream([("hints", "with")]) as stream:
        await stream.connected()
    for path in (POLL, HISTORY):
        assert (await client.get(path)).status == 200

    assert {"orderID", "capable", "wait", "limit", "debounceMs", "presence"} <= read
    assert read - {"orderID"} <= QUERY_PARAMETERS
    assert parameters.OWN <= QUERY_PARAMETERS


async def test_the_link_of_an_answer_selects_what_the_answer_did(client):
    await client.publish(*ORDERS)
    selection = [
        ("entity", r'order:"a,\"b",invoice'),
        ("filter", r'note=in.("Acme (EU, \"x\\",")"),n=neq."6"'),
    ]
    answer = await client.get(POLL, [*selection, ("cursor", "earliest")])
    link = urlsplit(re.match("<([^>]*)>", answer.headers["Link"])[1])
    query = [pair for pair in parse_qsl(link.query) if pair[0] != "lastEventId"]

    assert seen(answer.json["events"]) == [6]
    assert seen((await client.get(HISTORY, query)).json["events"]) == [6]


async def test_an_id_alias_stands_beside_the_entity_id_of_its_type_only(client):
    await client.publish(*ORDERS[:3])
    events = (await client.poll(cursor="earliest"))["events"]

    assert [given.get("orderID") for given in events] == ["ORDER-001", "ORDER-002", None]


async def test_an_entity_that_leaves_the_view_is_told_without_its_data(client):
    moved = event(1, data={"n": 1, "branch_id": 8}, previous={"branch_id": 7})
    async with (
        client.stream({"filter": "branch_id=eq.7"}) as left,
        client.stream({"filter": "branch_id=eq.8"}) as joined,
    ):
        await left.connected()
        await joined.connected()
        [cursor] = await client.publish(moved)
        leave, update = await left.next(), await joined.next()
    polled = await client.poll(cursor="earliest", filter="branch_id=eq.7")

    assert (leave.event, leave.id, leave.data["action"]) == ("stage_change", cursor, "leave")
    assert leave.data.keys().isdisjoint({"data", "previous"})
    assert (leave.data["entityType"], leave.data["entityId"], leave.data["orderID"]) == (
        *("order", "ORDER-001"),
        "ORDER-001",
    )
    assert (update.data["action"], update.data["data"]) == ("update", {"n": 1, "branch_id": 8})
    assert polled["events"] == [leave.data]


async def test_an_event_that_never_was_in_the_view_is_no_leave(client):
    await client.publish(
        event(1, data={"n": 1, "branch_id": 8}, previous={"branch_id": 9}),
        event(2, data={"n": 2, "branch_id": 8}),
        event(3, data={"n": 3, "branch_id": 7}),
    )

    assert seen((await client.poll(cursor="earliest", filter="branch_id=eq.7"))["events"]) == [3]


async def test_a_publisher_can_not_send_a_leave_of_its_own(client):
    assert (await client.post(event(1, action="leave"))).status in (201, 422)


TOO_LARGE = [
    ("filter", "n=in.(" + "1," * 1000 + "1)"),
    ("filter", ",".join(["n=eq.1"] * 33)),
    ("entity", "a," * 1000 + "a"),
    ("orderID", "a," * 1000 + "a"),
    ("types", "a," * 1000 + "a"),
    ("component", "a," * 100 + "a"),
]


async def test_every_resource_that_takes_a_selection_has_its_bounds(start_gateway):
    gateway = start_gateway(make_settings(entities={"order": {"id_alias": "orderID"}}))
    client = Client(gateway.port)
    paths = {route.resource.canonical for route in gateway.app.router.routes() if route.method == "GET"}
    answers = {path: await client.get(path, [("filter", "malformed")]) for path in paths}
    selecting = {
        path for path, answer in answers.items() if answer.status == 400 and b'"filter"' in answer.body
    }

    assert {EVENTS, POLL, HISTORY} <= selecting
    for path in selecting:
        for name, value in TOO_LARGE:
            response = await client.get(path, [(name, value)])
            assert_problem(response, 400)
            assert [error["parameter"] for error in response.json["errors"]] == [name]


BAD = [
    ("filter", "branch_id"),
    ("filter", "branch_id=7"),
    ("filter", "branch_id=like.7"),
    ("filter", "=eq.7"),
    ("filter", "a..b=eq.7"),
    ("filter", "a=in.7"),
    ("filter", "a=in.()"),
    ("filter", "a=is.7"),
    ("filter", "a=gt.null"),
    ("filter", "a=eq.1e999"),
    ("filter", "a=eq." + "9" * 5000),
    ("filter", "a=eq.\x00"),
    ("filter", 'a=eq."\x00"'),
    ("filter", 'a=eq."b'),
    ("filter", 'a=eq."b"c'),
    ("filter", 'a=in.("b",c'),
    ("entity", 'order:"a'),
    ("entity", 'order:"a"b'),
    ("orderID", '"a'),
    ("filter", ""),
    ("filter", "a=eq.1,"),
    ("filter", "x" * 257 + "=eq.1"),
    ("entity", ""),
    ("entity", "order:"),
    ("entity", ":ORDER-001"),
    ("entity", "or der"),
    ("entity", "o" * 65),
    ("entity", "order:" + "x" * 257),
    ("entity", "order:a\x07b"),
    ("entity", "order,,invoice"),
    ("orderID", ""),
    ("orderID", "x" * 257),
    ("eventTypes", ""),
    ("eventTypes", "a b"),
    ("event_type", "é"),
    ("types", "x" * 65),
]


@pytest.mark.parametrize(("name", "value"), BAD)
async def test_a_malformed_selection_is_400_and_names_the_parameter_everywhere(client, name, value):
    for path in (EVENTS, POLL, HISTORY):
        response = await client.get(path, [(name, value)])
        assert_problem(response, 400)
        assert [error["parameter"] for error in response.json["errors"]] == [name]
