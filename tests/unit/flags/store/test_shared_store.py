"""flags/store/shared_store.py: several nodes, one document in a server that may fail."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from types import FrameType, ModuleType
from typing import Any

import orjson
import pytest

from flags.errors import StaleRevision, StoreUncertain, StoreUnreadable, StoreUnwritable
from flags.store import document
from flags.store.ledger_store import LedgerStore
from flags.store.retention import KEPT_REVISIONS
from flags.store.shared_store import KEY, shared_flag_store
from gateway.ports.shared import SharedEntry
from gateway.service.wiring.shared_values import FlagValues
from tests.support.clock import ManualClock
from tests.support.flags import NEVER_SECONDS, NOW_MS, Told, many_changes
from tests.support.shared_store import Failure, MemorySharedStore

OpenNode = Callable[[], Awaitable[LedgerStore]]


class Server(MemorySharedStore):
    """A server whose next calls fail as `calls` says, and the others as `failure` does."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, lambda: self.calls.pop(0) if self.calls else self.failure)
        self.calls: list[Failure | None] = []
        self.failure: Failure | None = None
        self.reads = 0
        self._countdown = 0
        self._between: Callable[[], Awaitable[None]] | None = None

    def before_next(self, number: int, between: Callable[[], Awaitable[None]]) -> None:
        """Does something right before the call that has this number from now on."""
        self._countdown, self._between = number, between

    async def get(self, key: str) -> SharedEntry | None:
        self.reads += 1
        await self._turn()
        return await super().get(key)

    async def version(self, key: str) -> int:
        await self._turn()
        return await super().version(key)

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        await self._turn()
        return await super().put(key, value, expected=expected, ttl_seconds=ttl_seconds)

    async def _turn(self) -> None:
        self._countdown -= 1
        between = self._between
        if self._countdown == 0 and between is not None:
            self._between = None
            await between()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


@pytest.fixture
async def open_node(server: Server) -> AsyncIterator[OpenNode]:
    async with AsyncExitStack() as stack:

        async def opened() -> LedgerStore:
            store = shared_flag_store(
                FlagValues(server), tell=Told(), now_ms=lambda: NOW_MS, poll_seconds=NEVER_SECONDS
            )
            await store.start()
            stack.push_async_callback(store.close)
            return store

        yield opened


async def change(store: LedgerStore, expected: int | None = None, **fields: Any) -> None:
    await store.change("orders", fields, expected_revision=expected, who="ann", reason="why not")


@contextmanager
def threads_running(module: ModuleType) -> Iterator[set[threading.Thread]]:
    """This thread, and those started within, as far as one of them runs a function of the module."""
    found: set[threading.Thread] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename == module.__file__:
            found.add(threading.current_thread())

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def percentages(store: LedgerStore) -> list[float]:
    """What the percentage of `orders` was at each revision."""
    history = store.revisions("orders")
    states = [history.state_at(number) for number in range(1, history.last + 1)]
    return [state["percentage"] for state in states if state is not None]


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

    assert [entry.revision for entry in one.revisions("orders").entries] == [1, 2]


async def test_changes_of_many_nodes_at_once_are_all_made(open_node: OpenNode) -> None:
    nodes = [await open_node() for _ in range(8)]
    await change(nodes[0], 0, stage="live")

    await asyncio.gather(*(change(node, percentage=index + 1) for index, node in enumerate(nodes)))
    await nodes[0].refresh()

    assert nodes[0].revisions("orders").last == 1 + len(nodes)


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
    assert store.counts["flags_store_failed"] == 1
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

    await change(store, percentage=10)

    assert percentages(store) == [0, 10]
    await store.refresh()
    assert percentages(store) == [0, 10]


async def test_a_change_that_did_not_arrive_is_made_again(open_node: OpenNode, server: Server) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    server.calls = [None, "before", None, "after", None]

    await change(store, percentage=10)

    assert percentages(store) == [0, 10]


async def test_a_change_whose_answer_was_lost_is_found_under_what_another_node_made_of_it(
    open_node: OpenNode, server: Server
) -> None:
    one, other = await open_node(), await open_node()
    await change(one, 0, stage="live")
    server.calls = [None, "after"]
    server.before_next(3, lambda: change(other, percentage=20))

    await change(one, percentage=10)

    assert percentages(one) == [0, 10, 20]


async def test_a_change_that_did_not_arrive_before_another_node_s_is_made_of_that(
    open_node: OpenNode, server: Server
) -> None:
    one, other = await open_node(), await open_node()
    await change(one, 0, stage="live")
    server.calls = [None, "before"]
    server.before_next(3, lambda: change(other, percentage=20))

    await change(one, percentage=10)

    assert percentages(one) == [0, 20, 10]


async def test_a_change_after_which_nobody_can_be_asked_may_have_been_made(
    open_node: OpenNode, server: Server
) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    server.calls = [None, "after"]
    server.failure = "before"

    with pytest.raises(StoreUncertain, match="is not known: The server is out of reach"):
        await change(store, percentage=10)
    server.failure = None
    await store.refresh()

    assert percentages(store) == [0, 10]


