"""The same frames to many streams, in turns."""

import pytest

from gateway.delivery.budget import Budget
from gateway.delivery.pace import USUAL
from gateway.delivery.presence.fan_out import FanOut
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.streams import payload_of

FRAME = b'event: broadcast\ndata: {"pad":"' + b"x" * 1000 + b'"}\n\n'


@pytest.fixture
def node(scheduler: ManualScheduler):
    return Node(scheduler)


class Written:
    """What comes of writing a frame to these readers, with a budget of so many writes a turn."""

    def __init__(self, node, readers, *, writes=1000, frame=FRAME, **options):
        self.missed, self.count, self.turns = [], 0, 0
        budget = Budget(writes)
        fan_out = FanOut(node.hub._streams, budget, USUAL)
        subscribers = [reader.subscriber for reader in readers]
        for _ in fan_out.write(frame, subscribers, self.missed.append, self._written, **options):
            self.turns += 1
            budget.left = writes

    def _written(self):
        self.count += 1


def test_readers_with_one_framing_get_the_same_bytes(node):
    readers = [node.connect(query) for query in ("entity=order", "entity=bill")]
    old = node.connect(chunked=False)
    packed = [node.connect(query, gzip=True) for query in ("entity=order", "entity=bill")]
    written = Written(node, [*readers, old, *packed])
    assert (written.count, written.missed) == (5, [])
    for one, other in (readers, packed):
        assert one.transport.writes[-1] is other.transport.writes[-1]
    assert old.transport.writes[-1] == FRAME
    assert len(packed[0].transport.writes[-1]) < 200
    assert payload_of(readers[0].transport.writes[-1], chunked=True)[0] == FRAME


def test_what_is_not_to_be_compressed_is_stored(node):
    packed = node.connect(gzip=True)
    Written(node, [packed], compressed=False)
    assert len(packed.transport.writes[-1]) > len(FRAME)
    assert packed.frames("broadcast")[-1].data == {"pad": "x" * 1000}


def test_who_does_not_read_is_passed_over(node):
    slow, quick = node.connect(), node.connect()
    slow.transport.clog()
    written = Written(node, [slow, quick])
    assert (written.count, written.missed) == (1, [slow.subscriber])


def test_many_readers_take_turns_and_large_frames_more_of_them(node):
    readers = [node.connect() for _ in range(10)]
    assert Written(node, readers, writes=5).turns == 2
    assert Written(node, readers, writes=5, frame=b'data: "%b"\n\n' % (b"x" * 100_000)).turns == 5


def test_a_connection_that_is_gone_counts_for_nothing(node):
    readers = [node.connect() for _ in range(2)]
    readers[0].transport.fail_writes(OSError("gone"))
    written = Written(node, readers)
    assert (written.count, written.missed) == (1, [])
    assert node.hub.connections == 1
