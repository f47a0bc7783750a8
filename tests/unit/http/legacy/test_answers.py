"""Answers from a snapshot as they are made (tests/integration/test_legacy_snapshot.py has the rest)."""

import gc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.http.legacy.answers import SnapshotAnswers, given_answer
from gateway.http.long_answers import LongAnswers
from gateway.http.terms import Terms
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import AnswerListener, Freshness, GivenAnswer, Served, Snapshot
from tests.support.legacy import legacy_route

TERMS = Terms("streaming")
OWN = Terms("polling", identity=(("clientId", "c 1"),), scope="s")
SNAPSHOT = Snapshot(
    b"plain",
    "d",
    CIMultiDict(
        [("Content-Type", "application/json"), ("Link", "</2>; rel=next"), ("Link", "</9>; rel=last")]
    ),
    '"v1"',
    True,
    {},
    0.0,
    0.0,
    "e.7-0",
    last_modified="Sun, 06 Nov 1994 08:49:37 GMT",
)
CODED = replace(SNAPSHOT, coded=b"coded", coding="gzip", coded_etag='"v1c"')
STREAM = '</api/v1/sync/events?entity=order&lastEventId=e.7-0>; rel="alternate"; type="text/event-stream"'
UPSTREAMS = ["</2>; rel=next", "</9>; rel=last"]


class Listed:
    """A list without anything behind it."""

    def __init__(self, **request_fields: str) -> None:
        self.listener: AnswerListener | None = None
        self.route = legacy_route()
        self.request_fields: Mapping[str, str] = request_fields

    def at_once(self) -> Served | None:
        raise NotImplementedError

    async def answer(self) -> Served:
        raise NotImplementedError

    def written(self) -> None:
        raise NotImplementedError


class Answering:
    """The answers of a route, and one list of it."""

    def __init__(self, **request_fields: str) -> None:
        self.counters = RouteCounters()
        self.answers = SnapshotAnswers(self.counters, lambda request: request.headers.items(), LongAnswers())
        self.list = Listed(**request_fields)

    async def to(
        self,
        snapshot: Snapshot = SNAPSHOT,
        freshness: Freshness = Freshness.HIT,
        terms: Terms = TERMS,
        method: str = "GET",
        **fields: str,
    ) -> web.Response:
        answer = await self.answers.answer(
            asking(method, **fields), self.list, Served(snapshot, freshness, 3), terms
        )
        assert isinstance(answer, web.Response)
        return answer


def asking(method: str = "GET", **fields: str) -> web.Request:
    headers = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
    return make_mocked_request(method, "/api/v1/orders", headers)


def coding_of(answer: web.Response) -> tuple[Any, ...]:
    names = ("ETag", "Content-Encoding", "Vary")
    return (answer.status, answer.body, *(answer.headers.get(name) for name in names))


async def test_the_upstreams_links_stand_after_the_gateways() -> None:
    answering = Answering()
    for condition, status in (("", 200), ('"v1"', 304)):
        answer = await answering.to(If_None_Match=condition)
        assert answer.status == status
        assert answer.headers.getall("Link") == [STREAM, *UPSTREAMS]

        own = await answering.to(terms=OWN, If_None_Match=condition)
        link, *others = own.headers.getall("Link")
        assert "lastEventId=e.7-0.s&clientId=c+1>" in link
        assert others == UPSTREAMS
        assert own.headers.getall("Sync-Cursor") == ["e.7-0.s"]


async def test_fields_that_the_gateway_gives_stand_in_place_of_the_upstreams() -> None:
    headers = CIMultiDict({"Sunset": "never", "X-Own": "1"})
    terms = Terms("polling", fields=(("Sunset", "Sun, 06 Nov 1994 08:49:37 GMT"),))
    answer = await Answering().to(replace(SNAPSHOT, headers=headers), terms=terms)

    assert answer.headers.getall("Sunset") == ["Sun, 06 Nov 1994 08:49:37 GMT"]
    assert answer.headers["X-Own"] == "1"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accepted", ["gzip", "br;q=0.1, x-gzip", "*"])
async def test_who_takes_the_coding_gets_the_answer_as_it_came(method: str, accepted: str) -> None:
    answer = await Answering().to(CODED, method=method, Accept_Encoding=accepted)

    assert coding_of(answer) == (200, b"coded", '"v1c"', "gzip", "Accept-Encoding")


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=0.5, identity"])
async def test_who_does_not_take_the_coding_gets_the_answer_without(accepted: str) -> None:
    answer = await Answering().to(CODED, Accept_Encoding=accepted)

    assert coding_of(answer) == (200, b"plain", '"v1"', None, "Accept-Encoding")


async def test_an_answer_that_came_without_a_coding_does_not_vary() -> None:
    answer = await Answering().to(Accept_Encoding="gzip")

    assert coding_of(answer) == (200, b"plain", '"v1"', None, None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [(["Origin"], "Origin, Accept-Encoding"), (["accept-encoding"], "accept-encoding"), (["*"], "*")],
)
async def test_what_the_upstream_says_of_vary_stays(lines: list[str], said: str) -> None:
    headers = CIMultiDict(("Vary", line) for line in lines)
    answer = await Answering().to(replace(CODED, headers=headers))

    assert answer.headers.getall("Vary") == [said]


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
@pytest.mark.parametrize(
    ("condition", "tag"),
    [
        ('"v1"', '"v1"'),
        ('"v1c"', '"v1c"'),
        ('W/"v1c"', '"v1c"'),
        ('"v0", "v1"', '"v1"'),
        ('"v1-gzip"', '"v1"'),
    ],
)
async def test_a_tag_of_either_coding_gets_304_with_that_tag(accepted: str, condition: str, tag: str) -> None:
    answering = Answering()
    answer = await answering.to(CODED, Accept_Encoding=accepted, If_None_Match=condition)

    assert (answer.status, answer.headers["ETag"]) == (304, tag)
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Sync-Cursor"] == "e.7-0"
    assert answering.counters.served_304 == 1


