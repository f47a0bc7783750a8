"""text/event-stream, in both directions."""

import pytest

from gateway.core.eventstream import (
    LAST_CHUNK,
    EventStreamDecoder,
    EventTooLarge,
    ServerSentEvent,
    chunk,
    encode,
)
from tests.support.effort import is_linear_in_reads

BOM = b"\xef\xbb\xbf"


def decode(*parts: bytes) -> list[ServerSentEvent]:
    decoder = EventStreamDecoder()
    return [event for part in parts for event in decoder.feed(part)]


def message(data: str, event: str = "message", last_event_id: str = "") -> ServerSentEvent:
    return ServerSentEvent(event, data, last_event_id)


def test_an_event_is_its_fields_in_a_fixed_order_and_a_blank_line() -> None:
    assert encode("a\nb", event="x", last_event_id="e.1-0", retry_ms=5) == (
        b"retry: 5\nevent: x\nid: e.1-0\ndata: a\ndata: b\n\n"
    )


def test_fields_that_are_not_given_are_not_written() -> None:
    assert encode("") == b"data: \n\n"


@pytest.mark.parametrize(
    "refused",
    [
        {"data": "a\rb"},
        {"data": "a\r\nb"},
        {"data": "", "event": "a\nb"},
        {"data": "", "event": "a\rb"},
        {"data": "", "last_event_id": "a\nb"},
        {"data": "", "last_event_id": "a\rb"},
        {"data": "", "last_event_id": "a\0b"},
        {"data": "", "retry_ms": -1},
        {"data": "\ud800"},
        {"data": "", "event": "\udfff"},
    ],
)
def test_what_the_format_can_not_carry_is_refused(refused: dict[str, str]) -> None:
    # UnicodeEncodeError, which a lone surrogate gives, is a ValueError.
    with pytest.raises(ValueError, match=r"."):
        encode(**refused)  # type: ignore[arg-type]


def test_a_retry_field_by_itself_dispatches_nothing() -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(b"retry: 1500\n\n") == []
    assert decoder.retry_ms == 1500


def test_a_chunk_carries_its_length_in_hexadecimal() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert LAST_CHUNK == b"0\r\n\r\n"


@pytest.mark.parametrize("line_break", [b"\n", b"\r", b"\r\n"])
def test_every_line_break_ends_a_line(line_break: bytes) -> None:
    stream = line_break.join(
        [b"event: x", b"id: 7", b"data: a", b"data: b", b"", b"data: c", b"", b":end", b""]
    )
    assert decode(stream) == [message("a\nb", "x", "7"), message("c", last_event_id="7")]


