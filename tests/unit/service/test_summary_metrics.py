"""What /metrics shows of the nodes' summaries."""

from prometheus_client import CollectorRegistry, generate_latest

from gateway.service.summary_metrics import SummariesCollector
from tests.support.clock import ManualClock
from tests.support.shared_store import MemorySharedStore
from tests.support.summaries import CountingNode


async def test_it_shows_the_other_nodes_by_what_became_of_their_figures() -> None:
    clock = ManualClock()
    store = MemorySharedStore(clock)
    one, other = CountingNode(store, clock, "a"), CountingNode(store, clock, "b")
    await other.tick()
    await one.tick()
    await one.sum()
    registry = CollectorRegistry()
    registry.register(SummariesCollector(one.summaries))
    lines = generate_latest(registry).decode().splitlines()
    assert {line for line in lines if line.startswith("tidegate")} == {
        'tidegate_node_summaries{state="read"} 1.0',
        'tidegate_node_summaries{state="left_out"} 0.0',
        'tidegate_node_summaries{state="gone"} 0.0',
        "tidegate_guard_leading 0.0",
    }
