"""Which pages of other origins may read the gateway's answers, and send to it (Fetch standard, CORS).

What a browser is told depends on `Origin` alone, so every answer says that it varies by it.
"""

import re
from collections.abc import Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.core.errors import ForeignOrigin
from gateway.http.request_head import ReplyHead, RequestHead

REQUEST_FIELDS = (
    "Accept",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "Tidegate-Client",
    "Tidegate-Client-Id",
)
"""What a page may send to the gateway's own resources: the fields that docs/protocol.md gives a meaning."""
EXPOSED_FIELDS = (
    "Accept-Encoding",
    "Age",
    "Allow",
    "Cache-Status",
    "Deprecation",
    "ETag",
    "Fetch-Mode",
    "Fetch-Mode-Reason",
    "Incremental",
    "Link",
    "Location",
    "Preference-Applied",
    "Request-Id",
    "Retry-After",
    "Sunset",
    "Sync-Cursor",
    "Vary",
    "WWW-Authenticate",
)
"""What a page may read of an answer: the fields that docs/protocol.md names."""
MAX_AGE_SECONDS = 7200
"""How long a browser may remember what a preflight said; Chromium takes no more."""

_EXPOSED = ", ".join(EXPOSED_FIELDS)
_ANY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", re.ASCII)


class Cors:
    """The rules for pages of `origins`, each as a browser sends it. All of them may use credentials."""

    def __init__(self, origins: Iterable[str]) -> None:
        self.origins = frozenset(origins)

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a preflight for a resource; None for any other request, and where nothing is.

        Raises ForeignOrigin where the page may not send what it asks for. See `mark` for the rest.
        """
        asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
        if request.method != hdrs.METH_OPTIONS or asked is None or hdrs.ORIGIN not in request.headers:
            return None
        if origin_of(request.headers.getall(hdrs.ORIGIN)) not in self.origins:
            raise ForeignOrigin(
                "Pages of this origin may neither read nor send here: add it to cors.origins."
            )
        methods, takes_all = _methods_of(request)
        if not methods:
            return None
        fields: tuple[str, ...] = REQUEST_FIELDS
        if takes_all:
            # What goes through to an upstream may be of any kind, and its own rules are passed on to nobody.
            methods = sorted({*methods, *_tokens([asked])})
            fields += _beside(fields, request.headers.getall(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ()))
        return web.Response(
            status=204,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods),
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(fields),
                hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_SECONDS),
            },
        )

    def mark_answer(self, request: web.BaseRequest | RequestHead, response: ReplyHead) -> None:
        """Marks an answer to `request`."""
        self.mark(response, origin_of(request.headers.getall(hdrs.ORIGIN, ())))

    def mark(self, response: ReplyHead, origin: str | None) -> None:
        """Says in an answer who may read it. Marking twice says it once."""
        headers = response.headers
        _vary_by_origin(headers)
        if origin is not None and origin in self.origins:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    def mark_unread(self, response: web.StreamResponse, head: bytes) -> None:
        """Marks the answer to a request that could not be read, of which this much of the `head` is known.

        Where that has no origin, and there is only one to choose, it is for that one. A browser compares what
        it is told with the page's own, so a guess shows an answer to nobody else.
        """
        found = origin_in(head)
        if found is None and len(self.origins) == 1:
            (found,) = self.origins
        self.mark(response, found)


CORS = web.AppKey("cors", Cors)
"""The rules of an application whose answers pages of other origins may read."""

_ORIGIN_LINE = re.compile(rb"^origin:[ \t]*([\x21-\x7e]+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


def origin_of(lines: Iterable[str]) -> str | None:
    """The origin that a request's `Origin` fields name; None where that is not one."""
    given = [*lines]
    return given[0] if len(given) == 1 else None


def origin_in(head: bytes) -> str | None:
    """The last origin that the bytes of requests name; None where they name none."""
    found = _ORIGIN_LINE.findall(head)
    return found[-1].decode() if found else None


def _methods_of(request: web.Request) -> tuple[list[str], bool]:
    """The methods of the resource, none where there is none; and whether it takes whatever comes."""
    refusal = request.match_info.http_exception
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        return sorted(refusal.allowed_methods), False
    return ([], False) if refusal is not None else ([*_ANY_METHOD], True)


def _beside(fields: Iterable[str], lines: Iterable[str]) -> tuple[str, ...]:
    known = {name.lower() for name in fields}
    return tuple(name for name in _tokens(lines) if name.lower() not in known)


def _tokens(lines: Iterable[str]) -> list[str]:
    """The members of a list of tokens (RFC 9110, section 5.6.1); what is no token is left out."""
    members = (member.strip(" \t") for line in lines for member in line.split(","))
    return [member for member in members if _TOKEN.match(member)]


def _vary_by_origin(headers: CIMultiDict[str]) -> None:
    lines = headers.getall(hdrs.VARY, ())
    members = {member.strip().lower() for line in lines for member in line.split(",")}
    if not members & {"*", "origin"}:
        headers[hdrs.VARY] = ", ".join([*filter(None, lines), "Origin"])
