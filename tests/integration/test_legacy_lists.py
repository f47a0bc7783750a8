"""Routes of many lists: one for each query, and for each path, that somebody asks for."""

import asyncio
from collections import Counter

import orjson
import pytest
from aiohttp import web

from tests.support.legacy import PATH, legacy_route, listed, order
from tests.support.loop import in_time
from tests.support.upstream import Answering, Got, Upstream, in_front_of, plain, upstream
from tests.support.wanted_rows import Rows

pytestmark = pytest.mark.usefixtures("way_in")

NEVER = 3600.0
"""An interval in which no test comes to a second poll."""
CUSTOMERS = "/api/v1/customers/{customer}/orders"


def by_target() -> Answering:
    """Lists one order that says what was asked for."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=listed(order("A", target=request.raw_path)), content_type="application/json")

    return answer


def target_of(body: bytes) -> str:
    (only,) = orjson.loads(body)["docs"]
    return str(only["target"])


@pytest.fixture
async def backend():
    async with upstream() as backend:
        backend.answering = by_target()
        yield backend


def targets(backend: Upstream) -> Counter[str]:
    return Counter(asked.target for asked in backend.asked)


def of_customers(backend: Upstream) -> dict[str, object]:
    return {"path": CUSTOMERS, "upstream_url": backend.url.removesuffix("/orders") + "/c/{customer}/orders"}


async def test_500_pollers_of_20_queries_cost_20_requests_an_interval(backend, clock):
    varying = {"vary_query": ("status",), "ignore_query": ("_",), "interval_seconds": NEVER}
    async with in_front_of(backend.url, clock, **varying) as gateway:
        queries = [f"?status={number % 20}&_={number}" for number in range(500)]
        answers = await asyncio.gather(*(gateway.request("GET", PATH + query) for query in queries))
        for number, answer in enumerate(answers):
            assert answer.status == 200
            assert target_of(answer.body) == f"/orders?status={number % 20}"
    assert targets(backend) == {f"/orders?status={number}": 1 for number in range(20)}


async def test_a_query_that_does_not_matter_is_that_of_the_path(backend, clock):
    async with in_front_of(backend.url, clock, ignore_query=("_",), interval_seconds=NEVER) as gateway:
        for number in range(10):
            answer = await gateway.request("GET", f"{PATH}?_={number}")
            assert target_of(answer.body) == "/orders"
        assert answer.cache_status == "tidegate; hit"
        assert (await gateway.request("HEAD", f"{PATH}?_=x")).headers["ETag"] == answer.headers["ETag"]
    assert targets(backend) == {"/orders": 1}


@pytest.mark.parametrize("query", ["?other=1", "?status=a&other=1", "?status=%zz", "?STATUS=a"])
async def test_any_other_query_goes_through_as_it_came(backend, clock, query):
    async with in_front_of(backend.url, clock, vary_query=("status",), interval_seconds=NEVER) as gateway:
        answer = await gateway.request("GET", PATH + query)
        assert target_of(answer.body) == "/orders" + query
        assert answer.cache_status == "tidegate; fwd=bypass"


async def test_a_list_of_a_query_has_its_own_tag_and_no_events(backend, clock):
    async with in_front_of(
        backend.url, clock, vary_query=("status",), interval_seconds=0.02, wanted=lambda entity: True
    ) as gateway:
        await gateway.get()
        one = await gateway.request("GET", f"{PATH}?status=a")
        other = await gateway.request("GET", f"{PATH}?status=b")
        assert one.headers["ETag"] != other.headers["ETag"]
        same = await gateway.request(
            "GET", f"{PATH}?status=a", headers={"If-None-Match": one.headers["ETag"]}
        )
        assert (same.status, same.headers["ETag"]) == (304, one.headers["ETag"])
        backend.says(listed(order("B")))
        asked = targets(backend)["/orders?status=a"]

        async def shown() -> bool:
            return (await gateway.request("GET", f"{PATH}?status=a")).body == listed(order("B"))

        async with asyncio.timeout(60):
            while not await shown():
                pass
        assert targets(backend)["/orders?status=a"] > asked
        events = await gateway.next_events(2)
        assert [(event.event_type, event.entity_id) for event in events[:2]] == [
            ("order_deleted", "A"),
            ("order_created", "B"),
        ]
        assert len(await gateway.events()) == 2


async def test_a_query_that_nobody_asks_for_any_more_is_asked_no_longer(backend, clock):
    async with in_front_of(backend.url, clock, vary_query=("status",), interval_seconds=0.02) as gateway:
        await gateway.request("GET", f"{PATH}?status=a")
        await backend.was_asked(2)
        clock.advance(60)
        await in_time(lambda: gateway.source.list_counts() == {PATH: 1}, "the list is dropped")
        assert (await gateway.request("GET", f"{PATH}?status=a")).status == 200


async def test_over_the_bound_requests_go_through(backend, clock):
    async with in_front_of(
        backend.url, clock, vary_query=("page",), max_variants=5, interval_seconds=NEVER
    ) as gateway:
        for number in range(300):
            answer = await gateway.request("GET", f"{PATH}?page={number}")
            assert target_of(answer.body) == f"/orders?page={number}"
            assert answer.cache_status == ("tidegate; fwd=miss" if number < 5 else "tidegate; fwd=bypass")
        assert gateway.source.list_counts() == {PATH: 6}
        assert gateway.source.counters[PATH].lists_refused == 295


async def test_after_a_write_no_list_of_the_route_is_answered_from_what_it_had(backend, clock):
    async with in_front_of(backend.url, clock, vary_query=("status",), interval_seconds=NEVER) as gateway:
        for query in ("", "?status=a", "?status=b"):
            await gateway.request("GET", PATH + query)
        backend.answering = takes_writes(backend.answering, lambda: backend.says(listed(order("B"))))
        assert (await gateway.request("POST", f"{PATH}/17", data=b"{}")).status == 200
        for query in ("", "?status=a"):
            assert (await gateway.request("GET", PATH + query)).body == listed(order("B"))
    # The list that nobody asked for again was not asked for, either.
    assert targets(backend) == {"/orders": 2, "/orders?status=a": 2, "/orders?status=b": 1, "/orders/17": 1}


def takes_writes(reading: Answering, written) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return await reading(request)
        written()
        return web.Response()

    return answer


async def test_each_path_that_somebody_asks_for_has_a_list(backend, clock):
    async with in_front_of(clock=clock, interval_seconds=NEVER, **of_customers(backend)) as gateway:
        for _ in range(3):
            for customer in ("7", "8", "a%20b", "%C3%A9", "%7Bcustomer%7D"):
                answer = await gateway.request("GET", CUSTOMERS.replace("{customer}", customer))
                assert target_of(answer.body) == f"/c/{customer}/orders"
        # The customer of the last one is called "{customer}".
        assert "filter=customer=eq.%22%7Bcustomer%7D%22" in answer.headers["Link"]
        assert answer.cache_status == "tidegate; hit"
        encoded = await gateway.request("GET", "/api/v1/customers/%37/orders")
        assert encoded.cache_status == "tidegate; hit"
    assert set(targets(backend).values()) == {1}


async def test_paths_have_lists_of_queries_too(backend, clock):
    async with in_front_of(
        clock=clock, interval_seconds=NEVER, vary_query=("status",), **of_customers(backend)
    ) as gateway:
        for _ in range(2):
            for target in ("7/orders", "7/orders?status=a", "8/orders?status=a"):
                answer = await gateway.request("GET", f"/api/v1/customers/{target}")
                assert target_of(answer.body) == f"/c/{target}"
        assert gateway.source.list_counts() == {CUSTOMERS: 3}
    assert set(targets(backend).values()) == {1}


@pytest.mark.parametrize(
    "customer", ["", "a%2Fb", "a%252Fb", "%zz", "%00", "%FF", ".", "x" * 300, "a%5Cb", "a;b"]
)
async def test_a_step_that_names_no_list_goes_through_as_it_came(backend, clock, customer):
    async with in_front_of(clock=clock, interval_seconds=NEVER, **of_customers(backend)) as gateway:
        answer = await gateway.request("GET", f"/api/v1/customers/{customer}/orders")
        assert target_of(answer.body) == f"/c/{customer}/orders"
        assert answer.cache_status == "tidegate; fwd=bypass"
        assert "filter" not in answer.headers["Link"]


@pytest.mark.parametrize("customer", ["..", "%2e%2e", "%252e%252e", "..%2F..", "a%2F..%2Fb", "a%5C..%5Cb"])
async def test_a_step_that_leads_elsewhere_is_refused(backend, clock, customer):
    async with in_front_of(clock=clock, interval_seconds=NEVER, **of_customers(backend)) as gateway:
        answer = await gateway.request("GET", f"/api/v1/customers/{customer}/orders")
        assert answer.status == 400
    assert backend.asked == []


async def test_a_path_s_value_may_stand_in_the_query_of_the_upstream(backend, clock):
    def at(customer: str) -> str:
        return CUSTOMERS.replace("{customer}", customer)

    url = f"{backend.url}?key=of-the-poll&customer={{customer}}"
    backend.says(listed(order("A")))
    async with in_front_of(url, clock, path=CUSTOMERS) as one:
        await one.request("GET", at("a%26x=1"))
        await one.request("GET", at("a&x=1") + "?status=open")
        await one.request("POST", at("7"), data=b"{}")
    assert [asked.target for asked in backend.asked[:3]] == [
        "/orders?key=of-the-poll&customer=a%26x%3D1",
        "/orders?customer=a%26x%3D1&status=open",
        "/orders?customer=7",
    ]


async def test_what_is_below_a_path_goes_through_with_its_values(backend, clock):
    async with in_front_of(clock=clock, interval_seconds=NEVER, **of_customers(backend)) as gateway:
        answer = await gateway.request("GET", "/api/v1/customers/a%20b/orders/17%2F1?x=1")
        assert target_of(answer.body) == "/c/a%20b/orders/17%2F1?x=1"
        answer = await gateway.request("GET", "/api/v1/customers/a%20b/orders?x=1")
        assert "filter=customer=eq.%22a%20b%22&lastEventId=" in answer.headers["Link"]


async def test_a_route_that_is_not_shared_goes_through_with_its_values(backend, clock):
    async with in_front_of(
        clock=clock, interval_seconds=NEVER, shared=False, **of_customers(backend)
    ) as gateway:
        for method in ("GET", "POST"):
            answer = await gateway.request(method, "/api/v1/customers/a%20b/orders?x=1")
            assert target_of(answer.body) == "/c/a%20b/orders?x=1"


async def test_a_plain_path_comes_before_one_with_parameters_and_more_steps_before_fewer(backend, clock):
    base = backend.url.removesuffix("/orders")
    routes = {
        "/api/v1/customers/vip/orders": "/vip",
        "/api/v1/customers/{customer}/{what}": "/any/{customer}/{what}",
        "/api/v1/customers": "/customers",
    }
    beside = [
        legacy_route(path=path, upstream=base + target, events="none") for path, target in routes.items()
    ]
    async with in_front_of(
        clock=clock, interval_seconds=NEVER, beside=beside, **of_customers(backend)
    ) as gateway:
        for path, target in {
            "vip/orders": "/vip",
            "7/orders": "/c/7/orders",
            "vip/invoices": "/any/vip/invoices",
            "7": "/customers/7",
        }.items():
            answer = await gateway.request("GET", f"/api/v1/customers/{path}")
            assert target_of(answer.body) == target


async def test_however_many_paths_are_asked_for_there_are_as_many_lists_as_configured(backend, clock):
    async with in_front_of(
        clock=clock, interval_seconds=NEVER, max_variants=20, **of_customers(backend)
    ) as gateway:
        for number in range(2_000):
            answer = await gateway.request("GET", f"/api/v1/customers/{number}/orders")
            assert target_of(answer.body) == f"/c/{number}/orders"
        assert gateway.source.list_counts() == {CUSTOMERS: 20}


async def test_a_list_that_was_dropped_for_others_tells_its_gap(backend, clock):
    async with in_front_of(
        clock=clock, interval_seconds=0.02, max_variants=1, **of_customers(backend)
    ) as gateway:

        async def through_a_list(customer: str) -> Got:
            async with asyncio.timeout(60):
                while True:
                    answer = await gateway.request("GET", f"/api/v1/customers/{customer}/orders")
                    if "bypass" not in answer.cache_status:
                        return answer

        for customer in "78":
            assert (await through_a_list(customer)).status == 200
            clock.advance(60)
        works, backend.answering = backend.answering, plain(b"", status=503)
        assert (await through_a_list("7")).status == 503
        assert await gateway.events() == []
        backend.answering = works
        clock.advance(60)
        assert (await through_a_list("7")).status == 200
        (gap,) = await gateway.events()
        assert (gap.event_type, gap.action, gap.entity_type, gap.entity_id) == (
            "poll_gap",
            "signal",
            "order",
            "7",
        )
        assert gap.data == {"customer": "7", "path": "/api/v1/customers/7/orders"}


@pytest.mark.parametrize(
    ("status", "state"), [(404, "connected"), (422, "connected"), (500, "down"), (401, "down")]
)
async def test_that_there_is_no_such_list_is_the_callers_to_hear_and_no_outage(
    backend, clock, caplog, status, state
):
    async with in_front_of(clock=clock, interval_seconds=NEVER, **of_customers(backend)) as gateway:
        await gateway.request("GET", "/api/v1/customers/7/orders")
        backend.says(b"nothing here", status=status)
        for customer in range(20, 30):
            answer = await gateway.request("GET", f"/api/v1/customers/{customer}/orders")
            assert (answer.status, answer.body) == (status, b"nothing here")
        (health,) = gateway.source.health()
        assert health.state == state
        assert gateway.source.counters[CUSTOMERS].bad_answers == {"status": 10}
    # The lists of a route share one outage.
    assert caplog.text.count("upstream_failed") == (state == "down")


async def test_an_upstream_that_is_down_is_one_outage_whatever_list_is_asked_for(clock, caplog):
    async with in_front_of(
        "http://127.0.0.1:1/c/{customer}/orders", clock, path=CUSTOMERS, interval_seconds=NEVER
    ) as gateway:
        for customer in range(10):
            assert (await gateway.request("GET", f"/api/v1/customers/{customer}/orders")).status == 502
    assert caplog.text.count("upstream_failed") == 1


async def test_each_item_has_the_paths_value_and_so_has_its_event(backend, clock):
    rows = Rows()
    async with in_front_of(clock=clock, interval_seconds=0.02, rows=rows, **of_customers(backend)) as gateway:
        backend.says(listed(order("A", orderStage="0")))
        rows.want("7")
        gateway.source.wake()
        await backend.was_asked(2)
        backend.says(listed(order("A", orderStage="1")))
        (event, *_) = await gateway.next_events(1)
        assert event.event_type == "stage_change"
        assert event.data is not None
        assert event.data["customer"] == "7"
