"""Lists of all shapes, from a server: which events they give, and what callers of the path get."""

import json
from typing import Any

import pytest
from aiohttp import web

from gateway.ports.legacy_route import Pages
from tests.support.clock import ManualClock
from tests.support.legacy import listed, order
from tests.support.upstream import Gateway, Upstream, in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

Told = list[tuple[str, str | None]]


async def refreshed(one: Gateway, body: bytes | None = None) -> None:
    """The upstream is asked again; callers get `body`."""
    poller = one.source.poller(one.route)
    assert poller is not None
    poller.written()
    got = await one.get()
    assert body is None or got.body == body


async def told(backend: Upstream, *answers: tuple[bytes, dict[str, Any]] | bytes, **settings: Any) -> Told:
    """The events that lead from each answer to the next; all of them are served as they came."""
    settings = {"interval_seconds": 3600.0, "changes": {}, "max_delete_ratio": 1.0} | settings
    async with in_front_of(backend.url, ManualClock(), **settings) as one:
        for answer in answers:
            body, headers = answer if isinstance(answer, tuple) else (answer, {})
            backend.says(body, **headers)
            await refreshed(one, body)
        return [(event.event_type, event.entity_id) for event in await one.events()]


CREATED, UPDATED, DELETED = "order_created", "order_updated", "order_deleted"


async def test_a_map_has_its_names_for_keys(backend: Upstream) -> None:
    first, second = b'{"docs":{"a":{"n":1},"b":{}}}', b'{"docs":{"c":{},"a":{"n":2}}}'
    assert await told(backend, first, second, shape="map", key=()) == [
        (DELETED, "b"),
        (CREATED, "c"),
        (UPDATED, "a"),
    ]


async def test_a_single_entity_has_the_routes_id(backend: Upstream) -> None:
    first, second = b'{"docs":{"phase":"up"}}', b'{"docs":{"phase":"down"}}'
    changes = {"/phase": "phase_change"}
    assert await told(backend, first, second, shape="single", key=(), id="cluster", changes=changes) == [
        ("phase_change", "cluster")
    ]


async def test_keys_are_pointers_and_of_several_parts(backend: Upstream) -> None:
    items = [{"region": "eu:1", "meta": {"uid": number}} for number in (1, 2)]
    assert await told(backend, listed(items[0]), listed(items[1]), key=("region", "/meta/uid")) == [
        (DELETED, "eu%3A1:1"),
        (CREATED, "eu%3A1:2"),
    ]


@pytest.mark.parametrize(
    ("empty", "none"),
    [
        ("null", (b'{"docs":null}', {})),
        ("absent", (b'{"page":{}}', {})),
        (404, (b'{"error":"none"}', {"status": 404})),
        (204, (b"", {"status": 204})),
    ],
)
async def test_what_means_no_items_is_an_empty_list(
    backend: Upstream, empty: Any, none: tuple[bytes, dict[str, Any]]
) -> None:
    assert await told(backend, listed(order("A")), none, listed(order("B")), empty=(empty,)) == [
        (DELETED, "A"),
        (CREATED, "B"),
    ]


async def test_no_items_is_answered_with_its_own_status(backend: Upstream) -> None:
    backend.says(b'{"error":"none"}', status=404)
    async with in_front_of(backend.url, ManualClock(), empty=(404,)) as one:
        got = await one.get()

    assert (got.status, got.body) == (404, b'{"error":"none"}')
    assert "Sync-Cursor" in got.headers


async def test_what_is_ignored_changes_nothing_and_is_served(backend: Upstream) -> None:
    answers = [listed(order("A", ageMs=age, links={"self": age}, n=n)) for age, n in ((1, 1), (2, 1), (3, 2))]
    assert await told(backend, *answers, ignore=("/ageMs", "/links/*")) == [(UPDATED, "A")]


async def test_what_is_marked_is_deleted_once(backend: Upstream) -> None:
    here, gone = order("A", archived=False), order("A", archived=True)
    answers = [listed(here), listed(gone), listed(gone | {"n": 1}), listed(), listed(gone), listed(here)]
    assert await told(backend, *answers, deleted="/archived") == [(DELETED, "A"), (CREATED, "A")]


async def test_a_change_below_the_top_has_its_rule(backend: Upstream) -> None:
    answers = [listed(order("A", status={"phase": phase})) for phase in ("new", "done")]
    settings: dict[str, Any] = {"interval_seconds": 3600.0, "changes": {"/status/phase": "phase_change"}}
    async with in_front_of(backend.url, ManualClock(), **settings) as one:
        for body in answers:
            backend.says(body)
            await refreshed(one, body)
        (event,) = await one.events()

    assert event.event_type == "phase_change"
    assert event.data == order("A", status={"phase": "done"}, previousPhase="new", newPhase="done")
    assert event.previous == order("A", status={"phase": "new"})


async def test_a_route_without_events_serves_any_answer(backend: Upstream) -> None:
    assert await told(backend, listed(order("A")), b"<html>", listed(order("B")), events="none") == []


async def test_one_bad_item_stops_no_other_and_a_byte_order_mark_is_none(backend: Upstream) -> None:
    half = b'{"docs":[{"orderID":"A","n":"\\ud83d"},{"orderID":"B","n":1}]}'
    assert await told(
        backend, listed(order("A"), order("B")), b"\xef\xbb\xbf" + half, listed(order("B", n=1))
    ) == [
        (UPDATED, "B"),
        (DELETED, "A"),
    ]


class Lists:
    """A server with a list in two pages, or of two parts: `/orders` and the other."""

    def __init__(self, backend: Upstream) -> None:
        self.first: list[Any] = []
        self.second: list[Any] = []
        backend.answering = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/orders":
            return web.json_response({"docs": self.first, "next": "/second"})
        return web.json_response({"docs": self.second, "next": None})


@pytest.mark.parametrize("settings", [{"pages": Pages("/next")}, {"also": ("/second",)}])
async def test_a_list_of_two_answers_is_one_and_the_path_answers_the_first(
    backend: Upstream, settings: dict[str, Any]
) -> None:
    lists = Lists(backend)
    lists.first, lists.second = [order("A"), order("B")], [order("C")]
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=3600.0, changes={}, **settings
    ) as one:
        await one.get()
        # One moves unchanged, one changed, and one stands in both for a moment.
        lists.first, lists.second = [order("B")], [order("C"), order("A"), order("B")]
        await refreshed(one)
        lists.first, lists.second = [order("C", n=1)], [order("A"), order("B", n=1)]
        await refreshed(one)
        got = await one.get()
        events = [(event.event_type, event.entity_id) for event in await one.events()]

    assert json.loads(got.body)["docs"] == [order("C", n=1)]
    assert sorted(events) == [(UPDATED, "B"), (UPDATED, "C")]
