"""`/api/v1/sync/fetch-mode` and `/preference`: what a caller gets, and what it wishes (section 8)."""

import re
from collections.abc import Callable
from typing import get_args

import orjson
from aiohttp import web

from flags.decide.caller import Caller
from flags.decide.flag import Flag
from flags.decide.modes import Preference
from flags.errors import StoreFull, StoreUncertain, StoreUnwritable
from flags.store.preferences import preference_key
from gateway.core.errors import BadParameter, ClientError, PublisherError, TidegateError, UnsupportedMediaType
from gateway.core.events import NAME_PATTERN
from gateway.core.selectors import Selector
from gateway.http.caller import Callers
from gateway.http.publish import read_body
from gateway.http.sessions import Sessions, is_new
from gateway.migration.components import POLL_INTERVAL_MS, Components
from gateway.migration.links import poll_url, state_link, state_url, stream_url

FETCH_MODE_PATH = "/api/v1/sync/fetch-mode"
PREFERENCE_PATH = "/api/v1/sync/preference"

MAX_BODY_BYTES = 4096
BODY_SECONDS = 10.0

_NAME = re.compile(NAME_PATTERN)
_HEADERS = {"Cache-Control": "no-store"}


class InvalidPreference(ClientError):
    """The body is no preference."""

    status = 422
    slug = "invalid-preference"
    title = "Invalid preference"


class PreferenceNotKept(TidegateError):
    """The preference could not be stored; nothing has changed."""

    status = 503
    slug = "preference-not-kept"
    title = "The preference could not be kept"


class PreferenceUncertain(TidegateError):
    """The preference may have been stored, and may not: the store's answer was lost."""

    status = 503
    slug = "preference-uncertain"
    title = "Whether the preference was kept is not known"


class MigrationHandler:
    """Answers what the flags decide. `changed` is called after a caller has chosen."""

    def __init__(
        self, components: Components, callers: Callers, sessions: Sessions, changed: Callable[[], None]
    ) -> None:
        self._components = components
        self._callers = callers
        self._sessions = sessions
        self._changed = changed

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(FETCH_MODE_PATH, self.fetch_mode)
        app.router.add_get(PREFERENCE_PATH, self.get_preference)
        app.router.add_put(PREFERENCE_PATH, self.put_preference)

    async def fetch_mode(self, request: web.Request) -> web.Response:
        named = request.query.getall("component", [])
        if len(named) != 1 or not _NAME.match(named[0]):
            raise BadParameter("component", "name one component: 1 to 64 of A-Z a-z 0-9 _ . -")
        component = named[0]
        caller = await self._sessions.caller(request, Selector(), (component,))
        decision = self._components.decision(component, caller)
        flag = self._components.flag(component)
        owned = self._components.owned(component)
        selector = Selector().narrowed(owned)
        state = state_url(selector, (component,), caller)
        return _json(
            {
                "component": component,
                "mode": decision.mode,
                "stage": decision.stage,
                "variant": decision.variant,
                "reason": decision.reason,
                "cause": decision.cause,
                "revision": 0 if flag is None else flag.revision,
                "keyFrom": None if flag is None else _key_from(request, flag, caller),
                "streamUrl": stream_url(selector, (component,), caller),
                "pollUrl": poll_url(selector, (component,), caller),
                "stateUrl": state,
                "pollIntervalMs": POLL_INTERVAL_MS if flag is None else flag.poll_interval_ms,
            },
            {"Fetch-Mode": decision.mode.value, "Link": state_link(state)},
        )

    async def get_preference(self, request: web.Request) -> web.Response:
        caller = await self._callers.of(request)
        return _json({"delivery": caller.preference})

    async def put_preference(self, request: web.Request) -> web.Response:
        caller = self._callers.identity(request)
        key = preference_key(caller)
        if key is None:
            raise BadParameter("clientId", "say who you are: without a name nothing can be kept for you")
        delivery = await _delivery(request)
        try:
            await self._callers.choose(caller, key, delivery)
        except StoreFull as error:
            headers = {"Retry-After": str(error.retry_after_seconds)}
            raise PreferenceNotKept(error.detail, headers=headers) from error
        except StoreUncertain as error:
            raise PreferenceUncertain(
                "The preference may have been kept or not: ask for it, or send it again."
            ) from error
        except StoreUnwritable as error:
            raise PreferenceNotKept("The preference could not be kept. Try again later.") from error
        self._changed()
        return _json({"delivery": delivery})


def _key_from(request: web.Request, flag: Flag, caller: Caller) -> str | None:
    """How the caller's key came about: the attribute that it is, or `new-session` where it gets that now."""
    found = caller.key_from(flag.stickiness)
    return "new-session" if found == "session" and is_new(request) else found


async def _delivery(request: web.Request) -> Preference:
    if request.content_type != "application/json":
        raise UnsupportedMediaType("A preference is application/json.")
    body = await read_body(request, MAX_BODY_BYTES, BODY_SECONDS)
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PublisherError(f"The body is not JSON: {error}.") from None
    choices: tuple[Preference, ...] = get_args(Preference)
    if not isinstance(given, dict):
        raise _invalid("", 'must be an object such as {"delivery": "auto"}')
    unknown = sorted(given.keys() - {"delivery"})
    if unknown:
        raise _invalid(f"/{unknown[0].replace('~', '~0').replace('/', '~1')}", "is no member of a preference")
    for choice in choices:
        if given.get("delivery") == choice:
            return choice
    raise _invalid("/delivery", f"must be one of {', '.join(choices)}")


def _invalid(pointer: str, detail: str) -> InvalidPreference:
    return InvalidPreference("Nothing was changed.", errors=[{"pointer": pointer, "detail": detail}])


def _json(body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), headers=_HEADERS | (headers or {}), content_type="application/json"
    )
