"""`/healthz`, `/readyz` and `/metrics` (protocol, section 11)."""

import platform
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.version import __version__
from tests.support.api import Client, assert_problem, event, eventually
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.upstream import upstream

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_gateway_that_serves_is_healthy_and_ready(client, path):
    response = await client.get(path)

    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("needed", [False, True])
async def test_an_upstream_that_fails_is_a_warning_or_on_demand_a_503_for_as_long_as_it_is_asked(
    start_gateway, needed
):
    async with upstream() as backend:
        backend.says(b"{}", status=500)
        route = {
            "component": "orders",
            "path": "/api/v1/orders",
            "upstream": backend.url,
            "entity": "order",
            "items": "/docs",
            "key": "orderID",
            "interval_seconds": 0.1,
            "shared": True,
        }
        settings = make_settings(server={"ready_needs_upstreams": needed}, legacy=[route])
        client = Client(start_gateway(settings).port)
        before = await client.get("/readyz")
        async with client.stream({"entity": "order"}) as stream:
            await stream.connected()
            await backend.was_asked(1)
            failing = await readiness(client, "/api/v1/orders")
            backend.says(b'{"docs":[]}')
            await readiness(client)
            backend.says(b"{}", status=500)
            await readiness(client, "/api/v1/orders")
        await readiness(client)

    assert before.json == {"status": "ready", "warnings": []}
    if needed:
        assert_problem(failing, 503)
        [sentence] = failing.json["reasons"]
    else:
        assert (failing.status, failing.json["status"]) == (200, "ready")
        [sentence] = failing.json["warnings"]
    assert sentence.startswith("The upstream of /api/v1/orders fails: ")


async def readiness(client, named=None):
    """The answer of `/readyz`, once it names that path; with none, once it has nothing to say."""
    found = []

    async def holds():
        found.append(await client.get("/readyz"))
        said = found[-1].json.get("reasons") or found[-1].json.get("warnings")
        return not said if named is None else bool(said) and named in said[0]

    await eventually(holds, f"/readyz names {named}")
    return found[-1]


async def test_the_metrics_are_prometheus_text_with_help_for_each(client):
    response = await client.get("/metrics")
    families = list(text_string_to_metric_families(response.body.decode()))

    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert all(family.documentation for family in families)
    assert {"tidegate_streams", "tidegate_history_events"} <= {family.name for family in families}


@EVERY_WAY
async def test_the_metrics_follow_what_happens(client):
    async with client.stream() as one, client.stream({"entity": "order"}) as other:
        for stream in (one, other):
            await stream.connected()
        await client.publish(event(1), {"eventType": "notice"})
        await one.take(2)
        await other.take(1)
        during = {name: await client.metric(f"tidegate_{name}") for name in ("streams", "groups")}
    await client.metric_becomes("tidegate_streams", 0)
    await client.metric_becomes("tidegate_groups", 0)

    assert during == {"streams": 2, "groups": 2}
    assert await client.metric("tidegate_history_events") == 2
    assert await client.metric("tidegate_streams_opened_total") == 2
    assert await client.metric("tidegate_published_events_total") == 2
    assert await client.metric("tidegate_publish_requests_total") == 1
    assert await client.metric("tidegate_deliveries_total") == 3
    assert await client.metric("tidegate_unflushed_events") == 0


async def test_the_histograms_follow_answers_and_events(client):
    async with client.stream({"entity": "order"}) as stream:
        await stream.connected()
        await client.publish(event(1))
        await stream.take(1)
    await client.get("/api/v1/sync/poll", {"limit": "0"})
    await client.request("PROPFIND", "/nowhere")

    async def answers(**labels):
        return await client.metric("tidegate_http_request_seconds_count", **labels)

    events = "/api/v1/sync/events"
    assert await answers(route=events, method="POST", status="201") == 1
    assert await answers(route="/api/v1/sync/poll", method="GET", status="400") == 1
    assert await answers(route="none", method="other", status="404") == 1
    text = (await client.get("/metrics")).body.decode()
    assert f'route="{events}",status="200"' not in text, "a stream is no answer with an end"
    assert await client.metric("tidegate_push_lag_seconds_count") == 1
    assert await client.metric("tidegate_delivery_seconds_count") == 1


async def test_the_metrics_say_which_gateway_this_is_and_what_its_process_takes(client):
    python = platform.python_version()
    assert await client.metric("tidegate_build_info", version=__version__, python=python) == 1
    assert await client.metric("process_resident_memory_bytes") > 10_000_000
    assert await client.metric("process_open_fds") > 0


async def test_a_refused_request_is_counted_by_its_problem(client):
    await client.get("/api/v1/sync/poll", {"limit": "0"})
    await client.get("/nowhere")

    assert await client.metric("tidegate_problems_total", problem="bad-parameter") == 1
    assert await client.metric("tidegate_problems_total", problem="http") == 1


def documented(metric: str) -> bool:
    """Whether the manual names it: whole, by its end after a `…`, or with others as `tidegate_upstream_*`."""
    ends = re.findall(r"`…(_\w+)", OPERATIONS)
    starts = re.findall(r"`(tidegate_\w+_|process_)\*`", OPERATIONS)
    return (
        re.search(rf"`{metric}\b", OPERATIONS) is not None
        or metric.endswith(tuple(ends))
        or metric.startswith(tuple(starts))
    )


async def test_the_operators_manual_has_every_metric(client):
    text = (await client.get("/metrics")).body.decode()
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(text)
    }

    assert len(names) > 40
    assert {name for name in names if not documented(name)} == set()
