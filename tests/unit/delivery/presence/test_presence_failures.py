"""Work of presence that raises, wherever that is: whoever stays is told what is so in the end."""

import pytest

from gateway.core import control_frames
from gateway.delivery.group import Group
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.presence.fan_out import FanOut
from gateway.delivery.presence.presence import PresenceHub
from gateway.delivery.presence.readers import PresenceReaders
from gateway.delivery.presence.roster import Roster
from gateway.delivery.presence.view import View
from gateway.delivery.subscriber import State
from tests.support.node import Node
from tests.support.transport import RecordingTransport

PLACES = [
    (View, "step"),
    (View, "sync"),
    (Roster, "users"),
    (FanOut, "write"),
    (Group, "framed"),
    (Group, "framed_apart"),
    (RecordingTransport, "write"),
    (PresenceReaders, "reads"),
    (PresenceHub, "is_live"),
    (control_frames, "present"),
    (control_frames, "presence"),
]


def view_of(reader):
    users = None
    for frame in reader.frames("presence"):
        given = set(frame.data["users"])
        if frame.data["type"] == "sync":
            users = given
        elif frame.data["type"] == "join":
            users |= given
        elif frame.data["type"] == "leave":
            users -= given
    return users


@pytest.mark.parametrize("after", range(1, 9))
@pytest.mark.parametrize(("owner", "name"), PLACES, ids=lambda given: getattr(given, "__name__", given))
def test_whoever_stays_knows_who_is_there(scheduler, monkeypatch, owner, name, after):
    node = Node(scheduler)
    calls = 0
    real = getattr(owner, name)

    def failing(*args, **kwargs):
        nonlocal calls
        calls += is_working
        if calls == after and is_working:
            calls += 1
            raise MemoryError
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    readers, is_working = {}, False

    def enter(user):
        readers[user] = node.connect(attendance=Attendance(user, ("portal",), ("portal",)))

    def work(seconds=0.1):
        nonlocal is_working
        is_working = True
        scheduler.run_for(seconds)
        is_working = False

    for user in ("ana", "ben", "cyd"):
        enter(user)
        work()
    readers.pop("ben").transport.vanish()
    readers["ana"].transport.clog()
    enter("dov")
    node.hub.presence.broadcast("portal", "n", {}, "ana")
    work()
    readers["ana"].transport.start_reading()
    work(1.0)
    enter("eve")
    work(1.0)

    staying = {
        user: reader for user, reader in readers.items() if reader.subscriber.state is not State.CLOSED
    }
    assert node.hub.presence.users("portal").keys() == staying.keys()
    for one in staying.values():
        assert view_of(one) == staying.keys()
