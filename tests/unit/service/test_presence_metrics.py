"""What /metrics shows of presence and broadcast."""

import pytest

from gateway.delivery.presence.attendance import Attendance
from gateway.service.presence_metrics import PresenceCollector
from tests.support.node import Node
from tests.support.node_mesh import Mesh
from tests.support.scheduler import ManualScheduler


def shown(node):
    return {
        sample.name: sample.value
        for family in PresenceCollector(node.hub.presence).collect()
        for sample in family.samples
    }


@pytest.mark.parametrize("alone", [True, False])
def test_who_is_there_and_what_was_written(scheduler: ManualScheduler, alone):
    link = Mesh().link()
    node = Node(scheduler, messages=None if alone else link)
    ana = node.connect(attendance=Attendance("ana", ("portal", "chat"), ("chat",)))
    node.connect(attendance=Attendance("ben", (), ("chat",)))
    node.hub.presence.set_meta("portal", "cyd", b"{}")
    scheduler.run_for(0.1)
    ana.transport.clog()
    node.hub.presence.broadcast("chat", "n", {}, "ana")
    scheduler.run_ready()
    if not alone:
        node.hub.presence.nodes.heard(b"nonsense")
    assert shown(node) == {
        "tidegate_presence_channels": 2,
        "tidegate_presence_users": 2,
        "tidegate_presence_nodes": 0,
        "tidegate_presence_frames_total": 2,
        "tidegate_presence_ignored_total": 0 if alone else 1,
        "tidegate_broadcasts_total": 1,
        "tidegate_broadcasts_refused_total": 0,
        "tidegate_broadcasts_delivered_total": 1,
        "tidegate_broadcasts_dropped_total": 1,
    }
