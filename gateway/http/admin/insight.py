"""What operators see of a migration: who polls, what clients say, what one caller gets and why."""

from collections.abc import Collection, Iterable
from typing import Any, cast, get_args

from aiohttp import web

from flags.decide.caller import Caller, comparable_claims
from flags.decide.explain import Explanation, explain
from flags.decide.flag import Flags
from flags.decide.modes import Preference
from flags.guard.keys_seen import MINUTES
from flags.guard.telemetry import Telemetry, TelemetrySummary
from flags.store.port import FlagStore
from flags.store.preferences import Preferences, preference_key
from gateway.core.errors import BadParameter, NoSuchFlag
from gateway.http.admin.access import administrators_only
from gateway.http.admin.flags import ADMIN_PATH, FLAG_PATH, json_response
from gateway.http.admin.parity_view import parity_members
from gateway.http.figures import figures_response
from gateway.migration.parity_sampler import ParitySampler
from gateway.migration.poll_inventory import PollInventory
from gateway.ports.clock import Clock

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
        clock: Clock,
        poll_inventory: PollInventory,
        telemetry: Telemetry,
        components: Iterable[str],
        preferences: Preferences,
        parity: ParitySampler,
        *,
        gives_sessions: bool,
        without_source: Collection[str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._poll_inventory = poll_inventory
        self._telemetry = telemetry
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
        component = request.match_info["component"]
        now = self._clock.monotonic()
        report = self._poll_inventory.report(component, now)
        if report is None:
            raise _unknown(component)
        pollers = [
            {
                "client": poller.label,
                "polls": poller.polls,
                "error": poller.error,
                "perSecond": round(poller.per_second, 4),
                "lastSeenSeconds": round(poller.last_seen_seconds, 3),
            }
            for poller in report.pollers
        ]
        return figures_response(
            request,
            {
                "component": component,
                "pollers": pollers,
                "polls": report.polls,
                "unlistedBound": report.unlisted_bound,
                "upstreamRequests": report.upstream_requests,
                "savedBySnapshot": report.saved_by_snapshot,
                "savedByPush": report.saved_by_push,
                "keys": self._keys(component, now),
            },
        )

    def _keys(self, component: str, now: float) -> dict[str, Any]:
        """How many requests of the last minutes had a key for the component's flag."""
        counts = self._poll_inventory.keys(component, now)
        return {
            "minutes": MINUTES,
            "with": counts.keyed,
            "without": counts.keyless,
            "sessionCookie": self._gives_sessions,
        }

    async def parity(self, request: web.Request) -> web.Response:
        """Whether push says the same as polling, as far as it was compared since the process began."""
        component = request.match_info["component"]
        if component not in self._known():
            raise _unknown(component)
        flag = self._store.snapshot().get(component)
        return figures_response(request, parity_members(component, flag, self._parity))

    async def telemetry(self, request: web.Request) -> web.Response:
        """What clients of the component said since the process began."""
        component = request.match_info["component"]
        if component not in self._known():
            raise _unknown(component)
        summary = _summary(self._telemetry.summary(component))
        return figures_response(request, {"component": component, **summary})

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
