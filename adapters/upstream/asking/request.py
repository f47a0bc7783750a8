"""What the gateway's own poll of a route says: its address, its header fields and its body. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from multidict import CIMultiDict
from yarl import URL

from adapters.upstream.asking.addresses import same_origin, written
from gateway.ports.legacy_route import LegacyRoute

# Of the codings that the gateway can take off, the one that means the same to every server: what `deflate`
# names is zlib's format (RFC 9110, section 8.4.1.2), and some send it without that.
_DEFAULTS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
    "User-Agent": "tidegate",
}


@dataclass(frozen=True, slots=True)
class PollRequest:
    """One request of a poll. What it says may be secret, so nothing of it is shown."""

    method: str
    url: URL = field(repr=False)
    headers: CIMultiDict[str] = field(repr=False)
    body: bytes | None = field(repr=False)


def requests_of(route: LegacyRoute) -> Sequence[PollRequest]:
    """The first request of each list that belongs to the route: its upstream's, and those of `also`.

    `route.query` is added to each, behind whatever query the address has itself. Raises ValueError where an
    address of `also` is not of the upstream's origin.
    """
    return [_request(route, url) for url in (route.url, *(_also(route, given) for given in route.also))]


def request_fields(route: LegacyRoute) -> Mapping[str, str]:
    """The header fields of the route's poll, by their names in lower case: what `Vary` is about.

    They may hold secrets. The fields of a conditional request, and those of the message itself
    (Content-Length), are none of them.
    """
    return {name.lower(): value for name, value in _headers(route).items()}


def _request(route: LegacyRoute, url: URL) -> PollRequest:
    query = "&".join(filter(None, (url.raw_query_string, written(route.query).replace("#", "%23"))))
    url = URL.build(
        scheme=url.scheme, authority=url.raw_authority, path=url.raw_path, query_string=query, encoded=True
    )
    body = None if route.body is None else route.body.encode()
    return PollRequest(route.method, url, _headers(route), body)


def _headers(route: LegacyRoute) -> CIMultiDict[str]:
    headers = CIMultiDict(_DEFAULTS)
    if route.body is not None:
        headers["Content-Type"] = route.content_type
    if route.public_url is not None:
        public = URL(route.public_url)
        headers["Host"] = headers["X-Forwarded-Host"] = public.host_port_subcomponent or ""
        headers["X-Forwarded-Proto"] = public.scheme
    headers.update(route.headers)
    return headers


def _also(route: LegacyRoute, given: str) -> URL:
    url = same_origin(route.url, given)
    if url is None:
        raise ValueError("also: must be addresses of the upstream's scheme, host and port, or relative to it")
    return url
