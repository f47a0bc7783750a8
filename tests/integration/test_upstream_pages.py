"""Lists in pages, and lists in parts, of a real server: all of them are one answer, or none is."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from aiohttp import web

from adapters.memory import MemoryLog
from adapters.upstream import UpstreamSource
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import BadAnswer, NoAnswer
from gateway.core.errors import UpstreamTimeout
from gateway.ports.legacy_route import Pages
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, legacy_route
from tests.support.polls import polls
from tests.support.upstream import Answering, Upstream, held_until, in_front_of, upstream

NEXT = Pages(next="/next")
LINK = Pages(link=True)


def page(*ids: int, **members: Any) -> bytes:
    return orjson.dumps({"docs": [{"id": number} for number in ids], **members})


def answering(bodies: Mapping[str, bytes | tuple[bytes, Mapping[str, str]]]) -> Answering:
    """Answers each target with its body, and with the header fields beside it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        found = bodies.get(request.raw_path)
        if found is None:
            return web.Response(status=404, text="nothing here")
        body, headers = (found, {}) if isinstance(found, bytes) else found
        return web.Response(body=body, headers=headers, content_type="application/json")

    return answer


async def fetched(backend: Upstream, validators: Mapping[str, str] | None = None, **settings: Any) -> Fetched:
    route = legacy_route(**({"upstream": backend.url} | settings))
    async with polls(route) as asking:
        answer = await asking.fetch(route, validators or {})
    assert answer is not None
    return answer


async def kind_of(backend: Upstream, **settings: Any) -> str:
    """What keeps the answer from being the whole list: its first part is for callers to have all the same."""
    answer = await fetched(backend, **settings)
    assert answer.problem is not None
    return answer.problem.kind


def bodies(answer: Fetched) -> Sequence[bytes]:
    return [answer.body, *answer.more]


def targets(backend: Upstream) -> list[str]:
    return [asked.target for asked in backend.asked]


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}])
async def test_the_addresses_in_the_bodies_are_followed_to_the_last_page(
    backend: Upstream, end: Mapping[str, Any]
) -> None:
    first, second, third = (
        page(1, next=backend.url + "?page=2"),
        page(2, next="?page=3"),
        page(3, **end),
    )
    backend.answering = answering({"/orders": first, "/orders?page=2": second, "/orders?page=3": third})

    answer = await fetched(backend, pages=NEXT)

    assert bodies(answer) == [first, second, third]
    assert targets(backend) == ["/orders", "/orders?page=2", "/orders?page=3"]


async def test_the_address_may_stand_anywhere_in_the_body(backend: Upstream) -> None:
    first = page(1, links=[{"href": "/x"}, {"a/b": "/orders?page=2"}])
    backend.answering = answering({"/orders": first, "/orders?page=2": page(2)})

    answer = await fetched(backend, pages=Pages(next="/links/1/a~1b"))

    assert bodies(answer) == [first, page(2)]


async def test_links_in_the_header_are_followed(backend: Upstream) -> None:
    first = (page(1), {"Link": '</orders?page=2>; rel="next", </orders?page=9>; rel="last"'})
    second = (page(2), {"Link": '</orders>; rel="prev"'})
    backend.answering = answering({"/orders": first, "/orders?page=2": second})

    assert bodies(await fetched(backend, pages=LINK)) == [page(1), page(2)]


async def test_each_page_is_asked_for_as_the_first_is(backend: Upstream) -> None:
    backend.answering = answering(
        {"/orders?limit=1": page(1, next="/orders?limit=1&page=2"), "/orders?limit=1&page=2": page(2)}
    )

    await fetched(
        backend,
        pages=NEXT,
        query="limit=1",
        method="POST",
        body="{}",
        headers={"Authorization": "Bearer hush"},
    )

    assert targets(backend) == ["/orders?limit=1", "/orders?limit=1&page=2"]
    for asked in backend.asked:
        assert (asked.method, asked.body) == ("POST", b"{}")
        assert asked.headers["Authorization"] == "Bearer hush"


async def test_further_requests_come_after_the_first_with_their_pages(backend: Upstream) -> None:
    backend.answering = answering(
        {
            "/orders": page(1, next="/orders?page=2"),
            "/orders?page=2": page(2),
            "/closed": page(3, next="/closed?page=2"),
            "/closed?page=2": page(4),
            "/orders/old": page(5),
        }
    )

    answer = await fetched(backend, pages=NEXT, also=["/closed", backend.url + "/old"])

    assert bodies(answer) == [
        page(1, next="/orders?page=2"),
        page(2),
        page(3, next="/closed?page=2"),
        page(4),
        page(5),
    ]


