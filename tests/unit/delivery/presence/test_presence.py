"""Presence and broadcasts through the hub, with clients that a test moves by hand."""

import pytest

from gateway.delivery.pace import Pace
from gateway.delivery.presence import presence
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.presence.roster import Present
from gateway.delivery.presence.view import View
from tests.support.events import an_event
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler

WINDOW = 0.1


@pytest.fixture
def node(scheduler: ManualScheduler):
    return Node(scheduler)


def enter(node, user, *, hears=(), channels=("portal",), **options):
    return node.connect("entity=order", attendance=Attendance(user, channels, hears), **options)


def told(reader):
    """The types and users of the presence frames that a client has read."""
    frames = reader.frames("presence")
    assert all(frame.id is None for frame in frames)
    return [
        (frame.data["type"], {user: given["meta"] for user, given in frame.data["users"].items()})
        for frame in frames
    ]


def test_all_of_a_window_is_one_frame_and_a_new_reader_gets_what_the_others_know(node):
    ana = enter(node, "ana")
    node.scheduler.run_for(WINDOW)
    assert told(ana) == [("sync", {"ana": {}})]
    ben, cyd = enter(node, "ben"), enter(node, "cyd")
    node.hub.presence.set_meta("portal", "ben", b'{"n":1}')
    node.scheduler.run_for(WINDOW)
    assert told(ana)[1:] == [("join", {"ben": {"n": 1}, "cyd": {}})]
    assert told(ben) == told(cyd) == [("sync", {"ana": {}, "ben": {"n": 1}, "cyd": {}})]


def test_the_frame_of_a_window_is_the_same_bytes_for_all_whatever_else_they_read(node):
    readers = [
        node.connect(query, attendance=Attendance("ana", ("portal",)))
        for query in ("entity=order", "entity=bill", "")
    ]
    node.scheduler.run_for(WINDOW)
    enter(node, "ben")
    node.scheduler.run_for(WINDOW)
    [first, *others] = [reader.transport.writes[-1] for reader in readers]
    assert all(other is first for other in others)


def test_who_comes_back_within_a_window_has_neither_left_nor_joined(node):
    ana, ben = enter(node, "ana"), enter(node, "ben")
    node.scheduler.run_for(WINDOW)
    ben.transport.vanish()
    node.scheduler.run_for(WINDOW)
    enter(node, "ben")
    node.scheduler.run_for(1.0)
    assert [kind for kind, _ in told(ana)] == ["sync"]


def test_who_stays_away_has_left(node):
    ana, ben = enter(node, "ana"), enter(node, "ben")
    node.scheduler.run_for(WINDOW)
    ben.transport.vanish()
    node.scheduler.run_for(2 * WINDOW)
    assert told(ana)[1:] == [("leave", {"ben": {}})]
    assert node.hub.presence.users("portal") == {"ana": Present(1, b"{}")}


def test_a_client_that_does_not_read_has_no_queue_and_gets_all_of_it_once_it_reads(node):
    ana = enter(node, "ana")
    node.scheduler.run_for(WINDOW)
    ana.transport.clog()
    for number in range(50):
        enter(node, f"user-{number}")
        node.scheduler.run_for(WINDOW)
    assert not ana.transport.waiting
    ana.transport.start_reading()
    node.scheduler.run_for(WINDOW)
    kinds = [kind for kind, _ in told(ana)]
    assert kinds == ["sync", "sync"]
    assert len(told(ana)[1][1]) == 51


def test_nothing_is_made_for_those_who_do_not_read(node, monkeypatch):
    ana = enter(node, "ana")
    node.scheduler.run_for(WINDOW)
    ana.transport.clog()
    enter(node, "ben")
    node.scheduler.run_for(WINDOW)
    made = []
    monkeypatch.setattr(View, "sync", lambda view: made.append(view))
    node.hub.presence.set_meta("portal", "ben", b'{"n":1}')
    node.scheduler.run_for(WINDOW)
    assert made == []


def test_a_client_that_paused_and_missed_nothing_is_told_nothing_again(node):
    ana = enter(node, "ana")
    node.scheduler.run_for(WINDOW)
    ana.transport.clog()
    node.scheduler.run_for(1.0)
    ana.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert told(ana) == [("sync", {"ana": {}})]


def test_a_sync_that_clogs_its_reader_is_not_sent_again(node):
    for number in range(20):
        enter(node, f"user-{number}")
    node.scheduler.run_for(WINDOW)
    slow = enter(node, "slow")
    slow.transport.stop_reading()
    node.scheduler.run_for(WINDOW)
    slow.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert [kind for kind, _ in told(slow)] == ["sync"]


def test_sync_comes_after_what_a_client_missed(node):
    node.publish(*(an_event() for _ in range(3)))
    ana = enter(node, "ana", cursor="e.1-0")
    node.scheduler.run_for(WINDOW)
    assert ana.frames()[-1].event == "presence"
    assert ana.numbers() == [2, 3]


