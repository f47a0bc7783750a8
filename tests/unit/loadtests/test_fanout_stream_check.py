"""The fan-out benchmark's check of a stream: it must see every loss, double and reordering, however split."""

import json
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import CONTROL_EVENT_TYPES
from loadtests.framing import ENDED, MalformedError
from loadtests.streams import (
    Checker,
    Head,
    Step,
    StreamState,
    advance,
    parse_head,
    start,
    unfinished,
)

CHUNKED = Head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
PACKED = Head(200, {**CHUNKED.headers, "content-encoding": "gzip"})
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
CONNECTED = b'retry: 2000\nevent: connected\nid: e.1-0\ndata: {"cursor":"e.1-0"}\n\n'
HEARTBEAT = b'event: heartbeat\nid: e.1-0\ndata: {"timestamp":"2026-11-20T10:30:00.123Z"}\n\n'

Advance = Callable[[StreamState, bytes], Step]


def event(number: int, *, lane: int = 0, position: int | None = None, entity: str = "ORDER-1") -> bytes:
    """An event as the server sends it; its position is its number where none is given."""
    body = {
        "id": f"e.{number + 10 if position is None else position}-0",
        "eventType": "stage_change",
        "entityType": "order",
        "entityId": entity,
        "data": {"lane": lane, "seq": number, "sentNs": 1_000 + number},
    }
    return f"id: {body['id']}\nevent: stage_change\ndata: {json.dumps(body)}\n\n".encode()


def chunks(*payloads: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(payload), payload) for payload in payloads)


def deflated(payload: bytes, compressor: object = None) -> bytes:
    """A block that stands alone, unless the compressor remembers what it had before."""
    compressor = compressor or zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)


def read(
    parts: Iterable[bytes], *, entity: str = "", lanes: int = 1, by: Advance = advance, head: Head = CHUNKED
) -> tuple[StreamState, list[str], int]:
    """What a new stream makes of these reads: its last state, the kinds of its problems, its events."""
    state, kinds, events = start((0,) * lanes, entity, head), [], 0
    for part in parts:
        step = by(state, part)
        state, events = step.state, events + step.events
        kinds += [problem.kind for problem in step.problems]
    return state, kinds, events


def test_each_event_of_a_read_says_when_it_was_sent() -> None:
    step = advance(start((0,), "", CHUNKED), chunks(CONNECTED, event(0), event(1) + event(2)))
    assert step.sent_ns == (1_000, 1_001, 1_002)


def test_a_complete_stream_has_no_problem() -> None:
    state, kinds, events = read([chunks(CONNECTED, event(0), event(1) + event(2), HEARTBEAT, event(3))])

    assert (kinds, events) == ([], 4)
    assert unfinished(state, (4,)) is None


def test_a_lost_event_is_reported_at_once_and_at_the_end() -> None:
    state, kinds, _ = read([chunks(CONNECTED, event(0), event(2))])

    assert kinds == ["lost"]
    owed = unfinished(state, (3,))
    assert owed is not None
    assert owed.kind == "lost"


def test_events_missing_from_the_end_are_lost() -> None:
    state, kinds, _ = read([chunks(CONNECTED, event(0))])

    assert kinds == []
    owed = unfinished(state, (3,))
    assert owed is not None
    assert owed == ("lost", "2 of 3 published events never came")


def test_a_doubled_event_is_reported() -> None:
    _, kinds, _ = read([chunks(CONNECTED, event(0), event(1), event(1))])

    assert kinds == ["doubled"]


def test_two_events_in_the_wrong_order_are_reported_and_are_not_lost() -> None:
    state, kinds, _ = read([chunks(CONNECTED, event(0), event(2), event(1), event(3))])

    assert kinds == ["lost", "reordered"]
    assert unfinished(state, (4,)) is None


def test_events_of_two_lanes_may_come_in_any_order_of_their_numbers() -> None:
    first = event(0, lane=1, position=10) + event(1, lane=1, position=11)
    state, kinds, _ = read([chunks(CONNECTED, first, event(0, lane=0, position=12))], lanes=2)

    assert kinds == []
    assert unfinished(state, (1, 2)) is None


def test_events_of_two_lanes_against_the_order_of_their_positions_are_reported() -> None:
    swapped = event(0, lane=1, position=12) + event(0, lane=0, position=11)
    _, kinds, _ = read([chunks(CONNECTED, swapped)], lanes=2)

    assert kinds == ["reordered"]


def test_more_events_than_were_published_are_reported() -> None:
    state, _, _ = read([chunks(CONNECTED, event(0), event(1))])

    surplus = unfinished(state, (1,))
    assert surplus is not None
    assert surplus.kind == "doubled"


def test_an_event_of_another_entity_is_misdirected() -> None:
    _, kinds, events = read([chunks(CONNECTED, event(0, entity="ORDER-2"))], entity="order:ORDER-1")

    assert (kinds, events) == (["misdirected"], 0)


def test_an_event_before_connected_is_reported() -> None:
    _, kinds, _ = read([chunks(event(0), CONNECTED)])

    assert kinds == ["reordered"]