async def test_the_header_fields_are_those_of_the_first_answer(backend: Upstream) -> None:
    backend.answering = answering(
        {"/orders": (page(1), {"ETag": '"first"'}), "/closed": (page(2), {"ETag": '"second"'})}
    )

    assert (await fetched(backend, also=["/closed"])).headers["ETag"] == '"first"'


@pytest.mark.parametrize("settings", [{"pages": NEXT}, {"also": ["/closed"]}])
async def test_a_list_of_several_answers_is_never_asked_for_conditionally(
    backend: Upstream, settings: Mapping[str, Any]
) -> None:
    backend.says(page(1), ETag='"same"')

    await fetched(backend, {"If-None-Match": '"same"'}, **settings)

    assert all("If-None-Match" not in asked.headers for asked in backend.asked)


async def test_a_page_that_names_itself_ends_in_an_error(backend: Upstream) -> None:
    backend.says(page(1, next="/orders"))

    assert await kind_of(backend, pages=NEXT) == "page_loop"
    assert len(backend.asked) == 1


async def test_pages_that_name_one_another_end_in_an_error(backend: Upstream) -> None:
    backend.answering = answering(
        {"/orders": page(1, next="?page=2"), "/orders?page=2": page(2, next=backend.url + "#top")}
    )

    assert await kind_of(backend, pages=NEXT) == "page_loop"
    assert len(backend.asked) == 2


@pytest.mark.parametrize("link", [True, False])
async def test_no_page_of_another_origin_is_asked_for(backend: Upstream, link: bool) -> None:
    async with upstream() as other:
        backend.says(page(1, next=other.url), Link=f"<{other.url}>; rel=next")

        kind = await kind_of(backend, pages=LINK if link else NEXT, headers={"Authorization": "Bearer hush"})

        assert (kind, other.asked) == ("other_origin", [])


@pytest.mark.parametrize("path", ["/orders", "/api/v1/orders"])
async def test_a_page_of_the_public_url_is_asked_for_at_the_upstream(backend: Upstream, path: str) -> None:
    first = page(1, next=f"http://api.shop.example{path}?page=2")
    backend.answering = answering({"/orders": first, "/orders?page=2": page(2)})

    answer = await fetched(backend, pages=NEXT, public_url="https://api.shop.example")

    assert bodies(answer) == [first, page(2)]


async def test_more_pages_than_there_may_be_are_an_error(backend: Upstream) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        return web.Response(body=page(number, next=f"?page={number + 1}"), content_type="application/json")

    backend.answering = endless

    assert await kind_of(backend, pages=NEXT, max_pages=3) == "too_many_pages"
    assert len(backend.asked) == 3


async def test_as_many_pages_as_there_may_be_are_a_list(backend: Upstream) -> None:
    backend.answering = answering({"/orders": page(1, next="?page=2"), "/orders?page=2": page(2)})

    assert len(bodies(await fetched(backend, pages=NEXT, max_pages=2))) == 2


async def test_all_pages_together_are_bounded(backend: Upstream) -> None:
    first, second = page(*range(100), next="?page=2"), page(*range(100))
    backend.answering = answering({"/orders": first, "/orders?page=2": second, "/closed": page(1)})
    size = len(first) + len(second)

    assert len(bodies(await fetched(backend, pages=NEXT, max_body_bytes=size))) == 2
    assert await kind_of(backend, pages=NEXT, max_body_bytes=size - 1) == "too_large"
    assert await kind_of(backend, pages=NEXT, max_body_bytes=size + 1, also=["/closed"]) == "too_large"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (page(1, next=2), "bad_page"),
        (page(1, next={"href": "?page=2"}), "bad_page"),
        (page(1, next=False), "bad_page"),
        (page(1, next="http://[::1"), "other_origin"),
        (page(1, next="mailto:somebody"), "other_origin"),
    ],
)
async def test_what_names_no_page_is_an_error(backend: Upstream, body: bytes, kind: str) -> None:
    backend.says(body)

    assert await kind_of(backend, pages=NEXT) == kind


async def test_what_is_no_json_names_no_page(backend: Upstream) -> None:
    backend.says(b"<html>")

    answer = await fetched(backend, pages=NEXT)

    assert (answer.body, answer.problem) == (b"<html>", None)


