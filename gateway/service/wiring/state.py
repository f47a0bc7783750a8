"""The state that streams begin with: who is asked for it, and in which order."""

from dataclasses import dataclass

from adapters.upstream.state import RouteStates
from gateway.delivery.pace import Pace
from gateway.delivery.replay.resume import Resumes
from gateway.delivery.state.shared import SharedStates
from gateway.delivery.state.sources import StateSources
from gateway.ports.clock import Clock
from gateway.runtime.slices import Slices
from gateway.service.wiring.delivery import Delivery
from gateway.service.wiring.stored import Stored
from gateway.service.wiring.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class States:
    """The states that are asked for, and where cursors go on."""

    resumes: Resumes
    shared: SharedStates


def make_states(clock: Clock, stored: Stored, upstreams: Upstreams, delivery: Delivery, pace: Pace) -> States:
    """Tells what captured tables hold and shared routes list: of a type what the first has that knows it."""
    resumes = Resumes(stored.history, delivery.archive, delivery.follower)
    source = StateSources([RouteStates(upstreams.source, clock)])
    shared = SharedStates(source, resumes.place, stored.history, clock, Slices(clock), pace)
    return States(resumes, shared)
