"""docs/examples/alerts.yml and dashboard.json: every metric that they name exists."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import Client
from tests.support.gateway import make_settings
from tests.support.legacy import PATH
from tests.support.upstream import upstream

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
OF_CERTAIN_LOGS = re.compile(r"tidegate_(log_\w+|worker_up)\Z")
"""What /metrics has with certain logs or several workers alone: the manual's table is held to real ones."""


def queries() -> dict[str, str]:
    dashboard = json.loads((EXAMPLES / "dashboard.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = (EXAMPLES / "alerts.yml").read_text()
    return {
        "dashboard": "\n".join(panels),
        "alerts": "\n".join(re.findall(r"expr:(.*?)\n +\w+:", rules, re.S)),
    }


@pytest.mark.parametrize("example", ["dashboard", "alerts"])
async def test_every_metric_that_it_names_is_there(start_gateway, example):
    names = set(re.findall(r"\b(?:tidegate|process)_\w+", queries()[example]))
    assert len(names) > 10
    async with upstream() as backend:
        route = {"component": "orders", "path": PATH, "upstream": backend.url, "entity": "order", "key": "id"}
        gateway = start_gateway(make_settings(legacy=[route | {"items": "/docs", "shared": True}]))
        shown = await shown_by(gateway.port)
    elsewhere = {name for name in names - shown if OF_CERTAIN_LOGS.match(name) and f"`{name}" in OPERATIONS}
    assert names - shown - elsewhere == set()


async def shown_by(port: int) -> set[str]:
    text = (await Client(port).get("/metrics")).body.decode()
    found = set()
    for family in text_string_to_metric_families(text):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        found |= {f"{family.name}{end}" for end in ends}
    return found


async def test_what_an_alert_waits_for_is_there_before_it_happens(flagged, admin):
    """To Prometheus, a series that begins with 1 has not increased."""
    await admin.make(stage="live", percentage=100)
    client = Client(flagged.port)
    await client.metric_becomes("tidegate_guard_verdict", 1, component="orders")
    text = (await client.get("/metrics")).body.decode()
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for series in (
        ("tidegate_guard_rollbacks_total", "orders"),
        ("tidegate_guard_refused_total", "orders"),
        ("tidegate_problems_total", "internal"),
        ("tidegate_delivery_failures_total", "flush"),
        ("tidegate_task_failures_total", "follower"),
        ("tidegate_task_retries_total", "follower"),
        ("tidegate_resets_total", "trimmed"),
    ):
        assert shown.get(series) == 0, series
