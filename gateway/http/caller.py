"""Who asks: a request as the flags' caller (docs/protocol.md, section 8)."""

from dataclasses import replace

from aiohttp import web
from cachetools import LRUCache

from flags.decide.caller import Caller, comparable_claims
from flags.decide.modes import Preference
from flags.guard.client_label import client_label
from flags.store.preferences import Preferences, preference_key
from gateway.core.errors import BadParameter
from gateway.core.events import is_text
from gateway.core.json_weight import json_weight
from gateway.http.cookies import SESSION_COOKIE, cookies_named
from gateway.http.principal import principal_of
from gateway.migration.links import CAPABLE_PARAMETER, CLIENT_ID_PARAMETER, CLIENT_VERSION_PARAMETER

CLIENT_ID_HEADER = "Tidegate-Client-Id"
CLIENT_HEADER = "Tidegate-Client"

MAX_CHARACTERS = 256
_MAX_KEPT = 65_536
"""Of so many callers, and choices, it is remembered; a caller with large claims counts for several."""
_TENANT = "tenant"
_OF_ONE_TOKEN = frozenset({"exp", "iat", "jti", "nbf"})
"""Claims that are others in the next token of the same user: nothing is decided by them."""


class Callers:
    """Makes callers of requests. Equal ones are one object, as long as they are among the latest.

    User, tenant and claims are those of the request's token: `sub`, the claim `tenant` where that is text,
    and all but _OF_ONE_TOKEN. Nothing else that a request says is taken for them.
    """

    def __init__(self, preferences: Preferences, max_kept: int = _MAX_KEPT) -> None:
        self._preferences = preferences
        self._kept: LRUCache[Caller, Caller] = LRUCache(
            max_kept, getsizeof=lambda caller: 1 + json_weight(caller.claims)
        )
        self._chosen: LRUCache[str, Preference] = LRUCache(_MAX_KEPT)

    async def of(self, request: web.Request) -> Caller:
        """The request's caller with its own choice. Raises BadParameter."""
        caller = self.identity(request)
        key = preference_key(caller)
        if key is None:
            return caller
        return self._preferring(caller, await self._preferences.get(key))

    def identity(self, request: web.Request) -> Caller:
        """The request's caller without its choice. Raises BadParameter."""
        query, headers = request.query, request.headers
        client = client_id(request)
        version = _client_version(request)
        session = None
        if "Cookie" in headers:
            # Of two that were set at once the last counts.
            sessions = cookies_named(headers.getall("Cookie"), SESSION_COOKIE)
            session = _checked(SESSION_COOKIE, sessions[-1] if sessions else None)
        capable = query.get(CAPABLE_PARAMETER, "true")
        if capable not in ("true", "false"):
            raise BadParameter(CAPABLE_PARAMETER, "must be true or false")
        principal = principal_of(request)
        claims = principal.claims
        tenant = claims.get(_TENANT)
        return self._one(
            Caller(
                user=principal.credentials.subject,
                session=session,
                client=client,
                tenant=tenant if isinstance(tenant, str) else None,
                client_version=version,
                claims=comparable_claims({name: claims[name] for name in claims.keys() - _OF_ONE_TOKEN}),
                capable=capable == "true",
            )
        )

    async def choose(self, caller: Caller, key: str, delivery: Preference) -> Caller:
        """Keeps the caller's choice. Raises flags.errors.StoreUnwritable."""
        await self._preferences.put(key, delivery)
        self._chosen[key] = delivery
        return self._preferring(caller, delivery)

    def current(self, caller: Caller) -> Caller:
        """The caller with what it has chosen since, where that was here; the same object where it did not."""
        key = preference_key(caller)
        return caller if key is None else self._preferring(caller, self._chosen.get(key, caller.preference))

    def _preferring(self, caller: Caller, delivery: Preference) -> Caller:
        if caller.preference == delivery:
            return caller
        return self._one(replace(caller, preference=delivery))

    def _one(self, caller: Caller) -> Caller:
        return self._kept.setdefault(caller, caller)


def client_id(request: web.Request) -> str | None:
    """What the client calls itself, None where it does not say. Raises BadParameter."""
    client = _checked(CLIENT_ID_PARAMETER, request.query.get(CLIENT_ID_PARAMETER))
    return client or _checked(CLIENT_ID_HEADER, request.headers.get(CLIENT_ID_HEADER))


def software_names(request: web.Request) -> tuple[str, ...]:
    """What the client's software calls itself: its version, and `name/version`, as far as it says them.

    A report and the stream that it is about share one of them, also where an EventSource could send only the
    parameter. Raises BadParameter.
    """
    names = [_client_version(request)]
    if CLIENT_HEADER in request.headers:
        names.append(client_label(request.headers[CLIENT_HEADER], None))
    return tuple(name for name in names if name)


def software_label(request: web.Request) -> str:
    """One name of the client's software: what `Tidegate-Client` says, else its version, else its agent's.

    Raises BadParameter.
    """
    own = request.headers.get(CLIENT_HEADER)
    version = None if own else _client_version(request)
    return version or client_label(own, request.headers.get("User-Agent"))


def _client_version(request: web.Request) -> str | None:
    version = _checked(CLIENT_VERSION_PARAMETER, request.query.get(CLIENT_VERSION_PARAMETER))
    if version is None and CLIENT_HEADER in request.headers:
        version = _version(_checked(CLIENT_HEADER, request.headers[CLIENT_HEADER]) or "")
    return version


def _checked(name: str, value: str | None) -> str | None:
    """`value`, or None where there is none. Raises BadParameter."""
    if value is not None and (len(value) > MAX_CHARACTERS or not is_text(value)):
        raise BadParameter(
            name,
            f"must be at most {MAX_CHARACTERS} characters in UTF-8, none of them a control character",
        )
    return value or None


def _version(client: str) -> str | None:
    """The version of `name/version`; what has no slash is no version of anything."""
    return client.split(maxsplit=1)[0].partition("/")[2] or None if client.strip() else None
