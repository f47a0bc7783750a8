"""A compressed stream says what the plain one says, from wherever a reader joins it."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.gzip_stream import HEADER, Blocks, block, stored
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.streams import payload_of

_words = st.sampled_from((b"order", b"paid", b"data: ", b'{"n":1}', b"\n\n", b"\0" * 40))
_payloads = st.lists(
    st.binary(max_size=600)
    | st.lists(_words, max_size=200).map(b"".join)
    | st.integers(65_500, 66_000).map(lambda size: b"x" * size),
    max_size=6,
)


@given(_payloads, st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 6))
def test_whoever_joins_at_any_boundary_gets_exactly_what_follows(
    payloads: list[bytes], compressed: list[bool], joined: int
) -> None:
    blocks = Blocks()
    coded = [
        blocks.of(payload) if is_compressed else stored(payload)
        for payload, is_compressed in zip(payloads, compressed, strict=False)
    ]
    decoder = zlib.decompressobj(wbits=31)
    assert decoder.decompress(HEADER) == b""
    for payload, run in zip(payloads[joined:], coded[joined:], strict=True):
        assert decoder.decompress(run) == payload, "it comes whole, before anything follows"
    assert not decoder.eof


@given(st.binary(max_size=2000))
def test_no_block_is_longer_than_what_is_stored(payload: bytes) -> None:
    assert len(block(payload)) <= len(stored(payload))


_turns = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(("order:1", "order:2", "job:1")), st.text(max_size=400)),
    max_size=8,
)


@given(_turns, st.integers(0, 8), st.booleans())
def test_the_decoded_stream_is_the_plain_one(
    turns: list[tuple[int, str, str]], joined: int, chunked: bool
) -> None:
    node = Node(ManualScheduler(ManualClock()))
    readers = []
    for number in range(len(turns) + 1):
        if number == min(joined, len(turns)):
            for gzip in (False, True):
                readers.append(node.connect("entity=order", cursor="earliest", chunked=chunked, gzip=gzip))
        if number < len(turns):
            count, entity, text = turns[number]
            node.publish(*(an_event(entity, data={"n": n, "text": text}) for n in range(count)))
            node.pause()
    plain, coded = (
        payload_of(bytes(reader.transport.received), chunked=chunked, gzip=reader.delivery.gzip)[0]
        for reader in readers
    )
    assert coded == plain
