"""Who may administer, and under which name (docs/protocol.md, section 8)."""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.access.principal import OPEN
from gateway.core.access_errors import InsufficientScope
from gateway.core.credentials import Credentials
from gateway.core.errors import BadParameter, Forbidden
from gateway.core.events import is_text
from gateway.http.hosts import host_of, is_loopback, is_own_origin, name_of
from gateway.http.principal import principal_of

LOOPBACK = "loopback"
"""Who changed something where there is no authentication, and nobody says more."""

OPERATOR_HEADER = "Tidegate-Operator"

_MAX_NAME_CHARACTERS = 256
_OPERATOR = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,98}[\x21-\x7e])?\Z")
_OF_A_PROXY = frozenset(
    {
        *("forwarded", "via", "proxy", "ip", "clientip", "socketip", "addr", "original", "rewrite", "scheme"),
        *("cdn", "cf", "fastly", "fly", "surrogate", "varnish", "envoy", "azure", "amzn", "appengine"),
    }
)
"""Words in the names of fields by which proxies say of themselves, or of whom they ask for.

Such fields are told by their words (`X-Real-IP`, `Incap-Client-IP`), since nobody has a list of them all.
"""
_OWN_SITES = frozenset({"same-origin", "none"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def administrators_only(handler: Handler) -> Handler:
    """`handler`, for callers that may administer. Others get 403.

    Without authentication these are callers of this machine that no web page sent here.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        principal = principal_of(request)
        if principal is OPEN:
            _check_peer(request)
            _check_page(request)
        elif not principal.admin:
            raise InsufficientScope("Administration needs a token or key with admin.")
        return await handler(request)

    return guarded


def operator(request: web.Request) -> str:
    """Who makes the change: the token's `sub`, or `key:NAME` with a static key.

    Without authentication it is `loopback`, or `loopback:NAME` where the caller gives itself a name. Raises
    BadParameter where that is not 1 to 100 printable ASCII characters, and InsufficientScope where a `sub` is
    no name under which a change could be kept.
    """
    principal = principal_of(request)
    if principal is not OPEN:
        return _named(principal.credentials)
    name = request.headers.get(OPERATOR_HEADER)
    if name is None:
        return LOOPBACK
    if not _OPERATOR.match(name):
        raise BadParameter(OPERATOR_HEADER, "must be 1 to 100 printable ASCII characters")
    return f"{LOOPBACK}:{name}"


def _named(credentials: Credentials) -> str:
    if credentials.key is not None:
        return f"key:{credentials.key}"
    subject = credentials.subject or ""
    if not 1 <= len(subject) <= _MAX_NAME_CHARACTERS or not is_text(subject):
        raise InsufficientScope(
            f"A change is kept under the token's sub, which must be 1 to {_MAX_NAME_CHARACTERS} characters, "
            "none of them a control character."
        )
    return subject


def _check_peer(request: web.Request) -> None:
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    if not isinstance(peer, tuple) or not is_loopback(str(peer[0])):
        raise Forbidden("Administration answers on this machine's loopback address only.")
    # The peer of a request that was passed on is the proxy, and says nothing of who sent it.
    for name in request.headers:
        if not _OF_A_PROXY.isdisjoint(re.split("[-_]", name.lower())):
            raise Forbidden(f"Administration takes no requests through a proxy ({name}).")


def _check_page(request: web.Request) -> None:
    """Refuses what a web page of another site makes a browser on this machine send.

    A page whose name was made to point at 127.0.0.1 (DNS rebinding) is of the same origin to the browser, so
    that only `Host` tells; for all others `Origin` and `Sec-Fetch-Site` (Fetch standard) do.
    """
    host = host_of(request) or "localhost"
    if not is_loopback(name_of(host)):
        raise Forbidden("Administration answers to the names of loopback only: use 127.0.0.1 or localhost.")
    origin = request.headers.get("Origin")
    if origin is not None and not is_own_origin(origin, host):
        raise Forbidden("Administration takes no requests from pages of other sites (Origin).")
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
        raise Forbidden("Administration takes no requests from pages of other sites (Sec-Fetch-Site).")
