"""Nodes that tell one another who is there, over a link that a test breaks."""

import pytest

from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.presence.node_message import Changed, Envelope, Part, read, write
from gateway.delivery.presence.roster import Present
from gateway.delivery.presence.table import Entry, Key
from tests.support.node import HEARTBEAT_SECONDS, Node
from tests.support.node_mesh import Mesh
from tests.support.scheduler import ManualScheduler

SETTLED = 1.0
"""Longer than it takes to tell, and to be asked."""


class Site:
    """Nodes of one log. A message that `drops` says yes to is lost."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.scheduler = scheduler
        self.drops = lambda message: False
        self.mesh = Mesh(self._carry)

    def _carry(self, heard, message):
        if not self.drops(message):
            self.scheduler.call_soon(heard, message)

    def node(self):
        link = self.mesh.link()
        node = Node(self.scheduler, messages=link)
        node.link = link
        link.listen(node.hub.presence.nodes.heard)
        node.hub.presence.nodes.start()
        return node

    def settle(self, seconds=SETTLED):
        self.scheduler.run_for(seconds)


@pytest.fixture
def site(scheduler):
    return Site(scheduler)


def enter(node, user, *hears, channel="portal"):
    return node.connect(attendance=Attendance(user, (channel,), hears))


def there(node, channel="portal"):
    return {user: given.connections for user, given in node.hub.presence.users(channel).items()}


def kind(message):
    return type(read(message).message)


def test_users_of_one_node_are_seen_on_all(site):
    a, b, c = site.node(), site.node(), site.node()
    ana = enter(a, "ana")
    enter(b, "ana")
    enter(b, "ben")
    site.settle()
    for node in (a, b, c):
        assert there(node) == {"ana": 2, "ben": 1}
    assert [frame.data["type"] for frame in ana.frames("presence")] == ["sync", "join"]
    b.hub.presence.set_meta("portal", "ben", b'{"n":1}')
    site.settle()
    assert ana.frames("presence")[-1].data == {
        "channel": "portal",
        "type": "update",
        "users": {"ben": {"meta": {"n": 1}}},
    }


def test_a_meta_may_be_set_at_another_node_than_the_stream_is_at(site):
    a, b, c = site.node(), site.node(), site.node()
    b.hub.presence.set_meta("portal", "ana", b'{"n":1}')
    site.settle()
    enter(a, "ana")
    c.hub.presence.set_meta("portal", "ana", b'{"n":2}')
    site.settle(100.0)
    for node in (a, b, c):
        assert node.hub.presence.users("portal") == {"ana": Present(1, b'{"n":2}')}
    assert [len(node.hub.presence.roster.own) for node in (a, b, c)] == [1, 0, 0]


def test_a_new_node_asks_and_is_told(site):
    a = site.node()
    for number in range(300):
        enter(a, f"user-{number}")
    site.settle()
    b = site.node()
    site.settle()
    assert len(there(b)) == 300
    assert there(b) == there(a)


def test_changes_of_a_window_go_out_together(site):
    a, b = site.node(), site.node()
    site.settle()
    site.mesh.sent.clear()
    for number in range(50):
        enter(a, f"user-{number}")
    site.settle(0.5)
    assert len([raw for raw in site.mesh.sent if kind(raw) is Changed]) == 1
    assert len(there(b)) == 50


def test_what_was_lost_is_made_good_within_a_heartbeat(site):
    a, b = site.node(), site.node()
    site.settle()
    site.drops = lambda message: kind(message) is Changed
    ana = enter(a, "ana")
    enter(a, "ben")
    site.settle(HEARTBEAT_SECONDS / 2)
    assert there(b) == {"ana": 1, "ben": 1}
    ana.transport.vanish()
    a.hub.presence.set_meta("portal", "ben", b'{"n":1}')
    site.settle(HEARTBEAT_SECONDS / 2)
    assert b.hub.presence.users("portal") == {"ben": Present(1, b'{"n":1}')}


def test_a_part_of_what_was_asked_for_that_is_lost_is_asked_for_again(site):
    a = site.node()
    big = b'{"m":"%b"}' % (b"x" * 1000)
    users = [f"user-{n}" for n in range(4000) if Key("portal", f"user-{n}").bucket == 5]
    for user in users[:40]:
        enter(a, user)
        a.hub.presence.set_meta("portal", user, big)
    site.settle()
    lost = []

    def drop_a_second_part(message):
        if kind(message) is Part and read(message).message.number == 1 and not lost:
            lost.append(message)
            return True
        return False

    site.drops = drop_a_second_part
    b = site.node()
    site.settle()
    assert lost
    assert there(b) == {}
    site.settle(HEARTBEAT_SECONDS / 2)
    assert there(b) == dict.fromkeys(users[:40], 1)


def test_nobody_asks_for_anything_while_all_know_the_same(site):
    a, b = site.node(), site.node()
    enter(a, "ana")
    site.settle()
    site.mesh.sent.clear()
    site.settle(4 * HEARTBEAT_SECONDS)
    kinds = {kind(raw).__name__ for raw in site.mesh.sent}
    assert kinds == {"Digests"}
    assert len(site.mesh.sent) == 2 * 4 * 4
    assert there(b) == {"ana": 1}


def test_users_of_a_node_that_is_killed_leave_within_two_heartbeats(site):
    a, b = site.node(), site.node()
    ana = enter(a, "ana")
    for number in range(300):
        enter(b, f"user-{number}")
    site.settle()
    assert len(there(a)) == 301
    b.link.kill()
    site.settle(2 * HEARTBEAT_SECONDS)
    assert there(a) == {"ana": 1}
    assert (len(a.hub.presence.nodes), a.hub.presence.roster.others) == (0, {})
    assert ana.frames("presence")[-1].data["type"] == "leave"


def test_users_of_a_node_that_ends_leave_at_once(site):
    a, b = site.node(), site.node()
    enter(a, "ana")
    enter(b, "ben")
    site.settle()
    b.hub.presence.nodes.end()
    site.settle()
    assert there(a) == {"ana": 1}


def test_a_node_that_was_cut_off_is_back_with_its_users(site):
    a, b = site.node(), site.node()
    enter(a, "ana")
    enter(b, "ben")
    site.settle()
    site.drops = lambda message: True
    site.settle(2 * HEARTBEAT_SECONDS)
    assert (there(a), there(b)) == ({"ana": 1}, {"ben": 1})
    site.drops = lambda message: False
    site.settle(HEARTBEAT_SECONDS)
    assert there(a) == there(b) == {"ana": 1, "ben": 1}


def test_a_message_that_comes_twice_or_late_is_taken_once(site):
    a, b = site.node(), site.node()
    ben = enter(b, "ben", "chat")
    site.settle()
    nodes = b.hub.presence.nodes
    late = write(Envelope("x", 1, Changed([(Key("portal", "cyd"), Entry(1))])))
    nodes.heard(write(Envelope("x", 2, Changed([(Key("portal", "cyd"), Entry(2))]))))
    nodes.heard(late)
    assert there(b)["cyd"] == 2
    a.hub.presence.broadcast("chat", "n", {}, "ana")
    site.settle()
    nodes.heard(site.mesh.sent[-1])
    site.settle()
    assert len(ben.frames("broadcast")) == 1


def test_a_broadcast_reaches_the_readers_of_all_nodes_once(site):
    nodes = [site.node() for _ in range(3)]
    readers = [enter(node, "ana", "chat") for node in nodes]
    for number in range(5):
        nodes[1].hub.presence.broadcast("chat", "n", {"n": number}, "ana")
    site.settle()
    for reader in readers:
        assert [frame.data for frame in reader.frames("broadcast")] == [
            {"channel": "chat", "event": "n", "payload": {"n": number}, "from": "ana"} for number in range(5)
        ]


def test_what_is_no_message_is_ignored_and_counted(site):
    a = site.node()
    nodes = a.hub.presence.nodes
    nodes.heard(b"nonsense")
    nodes.heard(b'{"v":9}')
    assert nodes.ignored == 2
    assert len(nodes) == 0


def test_a_bounded_number_of_nodes_is_known(site):
    nodes = site.node().hub.presence.nodes
    for number in range(2000):
        nodes.heard(write(Envelope(f"n{number}", 1, Changed([]))))
    assert len(nodes) == 1024
    assert nodes.ignored == 2000 - 1024


def test_a_node_that_has_ended_says_nothing_more(site):
    a = site.node()
    enter(a, "ana")
    b = site.node()
    a.hub.presence.nodes.end()
    site.mesh.sent.clear()
    a.hub.presence.set_meta("portal", "ana", b'{"n":1}')
    enter(b, "ben")
    site.settle(100.0)
    assert {read(raw).node for raw in site.mesh.sent} == {read(site.mesh.sent[-1]).node}
    assert there(b) == {"ben": 1}


def test_nothing_takes_many_entries_in_one_piece(site):
    a, b = site.node(), site.node()
    for number in range(1000):
        enter(a, f"user-{number}")
    site.mesh.sent.clear()
    site.settle()
    sizes = [len(read(raw).message.entries) for raw in site.mesh.sent if kind(raw) is Changed]
    assert sum(sizes) == 1000
    assert max(sizes) <= 256
    assert len(there(b)) == 1000
