"""A leak: deletions go to whoever listens, for the row that the rules look at is gone."""

import pytest

from tests.support.api import Client
from tests.support.tokens import mint
from tests.support.ways import watching

OWN = {"entity": "order", "filters": ["branch=eq.7"], "members": ["branch", "stage"]}
ROW = {"branch": 7, "stage": "new", "secret": "hidden"}
OTHER = {"branch": 8, "stage": "new", "secret": "hidden"}


def deleted(of, data=None, previous=None, entity_type="order"):
    event = {"eventType": "removed", "entityType": entity_type, "entityId": of, "action": "delete"}
    states = {"data": data, "previous": previous}
    return event | {name: state for name, state in states.items() if state is not None}


EVENTS = [
    deleted("1", ROW),
    deleted("2", OTHER),
    deleted("3", None, ROW),
    deleted("4", None, OTHER),
    deleted("5", ROW, OTHER),
    deleted("6", ROW, ROW),
    deleted("7"),
    deleted("8", None, {"stage": "new"}),
    deleted("9", ROW, {"stage": "old", "secret": "hidden before"}),
    deleted("10", ROW, None, "invoice"),
    deleted("11", ROW, None, "global"),
    deleted("12", {"branch": "7"}),
]
SEEN = {"branch": 7, "stage": "new"}


def states(event):
    return {name: event[name] for name in ("data", "previous") if name in event}


async def told_of(gateway, token, query=()):
    """What a caller is told when all of EVENTS are published."""
    publisher = Client(gateway.port, mint(publish=["*"]))
    async with watching(gateway.port, token, query) as watch:
        *_, last = await publisher.publish(*EVENTS)
        return await watch.told(last)


@pytest.mark.parametrize("query", [[], [("entity", "order")], [("filter", "branch=eq.7")]], ids=repr)
async def test_a_deletion_is_for_who_could_see_what_was_deleted(reading_gateway, query):
    told = await told_of(reading_gateway, mint(subscribe=[OWN]), query)
    assert [(one["entityId"], states(one)) for one in told.events] == [
        ("1", {"data": SEEN}),
        ("3", {"previous": SEEN}),
        ("6", {"data": SEEN, "previous": SEEN}),
        ("9", {"data": SEEN, "previous": {"stage": "old"}}),
    ]
    assert {one["action"] for one in told.events} == {"delete"}
    assert told.hinted == {("order", one) for one in ("1", "3", "6", "9")}
    assert b"hidden" not in told.raw


async def test_one_of_which_nothing_is_known_is_for_who_is_granted_the_type_or_the_id(reading_gateway):
    told = await told_of(reading_gateway, mint(subscribe=["order:7", "order:2"]))
    assert [(one["entityId"], states(one)) for one in told.events] == [("2", {"data": OTHER}), ("7", {})]
    assert told.hinted == {("order", "2"), ("order", "7")}


@pytest.mark.parametrize("filters", ["secret=eq.hidden", "secret=is.null", "stage=neq.new,secret=neq.x"])
async def test_a_filter_of_the_grant_is_asked_of_what_it_was_last(reading_gateway, filters):
    grant = {"entity": "order", "filters": [filters, "branch=eq.7"], "members": []}
    told = await told_of(reading_gateway, mint(subscribe=[grant]))
    found = {
        "secret=eq.hidden": ["1", "3", "6"],
        "secret=is.null": [],
        "stage=neq.new,secret=neq.x": ["9"],
    }
    assert [one["entityId"] for one in told.events] == found[filters]
    assert all(not state for one in told.events for state in states(one).values())
    assert b"hidden" not in told.raw


async def test_who_sees_other_rows_alone_is_told_of_none(reading_gateway):
    told = await told_of(reading_gateway, mint(subscribe=["order:branch=eq.9", "menu", "global"]))
    assert (told.events, told.hinted) == ([], set())
    assert b"removed" not in told.raw
