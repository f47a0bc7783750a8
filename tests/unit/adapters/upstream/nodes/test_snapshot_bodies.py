"""The bodies of snapshots, in the store and in memory."""

from dataclasses import replace

import pytest
from multidict import CIMultiDict

from adapters.upstream.nodes.shared_bodies import SharedBodies
from adapters.upstream.nodes.shared_snapshot import Bodies
from adapters.upstream.nodes.snapshot_bodies import SnapshotBodies
from gateway.ports.upstreams import Snapshot
from tests.support.clock import ManualClock
from tests.support.shared_store import MemorySharedStore

PLAIN = Snapshot(b"body", "d", CIMultiDict(), '"d"', True, {}, 1.0, 2.0, "e.1-0")
WHOLE = replace(PLAIN, coded=b"packed", coding="gzip", text=b"[]")


@pytest.fixture
def store(clock: ManualClock) -> MemorySharedStore:
    return MemorySharedStore(clock)


def node(store: MemorySharedStore, clock: ManualClock) -> SnapshotBodies:
    return SnapshotBodies(SharedBodies(store, "/orders", clock))


@pytest.mark.parametrize("snapshot", [PLAIN, WHOLE, replace(PLAIN, text=b"")])
async def test_what_one_node_keeps_another_finds(
    store: MemorySharedStore, clock: ManualClock, snapshot: Snapshot
) -> None:
    bodies = await node(store, clock).keep(snapshot)
    loaded = await node(store, clock).load(bodies)
    assert loaded == (snapshot.body, snapshot.coded, snapshot.text)


async def test_a_body_that_is_packed_anew_does_not_overwrite_the_other(
    store: MemorySharedStore, clock: ManualClock
) -> None:
    one = node(store, clock)
    before, after = await one.keep(WHOLE), await one.keep(replace(WHOLE, coded=b"packed anew"))
    loaded = [await node(store, clock).load(bodies) for bodies in (before, after)]
    assert [one and one.coded for one in loaded] == [b"packed", b"packed anew"]


@pytest.mark.parametrize(("lost", "found"), [("body", False), ("text", False), ("coded", True)])
async def test_without_body_or_text_there_is_no_snapshot(
    store: MemorySharedStore, clock: ManualClock, lost: str, *, found: bool
) -> None:
    bodies = await node(store, clock).keep(WHOLE)
    await store.remove(f"body:/orders:{getattr(bodies, lost)}:0")
    assert (await node(store, clock).load(bodies) is not None) is found


async def test_what_this_node_has_is_not_loaded_again_and_what_it_had_is(
    store: MemorySharedStore, clock: ManualClock
) -> None:
    one = node(store, clock)
    bodies = await one.keep(PLAIN)
    await store.remove("body:/orders:d:0")

    assert await one.one("d") is PLAIN.body
    one.remember([Bodies("e")])
    assert await one.load(bodies) is None


async def test_all_others_are_let_go_of(store: MemorySharedStore, clock: ManualClock) -> None:
    one = node(store, clock)
    await one.keep(WHOLE)
    kept = [
        await one.keep(replace(WHOLE, digest="e", body=b"new")),
        await one.keep(replace(PLAIN, digest="u")),
    ]
    await one.let_go_but(kept)
    # What came packed, and the text, are those of the first one too.
    kept_keys = {f"body:/orders:{digest}:0" for bodies in kept for digest in bodies if digest is not None}
    assert set(store.keys()) == kept_keys