@pytest.mark.parametrize("name", ["reset", "bye"])
def test_a_stream_that_the_server_gives_up_is_reported(name: str) -> None:
    _, kinds, _ = read([chunks(CONNECTED, f'event: {name}\ndata: {{"reason":"x"}}\n\n'.encode())])

    assert kinds == ["ended"]


@pytest.mark.parametrize("name", sorted(CONTROL_EVENT_TYPES - {"connected", "reset", "bye"}))
def test_no_other_control_event_is_taken_for_a_published_one(name: str) -> None:
    _, kinds, events = read([chunks(CONNECTED, f"event: {name}\ndata: {{}}\n\n".encode(), event(0))])

    assert (kinds, events) == ([], 1)


def test_the_last_chunk_ends_the_stream() -> None:
    state, kinds, _ = read([chunks(CONNECTED, event(0)) + b"0\r\n\r\n"])

    assert kinds == ["ended"]
    assert state.left == ENDED


@pytest.mark.parametrize(
    "damaged",
    [
        b"zz\r\n",
        b"3\r\nabcdef\r\n",
        chunks(CONNECTED, b"event: x\ndata: {half\n\n"),
        chunks(CONNECTED, b"event: x\ndata: 7\n\n"),
        chunks(CONNECTED, event(0, lane=5)),
    ],
    ids=["no size", "longer than its size", "no JSON", "no object", "unknown lane"],
)
def test_what_is_no_stream_of_this_benchmark_is_malformed(damaged: bytes) -> None:
    _, kinds, _ = read([damaged])

    assert kinds == ["malformed"]


def test_line_ends_and_comments_do_not_matter() -> None:
    crlf = (CONNECTED + b": ping\n\n" + event(0) + event(1)).replace(b"\n", b"\r\n")
    state, kinds, events = read([chunks(crlf)[:-9], chunks(crlf)[-9:]])

    assert (kinds, events) == ([], 2)
    assert unfinished(state, (2,)) is None


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_byte_by_byte_is_read_like_the_whole(line_end: bytes) -> None:
    payloads = [CONNECTED, event(0) + event(1), HEARTBEAT, event(3), event(2), event(2)]
    text = chunks(*(payload.replace(b"\n", line_end) for payload in payloads))

    assert read([text[at : at + 1] for at in range(len(text))]) == read([text])
    assert read([text])[1] == ["lost", "reordered", "doubled"]


@given(
    numbers=st.lists(st.integers(0, 6), max_size=12),
    chunk_every=st.integers(1, 400),
    cuts=st.lists(st.integers(0, 4_000), max_size=8),
)
def test_however_it_is_split_a_stream_is_judged_the_same(
    numbers: list[int], chunk_every: int, cuts: list[int]
) -> None:
    payload = CONNECTED + b"".join(event(number) for number in numbers)
    text = chunks(*(payload[at : at + chunk_every] for at in range(0, len(payload), chunk_every)))
    marks = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    split = [text[begin:end] for begin, end in pairwise(marks)]

    state, kinds, _ = read(split)

    assert (state, kinds) == read([text])[:2]
    in_order = numbers == list(range(len(numbers)))
    assert (not kinds and unfinished(state, (len(numbers),)) is None) == in_order


def test_the_checker_gives_every_stream_the_answer_that_parsing_gives() -> None:
    checker = Checker()
    good = [chunks(CONNECTED), chunks(event(0), event(1)), chunks(event(2))]
    # As long as the good ones, byte for byte, so that only the contents tell them apart.
    doubled = [chunks(CONNECTED), chunks(event(0), event(0)), chunks(event(2))]
    swapped = [chunks(CONNECTED), chunks(event(1), event(0)), chunks(event(2))]

    for parts in (good, doubled, good, swapped, doubled, good):
        assert read(parts, by=checker.advance) == read(parts)
    assert read(doubled, by=checker.advance)[1] == ["doubled", "lost"]


def test_the_checker_parses_equal_bytes_of_equal_streams_once() -> None:
    checker = Checker()
    first = checker.advance(
        checker.advance(start((0,), "", CHUNKED), chunks(CONNECTED)).state, chunks(event(0))
    )
    other = CONNECTED.replace(b"e.1-0", b"e.2-0")
    second = checker.advance(checker.advance(start((0,), "", CHUNKED), chunks(other)).state, chunks(event(0)))

    assert second is first


@given(at=st.integers(0, 600), swap=st.booleans())
def test_a_beginning_is_checked_as_any_other_bytes_are(at: int, swap: bool) -> None:
    checker = Checker()
    shared = event(1) + event(0) if swap else event(0) + event(1)
    for greeting in (CONNECTED, CONNECTED.replace(b"e.1-0", b"e.22-0")):
        text = chunks(greeting, shared)
        new = start((0,), "", CHUNKED)
        begun, plain = checker.begin(new, text[:at]), advance(new, text[:at])

        assert begun == plain
        assert checker.advance(begun.state, text[at:]) == advance(plain.state, text[at:])


