"""Whom a request is let in as: what it presents is found here, and checked in gateway/access."""

from collections.abc import Callable, Sequence
from urllib.parse import unquote_plus

from aiohttp import hdrs, web

from gateway.access.authentication import Authentication, Presented
from gateway.access.principal import OPEN, Principal
from gateway.core.credentials import Credentials
from gateway.http.cookies import cookies_named
from gateway.http.hosts import READS, Hosts, is_open
from gateway.http.principal import PRINCIPAL
from gateway.http.request_head import RequestHead
from gateway.http.static import is_static

TOKEN_PARAMETER = "access_token"
"""The token in a query (RFC 6750, section 2.3)."""

_TOKEN_IN_QUERY = web.RequestKey("token_in_query", bool)


class Admittance:
    """Lets each request in as the caller that it comes from, or refuses it.

    Without `authentication` whoever comes may do everything. `cookie` is the one that may hold a token, None
    where none may; `takes_parameter` says whether a token in the query counts. `check_revoked` raises for
    credentials that count no more.
    """

    def __init__(
        self,
        authentication: Authentication | None,
        hosts: Hosts,
        check_revoked: Callable[[Credentials], None],
        *,
        cookie: str | None = None,
        takes_parameter: bool = False,
    ) -> None:
        self._authentication = authentication
        self._hosts = hosts
        self._check_revoked = check_revoked
        self._cookie = cookie
        self._takes_parameter = takes_parameter

    async def admit(self, request: RequestHead) -> None:
        """Finds the request's caller, for `principal_of`. Nobody is asked for a token at `/healthz`
        and for the browser client's files.

        Raises what Authentication raises, and `check_revoked`.
        """
        if self._authentication is None:
            request[PRINCIPAL] = OPEN
        elif not (is_open(request) or is_static(request)):
            self._let_in(request, await self._authentication.caller(self._presented(request)))

    def admit_at_once(self, request: RequestHead) -> bool:
        """The same without waiting, for what is not open to all; says whether that was possible."""
        if self._authentication is None:
            request[PRINCIPAL] = OPEN
            return True
        principal = self._authentication.caller_at_once(self._presented(request))
        if principal is not None:
            self._let_in(request, principal)
        return principal is not None

    def _let_in(self, request: RequestHead, principal: Principal) -> None:
        self._check_revoked(principal.credentials)
        request[PRINCIPAL] = principal

    def _presented(self, request: RequestHead) -> Presented:
        headers = request.headers
        parameters: Sequence[str] = ()
        if self._takes_parameter and TOKEN_PARAMETER in request.query:
            parameters = request.query.getall(TOKEN_PARAMETER)
            request[_TOKEN_IN_QUERY] = True
        cookies: Sequence[str] = ()
        if self._cookie is not None and hdrs.COOKIE in headers:
            cookies = cookies_named(headers.getall(hdrs.COOKIE), self._cookie)
        return Presented(
            headers.getall(hdrs.AUTHORIZATION, ()),
            parameters,
            cookies,
            cookie_counts=request.method in READS or self._hosts.vouch_for(request),
        )


def query_beside_token(request: RequestHead) -> str:
    """The request's query as it came, percent-encoded, without the token where one in it was the caller's."""
    query = request.rel_url.raw_query_string
    if not request.get(_TOKEN_IN_QUERY):
        return query
    return "&".join(
        pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) != TOKEN_PARAMETER
    )
