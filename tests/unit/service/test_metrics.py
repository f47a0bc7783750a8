"""gateway/service/metrics.py: what /metrics says of the hub."""

import dataclasses
from collections import Counter
from typing import get_args

import pytest
from prometheus_client.metrics_core import Metric

from gateway.access.admission import LIMITS
from gateway.delivery.counters import HubCounters, Work
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.http.publish import PublishCounters
from gateway.service.metrics import GatewayCollector
from gateway.service.settings import LimitsSettings
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.shared_store import MemorySharedStore


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def families(node: Node) -> dict[str, Metric]:
    collector = GatewayCollector(
        node.hub,
        node.history,
        Counter(),
        PublishCounters(),
        Counter(),
        Counter(),
        {},
        dict,
        Counter(),
        Counter(),
        RevokedTokens(MemorySharedStore(node.scheduler.clock), node.scheduler.clock),
    )
    return {family.name: family for family in collector.collect()}


def test_everything_that_a_hub_counts_is_shown(node: Node) -> None:
    counters = node.hub.counters
    set_to = {}
    for value, field in enumerate(dataclasses.fields(HubCounters), 1001):
        set_to[field.name] = value
        if isinstance(getattr(counters, field.name), int):
            setattr(counters, field.name, value)
        else:
            getattr(counters, field.name)["kind"] = value
    shown = {sample.value for family in families(node).values() for sample in family.samples}

    assert {name for name, value in set_to.items() if value not in shown} == set()


def test_every_work_that_may_fail_is_shown_before_it_does(node: Node) -> None:
    samples = families(node)["tidegate_delivery_failures"].samples

    assert {sample.labels["work"]: sample.value for sample in samples} == dict.fromkeys(get_args(Work), 0)
    assert {"abort", "bye", "leave", "resume"} <= set(get_args(Work))


def test_every_limit_is_shown_before_it_is_met(node: Node) -> None:
    samples = families(node)["tidegate_limit_refusals"].samples

    assert {sample.labels["limit"]: sample.value for sample in samples} == dict.fromkeys(LIMITS, 0)
    assert {"streams", "publish_per_second"} <= set(LIMITS) <= set(LimitsSettings.model_fields)
