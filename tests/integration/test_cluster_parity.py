"""Push beside polling where nodes share a log: one of them compares a route, and says so."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.admin import operator
from tests.support.api import Client, eventually
from tests.support.cluster import flags_in
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.parity import PARITY
from tests.support.upstream import Upstream, takes_writes

INTERVAL_SECONDS = 0.05
SETTLE_SECONDS = 0.2


@pytest.fixture
async def nodes(
    start_gateway: Callable[..., GatewayThread], log_url: str, backend: Upstream
) -> list[GatewayThread]:
    """Two that share a log and the flags, with component `orders` in shadow."""
    backend.says(listed(order("A", orderStage="0")))
    route = route_settings(
        backend.url,
        INTERVAL_SECONDS,
        events="external",
        changes={},
        parity={"settle_seconds": SETTLE_SECONDS},
    )
    settings = {"log": {"url": log_url}, "flags": {"store": flags_in(log_url)}, "legacy": [route]}
    nodes = [start_gateway(make_settings(**settings)) for _ in range(2)]
    async with operator(nodes[0].port) as admin:
        await admin.make(stage="shadow", checkRatio=1)
    return nodes


async def parity_of(node: GatewayThread) -> dict[str, Any]:
    async with operator(node.port) as admin:
        answer = await admin.get(PARITY)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def polled(nodes: list[GatewayThread]) -> list[dict[str, Any]]:
    """A caller polls at every node; what each says of parity afterwards."""
    for node in nodes:
        assert (await Client(node.port).get(PATH)).status == 200
    return [await parity_of(node) for node in nodes]


async def one_compares(nodes: list[GatewayThread]) -> int:
    """Waits until one node has compared since it began, and no other says that it compares; which it is."""
    found: list[bool] = []

    async def holds() -> bool:
        said = await polled(nodes)
        found[:] = [bool((answer["comparedBy"] or {}).get("here")) for answer in said]
        return sum(found) == 1 and said[found.index(True)]["samples"] > 0

    await eventually(holds, "one node compares")
    return found.index(True)


async def proves(node: GatewayThread, nodes: list[GatewayThread], backend: Upstream) -> dict[str, Any]:
    """Changes the order, and pushes that, until the node says how consistent that is; its answer."""
    answer: dict[str, Any] = {}
    stage = 0

    async def holds() -> bool:
        nonlocal stage
        answer.update((await polled(nodes))[nodes.index(node)])
        if answer["consistency"] is None:
            stage += 1
            changed = order("A", orderStage=f"{node.port} {stage}")
            backend.says(listed(changed))
            await Client(node.port).publish(
                {
                    "eventType": "changed",
                    "entityType": "order",
                    "entityId": "A",
                    "action": "update",
                    "data": changed,
                }
            )
        return answer["consistency"] is not None

    await eventually(holds, "push and poll are compared")
    return answer


async def test_one_node_compares_and_the_next_one_begins_anew_when_the_lease_comes(
    nodes: list[GatewayThread], backend: Upstream
) -> None:
    holder = await one_compares(nodes)
    node, other = nodes[holder], nodes[1 - holder]
    answer = await proves(node, nodes, backend)
    assert answer["comparedBy"]["begunAnew"] == "lease"

    said = await parity_of(other)
    assert said["comparedBy"] == {"here": False, "since": said["comparedBy"]["since"], "begunAnew": None}
    # It may have had the lease for a moment; that proves nothing.
    assert said["consistency"] is None
    assert said["samples"] or said["reason"] == "not compared yet"

    node.stop()
    assert await one_compares([other]) == 0
    answer = await proves(other, [other], backend)
    assert answer["comparedBy"]["begunAnew"] == "lease"
    assert answer["comparedBy"]["since"] >= said["comparedBy"]["since"]


async def test_a_write_through_another_node_leaves_the_comparing_where_it_is(
    nodes: list[GatewayThread], backend: Upstream
) -> None:
    holder = await one_compares(nodes)
    before = (await parity_of(nodes[holder]))["comparedBy"]
    backend.answering = takes_writes(backend.answering)
    writer = Client(nodes[1 - holder].port)
    for _ in range(3):
        assert (await writer.request("POST", PATH, body=b"")).status == 200
        assert await one_compares(nodes) == holder
    assert (await parity_of(nodes[holder]))["comparedBy"] == before
