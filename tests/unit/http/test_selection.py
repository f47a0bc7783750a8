"""What requests select, as it is remembered. What of it reaches anybody has tests of its own."""

from typing import cast

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.access.principal import OPEN
from gateway.http.principal import PRINCIPAL
from gateway.http.request_head import PlainHead
from gateway.http.selection import EVENTS_PATH, Selection, Selections
from tests.support.effort import kept_bytes_of


def selected(selections: Selections, query: str) -> Selection:
    head = f"GET {EVENTS_PATH}?{query} HTTP/1.1\r\n\r\n".encode()
    no_fields, no_match = CIMultiDictProxy(CIMultiDict[str]()), cast(web.UrlMappingMatchInfo, None)
    request = PlainHead(head, EVENTS_PATH, no_fields, no_match, None, {})
    request[PRINCIPAL] = OPEN
    return selections.of(request)


def test_those_who_ask_for_the_same_share_one_selection() -> None:
    selections = Selections({})
    first = selected(selections, "clientId=ana&entity=order:1")
    assert selected(selections, "entity=order:1&clientId=ben") is first
    assert selected(selections, "entity=order:2") is not first


def test_what_is_remembered_is_bounded_also_where_a_query_is_long_and_selects_little() -> None:
    selections = Selections({})

    def ask() -> None:
        for number in range(2000):
            selected(selections, f"nothing={number:016000}")

    # One of these queries takes 16 kilobytes.
    assert kept_bytes_of(ask) < 6_000_000
