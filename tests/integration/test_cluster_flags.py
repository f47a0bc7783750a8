"""Flags and callers' choices in the log's server: what one node is told, all decide by."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.admin import FLAGS, operator
from tests.support.admin import ORDERS as ORDERS_FLAG
from tests.support.api import Client, Stream, event, eventually
from tests.support.cluster import breakable, flags_in, toml
from tests.support.command import run
from tests.support.gateway import GatewayThread, make_settings
from tests.support.migration import FETCH_MODE

PREFERENCE = "/api/v1/sync/preference"
ORDERS = {"component": "orders"}


@pytest.fixture
def start_node(start_gateway: Callable[..., GatewayThread]) -> Callable[[str], GatewayThread]:
    """Starts a node of component `orders`, which owns orders, with its flags in the log's server."""

    def start(url: str) -> GatewayThread:
        return start_gateway(
            make_settings(
                log={"url": url},
                flags={"store": flags_in(url)},
                components={"orders": {"entities": ["order"]}},
            )
        )

    return start


async def decides(client: Client, *, user: str = "u42", **wanted: str) -> None:
    """Waits until the node's decision has these members."""

    async def holds() -> bool:
        answer = (await client.get(FETCH_MODE, ORDERS | {"clientId": user})).json
        return bool(wanted.items() <= answer.items())

    await eventually(holds, f"the node decides {wanted}")


async def test_a_change_on_one_node_is_decided_on_another_and_reaches_its_streams(start_node, log_url):
    one, other = Client(start_node(log_url).port), Client(start_node(log_url).port)
    async with operator(one.port) as admin, AsyncExitStack() as stack:
        await admin.make(stage="rampdown")
        await decides(other, mode="streaming", stage="rampdown")
        stream = await stack.enter_async_context(other.stream(ORDERS))
        assert (await stream.connected()).data["modes"] == {"orders": "streaming"}

        await admin.patch(stage="off")

        told = (await stream.until("fetch-mode")).data
        assert (told["component"], told["mode"]) == ("orders", "polling")
        assert (await stream.until("bye")).data["reconnect"] is False
        await decides(other, mode="polling", stage="off")
        assert (await other.get("/api/v1/sync/events", ORDERS)).status == 204


async def test_the_kill_switch_of_one_node_takes_the_streams_of_all(start_node, log_url):
    one, other = Client(start_node(log_url).port), Client(start_node(log_url).port)
    async with operator(one.port) as admin, other.stream(ORDERS) as stream:
        await admin.make(stage="rampdown")
        await decides(other, mode="streaming", stage="rampdown")
        await admin.post("/api/v1/admin/kill")
        assert (await stream.until("fetch-mode")).data["mode"] == "polling"
        await decides(other, cause="kill_switch")


async def test_changes_at_two_nodes_at_the_same_time_are_all_kept(start_node, log_url):
    nodes = [start_node(log_url), start_node(log_url)]
    names = [f"component-{number}" for number in range(10)]
    async with operator(nodes[0].port) as one, operator(nodes[1].port) as other:
        await asyncio.gather(
            *((one, other)[at % 2].make(f"{FLAGS}/{name}", stage="live") for at, name in enumerate(names))
        )
        for admin in (one, other):

            async def all_there(admin=admin) -> bool:
                answer = (await admin.get(FLAGS)).json()
                return sorted(flag["component"] for flag in answer["flags"]) == names

            await eventually(all_there, "the node has every flag")


async def test_a_stale_revision_is_refused_whichever_node_it_was_read_at(start_node, log_url):
    nodes = [start_node(log_url), start_node(log_url)]
    async with operator(nodes[0].port) as one, operator(nodes[1].port) as other:
        read = (await one.make(stage="shadow")).headers["ETag"]
        await one.patch(stage="live")
        change = {"percentage": 50, "reason": "a test"}
        response = await other.send("PATCH", ORDERS_FLAG, change, If_Match=read)
        assert response.status_code == 412


