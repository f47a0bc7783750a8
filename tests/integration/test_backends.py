"""Backends of other makes behind the examples of docs/examples, as docs/backends.md goes through them."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support import backends
from tests.support.admin import operator
from tests.support.api import JSON, Client, Stream, eventually
from tests.support.gateway import GatewayThread, make_settings
from tests.support.npm import installed

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
INTERVAL_SECONDS = 0.1

Behind = Callable[[str, str], Client]
"""Starts a gateway with an example before a backend's URL."""


@pytest.fixture(scope="session")
def express_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("express")
    return installed(backends.FILES / "express.mjs", directory, *backends.EXPRESS)


@pytest.fixture
def express(express_shop: Path) -> Iterator[str]:
    with backends.express(express_shop) as url:
        yield url


@pytest.fixture
def behind(start_gateway: Callable[..., GatewayThread], tmp_path: Path) -> Behind:
    def start(example: str, url: str) -> Client:
        routes = tomllib.loads((EXAMPLES / example).read_text())["legacy"]
        for route in routes:
            base = "/".join(route["upstream"].split("/")[:3])
            route |= {"upstream": route["upstream"].replace(base, url), "interval_seconds": INTERVAL_SECONDS}
        flags = {"store": f"file:{tmp_path / 'flags.json'}"}
        return Client(start_gateway(make_settings(legacy=routes, flags=flags)).port)

    return start


async def sent(client: Client, method: str, path: str, value: Any = None) -> Any:
    """The answer to a write that goes through, which has to succeed."""
    body = None if value is None else orjson.dumps(value)
    answer = await client.request(method, path, headers=[JSON], body=body)
    assert answer.status < 300, answer.body
    return answer.json if answer.body else None


async def items_of_state(stream: Stream) -> dict[str, Any]:
    """The items that the stream begins with, by id."""
    items = {}
    while True:
        frame = await stream.until("state")
        items |= {item["entityId"]: item["data"] for item in frame.data["items"]}
        if frame.data["last"]:
            return items


async def test_a_list_of_json_server_is_streamed_from_its_state_on(behind, json_server, tmp_path):
    with backends.json_server(json_server, tmp_path) as url:
        client = behind("rest-list.toml", url)
        async with client.stream({"entity": "order", "state": "with"}) as stream:
            assert (await items_of_state(stream)).keys() == {"1", "2"}
            await sent(client, "POST", "/orders", {"stage": "placed", "total": 7})
            created = (await stream.until("order_created")).data
            assert (created["entityId"], created["data"]["total"]) == ("3", 7)
            await sent(client, "PATCH", "/orders/1", {"stage": "baked"})
            changed = (await stream.until("stage_change")).data
            assert changed["data"]["previousStage"] == "placed"
            await sent(client, "DELETE", "/orders/2")
            assert (await stream.until("order_deleted")).data["entityId"] == "2"
        answer = await client.get("/orders")
        assert [order["stage"] for order in answer.json] == ["baked", "placed"]
        again = await client.get("/orders", headers=[("If-None-Match", answer.headers["ETag"])])
        assert again.status == 304


async def test_polls_of_one_query_share_an_answer_whatever_their_cache_busters(behind, json_server, tmp_path):
    with backends.json_server(json_server, tmp_path) as url:
        client = behind("rest-list.toml", url)
        answers = [await client.get("/orders", {"stage": "placed", "_": str(n)}) for n in range(5)]
        assert {len(answer.json) for answer in answers} == {2}
        assert answers[-1].headers["Cache-Status"] == "tidegate; hit"
        through = await client.get("/orders", {"total": "80"})
        assert [order["id"] for order in through.json] == [2]
        assert "fwd=bypass" in through.headers["Cache-Status"]


async def bookings(client: Client, count: int) -> None:
    for number in range(count):
        booking = {"ticket": f"T{number}", "price": "12.50", "starts": "2026-12-01T16:00:00Z"}
        await sent(client, "POST", "/api/bookings/", booking | {"lasts": "01:30:00"})


