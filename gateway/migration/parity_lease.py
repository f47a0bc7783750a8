"""Which node compares a shared route with what is pushed of it: a lease of the route beside that of its poll.

The node that asks the upstream takes it: its answers are the first, and when they were asked for is known
exactly. It keeps it while it does not ask for a moment only: every write that goes through another node has
that one ask at once, and where callers poll rarely now this node asks and now that one. A fold that began
anew each time would never prove anything.
"""

import math
from collections.abc import Callable

from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.legacy_route import LegacyRoute

LENT_SECONDS = 30.0
"""For how long a node that compares may not have asked, before another that asks is to compare."""


class ParityLease:
    """The lease of one route's comparison.

    `leases` is None where this process keeps nothing that others could see; it compares then, always.
    `asks` says whether this node asks the upstream, as far as it knows. Where two nodes believe in their
    lease for a moment (gateway/ports/leases.py) both compare meanwhile, which proves nothing wrong.
    """

    def __init__(
        self,
        route: LegacyRoute,
        leases: Leases | None,
        asks: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._name = f"parity:{route.key_name}"
        self._leases = leases
        self._asks = asks
        self._clock = clock
        self._asked_at = -math.inf
        self.is_shared = leases is not None and leases.is_shared
        """Whether there may be another node that compares."""

    def holds(self) -> bool:
        """Whether it is this node that compares."""
        return self._leases is None or self._leases.holds(self._name)

    async def keep(self, *, is_wanted: bool) -> None:
        """Takes the lease or gives it back, as `is_wanted` (the route is to be compared) and the poll say.

        To be called about once a second. Raises LogError where the store is out of reach; the lease runs out
        then by itself.
        """
        if self._leases is None or not self.is_shared:
            return
        now, asks = self._clock.monotonic(), self._asks()
        if asks:
            self._asked_at = now
        if not is_wanted or now - self._asked_at >= LENT_SECONDS:
            await self._leases.release(self._name)
        elif asks:
            await self._leases.acquire(self._name)
