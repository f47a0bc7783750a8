"""Which header fields of an upstream's answer every caller may see."""

from multidict import CIMultiDict

from gateway.core.header_fields import passed_on
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
        # Of one connection, or of the server at its other end (RFC 9110, section 7.6.1; RFC 7838).
        "alt-svc",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # Of this one answer's bytes on their way: who answers from the snapshot gives its own.
        "accept-ranges",
        "content-encoding",
        "content-length",
        "content-range",
        # Meant for one caller.
        "set-cookie",
        "set-cookie2",
        "www-authenticate",
        "authentication-info",
        "proxy-authenticate",
        "proxy-authentication-info",
        # The gateway gives its own. Last-Modified is left out because its second is too coarse: a 304 to
        # If-Modified-Since can't say from where a stream goes on, and one to the ETag can.
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
"""Fields of the upstream's answer that a snapshot does not repeat; docs/protocol.md names them."""

OF_THE_CODED = frozenset({"content-digest", "repr-digest", "digest", "content-md5"})
"""Fields that are true of the bytes that came alone: left out where those were in a content coding."""


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
