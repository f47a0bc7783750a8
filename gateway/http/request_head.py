"""What a request says before its body: all that a decision about it may depend on.

aiohttp's own request is a RequestHead as it is. `PlainHead` is that of a request without a body, as aiohttp's
parser gives it, for whoever answers without making a request of it (gateway/http/front_door.py).
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion, HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping
from yarl import URL

Value = TypeVar("Value")


class RequestHead(Protocol):
    """A request's head, and what is noted of the request while it is answered."""

    @property
    def method(self) -> str: ...

    @property
    def rel_url(self) -> URL: ...

    @property
    def raw_path(self) -> str:
        """The whole target as it came."""
        ...

    @property
    def path(self) -> str: ...

    @property
    def query(self) -> MultiMapping[str]: ...

    @property
    def headers(self) -> CIMultiDictProxy[str]: ...

    @property
    def version(self) -> HttpVersion: ...

    @property
    def remote(self) -> str | None: ...

    @property
    def scheme(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def body_exists(self) -> bool: ...

    @property
    def match_info(self) -> web.UrlMappingMatchInfo: ...

    def __getitem__(self, key: web.RequestKey[Value], /) -> Value: ...

    def __setitem__(self, key: web.RequestKey[Value], value: Value, /) -> None: ...

    def __contains__(self, key: object, /) -> bool: ...

    def get(self, key: web.RequestKey[Any], /) -> Any | None: ...


class ReplyHead(Protocol):
    """The head of an answer that is not sent yet; aiohttp's responses are one."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> CIMultiDict[str]: ...


class PlainHead(dict[web.RequestKey[Any], Any]):
    """The head of the GET that `data` is, which has no body, and came by http from `remote`.

    It begins with the notes in `alike`: what was found out of requests with the same words, but for their
    callers' own (gateway/http/alike.py). What is put in there must not depend on who asks. `own` are fields
    that it has in place of those in `fields`.
    """

    __slots__ = ("_data", "_fields", "_own", "alike", "match_info", "path", "remote")

    body_exists = False
    method = hdrs.METH_GET
    scheme = "http"
    version = HttpVersion11

    def __init__(
        self,
        data: bytes,
        path: str,
        fields: CIMultiDictProxy[str],
        match_info: web.UrlMappingMatchInfo,
        remote: str | None,
        alike: dict[web.RequestKey[Any], Any],
        own: Mapping[str, str] | None = None,
    ) -> None:
        self.update(alike)
        self._data = data
        self.path = path
        self._fields = fields
        self._own = own
        self.match_info = match_info
        self.remote = remote
        self.alike = alike

    @property
    def raw_path(self) -> str:
        return self._data[4 : self._data.find(b" ", 4)].decode("utf-8", "surrogateescape")

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        if self._own:
            fields = CIMultiDict(self._fields)
            fields.update(self._own)
            self._fields, self._own = CIMultiDictProxy(fields), None
        return self._fields

    @property
    def rel_url(self) -> URL:
        path, _, query = self.raw_path.partition("?")
        return URL.build(path=path, query_string=query, encoded=True)

    @property
    def query(self) -> MultiMapping[str]:
        return self.rel_url.query

    @property
    def host(self) -> str:
        return self.headers.get(hdrs.HOST, "")
