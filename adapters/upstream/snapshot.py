"""The last good answer of an upstream, as every caller gets it."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from multidict import CIMultiDict

from gateway.core.header_fields import passed_on, sendable
from gateway.core.times import http_date
from gateway.ports.upstreams import Fields

CORS_FIELDS = frozenset(
    f"access-control-{name}"
    for name in (
        *("allow-credentials", "allow-headers", "allow-methods", "allow-origin", "allow-private-network"),
        *("expose-headers", "max-age"),
    )
)
"""What an upstream lets pages of other origins do. In front of it the gateway's own rules count alone."""

NOT_SHARED = CORS_FIELDS | frozenset(
    {
        # Of one connection, or of the coding that was taken off (RFC 9110, sections 7.6.1 and 8.4).
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-encoding",
        "content-length",
        "content-range",
        "accept-ranges",
        "content-digest",
        "repr-digest",
        "digest",
        "content-md5",
        # Meant for one caller.
        "set-cookie",
        "set-cookie2",
        "www-authenticate",
        "authentication-info",
        "proxy-authenticate",
        "proxy-authentication-info",
        # The gateway gives its own. Last-Modified is left out because its second is too coarse: a 304 to
        # If-Modified-Since could come with a Sync-Cursor that is ahead of what the caller holds.
        "age",
        "cache-control",
        "cache-status",
        "date",
        "etag",
        "expires",
        "fetch-mode",
        "last-modified",
        "pragma",
        "server",
        "sync-cursor",
    }
)
"""Fields of the upstream's answer that a snapshot does not repeat; all others are."""


def digest_of(body: bytes) -> str:
    """128 bits that stand for `body`, in hexadecimal."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def end_to_end(fields: Fields, left_out: frozenset[str]) -> tuple[CIMultiDict[str], int]:
    """`fields` less `left_out` and less what Connection names (RFC 9110, section 7.6.1).

    And how many of the others can't be sent.
    """
    names = set(left_out)
    fields = [*fields]
    for name, value in fields:
        if name.lower() == "connection":
            names.update([option.strip().lower() for option in value.split(",")])
    return passed_on([field for field in fields if field[0].lower() not in names])


def validators_of(headers: Mapping[str, str], received: datetime) -> dict[str, str]:
    """The fields of a conditional request that asks for news since the answer with `headers`.

    If-Modified-Since only where Last-Modified is older than the answer by at least a second: within the
    second the upstream could change again and still say 304, for ever (RFC 9110, section 8.8.2.2).
    `received` stands in for a Date that the upstream did not send (section 6.6.1). A field that can't be sent
    as it came is none of them.
    """
    fields = {}
    etag = headers.get("ETag")
    if etag:
        fields["If-None-Match"] = etag
    modified = headers.get("Last-Modified")
    if modified:
        changed_at, answered_at = http_date(modified), http_date(headers.get("Date", "")) or received
        if changed_at is not None and answered_at - changed_at >= timedelta(seconds=1):
            fields["If-Modified-Since"] = modified
    return sendable(fields)
