"""Who still polls, of every component (flags/guard/inventory.py), and who has a key (keys_seen.py)."""

from collections.abc import Callable

from flags.guard.inventory import PollerInventory
from flags.guard.inventory_counts import InventoryCounts, InventoryReport
from flags.guard.keys_seen import KeyCounts, KeysSeen
from gateway.migration.components import POLL_INTERVAL_MS


class PollInventory:
    """An inventory for each component that is `known`; polls of others are not kept.

    Callers name components as they like, so that only those that somebody configured, or gave a flag, may
    take memory. `upstream_requests` gives how many requests a component has cost its upstream so far.
    """

    def __init__(self, known: Callable[[str], bool], upstream_requests: Callable[[str], int]) -> None:
        self._known = known
        self._upstream_requests = upstream_requests
        self._inventories: dict[str, PollerInventory] = {}
        self._asked: dict[str, int] = {}
        self._keys: dict[str, KeysSeen] = {}

    def polled(self, component: str, label: str, now: float, *, from_snapshot: bool = True) -> None:
        """Counts one poll of software that is called `label` (flags/guard/client_label.py).

        `now` is in monotonic seconds; `from_snapshot` says that it cost the upstream no request of its own.
        """
        inventory = self._inventory(component)
        if inventory is not None:
            inventory.polled(label, now, from_snapshot=from_snapshot)

    def came(self, component: str, now: float, *, keyed: bool) -> None:
        """Counts a request of a caller who has a key for the component's flag, or has none."""
        seen = self._keys.get(component)
        if seen is None and self._known(component):
            seen = self._keys[component] = KeysSeen()
        if seen is not None:
            seen.seen(now, keyed=keyed)

    def keys(self, component: str, now: float) -> KeyCounts:
        """How many requests of late came with a key, and how many without."""
        seen = self._keys.get(component)
        return KeyCounts() if seen is None else seen.counts(now)

    def streamed(self, component: str, client_seconds: float, poll_interval_ms: int | None) -> None:
        """Counts so many seconds of streaming, by all clients together, that polling would have filled.

        With `poll_interval_ms` None it is the interval that pollers are told where no flag says another.
        """
        interval_ms = POLL_INTERVAL_MS if poll_interval_ms is None else poll_interval_ms
        inventory = self._inventory(component)
        if inventory is not None:
            inventory.streamed(client_seconds, interval_ms / 1000)

    def components(self) -> frozenset[str]:
        """Those of which something was counted."""
        return frozenset(self._inventories.keys() | self._keys.keys())

    def report(self, component: str, now: float) -> InventoryReport | None:
        """The component's pollers; None where it is not known."""
        counts = self.counts(component, now)
        return None if counts is None else counts.report()

    def counts(self, component: str, now: float) -> InventoryCounts | None:
        """What the report is made of."""
        inventory = self._inventory(component)
        if inventory is None:
            return None
        asked = self._upstream_requests(component)
        inventory.asked_upstream(asked - self._asked.get(component, 0))
        self._asked[component] = asked
        return inventory.counts(now)

    def _inventory(self, component: str) -> PollerInventory | None:
        inventory = self._inventories.get(component)
        if inventory is None and self._known(component):
            inventory = self._inventories[component] = PollerInventory()
        return inventory
