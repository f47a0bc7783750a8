"""gateway/runtime/node_topics.py: several conversations over the same messages."""

import pytest

from gateway.ports.node_messages import MAX_MESSAGE_BYTES
from gateway.runtime.node_topics import MAX_TOPIC_BYTES, NodeTopics
from tests.support.node_mesh import Mesh

X, Y = b"x", b"y"


class TopicNode:
    """A node that hears the topics `names`."""

    def __init__(self, mesh: Mesh, *names: bytes) -> None:
        self.topics = NodeTopics(mesh.link())
        self.sends = {name: self.topics.topic(name) for name in names}
        self.heard: list[tuple[bytes, bytes]] = []
        for name, topic in self.sends.items():
            topic.listen(lambda message, name=name: self.heard.append((name, message)))  # type: ignore[misc]


async def test_what_is_said_of_a_topic_is_heard_by_those_who_listen_to_it() -> None:
    mesh = Mesh()
    first, second = TopicNode(mesh, X, Y), TopicNode(mesh, X, Y)
    await first.topics.start()
    await second.topics.start()

    first.sends[X].send(b"one")
    first.sends[Y].send(b"")
    second.sends[Y].send(b"two")

    assert second.heard == [(X, b"one"), (Y, b"")]
    assert first.heard == [(Y, b"two")]


async def test_what_nobody_listens_to_is_ignored_and_counted() -> None:
    mesh = Mesh()
    first, second = TopicNode(mesh, X, Y), TopicNode(mesh, Y)
    silent = second.topics.topic(b"z")
    await first.topics.start()
    await second.topics.start()
    stranger = mesh.link()

    first.sends[X].send(b"one")
    stranger.send(b"")
    stranger.send(b"z anything")

    assert second.heard == []
    assert second.topics.counts["ignored"] == 3
    silent.send(b"is heard by nobody")
    assert first.topics.counts["ignored"] == 3


def test_a_topic_is_one_byte_and_one_listener_s() -> None:
    topics = NodeTopics(Mesh().link())
    topic = topics.topic(X)
    topic.listen(lambda message: None)
    for name in (X, b"", b"xy"):
        with pytest.raises(ValueError, match="no topic that is free"):
            topics.topic(name)
    with pytest.raises(ValueError, match="listens to the topic"):
        topic.listen(lambda message: None)


async def test_a_message_of_a_topic_is_as_large_as_one_that_is_carried_less_its_byte() -> None:
    mesh = Mesh()
    TopicNode(mesh, X).sends[X].send(bytes(MAX_TOPIC_BYTES))
    assert [*map(len, mesh.sent)] == [MAX_MESSAGE_BYTES]


async def test_after_the_end_nothing_is_heard() -> None:
    mesh = Mesh()
    first, second = TopicNode(mesh, X), TopicNode(mesh, X)
    await second.topics.start()
    await second.topics.close()
    await second.topics.close()
    first.sends[X].send(b"one")
    assert second.heard == []
