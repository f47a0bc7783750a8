"""The parameters of a request's query: those that many callers share, and one caller's own.

Thousands of clients of one page ask with the same parameters, but for who they are and how far they got. So
what the shared ones come to is found out once.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from aiohttp import web
from multidict import MultiDictProxy
from yarl import URL

from gateway.http.request_head import RequestHead
from gateway.migration.links import ATTEMPT_PARAMETER, CLIENT_ID_PARAMETER, CURSOR_PARAMETERS

OWN = frozenset({CLIENT_ID_PARAMETER, ATTEMPT_PARAMETER, *CURSOR_PARAMETERS, "access_token"})
"""The parameters that say who one caller is, how far it got, or which opening it is. No id alias is
called so."""

_KEPT_CHARACTERS = 1024
_NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})


class SharedQuery:
    """The parameters without OWN: as text, percent-encoded as it came, and read."""

    __slots__ = ("query", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.query: MultiDictProxy[str] = URL.build(path="/", query_string=text, encoded=True).query


class Parameters(NamedTuple):
    """A request's parameters; `own` has the values of those in OWN that are there."""

    shared: SharedQuery
    own: Mapping[str, Sequence[str]]

    def without(self, names: Collection[str]) -> "Parameters":
        """The same, whatever these of OWN are."""
        own = {name: values for name, values in self.own.items() if name not in names}
        return Parameters(self.shared, own or _NOTHING)


PARAMETERS = web.RequestKey("parameters", Parameters)
CLIENT = web.RequestKey("client", str)
"""The first `clientId` of a request whose PARAMETERS have none."""
ATTEMPT = web.RequestKey("attempt", str)
"""The `attempt` of a request whose PARAMETERS have none."""
_kept = lru_cache(maxsize=1024)(SharedQuery)


def parameters_of(request: RequestHead) -> Parameters:
    """The request's parameters; they are told apart once."""
    known: Parameters | None = request.get(PARAMETERS)
    if known is None:
        known = request[PARAMETERS] = _apart(request)
    return known


def _apart(request: RequestHead) -> Parameters:
    text = request.rel_url.raw_query_string
    shared = []
    own: dict[str, list[str]] = {}
    is_plain = True
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if name in OWN:
            own.setdefault(name, []).append(value)
            is_plain = is_plain and "%" not in value and "+" not in value
        else:
            shared.append(pair)
            # Such a name may be one of OWN once it is decoded.
            is_plain = is_plain and "%" not in name and "+" not in name
    if not is_plain:
        query = request.query
        own = {name: query.getall(name) for name in OWN if name in query}
    rest = "&".join(shared)
    found = _kept(rest) if len(rest) <= _KEPT_CHARACTERS else SharedQuery(rest)
    return Parameters(found, own or _NOTHING)
