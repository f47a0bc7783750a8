"""An answer that is whole: what a decision comes to, before anybody writes it."""

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from multidict import CIMultiDict

from gateway.http.request_head import PlainHead


class SharedFields:
    """Header fields that many answers have, made once: `lines` are their bytes. Nobody changes them.

    Raises ValueError where a field would end before its end (RFC 9112, section 11.1).
    """

    __slots__ = ("_head", "_made", "headers", "lines")

    def __init__(self, headers: CIMultiDict[str]) -> None:
        self.headers = headers
        self.lines = lines_of(headers)
        self._made: tuple[int, bytes, int] | None = None
        self._head = b""

    def head(self, status: int, framing: bytes) -> bytes:
        """The head of an answer with these fields alone, which is the same for all of one second."""
        made = (status, framing, int(time.time()))
        if made != self._made:
            self._made = made
            self._head = _head(status, self.lines, framing, made[2])
        return self._head


class Reply:
    """A status and header fields that others may share: whoever adds to `headers` gets a copy of them.

    It is a ReplyHead.
    """

    __slots__ = ("_own", "_shared", "status")

    def __init__(self, status: int, fields: SharedFields | CIMultiDict[str]) -> None:
        self.status = status
        self._shared: SharedFields | None = None
        self._own: CIMultiDict[str] | None = None
        if isinstance(fields, SharedFields):
            self._shared = fields
        else:
            self._own = fields

    @property
    def headers(self) -> CIMultiDict[str]:
        if self._own is None:
            self._own = CIMultiDict() if self._shared is None else self._shared.headers.copy()
        return self._own

    def head(self, framing: bytes = b"") -> bytes:
        """The head by HTTP/1.1 as aiohttp writes it: `framing`, `Date` and `Server` at its end."""
        shared = self._shared
        if self._own is None and shared is not None:
            return shared.head(self.status, framing)
        return _head(self.status, lines_of(self.headers), framing, int(time.time()))


class Answer(Reply):
    """An answer that is whole: with its body."""

    __slots__ = ("body",)

    def __init__(self, status: int, fields: SharedFields | CIMultiDict[str], body: bytes = b"") -> None:
        super().__init__(status, fields)
        self.body = body

    def response(self) -> web.Response:
        """The same for aiohttp to write."""
        return web.Response(status=self.status, headers=self.headers, body=self.body or None)

    def bytes(self) -> bytes:
        """All of it by HTTP/1.1."""
        if self.status in (204, 304):
            return self.head()
        return self.head(b"Content-Length: %d\r\n" % len(self.body)) + self.body


AtOnce = Callable[[PlainHead], Answer | None]
"""Answers a request without waiting; None where it has to wait. Raises what becomes a problem."""


def lines_of(headers: CIMultiDict[str]) -> bytes:
    """Header fields as they are sent. Raises ValueError where one would end before its end."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if any(lines.count(end) != len(headers) for end in ("\r\n", "\r", "\n")):
        raise ValueError("a header field has a line break in it")
    return lines.encode()


def _head(status: int, lines: bytes, framing: bytes, second: int) -> bytes:
    return b"%b%b%b%b" % (_status_line(status), lines, framing, _end_of_head(second))


@lru_cache(maxsize=64)
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


@lru_cache(maxsize=4)
def _end_of_head(second: int) -> bytes:
    # RFC 9110, section 5.6.7: an IMF-fixdate.
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n".encode()
