"""A leak: an old state, or a member that is not shown, comes out by another door than `data`."""

import pytest

from tests.support.api import Client
from tests.support.tokens import mint
from tests.support.ways import watching

NEW = {"branch": 7, "stage": "paid", "note": "hidden note"}
OLD = {"branch": 8, "stage": "new", "note": "hidden before"}


def order(of, data, previous=None, **members):
    event = {"eventType": "changed", "entityType": "order", "entityId": of, "data": data} | members
    return event if previous is None else event | {"previous": previous}


async def told_of(gateway, subscribe, *events, query=()):
    """What a caller with these grants is told of the events."""
    publisher = Client(gateway.port, mint(publish=["*"]))
    async with watching(gateway.port, mint(subscribe=subscribe), query) as watch:
        *_, last = await publisher.publish(*events)
        return await watch.told(last)


def states(told):
    return [(one["action"], one.get("data"), one.get("previous")) for one in told.events]


@pytest.mark.parametrize("action", ["update", "insert", "signal"])
async def test_an_old_state_that_was_another_one_s_is_not_shown(reading_gateway, action):
    own = [{"entity": "order", "filters": ["branch=eq.7"]}]
    told = await told_of(reading_gateway, own, order("1", NEW, OLD, action=action))
    assert states(told) == [(action, NEW, None)]
    assert b"hidden before" not in told.raw


async def test_each_state_shows_what_is_granted_of_that_state(reading_gateway):
    grants = [
        {"entity": "order", "filters": ["stage=eq.paid"], "members": ["stage", "branch"]},
        {"entity": "order", "filters": ["stage=eq.new"], "members": ["stage"]},
    ]
    told = await told_of(reading_gateway, grants, order("1", NEW, OLD), order("2", OLD, NEW))
    assert states(told) == [
        ("update", {"stage": "paid", "branch": 7}, {"stage": "new"}),
        ("update", {"stage": "new"}, {"stage": "paid", "branch": 7}),
    ]
    assert b"hidden" not in told.raw


@pytest.mark.parametrize(
    ("data", "previous", "leaves"),
    [
        ({"branch": 8}, {"branch": 7}, True),
        ({"branch": 8}, {"branch": 7, "locked": True}, False),
        # What `previous` leaves out is as it is in `data`: it was locked, and nobody's of branch 7.
        ({"branch": 8, "locked": True}, {"branch": 7}, False),
        ({"branch": 8, "locked": True}, {"branch": 7, "locked": None}, True),
        ({"branch": 7, "locked": True}, {"locked": None}, True),
        ({"branch": 8}, {"stage": "new"}, False),
        ({"branch": 8}, None, False),
    ],
)
async def test_a_row_leaves_only_whom_the_whole_old_state_was_granted(
    reading_gateway, data, previous, leaves
):
    grants = [{"entity": "order", "filters": ["branch=eq.7", "locked=is.null"]}]
    note = {"note": "hidden note"}
    event = order("1", data | note, None if previous is None else previous | {"was": "hidden before"})
    told = await told_of(reading_gateway, grants, event)
    assert states(told) == ([("leave", None, None)] if leaves else [])
    assert told.hinted == ({("order", "1")} if leaves else set())
    assert b"hidden" not in told.raw


async def test_what_is_deep_in_a_hidden_member_is_hidden_and_what_is_shown_is_whole(reading_gateway):
    grants = [{"entity": "order", "filters": ["owner.id=eq.5"], "members": ["price"]}]
    data = {"owner": {"id": 5, "name": "hidden"}, "price": {"net": 1, "tax": [2]}, "price2": "hidden"}
    told = await told_of(reading_gateway, grants, order("1", data, {"owner": {"id": 5, "name": "hidden"}}))
    assert states(told) == [("update", {"price": {"net": 1, "tax": [2]}}, {})]
    assert b"hidden" not in told.raw


async def test_a_caller_without_members_is_told_that_a_row_changed_and_nothing_of_it(reading_gateway):
    grants = [{"entity": "order", "members": []}]
    told = await told_of(reading_gateway, grants, order("1", NEW, OLD), order("2", NEW, action="delete"))
    assert states(told) == [("update", {}, {}), ("delete", {}, None)]
    assert told.hinted == {("order", "1"), ("order", "2")}
    for member in (b"hidden", b"branch", b"stage", b"note"):
        assert member not in told.raw
