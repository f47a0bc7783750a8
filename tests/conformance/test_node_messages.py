"""What all NodeMessages promise (gateway/ports/node_messages.py), whatever carries them."""

from collections.abc import AsyncIterator

import pytest

from gateway.ports.node_messages import MAX_MESSAGE_BYTES
from tests.conformance.node_carriers import CLUSTERS, Cluster, ClusterFactory, breakable_cluster
from tests.support.node_messages import Listening, until


@pytest.fixture(params=CLUSTERS.values(), ids=CLUSTERS.keys())
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    factory: ClusterFactory = request.param
    async with factory() as cluster:
        yield cluster


@pytest.fixture
async def nodes(cluster: Cluster) -> AsyncIterator[list[Listening]]:
    """Three nodes of one log, started."""
    nodes = [Listening(cluster.node()) for _ in range(3)]
    try:
        for node in nodes:
            await node.start()
        yield nodes
    finally:
        for node in nodes:
            await node.messages.close()


async def test_a_message_comes_to_every_other_node_and_not_back(nodes: list[Listening]) -> None:
    first, second, third = nodes

    first.messages.send(b"one")
    await second.hears(b"one")
    await third.hears(b"one")
    second.messages.send(b"two")

    await first.hears(b"two")
    await third.hears(b"one", b"two")
    assert second.heard == [b"one"]


async def test_messages_of_one_node_keep_their_order(nodes: list[Listening]) -> None:
    first, second, third = nodes
    sent = [b"%d" % number for number in range(3000)]

    for message in sent:
        first.messages.send(message)

    await second.hears(*sent)
    await third.hears(*sent)


async def test_nodes_that_speak_at_once_are_all_heard_each_in_its_order(nodes: list[Listening]) -> None:
    for number in range(300):
        for name, node in zip("abc", nodes, strict=True):
            node.messages.send(f"{name}{number}".encode())

    for node, others in zip(nodes, ("bc", "ac", "ab"), strict=True):
        await until(lambda node=node: len(node.heard) == 600)  # type: ignore[misc]
        for name in others:
            heard = [message for message in node.heard if message.startswith(name.encode())]
            assert heard == [f"{name}{number}".encode() for number in range(300)]


@pytest.mark.parametrize(
    "message",
    [b"", b"\0", b"\xff\xfe\0'\"\\\r\n", "ж:0:1:é".encode(), bytes(range(256)) * (MAX_MESSAGE_BYTES // 256)],
    ids=["empty", "nul", "binary", "text", "largest"],
)
async def test_a_message_is_any_bytes(nodes: list[Listening], message: bytes) -> None:
    first, second, _ = nodes

    for each in (message, message, b"end"):
        first.messages.send(each)

    await second.hears(message, message, b"end")


async def test_many_of_the_largest_come_whole(nodes: list[Listening]) -> None:
    first, second, third = nodes
    sent = [bytes([number]) * MAX_MESSAGE_BYTES for number in range(20)]

    for message in sent:
        first.messages.send(message)

    await second.hears(*sent)
    await third.hears(*sent)


async def test_one_that_is_too_large_is_refused(nodes: list[Listening]) -> None:
    first, second, _ = nodes

    with pytest.raises(ValueError, match="32768 bytes at most"):
        first.messages.send(bytes(MAX_MESSAGE_BYTES + 1))
    first.messages.send(b"next")

    await second.hears(b"next")
    assert first.messages.counts["lost"] == 0


async def test_the_nodes_of_another_log_on_the_server_hear_nothing(cluster: Cluster) -> None:
    own, own_too, other = (
        Listening(cluster.node()),
        Listening(cluster.node()),
        Listening(cluster.stranger()),
    )
    other_too = Listening(cluster.stranger())
    for node in (own, own_too, other, other_too):
        await node.start()

    own.messages.send(b"for us")
    other.messages.send(b"for them")

    await own_too.hears(b"for us")
    await other_too.hears(b"for them")
    for node in (own, own_too, other, other_too):
        await node.messages.close()
    assert own.heard == other.heard == []
    assert [node.messages.counts["ignored"] for node in (own_too, other_too)] == [0, 0]


async def test_who_comes_later_hears_what_is_said_from_then_on(cluster: Cluster) -> None:
    first, second = Listening(cluster.node()), Listening(cluster.node())
    await first.start()
    first.messages.send(b"before")
    await until(lambda: first.messages.counts["sent"] == 1)

    await second.start()
    first.messages.send(b"after")

    await second.hears(b"after")
    await first.messages.close()
    await second.messages.close()


async def test_what_was_said_before_the_end_is_still_carried(nodes: list[Listening]) -> None:
    first, second, _ = nodes

    first.messages.send(b"good-bye")
    await first.messages.close()

    await second.hears(b"good-bye")
    first.messages.send(b"too late")
    assert first.messages.counts == {"sent": 1, "heard": 0, "lost": 1, "ignored": 0}
    await first.messages.close()


async def test_what_is_said_before_the_start_is_lost(cluster: Cluster) -> None:
    node = cluster.node()

    node.send(b"too early")
    await node.close()
    await node.close()

    assert node.counts == {"sent": 0, "heard": 0, "lost": 1, "ignored": 0}


async def test_everything_is_counted(nodes: list[Listening]) -> None:
    first, second, third = nodes

    for message in (b"1", b"2", b"3"):
        first.messages.send(message)
    await second.hears(b"1", b"2", b"3")
    await third.hears(b"1", b"2", b"3")
    await until(lambda: first.messages.counts["sent"] == 3)

    assert first.messages.counts == {"sent": 3, "heard": 0, "lost": 0, "ignored": 0}
    assert second.messages.counts == {"sent": 0, "heard": 3, "lost": 0, "ignored": 0}


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_nodes_hear_one_another_again_once_a_killed_server_is_back(kind: str) -> None:
    async with breakable_cluster(kind) as (broken, make):
        nodes = [Listening(make()), Listening(make())]
        for node in nodes:
            await node.start()
        nodes[0].messages.send(b"before")
        await nodes[1].hears(b"before")

        await broken.restart(broken.server.kill)

        for speaker, listener in (nodes, nodes[::-1]):
            await _heard_at_last(speaker, listener, b"after")
        for node in nodes:
            await node.messages.close()


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_nodes_that_start_without_a_server_hear_one_another_once_it_is_there(kind: str) -> None:
    async with breakable_cluster(kind) as (broken, make):
        broken.server.stop()
        nodes = [Listening(make()), Listening(make())]
        for node in nodes:
            await node.start()

        broken.server.start()

        await _heard_at_last(*nodes, b"after")
        for node in nodes:
            await node.messages.close()


async def _heard_at_last(speaker: Listening, listener: Listening, message: bytes) -> None:
    """What is said again and again is heard once both have a link: what is said before that is lost."""

    def holds() -> bool:
        speaker.messages.send(message)
        return message in listener.heard

    await until(holds)