def test_a_crlf_split_between_two_feeds_is_one_break() -> None:
    assert decode(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [message("a\nb")]


def test_two_crs_are_two_breaks_also_when_split() -> None:
    assert decode(b"data: a\r", b"\r", b"data: b\r", b"\r:") == [message("a"), message("b")]


def test_an_event_that_ends_with_a_cr_is_dispatched_without_waiting_for_more() -> None:
    assert decode(b"data: a\r\r") == [message("a")]


@pytest.mark.parametrize("split", range(4))
def test_a_byte_order_mark_is_dropped_once_at_the_start(split: int) -> None:
    stream = BOM + b"data: a\n\n"
    assert decode(stream[:split], stream[split:]) == [message("a")]
    assert decode(BOM + BOM + b"data: a\n\n") == []


def test_a_byte_order_mark_later_on_is_text() -> None:
    assert decode(b"data: a\n\n" + BOM + b"data: b\n\n") == [message("a")]


def test_what_begins_like_a_byte_order_mark_is_not_lost() -> None:
    assert decode(b"\xef\xbb", b"\ndata: a\n\n") == [message("a")]


def test_comments_and_unknown_fields_are_ignored() -> None:
    assert decode(b": hello\nfoo: bar\nfoo\n:\ndata: a\n\n") == [message("a")]


def test_one_space_after_the_colon_is_dropped_and_only_one() -> None:
    assert decode(b"data:a\ndata: b\ndata:  c\ndata:\td\n\n") == [message("a\nb\n c\n\td")]


def test_a_field_without_a_colon_has_an_empty_value() -> None:
    assert decode(b"data\n\n") == [message("")]
    assert decode(b"data\ndata\n\n") == [message("\n")]


def test_a_block_without_data_dispatches_nothing_and_forgets_its_event_type() -> None:
    assert decode(b"event: x\n\ndata: a\n\n") == [message("a")]


def test_an_id_lasts_until_another_comes() -> None:
    assert decode(b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n") == [
        message("a", last_event_id="1"),
        message("b", last_event_id="1"),
        message("c"),
    ]


def test_an_id_with_nul_is_ignored() -> None:
    assert decode(b"id: 1\n\nid: 2\x003\ndata: a\n\n") == [message("a", last_event_id="1")]


def test_a_block_of_an_id_alone_moves_the_last_id() -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(b"id: 7\n\n") == []
    assert decoder.last_event_id == "7"


def test_the_id_of_an_event_that_was_cut_off_is_not_resumed_from() -> None:
    decoder = EventStreamDecoder()
    decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert decoder.last_event_id == "1"
    decoder.feed(b"\n")
    assert decoder.last_event_id == "2"


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"1s", b" 1", "\u0661".encode(), b"0x1"])
def test_a_retry_that_is_not_of_ascii_digits_is_ignored(value: bytes) -> None:
    decoder = EventStreamDecoder()
    decoder.feed(b"retry: 5\nretry: " + value + b"\n\n")
    assert decoder.retry_ms == 5


def test_a_retry_of_absurdly_many_digits_does_not_break_the_reader() -> None:
    assert decode(b"retry: " + b"9" * 5000 + b"\ndata: a\n\n") == [message("a")]


def test_bytes_that_are_not_utf_8_become_replacement_characters() -> None:
    assert decode(b"data: \xff\xc3\n\n") == [message("\ufffd\ufffd")]


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\0"])
def test_what_only_python_takes_for_a_line_break_is_text(text: str) -> None:
    assert decode(encode(f"a{text}b")) == [message(f"a{text}b")]


@pytest.mark.parametrize("line", [b"data: ", b": ", b"unknown", b"id: "])
def test_a_long_line_costs_no_more_with_each_read(line: bytes) -> None:
    assert is_linear_in_reads(EventStreamDecoder().feed, line)


BOUND = 20


@pytest.mark.parametrize(
    "large",
    [
        b"data: " + b"x" * 15,
        b"data: a\ndata: bcdefgh",
        b"data\n" * 5,
        b": " + b"x" * 19,
        b"x" * 21,
        b"id: 1\nevent: x\n: 12345",
    ],
)
def test_an_event_over_the_bound_is_refused_before_it_ends_whole_byte_by_byte_or_with_a_tail(
    large: bytes,
) -> None:
    before = b": fine\n\ndata: fine\n\n"
    for stream in (before + large, before + large + b"\n\ndata: a\n\n"):
        with pytest.raises(EventTooLarge, match="20 bytes"):
            EventStreamDecoder(BOUND).feed(stream)
        decoder = EventStreamDecoder(BOUND)
        with pytest.raises(EventTooLarge, match="20 bytes"):
            [decoder.feed(bytes([byte])) for byte in stream]


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_events_of_just_the_bound_are_read_however_many_they_are(step: int) -> None:
    stream = (b"data: " + b"x" * 14 + b"\n\n" + b"data: abc\ndata: defg\r\n\r\n" + b": no more here\r\r") * 50
    decoder = EventStreamDecoder(BOUND + 1)
    events = [e for start in range(0, len(stream), step) for e in decoder.feed(stream[start : start + step])]
    assert events == [message("x" * 14), message("abc\ndefg")] * 50
