"""A leak: what comes live, or by some other way, skips the rules that hold for reading.

Each way is asked from outside, where the history holds what it reads and where only the log does.
"""

import pytest

from tests.support.api import Client
from tests.support.tokens import mint
from tests.support.ways import watching

OWN = {"entity": "order", "filters": ["branch=eq.7"], "members": ["branch", "stage"]}
TOKEN = mint("customer", subscribe=[OWN])


def order(branch, of="1", **members):
    data = {"branch": branch, "stage": "new", "secret": f"hidden-{branch}"}
    return {"eventType": "changed", "entityType": "order", "entityId": of, "data": data} | members


def shown(branch=7, **members):
    return {"branch": branch, "stage": "new"} | members


EVENTS = [
    order(7),
    order(8, "2"),
    order(7, "3", action="insert", previous={"branch": 8, "secret": "hidden-before"}),
    order(7, "4", previous={"branch": 8, "stage": "old", "secret": "hidden-before"}),
    order(7, "5", previous={"stage": "old", "secret": "hidden-before"}),
    order(8, "6", previous={"branch": 7, "secret": "hidden-before"}),
    order(8, "7", previous={"stage": "old", "secret": "hidden-before"}),
    order("7", "8"),
    order(7, "9", action="signal"),
    {"eventType": "changed", "data": {"branch": 7, "secret": "hidden-global"}},
    order(7, "10") | {"entityType": "global"},
    order(7, "11") | {"entityType": "invoice"},
    order(7, "12", action="insert"),
]
SHOWN = [
    ("1", "update", {"data": shown()}),
    ("3", "insert", {"data": shown()}),
    ("4", "update", {"data": shown()}),
    ("5", "update", {"data": shown(), "previous": {"stage": "old"}}),
    ("6", "leave", {}),
    ("9", "signal", {"data": shown()}),
    ("12", "insert", {"data": shown()}),
]


def states(event):
    return {name: event[name] for name in ("data", "previous") if name in event}


@pytest.mark.parametrize("query", [[], [("entity", "order")], [("filter", "branch=eq.7")]], ids=repr)
async def test_every_way_gives_the_rows_and_members_that_are_granted_and_nothing_else(reading_gateway, query):
    publisher = Client(reading_gateway.port, mint(publish=["*"]))
    async with watching(reading_gateway.port, TOKEN, query) as watch:
        *_, last = await publisher.publish(*EVENTS)
        told = await watch.told(last)
    assert [(one["entityId"], one["action"], states(one)) for one in told.events] == SHOWN
    assert told.hinted == {("order", one) for one, _, _ in SHOWN}
    assert b"hidden" not in told.raw


async def test_who_is_granted_nothing_of_it_is_told_by_no_way_that_it_happened(reading_gateway):
    publisher = Client(reading_gateway.port, mint(publish=["*"]))
    token = mint(subscribe=["order:branch=eq.9", "order:99", "menu"])
    await publisher.publish(*EVENTS)
    async with watching(reading_gateway.port, token) as watch:
        *_, last = await publisher.publish(*EVENTS)
        told = await watch.told(last)
    assert (told.events, told.hinted) == ([], set())
    for member in (b"stage", b"hidden", b"changed", b"order"):
        assert member not in told.raw
