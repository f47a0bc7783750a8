"""adapters/upstream/outages.py: what log lines say of upstreams that fail."""

from typing import Any

import pytest
from aiohttp import ClientError
from yarl import URL

from adapters.upstream.failures import BadAnswer, NoAnswer
from adapters.upstream.outages import CALM_SECONDS, RouteOutages, Server, address_of, servers_of
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.ports.legacy_route import LegacyRoute
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route

ADDRESS = "http://127.0.0.1:9000"
ROUTES = [legacy_route(path=f"/api/{name}", upstream=f"{ADDRESS}/{name}?tenant=7") for name in "ab"]
TIMEOUT = UpstreamTimeout("The upstream did not answer within 10 s.")


class Upstreams:
    """Two routes that lead to one server."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        (self.server,) = servers_of(ROUTES, clock.monotonic).values()
        self.a, self.b = (self.outages(route, self.server) for route in ROUTES)

    def outages(self, route: LegacyRoute, server: Server) -> RouteOutages:
        return RouteOutages(route, server, self.clock.monotonic)


@pytest.fixture
def upstreams(clock: ManualClock) -> Upstreams:
    return Upstreams(clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    """The lines so far: each event's name and its kind."""
    return [(record.getMessage(), fields_of(record).get("kind")) for record in caplog.records]


def fields_of(record: Any) -> dict[str, Any]:
    fields: dict[str, Any] = record.fields
    return fields


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")


def test_a_server_that_is_down_is_one_outage_for_all_of_its_routes(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(13):
        for route in (upstreams.a, upstreams.b):
            route.failed(NoAnswer("refused"))
        upstreams.clock.advance(5.0)
    upstreams.a.over()
    upstreams.b.over()

    assert lines(caplog) == [
        ("upstream_failed", "refused"),
        ("upstream_still_failing", "refused"),
        ("upstream_recovered", None),
    ]
    end = fields_of(caplog.records[-1])
    assert (end["outage_seconds"], end["failures"]) == (65.0, 26)


def test_a_line_names_the_address_the_route_and_what_happened(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    error = NoAnswer("tls")
    error.__cause__ = ClientError()
    upstreams.a.failed(error)

    (record,) = caplog.records
    assert fields_of(record) == {
        "address": ADDRESS,
        "component": "orders",
        "path": "/api/a",
        "kind": "tls",
        "detail": error.detail,
        "cause": "ClientError",
    }


def test_the_outage_lasts_until_every_route_that_had_it_is_answered(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.a.failed(TIMEOUT)
    for _ in range(3):
        upstreams.b.over()
    assert lines(caplog) == [("upstream_failed", "timeout")]

    upstreams.a.over()
    assert lines(caplog)[1:] == [("upstream_recovered", None)]


def test_a_route_that_nobody_asks_for_any_more_does_not_keep_the_outage(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.a.failed(TIMEOUT)
    upstreams.b.failed(TIMEOUT)
    upstreams.a.rest()
    upstreams.b.over()

    assert lines(caplog) == [("upstream_failed", "timeout"), ("upstream_recovered", None)]


def test_a_bad_answer_is_the_routes_own_trouble(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.a.failed(BadAnswer("not_json", "The upstream's answer is not JSON."))
    upstreams.b.failed(BadAnswer("status", "The upstream answered with status 500."))
    upstreams.b.over()

    assert [(record.getMessage(), fields_of(record)["path"]) for record in caplog.records] == [
        ("upstream_failed", "/api/a"),
        ("upstream_failed", "/api/b"),
        ("upstream_recovered", "/api/b"),
    ]
    assert fields_of(caplog.records[0])["address"] == ADDRESS


def test_an_answer_that_is_served_and_not_compared_is_told_once_for_as_long_as_it_lasts(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for _ in range(100):
            upstreams.a.unusable(BadAnswer("not_json", "The upstream's answer is not JSON."))
            upstreams.clock.advance(5.0)
        upstreams.a.over()

    assert lines(caplog) == 2 * [("upstream_failed", "not_json"), ("upstream_recovered", None)]


def test_an_answer_that_is_not_compared_is_told_also_where_it_soon_comes_again(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        upstreams.a.unusable(BadAnswer("not_json", "The upstream's answer is not JSON."))
        upstreams.a.over()
    for _ in range(3):
        upstreams.a.unusable(BadAnswer("not_json", "The upstream's answer is not JSON."))
        upstreams.clock.advance(CALM_SECONDS)

    assert lines(caplog) == [
        ("upstream_failed", "not_json"),
        ("upstream_recovered", None),
        ("upstream_failed", "not_json"),
    ]


def test_an_answer_that_can_not_be_used_shows_that_the_server_is_back(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.a.failed(NoAnswer("refused"))
    upstreams.a.failed(BadAnswer("status", "The upstream answered with status 503."))

    assert lines(caplog) == [
        ("upstream_failed", "refused"),
        ("upstream_recovered", None),
        ("upstream_failed", "status"),
    ]


def test_that_another_node_has_no_answer_says_nothing_of_the_server(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.a.failed(NoAnswer("refused"))
    upstreams.a.failed(UpstreamError("The node that asks the upstream has had no answer for 9 s."))

    assert lines(caplog) == [("upstream_failed", "refused"), ("upstream_failed", "elsewhere")]


def test_forwarded_requests_that_fail_now_and_then_are_one_outage(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        upstreams.server.forward_failed(ROUTES[0], NoAnswer("reset"))
        upstreams.server.forwarded()
        upstreams.clock.advance(CALM_SECONDS - 1)
        upstreams.server.forwarded()
    upstreams.clock.advance(1.0)
    upstreams.server.forwarded()

    assert lines(caplog)[0] == ("upstream_failed", "reset")
    assert lines(caplog)[-1] == ("upstream_recovered", None)
    assert set(lines(caplog)[1:-1]) == {("upstream_still_failing", "reset")}
    assert len(lines(caplog)) == 4


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://backend/orders", "http://backend:80"),
        ("https://backend/orders?key=secret", "https://backend:443"),
        ("http://[::1]:9000/orders", "http://[::1]:9000"),
    ],
)
def test_an_address_is_scheme_host_and_port(url: str, address: str) -> None:
    assert address_of(URL(url)) == address