@pytest.mark.parametrize(("accepted", "tag"), [("gzip", '"v1c"'), ("identity", '"v1"')])
async def test_any_tag_gets_304_with_that_of_the_coding_that_the_caller_takes(
    accepted: str, tag: str
) -> None:
    answer = await Answering().to(CODED, Accept_Encoding=accepted, If_None_Match=" * ")

    assert (answer.status, answer.headers["ETag"]) == (304, tag)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "since",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Mon, 07 Nov 1994 00:00:00 GMT",
    ],
)
async def test_what_is_no_newer_than_what_the_caller_has_is_304_without_a_cursor(
    method: str, since: str
) -> None:
    answering = Answering()
    answer = await answering.to(method=method, If_Modified_Since=since)

    assert (answer.status, answer.headers["ETag"]) == (304, '"v1"')
    assert "Sync-Cursor" not in answer.headers
    link = '</api/v1/sync/events?entity=order>; rel="alternate"; type="text/event-stream"'
    assert answer.headers.getall("Link") == [link, *UPSTREAMS]
    assert answering.counters.served_304 == 1

    own = await answering.to(terms=OWN, If_Modified_Since=since)
    assert "Sync-Cursor" not in own.headers
    assert own.headers.getall("Link") == [link.replace("order>", "order&clientId=c+1>"), *UPSTREAMS]
    coded = await answering.to(CODED, If_Modified_Since=since, Accept_Encoding="gzip")
    assert (coded.status, coded.headers["ETag"]) == (304, '"v1c"')


@pytest.mark.parametrize("since", ["Sun, 06 Nov 1994 08:49:36 GMT", "yesterday", "1994-11-06", ""])
async def test_what_is_newer_or_what_is_no_date_gets_the_whole(since: str) -> None:
    answer = await Answering().to(If_Modified_Since=since)

    assert answer.status == 200
    assert answer.headers["Sync-Cursor"] == "e.7-0"


async def test_without_a_date_of_the_upstream_there_is_none_to_compare_with() -> None:
    for modified in (None, "yesterday"):
        snapshot = replace(SNAPSHOT, last_modified=modified)
        answer = await Answering().to(snapshot, If_Modified_Since="Mon, 07 Nov 2050 00:00:00 GMT")
        assert answer.status == 200


async def test_a_tag_wins_over_a_date() -> None:
    answering, date = Answering(), "Mon, 07 Nov 1994 00:00:00 GMT"

    assert (await answering.to(If_None_Match='"v0"', If_Modified_Since=date)).status == 200
    same = await answering.to(If_None_Match='"v1"', If_Modified_Since="Sun, 06 Nov 1994 08:49:36 GMT")
    assert (same.status, same.headers["Sync-Cursor"]) == (304, "e.7-0")


async def test_an_answer_has_the_upstreams_status_and_a_condition_is_for_success_alone() -> None:
    for status, expected in ((204, 304), (404, 404)):
        empty = replace(SNAPSHOT, status=status, body=b"")
        assert (await Answering().to(empty)).status == status
        assert (await Answering().to(empty, If_None_Match='"v1"')).status == expected


async def test_an_answer_that_can_not_be_compared_is_served_and_parity_is_not_told() -> None:
    class Listener:
        def polled(self, snapshot: Snapshot) -> None:
            raise AssertionError

        def served(self, snapshot: Snapshot) -> None:
            raise AssertionError

    answering = Answering()
    answering.list.listener = Listener()
    answer = await answering.to(replace(SNAPSHOT, problem="not_json"), Freshness.UNUSABLE)

    assert (answer.status, answer.body) == (200, b"plain")
    assert answer.headers["Cache-Status"] == "tidegate; fwd=stale; detail=unusable"
    assert (answering.counters.served, answering.counters.served_stale) == (1, 0)


def test_an_answer_is_for_those_who_ask_as_the_poll_does() -> None:
    answering = Answering(accept="*/*")
    varying = replace(SNAPSHOT, headers=CIMultiDict(Vary="Accept"))
    html = asking(Accept="text/html")

    assert answering.answers.is_for(asking(Accept="*/*"), answering.list, varying)
    assert not answering.answers.is_for(html, answering.list, varying)
    assert answering.answers.is_for(html, answering.list, SNAPSHOT)
    assert not answering.answers.is_for(html, answering.list, varying)


async def test_nothing_is_kept_of_a_list_that_is_gone() -> None:
    answering = Answering()
    await answering.to()
    answering.list = Listed()
    gc.collect()
    assert len(answering.answers._kept) == 0


def test_what_the_upstream_said_goes_to_the_caller_and_to_no_cache() -> None:
    headers = CIMultiDict({"Retry-After": "7", "WWW-Authenticate": "Basic", "Cache-Control": "max-age=9"})
    terms = Terms("polling", fields=(("Deprecation", "@1"),))
    answer = given_answer(GivenAnswer(401, headers, b"no"), terms)

    assert (answer.status, answer.body) == (401, b"no")
    assert answer.headers == {
        "Retry-After": "7",
        "WWW-Authenticate": "Basic",
        "Cache-Control": "no-store",
        "Cache-Status": "tidegate; fwd=miss",
        "Fetch-Mode": "polling",
        "Deprecation": "@1",
    }