async def test_all_pages_of_django_rest_framework_are_one_list(behind, django, tmp_path):
    with backends.django_shop(django, tmp_path) as url:
        client = behind("django-pages.toml", url)
        await bookings(client, 7)
        async with client.stream({"entity": "booking", "state": "with"}) as stream:
            assert (await items_of_state(stream)).keys() == {f"T{number}" for number in range(7)}
            await sent(client, "PATCH", "/api/bookings/T6/", {"stage": "paid"})
            changed = (await stream.until("stage_change")).data
            assert (changed["entityId"], changed["data"]["newStage"]) == ("T6", "paid")
            # The first item moves all others from page to page, and none of them changed.
            await sent(client, "DELETE", "/api/bookings/T0/")
            assert (await stream.until("booking_deleted")).data["entityId"] == "T0"
            await sent(client, "PATCH", "/api/bookings/T5/", {"stage": "paid"})
            assert (await stream.next()).data["entityId"] == "T5"


async def test_pollers_of_django_get_the_first_page_with_addresses_that_they_know(behind, django, tmp_path):
    with backends.django_shop(django, tmp_path) as url:
        client = behind("django-pages.toml", url)
        await bookings(client, 7)
        fetched = [("Accept", "*/*")]
        answer = await client.get("/api/bookings/", headers=fetched)
        assert [item["ticket"] for item in answer.json["results"]] == ["T0", "T1", "T2", "T3", "T4"]
        assert answer.json["next"] == "https://halls.example/api/bookings/?page=2"
        assert answer.headers["Cache-Status"].startswith("tidegate; ")
        second = await client.get("/api/bookings/", {"page": "2"}, headers=fetched)
        assert [item["ticket"] for item in second.json["results"]] == ["T5", "T6"]


async def test_what_django_varies_by_goes_through(behind, django, tmp_path):
    with backends.django_shop(django, tmp_path) as url:
        client = behind("django-pages.toml", url)
        await client.get("/api/bookings/", headers=[("Accept", "*/*")])
        page = await client.get("/api/bookings/", headers=[("Accept", "text/html")])
        assert page.status == 406 or page.headers["Content-Type"].startswith("text/html")
        assert "fwd=bypass" in page.headers["Cache-Status"] or "fwd=vary-miss" in page.headers["Cache-Status"]


async def test_django_says_itself_where_a_path_without_its_slash_leads(behind, django, tmp_path):
    with backends.django_shop(django, tmp_path) as url:
        client = behind("django-pages.toml", url)
        answer = await client.get("/api/bookings", headers=[("Accept", "*/*")])
        assert (answer.status, answer.headers["Location"]) == (301, "/api/bookings/")


async def test_a_list_of_graphql_is_asked_for_by_post(behind, express):
    client = behind("graphql.toml", express)
    async with client.stream({"entity": "order", "state": "with"}) as stream:
        items = await items_of_state(stream)
        assert items["A-1"]["customer"] == {"name": "Zoë"}
        mutation = 'mutation { move(orderID: "A-2", stage: "baked") { orderID } }'
        moved = await sent(client, "POST", "/graphql", {"query": mutation})
        assert moved == {"data": {"move": {"orderID": "A-2"}}}
        changed = (await stream.until("stage_change")).data
        assert (changed["entityId"], changed["data"]["newStage"]) == ("A-2", "baked")


async def test_one_object_changes_without_what_is_another_in_every_answer(behind, express):
    client = behind("status.toml", express)
    other = Client(int(express.rpartition(":")[2]))
    async with client.stream({"entity": "status", "state": "with"}) as stream:
        items = await items_of_state(stream)
        assert items["shop"]["queue"] == {"depth": 3}
        await sent(other, "PUT", "/told", {"depth": 4})
        changed = await stream.next()
        assert (changed.event, changed.data["entityId"]) == ("depth_change", "shop")
        assert changed.data["data"] | {"ageMs": 0} == {
            "status": "fine",
            "queue": {"depth": 4},
            "ageMs": 0,
            "previousDepth": 3,
            "newDepth": 4,
        }


async def test_what_express_compressed_is_passed_on_as_it_came(start_gateway, express):
    route = express_route(express)
    client = Client(start_gateway(make_settings(legacy=[route])).port)
    packed = await client.get("/orders", headers=[("Accept-Encoding", "gzip")])
    assert packed.headers["Content-Encoding"] == "gzip"
    plain = await client.get("/orders")
    assert "Content-Encoding" not in plain.headers
    assert [order["orderID"] for order in plain.json["docs"]] == ["A-1", "A-2", "A-3"]
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for answer, coding in ((packed, "gzip"), (plain, "identity")):
        fields = [("If-None-Match", answer.headers["ETag"]), ("Accept-Encoding", coding)]
        assert (await client.get("/orders", headers=fields)).status == 304


