"""What decides how a caller gets its events, for all resources that ask."""

from dataclasses import dataclass

from gateway.http.caller import Callers
from gateway.http.client_address import Clients
from gateway.http.selection import Selections
from gateway.http.sessions import Sessions
from gateway.http.terms import PollingTerms
from gateway.migration.components import Components
from gateway.migration.stream_plan import StreamPlans
from gateway.service.settings import Settings
from gateway.service.wiring.entities import id_aliases, owned_types, without_source
from gateway.service.wiring.parts import Gateway


@dataclass(frozen=True, slots=True)
class Deciding:
    """Who asks for what, and on which terms."""

    selections: Selections
    components: Components
    callers: Callers
    sessions: Sessions
    terms: PollingTerms
    stream_plans: StreamPlans


def make_deciding(settings: Settings, gateway: Gateway, clients: Clients) -> Deciding:
    """By the flags as they are whenever it is asked."""
    store = gateway.flags.store
    routes = gateway.upstreams.source.routes
    text_members = frozenset(name for route in routes for name in route.parameters)
    components = Components(owned_types(settings), store.snapshot, without_source(settings))
    callers = Callers(gateway.flags.preferences)
    sessions = Sessions(components, callers, clients, are_given=settings.flags.session_cookie)
    return Deciding(
        Selections(id_aliases(settings), text_members),
        components,
        callers,
        sessions,
        PollingTerms(components, callers, sessions, store.revisions),
        StreamPlans(components, callers.current),
    )
