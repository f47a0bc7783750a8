"""The legacy endpoints: what `[[legacy]]` comes to."""

from dataclasses import dataclass

from adapters.upstream import UpstreamSource
from flags.decide.decision import is_retired
from flags.decide.flag import Flags
from flags.store.port import FlagStore
from gateway.core.errors import ConfigError
from gateway.delivery.group import Groups
from gateway.delivery.interest import Interest
from gateway.delivery.wanted_rows import RowsWanted
from gateway.ports.clock import Clock
from gateway.ports.wanted import rows_of
from gateway.runtime.stopping import Closing
from gateway.service.settings import Settings
from gateway.service.wiring.routes import check_routes, routes_of
from gateway.service.wiring.stored import Stored


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The pollers of the legacy endpoints, and who wants to hear of them: groups of streams, and polls."""

    groups: Groups
    interest: Interest
    source: UpstreamSource

    async def start(self, closing: Closing) -> None:
        """Starts the pollers; nothing is asked before somebody wants it."""
        closing.add("upstreams", self.source.close)
        await self.source.start()

    def failing(self) -> list[str]:
        """The upstreams that fail, one sentence each."""
        return [
            f"The upstream of {upstream.path} fails: {upstream.last_error}"
            for upstream in self.source.health()
            if not upstream.connected
        ]


def make_upstreams(settings: Settings, clock: Clock, stored: Stored, flags: FlagStore) -> Upstreams:
    """The pollers of the legacy routes; of the nodes that share a store, one asks each upstream.

    Here is tied who asks for interest and who wakes those that ask: streams and polls wake the pollers, and
    so do changes of the flags, which say for which components polling is over.
    Raises ConfigError where what the routes say can't be, a file for TLS among it.
    """
    check_routes(settings)
    routes = routes_of(settings)
    rows = RowsWanted(
        {rows_of(route) for route in routes if route.parameters and route.events != "none"}, clock
    )
    try:
        source = UpstreamSource(
            routes,
            stored.log,
            lambda entity_type: interest.wants(entity_type),
            clock,
            leases=stored.leases,
            log_outage=stored.outage,
            slices=stored.slices,
            modules=str(settings.base_dir),
            rows=rows,
            is_over=lambda component: _is_over(flags.snapshot(), component),
        )
    except ValueError as error:
        raise ConfigError(f"legacy: {error}.") from None
    groups = Groups(settings.hints.fan_in, source.wake, rows)
    interest = Interest(groups, clock, {route.entity for route in routes}, rows, source.wake)
    flags.subscribe(lambda before, after: source.wake())
    return Upstreams(groups, interest, source)


def _is_over(flags: Flags, component: str) -> bool:
    """Whether the component's callers no longer poll."""
    return is_retired(flags.get(component), kill_all=flags.kill_all)
