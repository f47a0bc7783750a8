"""What is encoded is decoded, however the bytes are cut."""

import re
from itertools import pairwise
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import ORIGIN, Event, Position
from gateway.core.eventstream import EventStreamDecoder, EventTooLarge, ServerSentEvent, chunk, encode
from gateway.core.history import History
from tests.support.events import a_record, an_event
from tests.support.sse import FrameReader
from tests.support.streams import dechunk, frames_of

AWKWARD = "\n\r\0\t :\x0b\x0c\x1c\x85\u2028\u2029\ufeff\ufffd\U0001f600aé"
_any_text = st.text(st.sampled_from(AWKWARD) | st.characters(exclude_categories=["Cs"]), max_size=30)
_without_cr = _any_text.map(lambda text: text.replace("\r", "\n"))
_in_a_line = _any_text.map(lambda text: re.sub("[\r\n]", "", text))
_ids = _in_a_line.map(lambda text: text.replace("\0", ""))
_cuts = st.lists(st.integers(0, 200), max_size=8)


class Written(NamedTuple):
    """The arguments of `encode`."""

    data: str
    event: str | None
    last_event_id: str | None

    def encoded(self) -> bytes:
        return encode(self.data, event=self.event, last_event_id=self.last_event_id)


_written = st.lists(
    st.builds(Written, _without_cr, st.none() | _in_a_line.filter(bool), st.none() | _ids), max_size=4
)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    return [stream[start:end] for start, end in pairwise(places)]


def decode(parts: list[bytes]) -> tuple[list[ServerSentEvent], str, int | None]:
    decoder = EventStreamDecoder()
    events = [event for part in parts for event in decoder.feed(part)]
    return events, decoder.last_event_id, decoder.retry_ms


def each_way(stream: bytes, cuts: list[int]) -> tuple[list[ServerSentEvent], str, int | None]:
    """Whole, byte by byte, and cut anywhere: it must all be the same."""
    whole = decode([stream])
    assert decode([bytes([byte]) for byte in stream]) == whole
    assert decode(pieces(stream, cuts)) == whole
    return whole


def dispatched(written: list[Written]) -> list[ServerSentEvent]:
    """What an EventSource makes of these, by the standard: an id lasts until the next."""
    events = []
    last_id = ""
    for one in written:
        last_id = last_id if one.last_event_id is None else one.last_event_id
        events.append(ServerSentEvent(one.event or "message", one.data, last_id))
    return events


@given(_written, _cuts)
def test_what_is_encoded_is_decoded_however_it_is_fed(written: list[Written], cuts: list[int]) -> None:
    stream = b"".join(one.encoded() for one in written)
    events, last_id, _ = each_way(stream, cuts)
    assert events == dispatched(written)
    assert last_id == (events[-1].last_event_id if events else "")


@given(_written, _written, st.integers(1, 300), _cuts)
def test_an_event_that_is_cut_off_is_neither_dispatched_nor_resumed_from(
    written: list[Written], more: list[Written], kept: int, cuts: list[int]
) -> None:
    stream = b"".join(one.encoded() for one in written)
    for following in more[:1]:
        encoded = following.encoded()
        stream += encoded[: min(kept, len(encoded) - 1)]
    events, last_id, _ = each_way(stream, cuts)
    assert events == dispatched(written)
    assert last_id == (events[-1].last_event_id if events else "")


_fragments = st.sampled_from(
    [
        *(
            b"\r",
            b"\n",
            b"\r\n",
            b"\n\n",
            b"\r\r",
            b"\xef\xbb\xbf",
            b"\xef",
            b"\xbb",
            b"\xff",
            b"\xe2\x80\xa8",
        ),
        *(
            b"data",
            b"data:",
            b"data: ",
            b"id:",
            b"id: ",
            b"event: ",
            b"retry: ",
            b":",
            b" ",
            b"\0",
            b"7",
            b"x",
        ),
    ]
)


