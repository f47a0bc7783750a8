"""Legacy routes for tests: the orders of docs/protocol.md, section 7."""

from typing import Any

import orjson

from gateway.ports.legacy_route import LegacyRoute

PATH = "/api/v1/orders"


def legacy_route(**settings: Any) -> LegacyRoute:
    """A shared route for orders; `settings` are those that a test cares about."""
    given: dict[str, Any] = {
        "component": "orders",
        "path": PATH,
        "upstream": "http://127.0.0.1:9000/orders",
        "entity": "order",
        "items": "/docs",
        "key": "orderID",
        "interval_seconds": 2.0,
        "shared": True,
        "changes": {"orderStage": "stage_change", "paymentStatus": "payment_update"},
    }
    return LegacyRoute(**(given | settings))


def order(key: Any, **members: Any) -> dict[str, Any]:
    """An item of the list."""
    return {"orderID": key, **members}


def listed(*items: Any) -> bytes:
    """An upstream's answer that lists `items`."""
    return orjson.dumps({"docs": list(items)})