def test_what_fails_for_a_channel_ends_in_a_sync_and_concerns_no_other(node, monkeypatch):
    ana = enter(node, "ana")
    bob = enter(node, "bob", channels=("other",))
    node.scheduler.run_for(WINDOW)
    lookup = node.hub.presence.roster.users
    failing = [True]

    def users(channel):
        if channel == "portal" and failing and failing.pop():
            raise RuntimeError("no memory")
        return lookup(channel)

    monkeypatch.setattr(node.hub.presence.roster, "users", users)
    ben, eve = enter(node, "ben"), enter(node, "eve", channels=("other",))
    node.scheduler.run_for(1.0)
    assert node.hub.failures.counts["presence"] == 1
    assert told(ana)[-1] == told(ben)[-1] == ("sync", {"ana": {}, "ben": {}})
    assert told(bob)[1:] == [("join", {"eve": {}})]
    assert told(eve)[-1] == ("sync", {"bob": {}, "eve": {}})


def test_a_connection_that_fails_while_it_is_told_has_left(node):
    ana, ben = enter(node, "ana"), enter(node, "ben")
    node.scheduler.run_for(WINDOW)
    ben.transport.fail_writes(OSError("gone"))
    enter(node, "cyd")
    node.scheduler.run_for(1.0)
    assert told(ana)[1:] == [("join", {"cyd": {}}), ("leave", {"ben": {}})]
    assert node.hub.counters.failed_writes == 1


def test_meta_is_kept_for_two_heartbeats_before_a_user_comes_and_after_it_went(node):
    hub = node.hub.presence
    hub.set_meta("portal", "ana", b'{"n":1}')
    node.scheduler.run_for(29.0)
    ana = enter(node, "ana")
    node.scheduler.run_for(100.0)
    assert hub.users("portal") == {"ana": Present(1, b'{"n":1}')}
    ana.transport.vanish()
    node.scheduler.run_for(29.0)
    assert (hub.own_users, len(hub.roster.own)) == (0, 1)
    again = enter(node, "ana")
    assert hub.users("portal") == {"ana": Present(1, b'{"n":1}')}
    again.transport.vanish()
    node.scheduler.run_for(31.0)
    enter(node, "ana")
    assert hub.users("portal") == {"ana": Present(1, b"{}")}


def test_a_channel_has_room_for_so_much(node, monkeypatch):
    monkeypatch.setattr(presence, "MAX_CHANNEL_BYTES", 100)
    hub = node.hub.presence
    enter(node, "ana")
    assert not hub.set_meta("portal", "ana", b'{"n":"%b"}' % (b"x" * 100))
    assert hub.set_meta("portal", "ana", b'{"n":"%b"}' % (b"x" * 70))
    assert hub.has_room(Attendance("ben", ("portal",)))
    enter(node, "ben" * 10)
    assert not hub.has_room(Attendance("cyd", ("portal",)))
    assert hub.has_room(Attendance("ana", ("portal",))), "who is there may come again"
    assert hub.has_room(Attendance("cyd", ("other",), ("portal",)))


def test_a_broadcast_is_written_once_to_each_who_reads_and_to_nobody_later(node):
    ana, ben = enter(node, "ana", hears=("chat",)), enter(node, "ben", hears=("chat",))
    ben.transport.clog()
    for number in range(3):
        assert node.hub.presence.broadcast("chat", "n", {"n": number}, "ana")
    node.scheduler.run_ready()
    assert [frame.data["payload"]["n"] for frame in ana.frames("broadcast")] == [0, 1, 2]
    assert len(ana.transport.writes) == 2, "what waits for the same reader goes out together"
    ben.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert ben.frames("broadcast") == []
    said = node.hub.presence.broadcasting
    assert (said.taken, said.delivered, said.dropped, said.refused) == (3, 3, 3, 0)


def test_more_broadcasts_than_may_wait_are_refused(scheduler):
    node = Node(scheduler)
    ana = enter(node, "ana", hears=("chat",))
    taken = [node.hub.presence.broadcast("chat", "n", {"pad": "x" * 8000}, "ana") for _ in range(200)]
    assert taken == [True] * sum(taken) + [False] * (200 - sum(taken))
    assert 120 < sum(taken) < 140
    scheduler.run_ready()
    assert len(ana.frames("broadcast")) == sum(taken)
    assert node.hub.presence.broadcast("chat", "n", {}, "ana")


def test_other_work_goes_on_while_there_is_always_more_to_say(scheduler):
    node = Node(scheduler, pace=Pace(writes_a_turn=1))
    ana = enter(node, "ana", hears=("chat",))
    node.scheduler.run_for(WINDOW)
    done = []

    def say_more():
        node.hub.presence.broadcast("chat", "n", {}, "ana")
        scheduler.call_soon(say_more)

    def other_work():
        done.append(len(ana.transport.writes))
        yield

    say_more()
    for _ in range(20):
        scheduler.step()
    node.hub._schedule.add_job("review", other_work())
    for _ in range(50):
        scheduler.step()
    assert done


def test_what_is_said_where_nobody_hears_waits_for_nobody(node):
    for _ in range(1000):
        assert node.hub.presence.broadcast("chat", "n", {"pad": "x" * 8000}, "ana")
    ana = enter(node, "ana", hears=("chat",))
    node.scheduler.run_ready()
    assert ana.frames("broadcast") == []


def test_nothing_is_left_of_streams_that_are_gone(node):
    readers = [enter(node, f"user-{number}", hears=("chat",)) for number in range(3)]
    node.scheduler.run_for(WINDOW)
    for reader in readers:
        reader.transport.vanish()
    node.scheduler.run_for(1.0)
    hub = node.hub.presence
    assert (len(hub.readers), len(hub.roster.own), hub.own_users, hub.users("portal")) == (0, 0, 0, {})
    assert hub.attendance_of(readers[0].subscriber) is None