async def test_a_first_answer_that_is_too_large_is_no_answer(backend: Upstream) -> None:
    backend.says(page(*range(100)))

    with pytest.raises(BadAnswer) as raised:
        await fetched(backend, pages=NEXT, max_body_bytes=7)

    assert raised.value.kind == "too_large"


async def test_a_long_page_is_looked_through_for_the_next_one(backend: Upstream) -> None:
    first = orjson.dumps({"docs": [{"id": number} for number in range(20_000)], "next": "?page=2"})
    backend.answering = answering({"/orders": first, "/orders?page=2": page(2)})

    assert bodies(await fetched(backend, pages=NEXT)) == [first, page(2)]


async def test_where_pages_can_not_be_followed_the_first_one_is_served_and_makes_no_events(
    backend: Upstream,
) -> None:
    body = page(1, next="/orders")
    backend.says(body)
    async with in_front_of(backend.url, ManualClock(), interval_seconds=3600.0, pages=NEXT, key="id") as one:
        got = await one.get()

        assert (got.status, got.body) == (200, body)
        assert got.cache_status == "tidegate; fwd=stale; detail=unusable"
        assert one.source.counters[PATH].bad_answers == {"page_loop": 1}


async def test_where_a_further_page_fails_the_first_one_is_served_and_the_upstream_left_alone(
    backend: Upstream,
) -> None:
    first = page(1, next="?page=2")
    pages = answering({"/orders": first})

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query_string:
            return web.Response(status=429, headers={"Retry-After": "60"})
        return await pages(request)

    backend.answering = answer
    clock = ManualClock()
    async with in_front_of(backend.url, clock, interval_seconds=1.0, pages=NEXT, key="id") as one:
        for _ in range(3):
            got = await one.get()
            assert (got.status, got.body) == (200, first)
            poller = one.source.poller(one.route)
            assert poller is not None
            poller.written()

        assert one.source.counters[PATH].bad_answers == {"status": 1}
        assert targets(backend) == ["/orders", "/orders?page=2"]


async def test_a_page_that_breaks_off_breaks_off_the_whole(backend: Upstream) -> None:
    pages = answering({"/orders": page(1, next="?page=2")})

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query_string:
            assert request.transport is not None
            request.transport.abort()
        return await pages(request)

    backend.answering = answer

    with pytest.raises(NoAnswer):
        await fetched(backend, pages=NEXT)


async def test_all_requests_together_are_bounded_in_time(backend: Upstream) -> None:
    pages, never = answering({"/orders": page(1, next="?page=2")}), held_until(asyncio.Event(), b"")

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (never if request.query_string else pages)(request)

    backend.answering = answer
    route = legacy_route(upstream=backend.url, pages=NEXT, timeout_seconds=1000.0)
    async with polls(route, whole_timeouts=0.0002) as asking:
        with pytest.raises(UpstreamTimeout, match=r"with all pages of its list within 0\.2 s"):
            await asking.fetch(route, {})


async def test_of_a_further_request_a_status_may_mean_that_there_is_nothing(backend: Upstream) -> None:
    backend.answering = answering({"/orders": page(1), "/closed": page(2)})

    answer = await fetched(backend, also=["/missing", "/closed"], empty=[404])

    assert (answer.status, bodies(answer)) == (200, [page(1), page(2)])


async def test_a_next_page_in_an_answer_that_is_said_to_be_empty_is_not_looked_for(backend: Upstream) -> None:
    backend.says(b"", status=204)

    assert (await fetched(backend, pages=NEXT, empty=[204])).status == 204


async def test_one_silent_page_is_a_timeout(backend: Upstream) -> None:
    first, never = answering({"/orders": page(1, next="?page=2")}), held_until(asyncio.Event(), b"")

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (never if request.query_string else first)(request)

    backend.answering = answer

    with pytest.raises(UpstreamTimeout, match=r"did not answer within 0\.2 s"):
        await fetched(backend, pages=NEXT, timeout_seconds=0.2)


def test_a_further_request_to_another_origin_is_told_at_the_start() -> None:
    clock = ManualClock()
    log = MemoryLog(clock, max_events=1, max_age_seconds=1e9, max_bytes=2**20)
    with pytest.raises(ValueError, match="also: must be addresses of the upstream's scheme, host and port"):
        UpstreamSource([legacy_route(also=["http://evil.test/"])], log, lambda entity: False, clock)
