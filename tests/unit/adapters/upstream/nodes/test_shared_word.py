"""adapters/upstream/nodes/shared_word.py: what an upstream said, told from node to node."""

import pytest
from multidict import CIMultiDict

from adapters.upstream.failures import BadAnswer, OtherStatus
from adapters.upstream.nodes.shared_word import SharedWord
from gateway.ports.upstreams import GivenAnswer
from tests.support.clock import ManualClock
from tests.support.shared_store import MemorySharedStore

HEADERS = CIMultiDict([("Link", "</a>"), ("Link", "</b>"), ("X-Ö", "ü")])


class Nodes:
    """Two nodes that share a store."""

    def __init__(self, clock: ManualClock) -> None:
        self.store = MemorySharedStore(clock)
        self.one, self.other = (SharedWord(self.store, "/orders?a=1", clock, 11.0) for _ in range(2))


@pytest.fixture
def nodes(clock: ManualClock) -> Nodes:
    return Nodes(clock)


@pytest.mark.parametrize("left", [None, 0.0, 7.5])
async def test_another_node_hears_what_was_said(nodes: Nodes, left: float | None) -> None:
    said = GivenAnswer(503, HEADERS, bytes(range(256)), left)
    await nodes.one.tell(OtherStatus(said))

    heard = await nodes.other.heard()

    assert isinstance(heard, OtherStatus)
    assert heard.answer == said
    assert heard.kind == "status"


async def test_nobody_hears_what_was_not_said(nodes: Nodes) -> None:
    assert await nodes.one.heard() is None
    await nodes.one.take_back()


async def test_a_word_lasts_for_a_while_or_as_long_as_the_upstream_is_left_alone(
    nodes: Nodes, clock: ManualClock
) -> None:
    await nodes.one.tell(OtherStatus(GivenAnswer(500, HEADERS, b"")))
    clock.advance(11.0)
    assert await nodes.other.heard() is None

    await nodes.one.tell(OtherStatus(GivenAnswer(429, HEADERS, b"", 60.0)))
    clock.advance(59.0)
    heard = await nodes.other.heard()
    assert isinstance(heard, OtherStatus)
    assert heard.answer.retry_after_seconds == 1.0
    clock.advance(1.0)
    assert await nodes.other.heard() is None


async def test_whoever_knows_of_a_word_takes_it_back(nodes: Nodes) -> None:
    for taker in (nodes.one, nodes.other):
        await nodes.one.tell(OtherStatus(GivenAnswer(500, HEADERS, b"")))
        assert await nodes.other.heard() is not None
        await taker.take_back()
        assert await nodes.other.heard() is None


async def test_what_can_not_be_handed_out_is_told_by_its_kind(nodes: Nodes) -> None:
    await nodes.one.tell(BadAnswer("too_large", "The upstream's answer is over 9 bytes."))

    heard = await nodes.other.heard()

    assert heard is not None
    assert (type(heard), heard.kind, heard.detail) == (
        BadAnswer,
        "too_large",
        "The upstream's answer is over 9 bytes.",
    )
