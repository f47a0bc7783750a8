"""Callers that close their sending side after a whole request, and wait for its answer (a half-close).

TCP does not tell them from callers that have gone away, until something is written to them.
"""

from aiohttp import web

HALF_CLOSED_SECONDS = 10.0
"""How long after that an answer may begin; then the caller is taken to be gone, and its request is left."""

ENDS_WITH_INPUT = web.RequestKey("ends_with_input", bool)
"""True in a request whose answer ends when the caller closes its sending side: that of a stream."""


def is_half_closed(request: web.BaseRequest) -> bool:
    """Whether the caller has closed its sending side, and gets answers all the same."""
    return getattr(request.protocol, "is_half_closed", False) is True
