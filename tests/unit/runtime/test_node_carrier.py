"""The carrier over an exchange in this process, which a test breaks."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import NoReturn

import pytest

from gateway.core.backoff import Backoff
from gateway.core.node_packets import NODE_BYTES, Packet
from gateway.runtime.node_carrier import PACKET_BYTES, NodeCarrier
from tests.support.clock import BusyClock, ManualClock
from tests.support.http import DEADLINE_SECONDS
from tests.support.node_messages import Awkward, Exchange, ExchangeLinks, Listening, Untroubled, until

NODE = bytes(NODE_BYTES)


class CarrierNode(Listening):
    """A node over the exchange. A packet that does not come back within `echo_seconds` is given up."""

    def __init__(self, exchange: Exchange, echo_seconds: float = 60.0, probe_seconds: float = 60.0) -> None:
        self.clock = ManualClock()
        self.trouble = Untroubled()
        self.links = ExchangeLinks(exchange)
        carrier = NodeCarrier(
            *(self.links, self.clock, self.trouble),
            probe_seconds=probe_seconds,
            echo_seconds=echo_seconds,
            backoff=Backoff(0.001, 0.001),
        )
        super().__init__(carrier)


@asynccontextmanager
async def started(*nodes: CarrierNode) -> AsyncIterator[None]:
    try:
        for node in nodes:
            await node.start()
        yield
    finally:
        for node in nodes:
            await node.messages.close()
            assert node.links.is_closed


async def test_what_is_said_while_a_packet_is_on_its_way_shares_the_next() -> None:
    exchange = Exchange()
    first, second = CarrierNode(exchange), CarrierNode(exchange)
    async with started(first, second):
        exchange.is_deaf = True
        first.messages.send(b"0")
        await until(lambda: Packet.unpack(exchange.packets[-1]).messages == (b"0",))
        for number in range(1, 100):
            first.messages.send(b"%d" % number)
        exchange.is_deaf = False
        exchange.give(exchange.packets[-1])

        await second.hears(*(b"%d" % number for number in range(100)))

    shared = Packet.unpack(exchange.packets[-1])
    assert len(shared.messages) == 99


async def test_a_packet_has_a_bound() -> None:
    exchange = Exchange()
    first, second = CarrierNode(exchange), CarrierNode(exchange)
    async with started(first, second):
        for _ in range(10):
            first.messages.send(bytes(PACKET_BYTES // 3))
        await until(lambda: len(second.heard) == 10)

    assert max(map(len, exchange.packets)) < PACKET_BYTES + 100


async def test_others_have_their_turns_between_the_messages_of_a_packet() -> None:
    exchange = Exchange()
    clock = BusyClock(0.0005)
    turns = 0
    seen: list[int] = []
    node = NodeCarrier(ExchangeLinks(exchange), clock, Untroubled())

    def take_turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(take_turn)

    await node.start(lambda _: seen.append(turns))
    take_turn()
    exchange.give(Packet(NODE, 1, (b"work",) * 100).pack())
    await until(lambda: len(seen) == 100)
    await node.close()

    assert max(Counter(seen).values()) <= 5


async def test_a_link_that_gives_nothing_back_is_replaced_and_what_it_took_is_lost() -> None:
    exchange = Exchange()
    node = CarrierNode(exchange, echo_seconds=0.01)
    async with started(node):
        exchange.is_deaf = True
        node.messages.send(b"into the void")
        await until(lambda: exchange.opened > 1)

        assert node.messages.counts["lost"] == 1
        assert "does not come back" in node.trouble.told[0]
        exchange.is_deaf = False
        await until(lambda: not node.trouble.lasts)
        node.messages.send(b"again")
        await until(lambda: node.messages.counts["sent"] == 1)


async def test_a_link_on_which_nobody_speaks_is_looked_at() -> None:
    exchange = Exchange()
    node = CarrierNode(exchange, echo_seconds=0.01, probe_seconds=0.001)
    async with started(node):
        exchange.is_deaf = True

        await until(lambda: exchange.opened > 1)

    assert node.messages.counts == {"sent": 0, "heard": 0, "lost": 0, "ignored": 0}


async def test_a_link_that_was_cut_is_replaced_at_once() -> None:
    exchange = Exchange()
    first, second = CarrierNode(exchange), CarrierNode(exchange)
    async with started(first, second):
        exchange.cut()
        await until(lambda: exchange.opened == 4 and not first.trouble.lasts and not second.trouble.lasts)
        first.messages.send(b"after")

        await second.hears(b"after")

    assert first.trouble.told == ["The exchange has cut this link."]


async def test_what_waits_goes_out_once_the_server_is_back() -> None:
    exchange = Exchange()
    first, second = CarrierNode(exchange), CarrierNode(exchange)
    async with started(first, second):
        exchange.is_up = False
        exchange.cut()
        await until(lambda: len(first.trouble.told) > 1 and len(second.trouble.told) > 1)
        first.messages.send(b"patient")
        exchange.is_up = True

        # Whoever comes back later than the speaker misses it: that is what being lost means.
        await until(lambda: first.messages.counts["sent"] == 1)

    assert first.messages.counts["lost"] == 0


async def test_what_waited_for_too_long_is_lost() -> None:
    exchange = Exchange()
    node = CarrierNode(exchange)
    async with started(node):
        exchange.is_up = False
        exchange.cut()
        await until(lambda: node.trouble.lasts)
        node.messages.send(b"stale")
        node.clock.advance(5.1)
        exchange.is_up = True

        await until(lambda: node.messages.counts["lost"] == 1)

    assert node.messages.counts["sent"] == 0


async def test_nodes_start_without_a_server() -> None:
    exchange = Exchange()
    exchange.is_up = False
    first, second = CarrierNode(exchange), CarrierNode(exchange)
    async with started(first, second):
        assert first.trouble.told[0] == "The exchange is down."
        exchange.is_up = True
        await until(lambda: not first.trouble.lasts and not second.trouble.lasts)
        first.messages.send(b"hello")

        await second.hears(b"hello")


async def test_a_defect_of_a_link_keeps_no_gateway_from_starting() -> None:
    links = ExchangeLinks(Exchange())

    def fail() -> NoReturn:
        raise RuntimeError("a defect")

    links.open = fail  # type: ignore[method-assign]
    carrier = NodeCarrier(links, ManualClock(), Untroubled())

    async with asyncio.timeout(DEADLINE_SECONDS):
        await carrier.start(lambda _: None)
    await carrier.close()


async def test_an_echo_that_was_never_sent_carries_nothing() -> None:
    exchange = Exchange()
    node = CarrierNode(exchange, echo_seconds=0.05)
    async with started(node):
        exchange.is_deaf = True
        own = Packet.unpack(exchange.packets[0]).node
        exchange.give(Packet(own, 2**60, ()).pack())
        node.messages.send(b"into the void")

        await until(lambda: node.messages.counts["lost"] == 1)


@pytest.mark.parametrize(
    "garbage",
    [None, b"", b"{}", b"tgn2", Packet(NODE, 1, (b"cut",)).pack()[:-1], b"tgn3" + bytes(40)],
    ids=["unreadable", "empty", "json", "mark", "cut", "another version"],
)
async def test_what_is_no_packet_is_ignored_and_counted(garbage: bytes | None) -> None:
    exchange = Exchange()
    first, second = CarrierNode(exchange), CarrierNode(exchange)
    async with started(first, second):
        exchange.give(garbage)
        first.messages.send(b"good")

        await second.hears(b"good")
        assert second.messages.counts["ignored"] == 1


def gone(node: CarrierNode) -> int:
    """How many messages of the node were carried or lost."""
    counts = node.messages.counts
    return counts["sent"] + counts["lost"]


@pytest.mark.parametrize("seed", range(5))
async def test_nobody_hears_itself_and_all_is_well_again_after_an_awkward_time(seed: int) -> None:
    exchange = Awkward(Random(seed))
    nodes = [CarrierNode(exchange, echo_seconds=0.05, probe_seconds=0.01) for _ in range(3)]
    async with started(*nodes):
        for number in range(50):
            for name, node in zip("abc", nodes, strict=True):
                node.messages.send(f"{name}{number}".encode())
            await until(lambda number=number: all(gone(node) > number for node in nodes))  # type: ignore[misc]
        exchange.calm()

        # Again and again, for a link may still be about to be cut.
        ends = {name: f"{name} ends".encode() for name in "abc"}

        def all_heard() -> bool:
            for name, node in zip("abc", nodes, strict=True):
                node.messages.send(ends[name])
            return all(
                ends[other] in node.heard
                for name, node in zip("abc", nodes, strict=True)
                for other in ends.keys() - {name}
            )

        await until(all_heard)

    for name, node in zip("abc", nodes, strict=True):
        assert not [message for message in node.heard if message.startswith(name.encode())]
        assert all(message[:1] in b"abc" for message in node.heard)
    assert sum(node.messages.counts["ignored"] for node in nodes) > 0
    assert sum(node.messages.counts["lost"] for node in nodes) > 0
