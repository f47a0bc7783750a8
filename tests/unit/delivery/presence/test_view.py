"""What the readers of a channel are told: what the frames come to is who is there."""

import json

from gateway.delivery.presence.view import View


class Channel:
    def __init__(self):
        self.view = View("portal")
        self.users = {}

    def put(self, user, meta=b"{}"):
        self.users[user] = meta
        self.view.touch(user)

    def remove(self, user):
        del self.users[user]
        self.view.touch(user)

    def step(self):
        """What is told next: each frame's type, with the metas of its users."""
        frames = []
        for _ in self.view.step(self.users.get, frames):
            pass
        return [read(frame) for frame in frames]


def read(frame):
    event, data = frame.decode().removesuffix("\n\n").split("\n")
    assert event == "event: presence"
    said = json.loads(data.removeprefix("data: "))
    assert said["channel"] == "portal"
    return said["type"], {user: told["meta"] for user, told in said["users"].items()}


def test_what_happened_since_is_one_frame_a_type():
    channel = Channel()
    channel.put("ana")
    channel.put("ben")
    assert channel.step() == [("join", {"ana": {}, "ben": {}})]
    channel.put("ana", b'{"n":1}')
    channel.put("cyd", b'{"n":2}')
    assert channel.step() == [("join", {"cyd": {"n": 2}}), ("update", {"ana": {"n": 1}})]
    assert read(channel.view.sync()) == ("sync", {"ana": {"n": 1}, "ben": {}, "cyd": {"n": 2}})
    assert not channel.view.is_due


def test_who_is_gone_is_told_of_at_the_next_step_with_what_it_was_last():
    channel = Channel()
    channel.put("ana", b'{"n":1}')
    channel.step()
    channel.remove("ana")
    assert channel.step() == []
    assert channel.view.is_due
    assert read(channel.view.sync()) == ("sync", {"ana": {"n": 1}})
    assert channel.step() == [("leave", {"ana": {"n": 1}})]
    assert not channel.view.is_due


def test_who_comes_back_by_then_has_neither_left_nor_joined():
    channel = Channel()
    channel.put("ana")
    channel.step()
    channel.remove("ana")
    channel.step()
    channel.put("ana")
    assert channel.step() == []
    channel.remove("ana")
    assert channel.step() == [], "it is looked at anew"
    assert channel.step() == [("leave", {"ana": {}})]


def test_who_came_and_went_in_between_is_not_told_of():
    channel = Channel()
    channel.put("ana")
    channel.remove("ana")
    assert channel.step() == []
    assert not channel.view.is_due


def test_a_name_may_be_any_text():
    channel = Channel()
    name = 'a"\\/ \u2028\N{GRINNING FACE}'
    channel.put(name)
    assert channel.step() == [("join", {name: {}})]


def test_who_is_touched_while_a_step_is_under_way_is_for_the_next():
    channel = Channel()
    channel.put("ana")
    channel.put("ben")
    frames = []
    steps = channel.view.step(channel.users.get, frames)
    next(steps)
    channel.put("ana", b'{"n":1}')
    for _ in steps:
        pass
    assert [read(frame) for frame in frames] == [("join", {"ana": {}, "ben": {}})]
    assert channel.step() == [("update", {"ana": {"n": 1}})]
