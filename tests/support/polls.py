"""What asks upstreams, for tests that want to see what came of one question."""

import contextlib
from collections.abc import AsyncIterator

from adapters.upstream.asking.fetch import WHOLE_TIMEOUTS, Polls
from adapters.upstream.asking.tls import TlsContexts
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock


@contextlib.asynccontextmanager
async def polls(
    *routes: LegacyRoute, clock: Clock | None = None, whole_timeouts: float = WHOLE_TIMEOUTS
) -> AsyncIterator[Polls]:
    """Asks for `routes`, and for any other that has no files for TLS."""
    clock = clock or ManualClock()
    asking = Polls(routes, TlsContexts(routes), clock.wall_ms, Slices(clock), whole_timeouts=whole_timeouts)
    asking.start()
    try:
        yield asking
    finally:
        await asking.close()
