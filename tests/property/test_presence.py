"""Nodes, streams and a link that loses, doubles and delays: in the end all know who is there."""

import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.presence.node_message import MalformedMessage, read, write
from tests.support.clock import ManualClock
from tests.support.node import HEARTBEAT_SECONDS, Node
from tests.support.node_mesh import Mesh
from tests.support.scheduler import ManualScheduler

USERS = ("ana", "ben", "cyd")
AT = st.integers(0, 3)
CHANNELS = ("portal", "chat")


class PresenceMachine(RuleBasedStateMachine):
    """`streams` are what is open: node, user, channels and reader of each; `metas` what was set last."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = ManualScheduler(ManualClock())
        self.is_awkward = True
        self.draws = []
        self.mesh = Mesh(self._carry)
        self.nodes = []
        self.streams = []
        self.metas = {}

    def _carry(self, heard, message):
        fate = self.draws.pop() if self.draws and self.is_awkward else "now"
        if fate == "lost":
            return
        self.scheduler.call_soon(heard, message)
        if fate == "twice":
            self.scheduler.call_soon(heard, message)
        if fate == "late":
            self.scheduler.call_at(self.scheduler.time() + 5.0, heard, message)

    @initialize(count=st.integers(2, 3))
    def start(self, count):
        for _ in range(count):
            self.start_node()

    @rule()
    def start_node(self):
        if len(self.nodes) < 4:
            link = self.mesh.link()
            node = Node(self.scheduler, messages=link)
            node.link = link
            link.listen(node.hub.presence.nodes.heard)
            node.hub.presence.nodes.start()
            self.nodes.append(node)

    @rule(at=AT, is_killed=st.booleans())
    def end_node(self, at, is_killed):
        if len(self.nodes) > 1:
            node = self.nodes.pop(at % len(self.nodes))
            if not is_killed:
                node.hub.presence.nodes.end()
            node.link.kill()
            node.hub.stop()
            self.streams = [stream for stream in self.streams if stream[0] is not node]
            self.forget_metas()

    @rule(
        at=st.integers(0, 3),
        user=st.sampled_from(USERS),
        channels=st.sets(st.sampled_from(CHANNELS), min_size=1),
    )
    def open_stream(self, at, user, channels):
        node = self.nodes[at % len(self.nodes)]
        reader = node.connect(attendance=Attendance(user, tuple(sorted(channels))))
        self.streams.append((node, user, channels, reader))

    @rule(at=st.integers(0, 50))
    def close_stream(self, at):
        if self.streams:
            self.streams.pop(at % len(self.streams))[3].transport.vanish()
            self.forget_metas()

    def forget_metas(self):
        """Of who is not there nobody can tell: it is forgotten some time later."""
        there = {(channel, user) for _, user, channels, _ in self.streams for channel in channels}
        self.metas = {key: meta for key, meta in self.metas.items() if key in there}

    @rule(at=st.integers(0, 50), clogs=st.booleans())
    def pause_stream(self, at, clogs):
        if self.streams:
            transport = self.streams[at % len(self.streams)][3].transport
            if clogs:
                transport.clog()
            else:
                transport.start_reading()

    @rule(
        at=st.integers(0, 3),
        user=st.sampled_from(USERS),
        channel=st.sampled_from(CHANNELS),
        n=st.integers(0, 9),
    )
    def set_meta(self, at, user, channel, n):
        """Where the user is there, and all know the last one: else it may be forgotten, or be one of two."""
        self.quiet()
        if any(open_user == user and channel in channels for _, open_user, channels, _ in self.streams):
            node = self.nodes[at % len(self.nodes)]
            node.hub.presence.set_meta(channel, user, b'{"n":%d}' % n)
            self.metas[channel, user] = {"n": n}
            self.check()

    @rule(seconds=st.sampled_from([0.05, 0.15, 1.0, 4.0]))
    def pass_time(self, seconds):
        self.scheduler.run_for(seconds)

    @rule(fates=st.lists(st.sampled_from(["lost", "twice", "late", "now"]), min_size=1, max_size=30))
    def be_awkward(self, fates):
        self.draws += fates

    def quiet(self):
        for *_, reader in self.streams:
            reader.transport.start_reading()  # who never does is sent away
        self.is_awkward = False
        self.scheduler.run_for(3 * HEARTBEAT_SECONDS)
        self.is_awkward = True

    @rule()
    def check(self):
        """After a quiet time every node, and every client that reads, knows what is so."""
        self.quiet()
        for channel in CHANNELS:
            truth = {}
            for _, user, channels, _ in self.streams:
                if channel in channels:
                    truth[user] = truth.get(user, 0) + 1
            for node in self.nodes:
                found = node.hub.presence.users(channel)
                assert {user: given.connections for user, given in found.items()} == truth
            views = [view(reader, channel) for _, _, channels, reader in self.streams if channel in channels]
            assert all(shown == views[0] for shown in views)
            for shown in views:
                assert shown.keys() == truth.keys()
                for user, meta in shown.items():
                    expected = self.metas.get((channel, user))
                    assert expected is None or meta == expected

    def teardown(self):
        if self.nodes:
            self.check()
            for node in self.nodes:
                assert not node.hub.failures.counts
                assert node.hub.presence.nodes.ignored == 0


def view(reader, channel):
    """What the frames of a channel come to; none contradicts those before it."""
    users = None
    for frame in reader.frames("presence"):
        if frame.data["channel"] != channel:
            continue
        given = {user: told["meta"] for user, told in frame.data["users"].items()}
        if frame.data["type"] == "sync":
            users = given
            continue
        assert users is not None
        assert given
        assert (given.keys() <= users.keys()) is (frame.data["type"] != "join")
        if frame.data["type"] == "leave":
            users = {user: meta for user, meta in users.items() if user not in given}
        else:
            users |= given
    return users


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
_kinds = st.sampled_from(["changed", "digests", "asked", "part", "said", "ended", "other"])


@given(given=st.dictionaries(_kinds, _json, max_size=2), version=st.integers(0, 2))
def test_what_is_read_is_a_message_or_malformed(given, version):
    raw = json.dumps({"v": version, "node": "a", "serial": 1} | given).encode()
    with suppress(MalformedMessage):
        assert read(write(read(raw))) == read(raw)


TestPresence = PresenceMachine.TestCase
TestPresence.settings = settings(deadline=None, stateful_step_count=30)
