"""The demo's orders in memory: what a database would be to a real application."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.core.times import rfc3339
from gateway.demo.changes import OrderChange
from gateway.demo.orders import Order, OrderError, moved, parse_new, parse_part, parse_whole
from gateway.ports.clock import Clock

MAX_ORDERS = 1000


class UnknownOrder(OrderError):
    """There is no order of that id, or no longer."""

    code = "unknown_order"


class StoreFull(OrderError):
    """There are as many orders as the store may hold."""

    code = "too_many_orders"


class OrderStore:
    """Orders by id, oldest first. A body is parsed JSON; where a method raises OrderError, nothing changed.

    Ids count up from ORDER-001 and are not used again. `record` is called with each change before it is made,
    and keeps it from being made by raising an OrderError.
    """

    def __init__(self, clock: Clock, max_orders: int = MAX_ORDERS) -> None:
        self.record: Callable[[OrderChange], None] = lambda change: None
        self._clock = clock
        self._max_orders = max_orders
        self._orders: dict[str, Order] = {}
        self._created = 0

    def all(self) -> tuple[Order, ...]:
        """Every order, oldest first."""
        return tuple(self._orders.values())

    def get(self, order_id: str) -> Order:
        """The order of that id. Raises UnknownOrder."""
        try:
            return self._orders[order_id]
        except KeyError:
            raise UnknownOrder("There is no order of this id.") from None

    def create(self, body: object) -> Order:
        """A new, empty order out of `customer` and `amount`. Raises InvalidOrder, StoreFull."""
        members = parse_new(body)
        if len(self._orders) >= self._max_orders:
            raise StoreFull(f"There are {self._max_orders} orders already: delete some first.")
        order = Order(
            order_id=f"ORDER-{self._created + 1:03d}",
            customer=members["customer"],
            amount=members["amount"],
            updated_at=self._now(),
        )
        self.record(OrderChange(None, order, order.updated_at))
        self._created += 1
        self._orders[order.order_id] = order
        return order

    def replace(self, order_id: str, body: object) -> Order:
        """The order with all its members set. Raises UnknownOrder, and as `parse_whole` and `moved` do."""
        order = self.get(order_id)
        return self._change(order, parse_whole(body, order))

    def update(self, order_id: str, body: object) -> Order:
        """The order with some of its members set. Raises UnknownOrder, and as `parse_part` and `moved` do."""
        order = self.get(order_id)
        return self._change(order, parse_part(body, order))

    def delete(self, order_id: str) -> None:
        """Forgets the order, whatever its stage. Raises UnknownOrder."""
        self.record(OrderChange(self.get(order_id), None, self._now()))
        del self._orders[order_id]

    def _change(self, order: Order, members: Mapping[str, Any]) -> Order:
        changed = moved(order, members, self._now())
        self.record(OrderChange(order, changed, changed.updated_at))
        self._orders[order.order_id] = changed
        return changed

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms())
