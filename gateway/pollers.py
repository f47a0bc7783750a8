"""Who still polls, of every component (flags/inventory.py)."""

from collections.abc import Callable

from flags.inventory import InventoryReport, PollerInventory


class Pollers:
    """An inventory for each component that is `known`; polls of others are not kept.

    Callers name components as they like, so that only those that somebody configured, or gave a flag, may
    take memory. `upstream_requests` gives how many requests a component has cost its upstream so far.
    """

    def __init__(self, known: Callable[[str], bool], upstream_requests: Callable[[str], int]) -> None:
        self._known = known
        self._upstream_requests = upstream_requests
        self._inventories: dict[str, PollerInventory] = {}
        self._asked: dict[str, int] = {}

    def polled(self, component: str, label: str, now: float, *, from_snapshot: bool = True) -> None:
        """Counts one poll of software that is called `label` (flags/client_label.py).

        `now` is in monotonic seconds; `from_snapshot` says that it cost the upstream no request of its own.
        """
        inventory = self._inventories.get(component)
        if inventory is None:
            if not self._known(component):
                return
            inventory = self._inventories[component] = PollerInventory()
        inventory.polled(label, now, from_snapshot=from_snapshot)

    def report(self, component: str, now: float) -> InventoryReport | None:
        """The component's pollers; None where it is not known."""
        inventory = self._inventories.get(component)
        if inventory is None:
            return PollerInventory().report(now) if self._known(component) else None
        asked = self._upstream_requests(component)
        inventory.asked_upstream(asked - self._asked.get(component, 0))
        self._asked[component] = asked
        return inventory.report(now)
