"""Clients' reports over all nodes of a log: what another node was told counts where the stream was opened."""

from collections.abc import Callable

import pytest

from flags.guard.who import Who
from tests.support.admin import ORDERS, operator
from tests.support.api import Client, eventually
from tests.support.gateway import GatewayThread, make_settings

TELEMETRY = "/api/v1/sync/telemetry"
REPORT = {"component": "orders", "mode": "streaming", "clientVersion": "2.1.0"}
STREAM = {"component": "orders", "clientVersion": "2.1.0", "attempt": "a-1"}


@pytest.fixture
def nodes(start_gateway: Callable[..., GatewayThread], log_url: str) -> list[GatewayThread]:
    """Two nodes of one log."""
    settings = make_settings(log={"url": log_url}, components={"orders": {"entities": ["order"]}})
    return [start_gateway(settings) for _ in range(2)]


async def counts(node: GatewayThread, kind: str, expected: int) -> None:
    await Client(node.port).metric_becomes(f"tidegate_telemetry_{kind}_total", expected)


async def test_a_report_counts_where_its_stream_was_opened_and_is_shown_where_it_came(nodes) -> None:
    one, other = nodes
    async with Client(one.port).stream(STREAM) as stream, operator(other.port) as admin:
        client_id = (await stream.connected()).data["clientId"]
        await Client(one.port).metric_becomes("tidegate_streams", 1)
        for names in ({"clientId": client_id, "firstEventMs": 5}, {"attempt": "a-1", "fallback": "short"}):
            assert (await admin.send("POST", TELEMETRY, REPORT | names)).status_code == 202
        await counts(one, "matched", 2)
        assert (await admin.get(f"{ORDERS}/telemetry")).json()["reports"] == {"streaming": 2}

    await counts(other, "forwarded", 2)
    for node in nodes:
        await counts(node, "unmatched", 0)
    await counts(one, "forwarded", 0)


async def test_a_report_on_no_stream_of_any_node_counts_nowhere(nodes) -> None:
    one, other = nodes
    async with Client(one.port).stream(STREAM) as stream, operator(other.port) as admin:
        await stream.connected()
        await Client(one.port).metric_becomes("tidegate_streams", 1)
        for attempt in ("made-up", "a-1"):
            report = REPORT | {"attempt": attempt, "fallback": "error"}
            assert (await admin.send("POST", TELEMETRY, report)).status_code == 202
        # What one node says comes in order: the one before it was heard too.
        await counts(one, "matched", 1)
    await counts(other, "forwarded", 2)


HERE = Who("a:127.0.0.1", "127.0.0.1").source


async def test_software_that_has_reported_to_one_node_is_known_to_all(nodes) -> None:
    one, other = nodes
    # Of all who come from this machine: none of them proves who it is.
    reporters = one.parts.migration.telemetry.reporters
    assert not one.call(lambda: reporters.knows(["2.1.0"], HERE))
    async with operator(other.port) as admin:
        assert (await admin.send("POST", TELEMETRY, REPORT | {"clientId": "c1"})).status_code == 202

        async def is_known() -> bool:
            return bool(one.call(lambda: reporters.knows(["2.1.0"], HERE)))

        await eventually(is_known, "the other node has heard of it")
