"""The load test's reading of an event stream, held against the gateway's own and against its writing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.eventstream import EventStreamDecoder, encode
from loadtests.decoder import Decoder, Frame
from tests.support.effort import is_linear_in_reads
from tests.support.sse import FrameReader

PIECES = st.sampled_from(
    [b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"7", b"x", b"\0"]
)


def read(parts: list[bytes]) -> tuple[list[Frame], Decoder]:
    """What a decoder makes of these reads."""
    decoder = Decoder()
    return [frame for part in parts for frame in decoder.feed(part)], decoder


def test_a_frame_has_its_event_data_id_and_size() -> None:
    block = encode("one\ntwo", event="note", last_event_id="e.1-0", retry_ms=500)

    frames, decoder = read([block])

    assert frames == [Frame("note", "one\ntwo", "e.1-0", len(block))]
    assert (decoder.last_event_id, decoder.retry_ms) == ("e.1-0", 500)


def test_the_id_of_an_event_that_was_cut_off_is_not_resumed_from() -> None:
    whole = encode("1", last_event_id="e.1-0")
    half = encode("2", last_event_id="e.2-0").removesuffix(b"\n")

    _, decoder = read([whole + half])

    assert decoder.last_event_id == "e.1-0"


def test_a_long_line_costs_no_more_with_each_read() -> None:
    assert is_linear_in_reads(Decoder().feed, b"data: ")
    assert is_linear_in_reads(FrameReader().feed, b"data: ")


def test_a_cr_that_waits_is_part_of_no_line() -> None:
    frames, _ = read([b"data: a\r", b"\ndata: b\r", b"\r", b"data: c\r", b"\n", b"\r\n:"])
    assert [frame.data for frame in frames] == ["a\nb", "c"]


@given(st.lists(PIECES, max_size=60), st.lists(st.integers(0, 200)))
def test_it_reads_what_the_gateway_reads_however_it_is_split(pieces: list[bytes], cuts: list[int]) -> None:
    # A line at the end, so that neither waits for what follows a CR.
    stream = b"".join(pieces) + b":\n"
    ends = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[start:end] for start, end in pairwise(ends)]
    gateway = EventStreamDecoder()
    expected = [event for part in parts for event in gateway.feed(part)]

    frames, decoder = read(parts)

    assert [frame[:3] for frame in frames] == [(e.event, e.data, e.last_event_id) for e in expected]
    assert (decoder.last_event_id, decoder.retry_ms) == (gateway.last_event_id, gateway.retry_ms)