async def test_an_operator_finds_at_every_node_what_was_changed_at_another(start_node, log_url):
    """One address may stand for several nodes: no two requests have to reach the same one."""
    nodes = [start_node(log_url), start_node(log_url)]
    async with operator(nodes[0].port) as one, operator(nodes[1].port) as other:
        await one.make(stage="live", percentage=1)
        for percentage, admin in ((2, other), (3, one), (4, other), (5, one)):
            assert (await admin.patch(percentage=percentage)).status_code == 200
        assert (await other.get(ORDERS_FLAG)).json()["percentage"] == 5


async def test_a_choice_made_at_one_node_counts_at_another(start_node, log_url):
    nodes = [start_node(log_url), start_node(log_url)]
    other = Client(nodes[1].port)
    async with operator(nodes[0].port) as admin:
        await admin.make(stage="live", percentage=0)
        await decides(other, user="c7", mode="polling", reason="SPLIT")
        chosen = await admin.send("PUT", f"{PREFERENCE}?clientId=c7", {"delivery": "streaming"})
        assert chosen.status_code == 200
    await decides(other, user="c7", mode="streaming", cause="user_opt_in")
    assert (await other.get(PREFERENCE, {"clientId": "c7"})).json["delivery"] == "streaming"


async def test_a_stream_whose_report_may_reach_another_node_is_held_to_it_too(start_node, log_url):
    assert await followed_streams(start_node(log_url)) == 1


async def test_a_stream_of_the_only_process_is_held_to_its_report(start_gateway, tmp_path):
    settings = make_settings(
        log={"url": f"sqlite:///{tmp_path}/events.db"},
        flags={"store": f"file:{tmp_path}/flags.json"},
        components={"orders": {"entities": ["order"]}},
    )
    assert await followed_streams(start_gateway(settings)) == 1


async def followed_streams(node: GatewayThread) -> int:
    """How many streams wait for a report, once one was opened by software that reports."""
    client = Client(node.port)
    report = {"clientId": "c1", "component": "orders", "mode": "streaming", "clientVersion": "2.1.0"}
    async with operator(node.port) as admin:
        assert (await admin.send("POST", "/api/v1/sync/telemetry", report)).status_code == 202
    async with client.stream(ORDERS | {"clientVersion": "2.1.0"}) as stream:
        await stream.connected()
        await client.metric_becomes("tidegate_streams", 1)
        return node.call(lambda: node.parts.migration.telemetry.waiting)


@pytest.mark.parametrize(
    ("store", "url"),
    [("redis", "postgres://127.0.0.1/x"), ("postgres", "redis://127.0.0.1"), ("redis", "memory://")],
)
async def test_a_store_that_is_not_the_log_s_is_one_sentence_and_exit_code_2(tmp_path: Path, store, url):
    file = tmp_path / "tidegate.toml"
    file.write_text(toml(log={"url": url}, flags={"store": store}))

    code, out, err = await run("serve", "--config", str(file), "--port", "0")

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f'tidegate: flags.store in {file} is "{store}", but must be a file')


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_without_the_server_the_last_good_flags_hold_and_are_stale(start_node, kind):
    async with breakable(kind) as log:
        node = start_node(log.url)
        client = Client(node.port)
        async with operator(node.port) as admin, client.stream(ORDERS) as stream:
            await stream.connected()
            tag = (await admin.make(stage="rampdown")).headers["ETag"]
            await decides(client, mode="streaming", reason="DEFAULT")
            await asyncio.to_thread(log.server.stop)
            await decides(client, mode="streaming", reason="STALE")
            change = {"stage": "off", "reason": "a test"}
            assert (await admin.send("PATCH", ORDERS_FLAG, change, If_Match=tag)).status_code == 503
            await asyncio.to_thread(log.server.start)
            await decides(client, mode="streaming", reason="DEFAULT")
            await published(client, event(1))
            assert (await data_of(stream))["n"] == 1
        node.stop()


async def published(client: Client, given: dict[str, object]) -> None:
    """Publishes it once the log can be used again."""

    async def holds() -> bool:
        return (await client.post(given, headers=[("Idempotency-Key", "after the stop")])).status in (
            200,
            201,
        )

    await eventually(holds, "the log takes events again")


async def data_of(stream: Stream) -> dict[str, object]:
    found: dict[str, object] = (await stream.until("stage_change")).data["data"]
    return found
