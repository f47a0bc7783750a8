"""What operators see of a migration: who polls, what clients say, what one caller gets and why."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, cast, get_args

from aiohttp import web

from flags.decide.caller import Caller, comparable_claims
from flags.decide.explain import Explanation, explain
from flags.decide.flag import Flags
from flags.decide.modes import Preference
from flags.guard.keys_seen import MINUTES
from flags.guard.telemetry import TelemetrySummary
from flags.store.port import FlagStore
from flags.store.preferences import Preferences, preference_key
from gateway.core.errors import BadParameter, NoSuchFlag
from gateway.http.admin.access import administrators_only
from gateway.http.admin.flags import ADMIN_PATH, FLAG_PATH, json_response
from gateway.http.admin.over_nodes import summed_members
from gateway.http.admin.parity_view import parity_members
from gateway.http.figures import figures_response
from gateway.migration.node_summaries import NodeSummaries
from gateway.migration.node_sums import ComponentSums, summed
from gateway.migration.parity_sampler import ParitySampler

EXPLAIN_PATH = f"{ADMIN_PATH}/explain"

_CLAIM = "claim."
_MAX_CHARACTERS = 256


class InsightHandler:
    """Reads; changes nothing. `components` gives those that are configured.

    `gives_sessions` says whether callers without a key get a session, `without_source` are the components
    that nothing makes events of.
    """

    def __init__(
        self,
        store: FlagStore,
        summaries: NodeSummaries,
        components: Iterable[str],
        preferences: Preferences,
        parity: ParitySampler,
        *,
        gives_sessions: bool,
        without_source: Collection[str],
    ) -> None:
        self._store = store
        self._summaries = summaries
        self._components = frozenset(components)
        self._preferences = preferences
        self._parity = parity
        self._gives_sessions = gives_sessions
        self._without_source = frozenset(without_source)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(FLAG_PATH + "/pollers", administrators_only(self.pollers))
        app.router.add_get(FLAG_PATH + "/parity", administrators_only(self.parity))
        app.router.add_get(FLAG_PATH + "/telemetry", administrators_only(self.telemetry))
        app.router.add_get(EXPLAIN_PATH, administrators_only(self.explain))

    async def pollers(self, request: web.Request) -> web.Response:
        """Who polled the component, at any node, and how many of those who asked of late have a key."""
        return await self._over_nodes(request, self._pollers)

    def _pollers(self, component: str, sums: ComponentSums) -> dict[str, Any]:
        report = sums.pollers.report()
        return {
            "component": component,
            "pollers": [
                {
                    "client": poller.label,
                    "polls": poller.polls,
                    "error": poller.error,
                    "perSecond": round(poller.per_second, 4),
                    "lastSeenSeconds": round(poller.last_seen_seconds, 3),
                }
                for poller in report.pollers
            ],
            "polls": report.polls,
            "unlistedBound": report.unlisted_bound,
            "upstreamRequests": report.upstream_requests,
            "savedBySnapshot": report.saved_by_snapshot,
            "savedByPush": report.saved_by_push,
            "keys": {
                "minutes": MINUTES,
                "with": sums.keys.keyed,
                "without": sums.keys.keyless,
                "sessionCookie": self._gives_sessions,
            },
        }

    async def parity(self, request: web.Request) -> web.Response:
        """Whether push says the same as polling, as far as the nodes that run have compared it."""
        return await self._over_nodes(request, self._parity_of)

    def _parity_of(self, component: str, sums: ComponentSums) -> dict[str, Any]:
        flag, same_source = self._store.snapshot().get(component), self._parity.is_same_source(component)
        begun = self._parity.begun(component)
        return parity_members(component, flag, sums.parity, same_source=same_source, begun=begun)

    async def telemetry(self, request: web.Request) -> web.Response:
        """What clients of the component said, to any node."""
        return await self._over_nodes(request, self._telemetry)

    def _telemetry(self, component: str, sums: ComponentSums) -> dict[str, Any]:
        return {"component": component, **_summary(sums.telemetry.summary())}

    async def _over_nodes(
        self, request: web.Request, members: Callable[[str, ComponentSums], dict[str, Any]]
    ) -> web.Response:
        """What `members` gives of the component, for the sum over all nodes and on demand for each."""
        component = request.match_info["component"]
        if component not in self._known():
            raise _unknown(component)
        found = summed(component, await self._summaries.read())
        return figures_response(
            request,
            summed_members(request, found, self._summaries.left_out, partial(members, component)),
        )

    async def explain(self, request: web.Request) -> web.Response:
        """What a caller with these ids would get of each component, or of the one that is named."""
        caller = _caller(request)
        delivery = request.query.get("delivery")
        if delivery is None:
            key = preference_key(caller)
            delivery = "auto" if key is None else await self._preferences.get(key)
        elif delivery not in get_args(Preference):
            raise BadParameter("delivery", f"must be one of {', '.join(get_args(Preference))}")
        caller = caller._replace(preference=cast(Preference, delivery))
        components = self._asked_for(request)
        flags = self._store.snapshot()
        return json_response(
            {
                "delivery": delivery,
                "decisions": [_decision(self._explain(flags, component, caller)) for component in components],
            }
        )

    def _explain(self, flags: Flags, component: str, caller: Caller) -> Explanation:
        return explain(
            flags,
            component,
            caller,
            gives_sessions=self._gives_sessions,
            has_source=component not in self._without_source,
        )

    def _asked_for(self, request: web.Request) -> list[str]:
        known = self._known()
        named = request.query.getall("component", [])
        for component in named:
            if component not in known:
                raise _unknown(component)
        return sorted(set(named) or known)

    def _known(self) -> frozenset[str]:
        return self._components | self._store.snapshot().by_component.keys()


def _caller(request: web.Request) -> Caller:
    for name, value in request.query.items():
        if len(value) > _MAX_CHARACTERS:
            raise BadParameter(name, f"must be at most {_MAX_CHARACTERS} characters")
    capable = request.query.get("capable", "true")
    if capable not in ("true", "false"):
        raise BadParameter("capable", "must be true or false")
    claims: dict[str, list[str]] = {}
    for name, value in request.query.items():
        if name.startswith(_CLAIM):
            claims.setdefault(name.removeprefix(_CLAIM), []).append(value)
    return Caller(
        user=request.query.get("user"),
        session=request.query.get("session"),
        client=request.query.get("client"),
        tenant=request.query.get("tenant"),
        client_version=request.query.get("clientVersion"),
        claims=comparable_claims(claims),
        capable=capable == "true",
    )


def _decision(explanation: Explanation) -> dict[str, Any]:
    decision = explanation.decision
    members = {
        "component": explanation.component,
        "mode": decision.mode,
        "stage": decision.stage,
        "variant": decision.variant,
        "reason": decision.reason,
        "cause": decision.cause,
        "revision": explanation.revision,
        "key": explanation.key,
        "keyFrom": explanation.key_from,
        "bucket": explanation.bucket,
        "why": explanation.why,
    }
    return {name: value for name, value in members.items() if value is not None}


def _summary(summary: TelemetrySummary) -> dict[str, Any]:
    return {
        "reports": {mode.value: count for mode, count in summary.reports.items()},
        "fallbacks": {fallback.value: count for fallback, count in summary.fallbacks.items()},
        "fallbacksByVersion": [
            {"clientVersion": hitter.label, "fallbacks": hitter.count, "error": hitter.error}
            for hitter in summary.fallbacks_by_version
        ],
        "firstEventP50Ms": summary.first_event_p50_ms,
        "firstEventP99Ms": summary.first_event_p99_ms,
    }


def _unknown(component: str) -> NoSuchFlag:
    return NoSuchFlag(f"{component} is not configured here, and has no flag.")
