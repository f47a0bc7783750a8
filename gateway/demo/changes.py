"""What the orders application tells of a change: events as `POST /api/v1/sync/events` takes them. Pure."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.demo.orders import Order

ENTITY = "order"
SOURCE = "orders-application"


class _Rule(NamedTuple):
    event_type: str
    suffix: str


RULES = {
    "orderStage": _Rule("stage_change", "Stage"),
    "paymentStatus": _Rule("payment_update", "PaymentStatus"),
    "overallStatus": _Rule("status_update", "OverallStatus"),
}
"""A member that changes, the event type that this gives, and the name behind `previous` and `new` in its
data: those of the route (docs/protocol.md, section 7), so that clients see no difference to what the gateway
makes of polling."""

_STAMP = "updatedAt"


@dataclass(frozen=True, slots=True)
class OrderChange:
    """An order before and after; None where there was none, or is none any more. `at` is RFC 3339 in UTC."""

    before: Order | None
    after: Order | None
    at: str


def events_of(change: OrderChange) -> list[dict[str, Any]]:
    """The events that tell the change, in the order in which they are published.

    One for each member that RULES names, then one `order_updated` where anything else has changed; each with
    the whole new state. None where nothing has.
    """
    before = None if change.before is None else change.before.to_json()
    after = None if change.after is None else change.after.to_json()
    if after is None:
        return [] if before is None else [_event(change, "deleted", "delete", before, before)]
    if before is None:
        return [_event(change, "created", "insert", after, None)]
    changed = {name for name in after if after[name] != before[name]} - {_STAMP}
    events = []
    for member, rule in RULES.items():
        if member in changed:
            names = {f"previous{rule.suffix}": before[member], f"new{rule.suffix}": after[member]}
            events.append(_event(change, rule.event_type, "update", after | names, before))
    if changed - RULES.keys():
        events.append(_event(change, f"{ENTITY}_updated", "update", after, before))
    return events


def stale_events_of(change: OrderChange) -> list[dict[str, Any]]:
    """The same events, from a publisher that reads too early: `data` of an update is the OLD state."""
    events = events_of(change)
    for event in events:
        if event["action"] == "update":
            event["data"] = event["previous"]
    return events


def correction_of(told: Order, true: Order) -> dict[str, Any]:
    """The event that leads readers from what they were told of an order to what is true."""
    change = OrderChange(told, true, true.updated_at)
    return _event(change, f"{ENTITY}_updated", "update", true.to_json(), told.to_json())


def _event(
    change: OrderChange, event_type: str, action: str, data: dict[str, Any], previous: dict[str, Any] | None
) -> dict[str, Any]:
    order = change.after or change.before
    assert order is not None, "a change has an order on one side at least"
    event = {
        "eventType": event_type if action == "update" else f"{ENTITY}_{event_type}",
        "entityType": ENTITY,
        "entityId": order.order_id,
        "action": action,
        "data": data,
        "timestamp": change.at,
        "source": SOURCE,
    }
    return event if previous is None else event | {"previous": previous}
