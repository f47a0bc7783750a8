"""Who tells the state that streams begin with, and in which order they are asked."""

from adapters.upstream.state import RouteStates
from gateway.delivery.state.sources import StateSources
from gateway.ports.clock import Clock
from gateway.ports.state import LogWithState, StateSource
from gateway.service.wiring.stored import Stored
from gateway.service.wiring.upstreams import Upstreams


def make_state_source(clock: Clock, stored: Stored, upstreams: Upstreams) -> StateSource:
    """Tells what captured tables hold and shared routes list: of a type what the first has that knows it."""
    captured = [stored.log.state] if isinstance(stored.log, LogWithState) else []
    return StateSources([*captured, RouteStates(upstreams.source, clock)])
