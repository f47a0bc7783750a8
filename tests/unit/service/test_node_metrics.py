from prometheus_client import CollectorRegistry, generate_latest

from gateway.ports.clock import SystemClock
from gateway.runtime.node_carrier import NodeCarrier
from gateway.runtime.node_topics import NodeTopics
from gateway.service.node_metrics import NodeMessagesCollector
from tests.support.node_messages import Exchange, ExchangeLinks, Untroubled


def shown(collector: NodeMessagesCollector) -> set[str]:
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if line.startswith("tidegate") and "_created" not in line}


async def test_every_kind_is_shown_from_zero() -> None:
    messages = NodeTopics(NodeCarrier(ExchangeLinks(Exchange()), SystemClock(), Untroubled()))
    messages.topic(b"x").send(b"before the start")

    assert shown(NodeMessagesCollector(messages)) == {
        'tidegate_node_messages_total{kind="sent"} 0.0',
        'tidegate_node_messages_total{kind="heard"} 0.0',
        'tidegate_node_messages_total{kind="lost"} 1.0',
        'tidegate_node_messages_total{kind="ignored"} 0.0',
    }
    await messages.close()


async def test_nothing_is_shown_where_there_are_no_other_nodes() -> None:
    assert shown(NodeMessagesCollector(None)) == set()