async def test_a_change_that_the_server_refuses_is_not_made_and_said_so(
    open_node: OpenNode, server: Server
) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    server.calls = [None, "refused"]

    with pytest.raises(StoreUnwritable, match="could not be kept: The server has no room left"):
        await change(store, percentage=10)

    assert percentages(store) == [0]


async def test_a_change_of_which_the_history_tells_no_more_may_have_been_made(
    open_node: OpenNode, server: Server
) -> None:
    one, other = await open_node(), await open_node()
    await change(one, 0, stage="live")
    server.calls = [None, "after"]

    async def much() -> None:
        for ratio in range(1, KEPT_REVISIONS + 5):
            await change(other, checkRatio=ratio)

    server.before_next(3, much)

    with pytest.raises(StoreUncertain, match="so much was changed since"):
        await change(one, percentage=10)


async def test_a_change_in_whose_place_somebody_put_something_else_may_have_been_made(
    open_node: OpenNode, server: Server
) -> None:
    store = await open_node()
    await change(store, 0, stage="live")
    server.calls = [None, "after"]

    async def spoil() -> None:
        await server.put(KEY, b"{")

    server.before_next(3, spoil)

    with pytest.raises(StoreUncertain, match="Something else was put there"):
        await change(store, percentage=10)


async def test_of_a_document_with_every_revision_there_ever_was_the_newest_are_kept(
    open_node: OpenNode, server: Server
) -> None:
    await server.put(KEY, orjson.dumps(many_changes(10_000)))
    store = await open_node()
    flag = store.snapshot().get("orders")

    await store.kill_all(True, who="ann", reason="fire")

    assert store.snapshot().kill_all
    assert store.snapshot().get("orders") == flag
    entry = await server.get(KEY)
    assert entry is not None
    assert len(entry.value) < 100_000
    held = document.parse(entry.value).revisions("orders")
    assert (held.dropped, held.last) == (10_000 - KEPT_REVISIONS, 10_000)
    assert (await open_node()).snapshot() == store.snapshot()


async def test_the_document_is_read_and_written_beside_the_event_loop(
    open_node: OpenNode, server: Server
) -> None:
    with threads_running(document) as threads:
        one, other = await open_node(), await open_node()
        await change(one, 0, stage="live")
        await other.refresh()

    assert len(threads) == 2
    assert threading.current_thread() not in threads


async def test_the_document_is_read_only_when_it_is_another(open_node: OpenNode, server: Server) -> None:
    one, other = await open_node(), await open_node()
    server.reads = 0
    for percentage in range(1, 4):
        await change(one, None if percentage > 1 else 0, stage="live", percentage=percentage)
        await other.refresh()
        await other.refresh()

    assert server.reads == 3
    assert other.snapshot() == one.snapshot()


async def test_an_outage_begins_once_and_ends_once(server: Server) -> None:
    told = Told()
    store = shared_flag_store(FlagValues(server), tell=told, poll_seconds=NEVER_SECONDS)
    await store.start()
    server.failure = "before"
    for _ in range(3):
        await store.refresh()
    server.failure = None
    for _ in range(3):
        await store.refresh()
    await store.close()

    assert told.events == ["flags_store_failed", "flags_store_recovered"]


async def test_every_change_is_a_log_line_that_says_who_and_why(server: Server) -> None:
    told = Told()
    store = shared_flag_store(FlagValues(server), tell=told, poll_seconds=NEVER_SECONDS)
    await store.start()
    await change(store, 0, stage="live")
    await change(store, None, percentage=10, checkRatio=7)
    await change(store, None, percentage=10)
    await store.kill_all(True, who="bob", reason="fire")
    await store.close()

    _, (event, fields), (_, switch) = told.lines
    assert (event, fields) == (
        "flag_changed",
        {
            "component": "orders",
            "revision": 2,
            "who": "ann",
            "why": "why not",
            "changed": "checkRatio,percentage",
            "percentage": 10,
        },
    )
    assert (switch["component"], switch["who"], switch["killAll"]) == ("*", "bob", True)


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
    await server.put(KEY, b'{"version": 3, "flags": {}}')

    with pytest.raises(StoreUnwritable, match="newer"):
        await change(store, 0, stage="live")


async def test_what_somebody_wrote_into_the_server_is_a_revision(open_node: OpenNode, server: Server) -> None:
    store = await open_node()
    await change(store, 0, stage="live", percentage=5)
    entry = await server.get(KEY)
    assert entry is not None
    await server.put(KEY, entry.value.replace(b'"percentage": 5', b'"percentage": 7', 1))

    await store.refresh()

    assert [revision.who for revision in store.revisions("orders").entries] == ["ann", "store"]
    assert document.parse(entry.value).flags["orders"].percentage == 5
