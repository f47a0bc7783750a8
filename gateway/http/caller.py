"""Who asks: a request as the flags' caller (docs/protocol.md, section 8)."""

from functools import lru_cache
from typing import NamedTuple

from aiohttp import web
from cachetools import LRUCache

from flags.decide.caller import Caller, Claims, comparable_claims
from flags.decide.modes import Preference
from flags.guard.client_label import client_label
from flags.store.preferences import Preferences, preference_key
from gateway.access.principal import Principal
from gateway.core.errors import BadParameter
from gateway.core.events import is_text
from gateway.core.json_weight import json_weight
from gateway.core.recent import Recent
from gateway.http.cookies import SESSION_COOKIE, cookies_named
from gateway.http.parameters import CLIENT, parameters_of
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
from gateway.migration.links import CAPABLE_PARAMETER, CLIENT_ID_PARAMETER, CLIENT_VERSION_PARAMETER

CLIENT_ID_HEADER = "Tidegate-Client-Id"
CLIENT_HEADER = "Tidegate-Client"

MAX_CHARACTERS = 256
_MAX_KEPT = 65_536
"""Of so many callers it is remembered what their tokens say, and what they chose; large claims count for
several."""
_TENANT = "tenant"
_OF_ONE_TOKEN = frozenset({"exp", "iat", "jti", "nbf"})
"""Claims that are others in the next token of the same user: nothing is decided by them."""


class Callers:
    """Makes callers of requests.

    User, tenant and claims are those of the request's token: `sub`, the claim `tenant` where that is text,
    and all but _OF_ONE_TOKEN. Nothing else that a request says is taken for them.
    """

    def __init__(self, preferences: Preferences, max_kept: int = _MAX_KEPT) -> None:
        self._preferences = preferences
        self._known: Recent[int, _Known] = Recent(max_kept, lambda known: 1 + json_weight(known.claims))
        self._chosen: LRUCache[str, Preference] = LRUCache(_MAX_KEPT)

    async def of(self, request: RequestHead) -> Caller:
        """The request's caller with its own choice. Raises BadParameter."""
        caller = self.identity(request)
        key = preference_key(caller)
        if key is None:
            return caller
        return self._preferring(caller, await self._preferences.get(key))

    def at_once(self, request: RequestHead) -> Caller | None:
        """The same without waiting; None where somebody has to be asked for its choice."""
        caller = self.identity(request)
        preferences = self._preferences
        if preferences.has_none:
            return caller
        key = preference_key(caller)
        choice = "auto" if key is None else preferences.at_once(key)
        return None if choice is None else self._preferring(caller, choice)

    def identity(self, request: RequestHead) -> Caller:
        """The request's caller without its choice. Raises BadParameter."""
        headers = request.headers
        query = parameters_of(request).shared.query
        client = client_id(request)
        version = software_of(request).version
        session = None
        if "Cookie" in headers:
            # Of two that were set at once the last counts.
            sessions = cookies_named(headers.getall("Cookie"), SESSION_COOKIE)
            session = _checked(SESSION_COOKIE, sessions[-1] if sessions else None)
        capable = query.get(CAPABLE_PARAMETER, "true")
        if capable not in ("true", "false"):
            raise BadParameter(CAPABLE_PARAMETER, "must be true or false")
        principal = principal_of(request)
        tenant: str | None = None
        claims: Claims = ()
        if principal.claims:
            _, tenant, claims = self._known_of(principal)
        return Caller(
            principal.credentials.subject,
            session,
            client,
            tenant,
            version,
            claims,
            capable=capable == "true",
        )

    def _known_of(self, principal: Principal) -> "_Known":
        """What a token says of its bearer; a token that comes with every request is read once."""
        known = self._known.get(id(principal))
        # It holds the principal, so no other has its id while it is there.
        if known is None or known.principal is not principal:
            claims = principal.claims
            tenant = claims.get(_TENANT)
            comparable = comparable_claims({name: claims[name] for name in claims.keys() - _OF_ONE_TOKEN})
            known = _Known(principal, tenant if isinstance(tenant, str) else None, comparable)
            self._known.put(id(principal), known)
        return known

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
        return caller._replace(preference=delivery)


class _Known(NamedTuple):
    """What a principal's token says of who it is, in the flags' words."""

    principal: Principal
    tenant: str | None
    claims: Claims


def client_id(request: RequestHead) -> str | None:
    """What the client calls itself, None where it does not say. Raises BadParameter."""
    known: str | None = request.get(CLIENT)
    if known is not None:
        return known
    given = parameters_of(request).own.get(CLIENT_ID_PARAMETER)
    if given:
        client = _checked(CLIENT_ID_PARAMETER, given[0])
        if client is not None:
            return client
    return _checked(CLIENT_ID_HEADER, request.headers.get(CLIENT_ID_HEADER))


class Software(NamedTuple):
    """What the client's software calls itself.

    `version` is what the flags know it by; `names` are that and `name/version`, as far as it says them: a
    report and the stream that it is about share one of them, also where an EventSource could send only the
    parameter. `label` is one name for people: of `Tidegate-Client`, else the version, else of the agent.
    """

    version: str | None
    names: tuple[str, ...]
    label: str


SOFTWARE = web.RequestKey("software", Software)


def software_of(request: RequestHead) -> Software:
    """What the request says of its software. Raises BadParameter."""
    known: Software | None = request.get(SOFTWARE)
    if known is None:
        headers = request.headers
        version = parameters_of(request).shared.query.get(CLIENT_VERSION_PARAMETER)
        known = _software(version, headers.get(CLIENT_HEADER), headers.get("User-Agent"))
        request[SOFTWARE] = known
    return known


@lru_cache(maxsize=512)
def _software(given: str | None, own: str | None, agent: str | None) -> Software:
    version = _checked(CLIENT_VERSION_PARAMETER, given)
    if version is None and own is not None:
        version = _version(_checked(CLIENT_HEADER, own) or "")
    names = [version] if own is None else [version, client_label(own, None)]
    label = (None if own else version) or client_label(own, agent)
    return Software(version, tuple(name for name in names if name), label)


def _checked(name: str, value: str | None) -> str | None:
    """`value`, or None where there is none. Raises BadParameter."""
    if not value:
        return None
    if len(value) > MAX_CHARACTERS or not ((value.isascii() and value.isprintable()) or is_text(value)):
        raise BadParameter(
            name,
            f"must be at most {MAX_CHARACTERS} characters in UTF-8, none of them a control character",
        )
    return value


def _version(client: str) -> str | None:
    """The version of `name/version`; what has no slash is no version of anything."""
    return client.split(maxsplit=1)[0].partition("/")[2] or None if client.strip() else None
