"""Gives callers that have no key a session, so that each stays on its side of a percentage (section 8).

A page that knows nothing of flags can't say who it is; its browser keeps a cookie for it all the same.
"""

import secrets
from collections.abc import Sequence

from aiohttp import hdrs, web

from flags.decide.caller import Caller
from gateway.core.selectors import Selector
from gateway.http.caller import Callers
from gateway.http.client_address import Clients
from gateway.http.cookies import SESSION_COOKIE
from gateway.http.request_head import ReplyHead, RequestHead
from gateway.migration.components import Components

SESSION_BYTES = 16
MAX_AGE_SECONDS = 365 * 24 * 3600

CALLER = web.RequestKey("caller", Caller)
"""Who asks for events, as it came, for whoever counts what keys callers have."""
_GIVEN = web.RequestKey("session_given", str)
_REFUSED = 400
_NOT_SHARED = frozenset({"private", "no-store"})


class Sessions:
    """Tells who asks for events, and gives a session to whoever lacks one.

    Where `are_given` is false it gives none. `clients` says whether a caller came by https.
    """

    def __init__(
        self, components: Components, callers: Callers, clients: Clients, *, are_given: bool
    ) -> None:
        self._components = components
        self._callers = callers
        self._clients = clients
        self._are_given = are_given

    async def caller(self, request: RequestHead, selector: Selector, named: Sequence[str]) -> Caller:
        """The caller of what is selected of these components, with its own choice. Raises BadParameter.

        One whom a percentage can't place has a new session by then, which the answer gives it as a cookie: it
        is decided by it already.
        """
        return self._placed(request, await self._callers.of(request), selector, named)

    def caller_at_once(self, request: RequestHead, selector: Selector, named: Sequence[str]) -> Caller | None:
        """The same without waiting; None where somebody has to be asked for its choice."""
        caller = self._callers.at_once(request)
        return None if caller is None else self._placed(request, caller, selector, named)

    def _placed(
        self, request: RequestHead, caller: Caller, selector: Selector, named: Sequence[str]
    ) -> Caller:
        request[CALLER] = caller
        if not self._are_given or caller.session is not None or _is_cross_site(request):
            return caller
        if not self._components.lacks_session(selector, named, caller):
            return caller
        session = request[_GIVEN] = secrets.token_urlsafe(SESSION_BYTES)
        # Not one of those that are remembered: most clients that keep no cookies come once with each.
        return caller._replace(session=session)

    def mark(self, request: RequestHead, response: ReplyHead) -> None:
        """Adds the cookie to the answer of whoever got a session."""
        session = request.get(_GIVEN)
        if session is None or response.status >= _REFUSED:
            return
        secure = "; Secure" if self._clients.is_https(request) else ""
        cookie = (
            f"{SESSION_COOKIE}={session}; Path=/; Max-Age={MAX_AGE_SECONDS}; SameSite=Lax; HttpOnly{secure}"
        )
        headers = response.headers
        headers.add(hdrs.SET_COOKIE, cookie)
        # An upstream may let caches keep its answer, and with it this cookie (RFC 9111, section 7.3).
        said = {
            part.strip().lower()
            for line in headers.getall(hdrs.CACHE_CONTROL, ())
            for part in line.split(",")
        }
        if not said & _NOT_SHARED:
            headers.add(hdrs.CACHE_CONTROL, "private")


def is_new(request: RequestHead) -> bool:
    """Whether the request's caller was given its session just now."""
    return _GIVEN in request


def _is_cross_site(request: RequestHead) -> bool:
    """Whether a page of another site sent it: its browser keeps no such cookie (RFC 6265bis, section 5.7)."""
    return request.headers.get("Sec-Fetch-Site") == "cross-site"
