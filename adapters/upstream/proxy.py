"""What goes through to an upstream unchanged: requests that no snapshot can answer.

Nothing here is stored or shared: no cookie, no answer, no redirect followed.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from urllib.parse import unquote

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from adapters.upstream.asking.tls import TlsContexts
from adapters.upstream.failures import BadAnswer, check_head, no_answer
from adapters.upstream.shared_fields import CORS_FIELDS, end_to_end
from gateway.core.errors import ClientError, UpstreamError, UpstreamTimeout
from gateway.core.header_fields import MAX_FIELDS, MAX_HEAD_BYTES, passed_on
from gateway.ports.legacy_lists import filled, query_of_path
from gateway.ports.legacy_route import LegacyRoute, url_of
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import SAFE_METHODS, Fields, Outgoing, RequestBody

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Expect was answered by this server; Host is the upstream's.
_NOT_FORWARDED = _HOP_BY_HOP | {"expect", "host"}
_NOT_PASSED_BACK = _HOP_BY_HOP | CORS_FIELDS
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_CONNECTIONS_PER_HOST = 128
_OF_THE_CONNECTION = frozenset({"ntlm", "negotiate"})
"""Schemes by which a connection, and not a request, is authenticated (RFC 4559, section 6)."""


class _Answer:
    """gateway.ports.upstreams.Answer, of aiohttp's client."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers, self.fields_left_out = end_to_end(response.headers.items(), _NOT_PASSED_BACK)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body. Raises NoAnswer where it ends before its end, UpstreamTimeout after a silence."""
        with _translated():
            async for chunk in self._response.content.iter_any():
                yield chunk


class Proxy:
    """Takes requests to the upstreams. `start` and `close` from within the event loop.

    `tls` has the contexts of all routes.
    """

    def __init__(self, tls: TlsContexts) -> None:
        self._tls = tls
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Opens the sessions; nothing is connected yet."""
        self._kept = _session(force_close=False)
        self._fresh = _session(force_close=True)

    async def close(self) -> None:
        """Closes every connection. Closing twice, or before `start`, does nothing."""
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    def outgoing(
        self,
        route: LegacyRoute,
        tail: str,
        query: str,
        fields: Fields,
        caller: Fields,
        *,
        values: Sequence[str] = (),
        counters: RouteCounters,
    ) -> Outgoing:
        """A caller's request as the upstream is to get it: see `upstream_url` and `forwarded_headers`."""
        return Outgoing(upstream_url(route, tail, query, values), forwarded_headers(fields, caller, counters))

    @contextlib.asynccontextmanager
    async def request(
        self,
        route: LegacyRoute,
        method: str,
        outgoing: Outgoing,
        body: RequestBody | None,
    ) -> AsyncIterator[_Answer]:
        """Sends one request and gives the answer, for as long as the context lasts.

        Raises UpstreamTimeout where the upstream is silent for `timeout_seconds`, NoAnswer where it gives no
        answer, BadAnswer where that is none to pass on, and what `body` raised where that was the reason.
        Leaving early breaks off the answer.
        """
        # A connection that the upstream is just closing can't be told from one that broke after the request
        # was carried out, and a write must not be sent again (RFC 9110, section 9.2.2): each gets its own.
        shares = body is None and method in SAFE_METHODS and not _authenticates_connection(outgoing.headers)
        session = self._kept if shares else self._fresh
        if session is None:
            raise UpstreamError("The gateway does not forward requests yet.")
        timeout = aiohttp.ClientTimeout(
            total=None, connect=route.timeout_seconds, sock_read=route.timeout_seconds
        )
        with _translated(body):
            response = await session.request(
                method,
                outgoing.url,
                headers=outgoing.headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
                skip_auto_headers=_AUTOMATIC,
                ssl=self._tls.of(route),
            )
        try:
            if response.status < 200:
                raise BadAnswer("status", "The upstream switched to a protocol that nobody asked for.")
            check_head(response)
            yield _Answer(response)
        finally:
            # Gives the connection back where the answer was read to its end, closes it otherwise.
            response.release()


def upstream_url(route: LegacyRoute, tail: str, query: str, values: Sequence[str] = ()) -> URL:
    """Where a request for `tail` below the route's path goes, whose parameters have these `values`.

    All are as they came, percent-encoded. A query in the route's own URL is of the gateway's polls alone, for
    it may hold a credential, but for what it says of the path's parameters.
    `tail` is "" for the path itself, else it begins with "/". Raises ClientError where it would leave what is
    below the upstream's path: a segment that is "..", also where it is percent-encoded (once or twice).
    """
    steps = "/".join((*values, tail))
    decoded = unquote(steps)
    for text in (steps, decoded, unquote(decoded)):
        if ".." in text.replace("\\", "/").split("/"):
            raise ClientError('The path must not have a segment "..".')
    base = url_of(filled(route.upstream, route.parameters, values)) if values else route.url
    path = base.raw_path.rstrip("/") + tail if tail else base.raw_path
    if values:
        query = "&".join(filter(None, (query_of_path(route, values), query)))
    return URL.build(
        scheme=base.scheme, authority=base.raw_authority, path=path, query_string=query, encoded=True
    )


def forwarded_headers(fields: Fields, caller: Fields, counters: RouteCounters) -> CIMultiDict[str]:
    """The caller's end-to-end `fields`, and what the upstream can't see for itself any more: `caller`.

    Of the latter none is taken away by what the former say (Connection). `counters` learn of what can't be
    sent.
    """
    forwarded, left_out = end_to_end(fields, _NOT_FORWARDED)
    who, more_left_out = passed_on(caller)
    counters.fields_left_out += left_out + more_left_out
    forwarded.extend(who)
    forwarded.add("Via", "1.1 tidegate")
    return forwarded


def _session(*, force_close: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, limit_per_host=_CONNECTIONS_PER_HOST, force_close=force_close
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_field_size=MAX_HEAD_BYTES,
        max_headers=MAX_FIELDS,
    )


def _authenticates_connection(headers: CIMultiDict[str]) -> bool:
    """Whether the upstream may take everything that follows on the connection for this caller's."""
    given = (value.split(maxsplit=1) for value in headers.getall("Authorization", ()))
    return any(words and words[0].lower() in _OF_THE_CONNECTION for words in given)


@contextlib.contextmanager
def _translated(body: RequestBody | None = None) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise UpstreamTimeout("The upstream did not answer in time.") from error
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        if body is not None and body.error is not None:
            raise body.error from error
        raise no_answer(error) from error