def test_what_comes_with_greetings_is_parsed_once() -> None:
    checker = Checker()
    new = start((0,), "", CHUNKED)
    first = checker.begin(new, chunks(CONNECTED, event(0)))
    second = checker.begin(new, chunks(CONNECTED.replace(b"e.1-0", b"e.2-0"), event(0)))

    assert second.state is first.state
    assert second.sent_ns == first.sent_ns


def test_a_beginning_without_chunks_is_read_whole() -> None:
    unframed = start((0,), "", Head(200, {"content-type": "text/event-stream"}))

    assert Checker().begin(unframed, CONNECTED + event(0)).events == 1


@given(st.lists(st.integers(0, 800), max_size=8))
def test_a_compressed_stream_is_read_however_it_is_split(cuts: list[int]) -> None:
    text = chunks(GZIP_HEADER + deflated(CONNECTED), deflated(event(0) + event(1)), deflated(event(2)))
    marks = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]

    state, kinds, events = read([text[begin:end] for begin, end in pairwise(marks)], head=PACKED)

    assert (kinds, events, unfinished(state, (3,))) == ([], 3, None)


def test_a_loss_in_a_compressed_stream_is_seen() -> None:
    text = chunks(GZIP_HEADER + deflated(CONNECTED), deflated(event(0)), deflated(event(2)))

    assert read([text], head=PACKED)[1] == ["lost"]


def test_a_block_that_refers_to_the_one_before_is_malformed_wherever_the_stream_is_split() -> None:
    remembers = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    blocks = [deflated(event(0), remembers), deflated(event(1), remembers)]
    text = chunks(GZIP_HEADER + deflated(CONNECTED), *blocks)

    for cut in range(len(text)):
        kinds = read([text[:cut], text[cut:]], head=PACKED)[1]
        # After that it is read no more, which a second read says too.
        assert kinds in (["malformed"], ["malformed", "ended"]), cut


def test_a_compressed_stream_without_its_header_is_malformed() -> None:
    assert read([chunks(deflated(CONNECTED))], head=PACKED)[1] == ["malformed"]


def test_a_coding_that_the_check_does_not_know_is_refused() -> None:
    with pytest.raises(MalformedError):
        start((0,), "", Head(200, {**CHUNKED.headers, "content-encoding": "br"}))


def test_a_response_head_is_read_when_it_is_whole() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nrest"

    assert parse_head(text[:40]) is None
    assert parse_head(text) == (Head(200, {"content-type": "text/event-stream"}), b"rest")


@pytest.mark.parametrize(
    "head",
    [Head(503, {"content-type": "text/event-stream"}), Head(200, {"content-type": "application/json"})],
    ids=["status", "type"],
)
def test_an_answer_that_is_no_event_stream_is_refused(head: Head) -> None:
    with pytest.raises(MalformedError):
        start((0,), "", head)


def test_an_event_that_says_less_of_itself_is_ordered_by_the_id_of_its_block() -> None:
    def short(number: int) -> bytes:
        body = {"data": {"lane": 0, "seq": number, "sentNs": 1_000}}
        return f"id: e.{10 + number}-0\ndata: {json.dumps(body)}\n\n".encode()

    good = advance(start((0,), "", CHUNKED), chunks(CONNECTED, short(0), short(1)))
    behind = f"id: e.5-0\n{short(2).decode().partition(chr(10))[2]}".encode()

    assert (good.problems, good.events) == ((), 2)
    assert [problem.kind for problem in advance(good.state, chunks(behind)).problems] == ["reordered"]


def test_an_event_has_the_members_that_were_asked_for_and_no_others() -> None:
    wanted = frozenset(json.loads(event(0).partition(b"data: ")[2]))

    whole = advance(start((0,), "", CHUNKED, members=wanted), chunks(CONNECTED, event(0)))
    fewer = advance(start((0,), "", CHUNKED, members=wanted - {"id"}), chunks(CONNECTED, event(0)))

    assert whole.problems == ()
    assert [problem.kind for problem in fewer.problems] == ["malformed"]


def test_an_event_with_another_id_than_its_block_is_malformed() -> None:
    other = event(0).replace(b"id: e.10-0", b"id: e.11-0")

    step = advance(start((0,), "", CHUNKED), chunks(CONNECTED, other))

    assert [problem.kind for problem in step.problems] == ["malformed"]


@pytest.mark.parametrize(
    ("said", "problems"),
    [
        ('{"modes":{"orders":"streaming"}}', []),
        ('{"modes":{"orders":"polling"}}', ["polling"]),
        ('{"modes":{}}', ["polling"]),
        ('{"cursor":"e.1-0"}', ["malformed"]),
    ],
)
def test_a_stream_of_a_component_has_to_be_told_that_it_streams(said: str, problems: list[str]) -> None:
    connected = f"event: connected\nid: e.1-0\ndata: {said}\n\n".encode()

    step = advance(start((0,), "", CHUNKED, component="orders"), chunks(connected))

    assert [problem.kind for problem in step.problems] == problems
