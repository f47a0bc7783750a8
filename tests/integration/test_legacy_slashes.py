"""A legacy path called with a slash more or less at its end; upstreams differ in what that is."""

from collections.abc import Callable

import pytest
from aiohttp import web

from tests.support.clock import ManualClock
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import NOW, Answering, Gateway, Upstream, in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

LIST = listed(order("A"))
SLASH = f"{PATH}/"


def redirecting(known: str) -> Answering:
    """As Django answers with APPEND_SLASH, or a server that takes slashes off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path != known:
            return web.Response(status=301, headers={"Location": known})
        return web.Response(body=LIST, content_type="application/json")

    return answer


async def lenient(request: web.Request) -> web.StreamResponse:
    """As Express routes by default."""
    return web.Response(body=LIST, content_type="application/json")


def at(backend: Upstream, path: str) -> str:
    return backend.url.removesuffix("/orders") + path


@pytest.mark.parametrize("path", [PATH, SLASH])
async def test_a_redirecting_upstream_redirects_through_the_gateway(
    backend: Upstream, clock: ManualClock, path: str
) -> None:
    other = {PATH: SLASH, SLASH: PATH}[path]
    backend.answering = redirecting(path)
    async with in_front_of(at(backend, path), clock, path=path, interval_seconds=3600.0) as one:
        moved = await one.request("GET", other, allow_redirects=False)
        followed = await one.request("GET", f"{other}?", allow_redirects=True)
        straight = await one.request("GET", path)

    assert (moved.status, moved.headers["Location"]) == (301, path)
    assert moved.cache_status == "tidegate; fwd=bypass"
    assert [got.body for got in (followed, straight)] == [LIST, LIST]
    assert followed.cache_status == "tidegate; fwd=miss"
    assert straight.cache_status == "tidegate; hit"
    assert [asked.target for asked in backend.asked] == [other, other, path]


@pytest.mark.parametrize(("path", "upstream"), [(PATH, "/orders"), (SLASH, "/orders/"), (SLASH, "/orders")])
async def test_a_lenient_upstream_answers_either_way(
    backend: Upstream, clock: ManualClock, path: str, upstream: str
) -> None:
    other = {PATH: SLASH, SLASH: PATH}[path]
    backend.answering = lenient
    async with in_front_of(at(backend, upstream), clock, path=path, interval_seconds=3600.0) as one:
        await one.request("GET", path)
        got, head = [await one.request(method, other + "?a=1&b=%2F") for method in ("GET", "HEAD")]
        await one.request("POST", other, data=b"{}")
        again = await one.request("GET", path)

    end = other.removeprefix(PATH)
    assert [asked.target for asked in backend.asked] == [
        upstream,
        f"/orders{end}?a=1&b=%2F",
        f"/orders{end}?a=1&b=%2F",
        f"/orders{end}",
        upstream,
    ]
    assert (got.status, got.body, head.status, head.body) == (200, LIST, 200, b"")
    assert got.headers["Fetch-Mode"] == "streaming"
    assert f"lastEventId={NOW}" in got.headers["Link"]
    # What was written by the other spelling counts as written: the last request shows it, waited for or not.
    assert again.cache_status in ("tidegate; fwd=miss", "tidegate; hit")


async def test_a_root_has_no_other_end(backend: Upstream, clock: ManualClock) -> None:
    async with in_front_of(at(backend, "/"), clock, path="/", interval_seconds=3600.0) as one:
        await one.request("GET", "/")
        await one.request("GET", "/below/")

    assert [asked.target for asked in backend.asked] == ["/", "/below/"]


async def test_an_upstream_at_the_root_is_asked_for_the_root(backend: Upstream, clock: ManualClock) -> None:
    async with in_front_of(at(backend, "/"), clock, path=SLASH, interval_seconds=3600.0) as one:
        got = await one.request("GET", PATH)

    assert got.status == 200
    assert [asked.target for asked in backend.asked] == ["/"]


async def test_a_path_below_keeps_its_slash(backend: Upstream, shared: Gateway) -> None:
    await shared.request("GET", f"{PATH}/A/")
    await shared.request("GET", f"{PATH}//")

    assert [asked.target for asked in backend.asked] == ["/orders/A/", "/orders//"]


@pytest.mark.parametrize("end", ["", "/"])
async def test_a_path_with_parameters_has_another_end_too(
    backend: Upstream, clock: ManualClock, end: str
) -> None:
    other = "" if end else "/"
    path, upstream = f"/customers/{{customer}}/orders{end}", f"/of/{{customer}}{end}"
    async with in_front_of(at(backend, upstream), clock, path=path, interval_seconds=3600.0) as one:
        got = await one.request("GET", f"/customers/a%20b/orders{other}")
        first, second = [await one.request("GET", f"/customers/a%20b/orders{end}") for _ in range(2)]
        await one.request("POST", f"/customers/a%20b/orders{other}")
        after = await one.request("GET", f"/customers/a%20b/orders{end}")

    assert [asked.target for asked in backend.asked] == [
        f"/of/a%20b{other}",
        f"/of/a%20b{end}",
        f"/of/a%20b{other}",
        f"/of/a%20b{end}",
    ]
    assert [one.cache_status.removeprefix("tidegate; ") for one in (got, first, second, after)] == [
        "fwd=bypass",
        "fwd=miss",
        "hit",
        "fwd=miss",
    ]


def test_a_route_of_its_own_at_the_other_end_counts(start_gateway: Callable[..., GatewayThread]) -> None:
    routes = [
        route_settings("http://127.0.0.1:9000/orders", 3600.0, path=path, entity=f"order{number}")
        for number, path in enumerate([PATH, SLASH])
    ]
    gateway = start_gateway(make_settings(legacy=routes))

    there = [resource.canonical for resource in gateway.app.router.resources()]
    assert there.count(PATH) == there.count(SLASH) == 1
