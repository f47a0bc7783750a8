"""Addresses that an upstream or a setting gives: as they were written, and whether they are of one origin."""

import string
from urllib.parse import quote

from yarl import URL

from gateway.ports.legacy_route import LegacyRoute

_AS_WRITTEN = "".join(set(string.punctuation) - set('"<>\\^`{|}'))


def written(text: str) -> str:
    """An address, or a part of one, as it was written; what can't stand in one (RFC 3986) percent-encoded."""
    return quote(text, safe=_AS_WRITTEN)


def same_origin(base: URL, given: str) -> URL | None:
    """Where `given`, in what came from `base`, leads (RFC 3986, section 5); None for another origin.

    An origin is scheme, host and port (RFC 6454, section 4). None too for what is no address, and for one
    with a user or password: a credential that somebody else chose.
    """
    url = _joined(base, given)
    return _at(base, url, url.raw_path) if url is not None and _origin(url) == _origin(base) else None


def upstream_address(route: LegacyRoute, base: URL, given: str) -> URL | None:
    """As `same_origin`, for an address in an answer of the route's upstream, as seen behind `public_url`.

    What an upstream makes of the poll's `Host` is of that host: it is taken to the upstream's origin, with
    the same path. One at or below the route's own path, as an upstream gives that knows where callers see it,
    is taken to the upstream's path. The scheme does not count: many upstreams don't believe
    `X-Forwarded-Proto`.
    """
    url = _joined(base, given)
    if url is None or route.public_url is None:
        return same_origin(base, given)
    if _host(url) != _host(URL(route.public_url)):
        return same_origin(base, given)
    path, seen, own = url.raw_path, route.path.rstrip("/"), route.url.raw_path.rstrip("/")
    if _is_within(path, seen) and not _is_within(path, own):
        path = own + path[len(seen) :]
    return _at(base, url, path)


def _joined(base: URL, given: str) -> URL | None:
    try:
        url = base.join(URL(written(given.strip()), encoded=True))
        url.port  # noqa: B018 - raises ValueError where it is none
    except ValueError:
        return None
    if url.raw_user is not None or url.raw_password is not None:
        return None
    return url


def _at(base: URL, url: URL, path: str) -> URL:
    """`path` with the query of `url`, as the server of `base` is asked for it."""
    query = url.raw_query_string
    return URL.build(
        scheme=base.scheme, authority=base.raw_authority, path=path, query_string=query, encoded=True
    )


def _host(url: URL) -> str:
    return (url.host_port_subcomponent or "").lower()


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, (url.raw_host or "").lower(), url.port


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root + "/")
