"""gateway/http/request_head.py: a head as the front door has it says what aiohttp's request says."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.http.request_head import PlainHead

NOTE = web.RequestKey("note", str)
OTHER = web.RequestKey("other", str)


def plain(target: str, fields: dict[str, str], **more: Any) -> PlainHead:
    data = f"GET {target} HTTP/1.1\r\n\r\n".encode()
    headers = CIMultiDictProxy(CIMultiDict(fields))
    match_info: Any = None
    alike = more.pop("alike", {})
    return PlainHead(data, target.partition("?")[0], headers, match_info, "192.0.2.1", alike, **more)


@pytest.mark.parametrize("target", ["/a", "/a?b=1&b=2", "/a?", "/a?b=%C3%A9&c=d+e", "/a??b=/c"])
def test_it_says_what_a_request_of_aiohttp_s_says(target: str) -> None:
    fields = {"Host": "shop.example", "X": "1"}
    mine, theirs = plain(target, fields), make_mocked_request("GET", target, headers=fields)
    for name in ("method", "raw_path", "path", "version", "host", "headers", "body_exists", "scheme"):
        assert getattr(mine, name) == getattr(theirs, name), name
    assert mine.rel_url.raw_query_string == theirs.rel_url.raw_query_string
    assert [*mine.query.items()] == [*theirs.query.items()]
    assert mine.remote == "192.0.2.1"


def test_its_own_fields_stand_in_place_of_those_that_it_shares() -> None:
    shared = CIMultiDictProxy(CIMultiDict({"Last-Event-ID": "a", "X": "1"}))
    match_info: Any = None
    head = PlainHead(b"GET / HTTP/1.1\r\n\r\n", "/", shared, match_info, None, {}, {"Last-Event-ID": "b"})
    assert [*head.headers.items()] == [("Last-Event-ID", "b"), ("X", "1")]
    assert shared["Last-Event-ID"] == "a"


def test_what_is_noted_of_one_is_not_noted_of_those_like_it() -> None:
    alike: dict[web.RequestKey[Any], Any] = {NOTE: "of all"}
    one, other = plain("/", {}, alike=alike), plain("/", {}, alike=alike)
    one[OTHER] = one[NOTE] = "mine"
    assert (other[NOTE], other.get(OTHER), alike) == ("of all", None, {NOTE: "of all"})
