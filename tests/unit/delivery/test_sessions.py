"""Streams end with their tokens, and are told a minute before."""

import pytest

from gateway.core.credentials import NOBODY, Credentials
from gateway.core.times import rfc3339
from gateway.delivery.pace import Pace
from gateway.delivery.sessions import LOOK_SECONDS, WARNING_SECONDS
from gateway.delivery.subscriber import State
from tests.support.events import an_event
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler

HOUR = 3600.0


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def token(node: Node, lives: float) -> Credentials:
    now = node.scheduler.clock.wall_ms() / 1000
    return Credentials(subject="ana", issued_at=now, expires_at=now + lives)


def told(reader: Reader) -> list[str]:
    """What it was sent beside `connected`, events and heartbeats."""
    names = [frame.event or "" for frame in reader.frames()]
    return [name for name in names if name in ("token-expiring", "bye", "reset")]


def test_a_stream_is_told_a_minute_before_its_token_ends_and_ends_with_it(node: Node) -> None:
    credentials = token(node, HOUR)
    reader = node.connect(credentials=credentials)
    node.scheduler.run_for(HOUR - WARNING_SECONDS - 1)
    assert told(reader) == []
    node.scheduler.run_for(2)
    assert told(reader) == ["token-expiring"]
    (warning,) = reader.frames("token-expiring")
    assert credentials.expires_at is not None
    assert warning.data == {"expiresAt": rfc3339(round(credentials.expires_at * 1000))}
    assert warning.id is None
    node.scheduler.run_for(WARNING_SECONDS - 3)
    assert told(reader) == ["token-expiring"]
    node.scheduler.run_for(3)
    assert told(reader) == ["token-expiring", "bye"]
    (bye,) = reader.frames("bye")
    assert (bye.data["reason"], bye.data["reconnect"]) == ("token_expired", True)
    assert node.hub.counters.byes == {"token_expired": 1}


@pytest.mark.parametrize("lives", [59.0, 10.0, 0.5])
def test_one_whose_token_has_less_left_is_told_at_once(node: Node, lives: float) -> None:
    reader = node.connect(credentials=token(node, lives))
    assert told(reader) == ["token-expiring"]
    node.scheduler.run_for(lives + 1)
    assert told(reader) == ["token-expiring", "bye"]


@pytest.mark.parametrize("lives", [0.0, -20.0])
def test_one_whose_token_has_ended_is_ended_at_once(node: Node, lives: float) -> None:
    reader = node.connect(credentials=token(node, lives))
    assert told(reader) == ["bye"]


def test_one_without_a_token_lives_on(node: Node) -> None:
    readers = [node.connect(credentials=given) for given in (None, NOBODY, Credentials(key="ci"))]
    assert node.scheduler.next_timer() is not None  # the heartbeats'
    node.scheduler.run_for(HOUR)
    assert [told(reader) for reader in readers] == [[], [], []]


def test_a_stream_that_is_behind_and_one_that_does_not_read_end_as_well(node: Node) -> None:
    for _ in range(40):
        node.publish(an_event())
    lagging = node.connect(cursor="e.0-0", credentials=token(node, 20.0))
    lagging.transport.clog()
    node.scheduler.run_for(19.0)
    assert lagging.subscriber.state is State.LAGGING
    node.scheduler.run_for(2.0)
    assert lagging.subscriber.state is State.CLOSED
    node.scheduler.run_for(13.0)
    assert lagging.transport.is_aborted
    assert node.hub.connections == 0


def test_what_comes_between_the_warning_and_the_end_is_delivered(node: Node) -> None:
    reader = node.connect(credentials=token(node, 30.0))
    node.publish(an_event())
    node.scheduler.run_for(29.0)
    node.publish(an_event())
    node.scheduler.run_for(2.0)
    node.publish(an_event())
    assert reader.numbers() == [1, 2]


@pytest.mark.parametrize("gzip", [True, False])
def test_its_own_words_are_not_compressed_with_events(node: Node, gzip: bool) -> None:
    reader = node.connect(credentials=token(node, 30.0), gzip=gzip)
    assert b'{"expiresAt":' in reader.transport.received


def test_many_that_end_in_one_second_end_some_at_a_time(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=16))
    readers = [node.connect(credentials=token(node, 30.0)) for _ in range(500)]
    bystander = node.connect()
    scheduler.run_for(29.0)
    scheduler.clock.advance(2.0)
    left = len(readers)
    while left:
        assert scheduler.step()
        before, left = left, sum(reader.subscriber.state is not State.CLOSED for reader in readers)
        assert before - left <= 16
    node.publish(an_event())
    assert bystander.numbers() == [1]
    assert all(told(reader) == ["token-expiring", "bye"] for reader in readers)


def test_a_clock_that_is_set_forward_is_noticed_in_time(node: Node) -> None:
    reader = node.connect(credentials=token(node, HOUR))
    clock = node.scheduler.clock
    clock.set_wall_ms(clock.wall_ms() + round((HOUR + 1) * 1000))
    node.scheduler.run_for(LOOK_SECONDS + 1)
    assert told(reader) == ["bye"]


def test_a_clock_that_is_set_back_gives_nobody_less_and_ends_all_by_what_it_says_then(node: Node) -> None:
    reader = node.connect(credentials=token(node, HOUR))
    clock = node.scheduler.clock
    node.scheduler.run_for(HOUR - 30)
    assert told(reader) == ["token-expiring"]
    clock.set_wall_ms(clock.wall_ms() - round(HOUR * 1000))
    node.scheduler.run_for(HOUR)
    assert reader.subscriber.state is not State.CLOSED
    node.scheduler.run_for(40)
    assert told(reader)[-1] == "bye"


def test_one_that_is_gone_is_forgotten(node: Node) -> None:
    sessions = node.hub._sessions
    for number in range(1000):
        reader = node.connect(credentials=token(node, HOUR + number))
        reader.transport.vanish()
    assert not sessions._due
    assert len(sessions._seconds) <= 200
    told_already = node.connect(credentials=token(node, 30.0))
    told_already.transport.vanish()
    assert not sessions._due
    node.scheduler.run_for(2 * HOUR)
    assert told(told_already) == ["token-expiring"]


def test_no_alarm_is_set_where_nothing_expires(node: Node) -> None:
    sessions = node.hub._sessions
    node.connect()
    assert sessions.alarm._handle is None
    node.connect(credentials=token(node, 10.0))
    node.scheduler.run_for(20.0)
    assert sessions.alarm._handle is None
