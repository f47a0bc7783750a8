"""gateway/demo/changes.py: what the orders application tells of a change."""

import random
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest

from gateway.core.events import Event, event_json, parsing_events
from gateway.demo import simulator
from gateway.demo.changes import OrderChange, correction_of, events_of, stale_events_of
from gateway.demo.launcher import CONFIG
from gateway.demo.orders import Order
from gateway.demo.store import OrderStore
from gateway.service.config import load_settings
from gateway.service.wiring.upstreams import routes_of
from tests.support.clock import ManualClock
from tests.support.comparing import compare, extract
from tests.support.steps import finish

BILLED = Order("ORDER-001", "Ada Berg", 12.5, "2026-11-20T10:30:00.000Z", "billed", "pending", "active")
PAID = replace(
    BILLED,
    stage="paid",
    payment_status="settled",
    overall_status="completed",
    updated_at="2026-11-20T10:31:00.000Z",
)
TO_PAID = OrderChange(BILLED, PAID, PAID.updated_at)


@pytest.fixture
def recorded():
    """The changes of some 300 steps of the simulator, with every kind among them."""
    store, rng = OrderStore(ManualClock()), random.Random(1)
    changes = []
    store.record = changes.append
    simulator.fill(store, rng, 12)
    for _ in range(300):
        simulator.step(store, rng)
    return changes


@pytest.fixture
def route():
    """The demo's route, as if the gateway had to find out the changes by itself."""
    [route] = routes_of(load_settings(CONFIG, {}))
    return replace(route, events="poll")


def items(order, route):
    listed = [] if order is None else [order.to_json()]
    return extract(orjson.dumps({"docs": listed}), route)


def told(event):
    """What a reader acts upon."""
    return tuple(event.get(name) for name in ("eventType", "entityId", "action", "data", "previous"))


def test_the_events_are_those_that_the_gateway_makes_of_polling(recorded, route):
    for change in recorded:
        found = compare(items(change.before, route), items(change.after, route), route, 0).events
        polled = [told(orjson.loads(event_json(event, "", {}))) for event in found]
        # Polling sees the time of the change as a change of its own; the application does not tell of it.
        expected = [event for event in polled if event[0] != "order_updated"]
        assert [told(event) for event in events_of(change)] == expected


def test_every_event_is_one_that_may_be_published(recorded):
    events = [event for change in recorded for event in events_of(change) + stale_events_of(change)]
    parsed: list[Event] = []
    finish(parsing_events(events, parsed, now_ms=0, max_event_bytes=65536, batch=True))
    assert len(parsed) == len(events)


def test_a_change_that_no_rule_names_is_an_update():
    [event] = events_of(OrderChange(PAID, replace(PAID, customer="Jan Kowalski"), PAID.updated_at))
    assert (event["eventType"], event["data"]["customer"]) == ("order_updated", "Jan Kowalski")


def test_a_write_that_changed_nothing_is_not_told():
    assert events_of(OrderChange(PAID, PAID, PAID.updated_at)) == []


def test_a_stale_event_has_the_old_state_under_the_right_type():
    events = stale_events_of(TO_PAID)
    assert [event["eventType"] for event in events] == ["stage_change", "payment_update", "status_update"]
    assert all(event["data"] == BILLED.to_json() for event in events)


def test_what_is_created_or_deleted_can_not_be_stale():
    for change in (OrderChange(None, BILLED, BILLED.updated_at), OrderChange(PAID, None, PAID.updated_at)):
        assert stale_events_of(change) == events_of(change)


def test_a_correction_leads_from_what_was_told_to_what_is_true():
    event = correction_of(BILLED, PAID)
    assert (event["previous"], event["data"]) == (BILLED.to_json(), PAID.to_json())


def test_each_change_begins_where_the_one_before_it_ended(recorded):
    by_order = {}
    for change in recorded:
        by_order.setdefault((change.after or change.before).order_id, []).append(change)
    for changes in by_order.values():
        assert all(earlier.after == later.before for earlier, later in pairwise(changes))