def by_the_standard(stream: bytes) -> tuple[list[ServerSentEvent], str, int | None]:
    """The HTML standard's section 9.2.6 over a whole stream, word by word."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.sub("\r\n|\r", "\n", text).split("\n")[:-1]
    events: list[ServerSentEvent] = []
    data = event_type = last_id = id_buffer = ""
    retry: int | None = None
    for line in lines:
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if line == "":
            last_id = id_buffer
            if data:
                events.append(ServerSentEvent(event_type or "message", data[:-1], last_id))
            data = event_type = ""
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            event_type = value
        elif name == "id" and "\0" not in value:
            id_buffer = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events, last_id, retry


@given(st.lists(_fragments, max_size=40).map(b"".join), _cuts)
def test_any_bytes_are_read_as_the_standard_reads_them(stream: bytes, cuts: list[int]) -> None:
    # A comment at the end: whether a last CR ends its line can't be told before the next byte.
    stream += b"\n:\n"
    assert each_way(stream, cuts) == by_the_standard(stream)


@given(_any_text, _any_text)
def test_a_cr_in_the_data_is_refused_and_not_mended(before: str, after: str) -> None:
    with pytest.raises(ValueError, match="CR"):
        encode(before + "\r" + after)


@given(_without_cr, st.characters(categories=["Cs"]), _without_cr)
def test_a_lone_surrogate_is_refused(before: str, surrogate: str, after: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        encode(before + surrogate + after)


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_chunks_carry_any_bytes(one: bytes, other: bytes) -> None:
    assert dechunk(chunk(one) + chunk(other))[0] == one + other


_numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_any_text, inner, max_size=3),
    max_leaves=6,
)
_objects = st.none() | st.dictionaries(_any_text, _json, max_size=3)
_events = st.builds(
    lambda entity_id, members: an_event("order:" + entity_id, **members),
    _any_text.filter(bool),
    st.fixed_dictionaries({"data": _objects, "previous": _objects, "metadata": _objects}),
)


@given(_events, st.booleans(), _cuts)
def test_an_event_of_any_text_comes_back_out_of_its_frame(event: Event, named: bool, cuts: list[int]) -> None:
    history = History(max_events=9, max_age_seconds=9.0, max_bytes=10**9, id_aliases={})
    history.open("e", ORIGIN)
    history.append(a_record(Position(7, 1), event), 0.0)
    (entry,) = history.latest(1)
    raw = entry.frame_for("", named=named)
    (dispatched_event,), last_id, _ = each_way(raw, cuts)
    assert dispatched_event.event == ("changed" if named else "message")
    assert last_id == "e.7-1"
    (frame,) = frames_of(raw)
    assert frame.data["entityId"] == event.entity_id
    for name in ("data", "previous", "metadata"):
        assert frame.data.get(name) == getattr(event, name)


_likely = st.lists(
    st.sampled_from([b"data: abc", b"id", b": x", b"\n", b"\r", b"\r\n", b"\n\n", b"y"]), max_size=30
).map(b"".join)


@given(_likely, st.integers(1, 30), _cuts)
def test_what_is_too_large_is_so_however_it_is_fed(stream: bytes, bound: int, cuts: list[int]) -> None:
    def is_too_large(parts: list[bytes]) -> bool:
        decoder = EventStreamDecoder(bound)
        try:
            for part in parts:
                decoder.feed(part)
        except EventTooLarge:
            return True
        return False

    blocks = re.sub(b"\r\n?", b"\n", stream).split(b"\n\n")
    largest = max(len(block.strip(b"\n")) for block in blocks)
    too_large = is_too_large([stream])
    assert is_too_large([bytes([byte]) for byte in stream]) is too_large
    assert is_too_large(pieces(stream, cuts)) is too_large
    assert too_large or largest <= bound


@given(_written, _cuts)
def test_the_tests_own_reader_reads_the_same_however_it_is_fed(
    written: list[Written], cuts: list[int]
) -> None:
    stream = b"".join(
        encode(
            orjson.dumps(one.data).decode(),
            event="x",
            last_event_id="e.1-0",
            retry_ms=7 if number == 0 else None,
        )
        for number, one in enumerate(written)
    )
    for parts in ([stream], [bytes([byte]) for byte in stream], pieces(stream, cuts)):
        reader = FrameReader()
        frames = [frame for part in parts for frame in reader.feed(part)]
        reader.finish()
        assert [frame.data for frame in frames] == [one.data for one in written]
        reader.feed(b"data: 1\n")
        with pytest.raises(ValueError, match="within a frame"):
            reader.finish()
