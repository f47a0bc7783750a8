"""Requests that are alike but for their caller's own words, and what was found out of one of them."""

from typing import Any, Generic, TypeVar

from aiohttp import hdrs, web

from gateway.http.alike import Words
from gateway.http.parameters import ATTEMPT, CLIENT, PARAMETERS, Parameters, parameters_of
from gateway.http.request_head import PlainHead
from gateway.migration.links import ATTEMPT_PARAMETER, CLIENT_ID_PARAMETER

Way = TypeVar("Way")
"""Whatever answers them."""

_CURSOR = "Last-Event-ID"


class HeadPattern(Generic[Way]):
    """What all requests have in common that are alike: the head of one of them, and what answers it.

    `room` is what it takes to remember, where a usual one takes 1.
    """

    __slots__ = ("_alike", "_head", "_of_all", "_parameters", "room", "way")

    def __init__(self, head: PlainHead, way: Way, room: int) -> None:
        self._head = head
        self._parameters = parameters_of(head)
        self._of_all: Parameters | None = None
        self._alike: dict[web.RequestKey[Any], Any] = {}
        self.room = room
        self.way = way

    def fits(self, words: Words) -> bool:
        """Whether another's words may stand where `words` stood: each was read there, and nowhere else."""
        headers, own = self._head.headers, self._parameters.own
        return (
            (words.client is None or own.get(CLIENT_ID_PARAMETER) == [words.client])
            and (words.attempt is None or own.get(ATTEMPT_PARAMETER) == [words.attempt])
            and (words.cursor is None or headers.getall(_CURSOR, ()) == [words.cursor])
            and (words.token is None or headers.getall(hdrs.AUTHORIZATION, ()) == [f"Bearer {words.token}"])
        )

    def head(self, data: bytes, words: Words, remote: str | None) -> PlainHead:
        """The head of the request that `data` is, which is alike, with its own words."""
        known = self._head
        client, cursor, token, attempt = words
        own = None
        if cursor is not None or token is not None:
            own = {}
            if cursor is not None:
                own[_CURSOR] = cursor
            if token is not None:
                own[hdrs.AUTHORIZATION] = f"Bearer {token}"
        head = PlainHead(data, known.path, known.headers, known.match_info, remote, self._alike, own)
        if client is None and attempt is None:
            head[PARAMETERS] = self._parameters
            return head
        # Of those that are alike the same words were cut, and fit.
        if self._of_all is None:
            names = {CLIENT_ID_PARAMETER: client, ATTEMPT_PARAMETER: attempt}
            cut = [name for name, word in names.items() if word is not None]
            self._of_all = self._parameters.without(cut)
        head[PARAMETERS] = self._of_all
        if client is not None:
            head[CLIENT] = client
        if attempt is not None:
            head[ATTEMPT] = attempt
        return head
