"""Figures that are summed over the nodes and workers of one log, whichever of them answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.admin import ORDERS, operator
from tests.support.api import POLL, Client, eventually
from tests.support.cluster import shared_log, toml
from tests.support.command import run
from tests.support.gateway import GatewayThread, ServedGateway, make_settings

COMPONENTS = {"orders": {"entities": ["order"]}}
ASKED = {"component": "orders"}


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    async with shared_log("postgres") as url:
        yield url


async def polled(port: int, label: str, count: int = 1) -> None:
    """So many polls of software of that name, each over a connection of its own."""
    headers = [("Tidegate-Client", label)]
    answers = await asyncio.gather(*(Client(port).get(POLL, ASKED, headers=headers) for _ in range(count)))
    assert {answer.status for answer in answers} == {200}


async def figures(port: int, name: str = "pollers", query: str = "") -> Any:
    async with operator(port) as admin:
        response = await admin.get(f"{ORDERS}/{name}{query}")
        assert response.status_code == 200, response.text
        return response.json()


async def sums(port: int, wanted: dict[str, int], gone: int = 0) -> None:
    """Waits until the node answers with these pollers of all, and so many nodes that are gone."""

    async def holds() -> bool:
        answer = await figures(port)
        found = {poller["client"]: poller["polls"] for poller in answer["pollers"]}
        return found == wanted and sum(node["gone"] for node in answer["nodes"]) == gone

    await eventually(holds, f"the sum is {wanted}, with {gone} gone")


def start(start_gateway: Callable[..., GatewayThread], url: str) -> GatewayThread:
    return start_gateway(make_settings(log={"url": url}, components=COMPONENTS))


async def test_who_polls_at_one_node_is_in_the_answer_of_any(start_gateway, log_url):
    nodes = [start(start_gateway, log_url) for _ in range(2)]
    await polled(nodes[0].port, "web/1", 3)
    await polled(nodes[1].port, "web/1", 2)
    await polled(nodes[1].port, "app/2")
    for node in nodes:
        await sums(node.port, {"web/1": 5, "app/2": 1})
    answer = await figures(nodes[0].port, query="?nodes=true")
    assert sorted(each["polls"] for each in answer["byNode"].values()) == [3, 3]
    assert set(answer["byNode"]) == {node["name"] for node in answer["nodes"]}
    assert not any(node["gone"] for node in answer["nodes"])


async def test_what_clients_said_to_one_node_is_in_the_answer_of_any(start_gateway, log_url):
    nodes = [start(start_gateway, log_url) for _ in range(2)]
    report = {
        "clientId": "c1",
        "component": "orders",
        "mode": "polling",
        "clientVersion": "2",
        "fallback": "mute",
    }
    for node in nodes:
        async with operator(node.port) as admin:
            assert (await admin.send("POST", "/api/v1/sync/telemetry", report)).status_code == 202
    for node in nodes:

        async def holds(port: int = node.port) -> bool:
            answer = await figures(port, "telemetry")
            return bool((answer["reports"], answer["fallbacks"]) == ({"polling": 2}, {"mute": 2}))

        await eventually(holds, "both reports are in the sum")
    parity = await figures(nodes[0].port, "parity")
    assert (parity["reason"], len(parity["nodes"])) == ("no shared route", 2)


async def test_a_query_that_is_neither_is_refused(start_gateway, postgres_url):
    node = start(start_gateway, postgres_url)
    async with operator(node.port) as admin:
        assert (await admin.get(f"{ORDERS}/pollers?nodes=all")).status_code == 400


async def test_a_node_that_is_killed_stays_in_the_sum_and_is_named_gone(serve, postgres_url):
    config = toml(log={"url": postgres_url}, **{"components.orders": COMPONENTS["orders"]})
    killed, other = [await asyncio.to_thread(serve, config) for _ in range(2)]
    await polled(killed.port, "web/1", 3)
    await polled(other.port, "app/2", 2)
    await sums(other.port, {"web/1": 3, "app/2": 2})
    killed.kill()
    await sums(other.port, {"web/1": 3, "app/2": 2}, gone=1)
    _, out, _ = await run("flags", "pollers", "orders", "--url", f"http://127.0.0.1:{other.port}", "--nodes")
    assert "summed over 2 nodes, of which" in out
    assert out.count("polls, ") == 3
    again = await asyncio.to_thread(serve, config)
    await sums(again.port, {"web/1": 3, "app/2": 2}, gone=1)


async def test_one_that_ends_in_order_is_gone_at_once(serve, postgres_url):
    config = toml(log={"url": postgres_url}, **{"components.orders": COMPONENTS["orders"]})
    ended, other = [await asyncio.to_thread(serve, config) for _ in range(2)]
    await polled(ended.port, "web/1")
    ended.terminate()
    assert await ended.exit_code() == 0
    answer = await figures(other.port)
    assert [node["gone"] for node in answer["nodes"]] == [False, True]
    assert answer["polls"] == 1


async def test_several_workers_answer_as_one(serve: Callable[[str], ServedGateway], tmp_path: Path):
    async with shared_log("redis") as url:
        config = toml(server={"workers": 3}, log={"url": url}, **{"components.orders": COMPONENTS["orders"]})
        gateway = await asyncio.to_thread(serve, config)
        await polled(gateway.port, "web/1", 24)
        for _ in range(8):
            await sums(gateway.port, {"web/1": 24})

        async def each_has_its_own() -> bool:
            # Any worker answers, also one that knows of the others what they said a second ago.
            answer = await figures(gateway.port, query="?nodes=true")
            names = sorted(node["name"].rpartition(" worker ")[2] for node in answer["nodes"])
            polls = sum(each["polls"] for each in answer["byNode"].values())
            return (names, polls) == (["1", "2", "3"], 24)

        await eventually(each_has_its_own, "the workers' own figures are those of the sum")

        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(gateway.process.pid).children()[0].kill()
        await sums(gateway.port, {"web/1": 24}, gone=1)
