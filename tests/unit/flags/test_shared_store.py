"""flags/shared_store.py: several nodes, one document in a server that may fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from flags import document
from flags.errors import StaleRevision, StoreUnreadable, StoreUnwritable
from flags.shared_store import KEY, SharedFlagStore
from gateway.shared_values import FlagValues
from tests.support.clock import ManualClock
from tests.support.flags import NEVER_SECONDS, NOW_MS, Told
from tests.support.shared_store import Failure, MemorySharedStore

OpenNode = Callable[[], Awaitable[SharedFlagStore]]


class Server(MemorySharedStore):
    """A server whose next calls fail as `calls` says, and the others as `failure` does."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, lambda: self.calls.pop(0) if self.calls else self.failure)
        self.calls: list[Failure | None] = []
        self.failure: Failure | None = None


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


@pytest.fixture
async def open_node(server: Server) -> AsyncIterator[OpenNode]:
    async with AsyncExitStack() as stack:

        async def opened() -> SharedFlagStore:
            store = SharedFlagStore(
                FlagValues(server), tell=Told(), now_ms=lambda: NOW_MS, poll_seconds=NEVER_SECONDS
            )
            await store.start()
            stack.push_async_callback(store.close)
            return store

        yield opened


async def change(store: SharedFlagStore, expected: int | None = None, **fields: Any) -> None:
    await store.change("orders", fields, expected_revision=expected, who="ann", reason="why not")


async def test_a_node_that_looks_sees_what_another_changed(open_node: OpenNode) -> None:
    one, other = await open_node(), await open_node()
    await change(one, 0, stage="shadow")

    await other.refresh()

    assert other.snapshot() == one.snapshot()
    assert other.revisions("orders") == one.revisions("orders")
    assert (await open_node()).snapshot() == one.snapshot()


async def test_a_change_is_made_of_what_the_server_holds_and_not_of_what_was_seen(
    open_node: OpenNode,
) -> None:
    one, other = await open_node(), await open_node()
    await change(one, 0, stage="live")
    await change(other, None, percentage=5)

    with pytest.raises(StaleRevision):
        await change(one, 1, percentage=50)

    assert [entry.revision for entry in one.revisions("orders")] == [1, 2]


async def test_changes_of_many_nodes_at_once_are_all_made(open_node: OpenNode) -> None:
    nodes = [await open_node() for _ in range(8)]
    await change(nodes[0], 0, stage="live")

    await asyncio.gather(*(change(node, percentage=index + 1) for index, node in enumerate(nodes)))
    await nodes[0].refresh()

    assert len(nodes[0].revisions("orders")) == 1 + len(nodes)


async def test_while_the_server_is_out_of_reach_flags_stay_and_are_stale(
    open_node: OpenNode, server: Server
) -> None:
    store = await open_node()
    await change(store, 0, stage="live", percentage=5)

    server.failure = "before"
    await store.refresh()
    await store.refresh()

    flag = store.snapshot().get("orders")
    assert flag is not None
    assert (flag.percentage, store.snapshot().stale) == (5, True)
    assert store.counts["flags_store_refused"] == 1
    with pytest.raises(StoreUnwritable):
        await change(store, percentage=10)
    server.failure = None
    await store.refresh()
    assert not store.snapshot().stale


async def test_a_change_whose_answer_was_lost_is_found_as_it_was_made(
    open_node: OpenNode, server: Server
) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    server.calls = [None, "after"]

    with pytest.raises(StoreUnwritable):
        await change(store, percentage=10)
    await store.refresh()

    assert [entry.who for entry in store.revisions("orders")] == ["ann", "ann"]
    flag = store.snapshot().get("orders")
    assert flag is not None
    assert flag.percentage == 10


async def test_a_server_that_lost_the_flags_gets_them_again_with_the_next_change(
    open_node: OpenNode, server: Server
) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    await server.remove(KEY)

    await store.refresh()
    assert store.snapshot().stale
    await store.kill_all(True, who="ann", reason="incident")

    assert not store.snapshot().stale
    assert (await open_node()).snapshot() == store.snapshot()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1}', b"\xff"])
async def test_what_is_no_document_is_refused_and_may_be_replaced(
    open_node: OpenNode, server: Server, damage: bytes
) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    await server.put(KEY, damage)

    await store.refresh()
    assert store.snapshot().stale
    with pytest.raises(StoreUnreadable):
        await open_node()
    await store.kill_all(True, who="ann", reason="incident")

    assert (await open_node()).snapshot().kill_all


async def test_a_document_of_a_newer_version_is_not_replaced(open_node: OpenNode, server: Server) -> None:
    store = await open_node()
    await server.put(KEY, b'{"version": 2, "flags": {}}')

    with pytest.raises(StoreUnwritable, match="newer"):
        await change(store, 0, stage="live")


async def test_what_somebody_wrote_into_the_server_is_a_revision(open_node: OpenNode, server: Server) -> None:
    store = await open_node()
    await change(store, 0, stage="live", percentage=5)
    entry = await server.get(KEY)
    assert entry is not None
    await server.put(KEY, entry.value.replace(b'"percentage": 5', b'"percentage": 7', 1))

    await store.refresh()

    assert [revision.who for revision in store.revisions("orders")] == ["ann", "store"]
    assert document.parse(entry.value).flags["orders"].percentage == 5
