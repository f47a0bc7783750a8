"""A shared list whose upstream says that its answer depends on who asks, over HTTP."""

import pytest

from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import NOW, Gateway, Upstream, in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

SHARED = listed(order("A"))


async def test_who_says_what_the_poll_does_not_goes_through(backend: Upstream, shared: Gateway) -> None:
    backend.says(SHARED, Vary="Accept-Encoding, X-Tenant")
    first = await shared.get()
    own = await shared.get(**{"X-Tenant": "7"})
    again = await shared.get()

    assert [got.cache_status for got in (first, own, again)] == [
        "tidegate; fwd=miss",
        "tidegate; fwd=vary-miss",
        "tidegate; hit",
    ]
    assert backend.asked[1].headers["X-Tenant"] == "7"
    assert len(backend.asked) == 2
    assert own.headers["Fetch-Mode"] == "streaming"
    assert f"lastEventId={NOW}" in own.headers["Link"]
    counters = shared.source.counters[PATH]
    assert (counters.served, counters.forwarded) == (2, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_everybody_goes_through_where_the_answer_depends_on_more(
    backend: Upstream, shared: Gateway, method: str
) -> None:
    backend.says(SHARED, Vary="*", ETag='"v1"')
    answers = [await shared.request(method, PATH, headers={"If-None-Match": '"v1"'}) for _ in range(2)]

    assert [(got.status, got.cache_status) for got in answers] == 2 * [(304, "tidegate; fwd=vary-miss")]
    assert [asked.method for asked in backend.asked] == ["GET", method, method]


async def test_callers_that_accept_what_the_poll_does_share_its_answer(
    backend: Upstream, clock: ManualClock
) -> None:
    """As Django REST framework has it."""
    backend.says(SHARED, Vary="Accept, Cookie")
    async with in_front_of(backend.url, clock, interval_seconds=3600.0, headers={"Accept": "*/*"}) as one:
        await one.get()
        browser, page = await one.get(Accept=" */* "), await one.get(Accept="text/html")

    assert browser.cache_status == "tidegate; hit"
    assert page.cache_status == "tidegate; fwd=vary-miss"
    assert [asked.headers["Accept"] for asked in backend.asked] == ["*/*", "text/html"]


async def test_an_error_that_depends_on_who_asks_is_for_those_alone_who_ask_as_the_poll_does(
    backend: Upstream, shared: Gateway
) -> None:
    backend.says(b"log in", status=403, Vary="Accept-Encoding, Cookie")
    first = await shared.get()
    own = await shared.get(Cookie="sessionid=1")
    again = await shared.get(Cookie="tidegate_session=abc")

    assert [got.cache_status for got in (first, own, again)] == [
        "tidegate; fwd=miss",
        "tidegate; fwd=vary-miss",
        "tidegate; fwd=miss",
    ]
    assert [asked.headers.get("Cookie") for asked in backend.asked] == [None, "sessionid=1"]


async def test_a_session_of_the_gateways_own_makes_no_difference(backend: Upstream, shared: Gateway) -> None:
    backend.says(SHARED, Vary="Cookie")
    await shared.get()

    mine = await shared.get(Cookie="tidegate_session=abc")
    other = await shared.get(Cookie="tidegate_session=abc; sessionid=1")

    assert mine.cache_status == "tidegate; hit"
    assert other.cache_status == "tidegate; fwd=vary-miss"
    assert backend.asked[-1].headers["Cookie"] == "sessionid=1"


async def test_a_list_is_shared_again_once_its_answer_depends_on_nobody(
    backend: Upstream, shared: Gateway
) -> None:
    backend.says(SHARED, Vary="*")
    await shared.get()
    backend.says(SHARED)
    await shared.request("POST", PATH)
    await shared.get()
    got = await shared.get()

    assert got.cache_status == "tidegate; hit"