async def test_links_of_express_are_those_that_callers_see(start_gateway, express):
    route = express_route(express) | {"public_url": "https://shop.example"}
    client = Client(start_gateway(make_settings(legacy=[route])).port)
    answer = await client.get("/orders")
    assert answer.json["docs"][0]["self"] == "https://shop.example/orders/A-1"


async def test_twenty_searches_by_post_cost_no_poll_of_the_list(start_gateway, express):
    route = express_route(express) | {"reads": ["POST /orders/search"], "interval_seconds": 600.0}
    client = Client(start_gateway(make_settings(legacy=[route])).port)
    await client.get("/orders")
    for _ in range(20):
        found = await sent(client, "POST", "/orders/search", {"stage": "placed"})
        assert len(found) == 3
    await client.get("/orders")
    told = await sent(Client(int(express.rpartition(":")[2])), "PUT", "/told", {})
    assert told == {"lists": 1, "searches": 20}


async def test_an_upstream_that_is_busy_says_so_itself_and_is_left_alone(start_gateway, express):
    other = Client(int(express.rpartition(":")[2]))
    await sent(other, "PUT", "/told", {"busySeconds": 3600})
    client = Client(start_gateway(make_settings(legacy=[express_route(express)])).port)
    for _ in range(20):
        answer = await client.get("/orders")
        assert (answer.status, answer.json) == (429, {"error": "too many requests"})
        assert 3590 <= int(answer.headers["Retry-After"]) <= 3600
    assert (await sent(other, "PUT", "/told", {}))["lists"] == 1


async def test_alerts_come_and_go(behind, tmp_path):
    with backends.alertmanager(tmp_path) as url:
        client = behind("alertmanager.toml", url)
        other = Client(int(url.rpartition(":")[2]))
        async with client.stream({"entity": "alert", "state": "with"}) as stream:
            assert await items_of_state(stream) == {}
            down = [{"labels": {"alertname": "Down", "job": "shop"}}]
            await sent(other, "POST", "/api/v2/alerts", down)
            created = (await stream.until("alert_created")).data
            assert created["data"]["labels"] == {"alertname": "Down", "job": "shop"}
            # The same again moves its times alone: no event comes before that of the next.
            await sent(other, "POST", "/api/v2/alerts", down)
            late = [{"labels": {"alertname": "Late", "job": "shop"}}]
            await sent(other, "POST", "/api/v2/alerts", late)
            assert (await stream.next()).data["data"]["labels"]["alertname"] == "Late"


async def test_a_target_of_prometheus_changes_its_health_and_not_with_every_scrape(behind, tmp_path):
    with backends.prometheus(tmp_path) as url:
        client = behind("alertmanager.toml", url)

        async def is_down() -> bool:
            targets = (await client.get("/api/v1/targets")).json["data"]["activeTargets"]
            return bool(targets) and targets[0]["health"] == "down"

        await eventually(is_down, "the target was scraped, and is down")
        answer = await client.get("/api/v1/sync/state", {"entity": "target"})
        (item,) = answer.json["items"]
        assert item["entityId"] == "shop:127.0.0.1%3A9"


async def test_a_migration_takes_one_event_source_from_the_first_stage_to_the_last(behind, express):
    client = behind("graphql.toml", express)
    shop = Client(int(express.rpartition(":")[2]))
    async with operator(client.port) as admin:
        await admin.make(stage="off")
        await admin.patch(stage="shadow")
        await admin.patch(stage="live", percentage=100)
        await admin.patch(stage="rampdown")
        await admin.patch(stage="complete")
    gone = await client.get("/graphql")
    assert gone.status == 410
    state = await client.get(gone.json["stateUrl"])
    assert [item["entityId"] for item in state.json["items"]] == ["A-1", "A-2", "A-3"]
    async with client.stream({"component": "orders", "state": "with"}) as stream:
        assert (await items_of_state(stream)).keys() == {"A-1", "A-2", "A-3"}
        await sent(shop, "PATCH", "/orders/A-3", {"stage": "baked"})
        assert (await stream.until("stage_change")).data["entityId"] == "A-3"


def express_route(url: str) -> dict[str, Any]:
    return {
        "component": "orders",
        "path": "/orders",
        "upstream": f"{url}/orders",
        "entity": "order",
        "items": "/docs",
        "key": "orderID",
        "shared": True,
        "interval_seconds": INTERVAL_SECONDS,
    }
