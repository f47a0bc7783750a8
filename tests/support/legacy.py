"""Legacy routes for tests: the orders of docs/protocol.md, section 7."""

from typing import Any

import orjson

from gateway.ports.legacy_route import LegacyRoute

PATH = "/api/v1/orders"


def route_settings(upstream: str, interval_seconds: float, **settings: Any) -> dict[str, Any]:
    """`[[legacy]]` of a shared route for orders; `settings` are those that a test cares about."""
    return {
        "component": "orders",
        "path": PATH,
        "upstream": upstream,
        "entity": "order",
        "items": "/docs",
        "key": "orderID",
        "interval_seconds": interval_seconds,
        "shared": True,
    } | settings


def legacy_route(**settings: Any) -> LegacyRoute:
    """A shared route for orders; `settings` are those that a test cares about."""
    changes = {"orderStage": "stage_change", "paymentStatus": "payment_update"}
    given = route_settings("http://127.0.0.1:9000/orders", 2.0, changes=changes)
    return LegacyRoute(**(given | settings))


def order(key: Any, **members: Any) -> dict[str, Any]:
    """An item of the list."""
    return {"orderID": key, **members}


def listed(*items: Any) -> bytes:
    """An upstream's answer that lists `items`."""
    return orjson.dumps({"docs": list(items)})
