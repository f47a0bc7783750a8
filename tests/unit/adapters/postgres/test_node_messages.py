from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.node_messages import MAX_PARTS, PART_BYTES, Parts, parts
from gateway.core.node_packets import NODE_BYTES, Packet
from gateway.ports.node_messages import MAX_MESSAGE_BYTES
from gateway.runtime.node_carrier import PACKET_BYTES

PID = 4711
LARGE = bytes(range(256)) * 100


def taken(joined: Parts, texts: list[str], pid: int = PID) -> list[bytes | None]:
    return [joined.take(pid, text) for text in texts]


@given(st.binary(min_size=1, max_size=3 * PART_BYTES))
def test_a_packet_is_put_together_again(packet: bytes) -> None:
    *before, last = taken(Parts(), list(parts(packet, 1)))

    assert last == packet
    assert before == [b""] * len(before)


@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
def test_it_has_as_many_parts_as_it_needs(size: int) -> None:
    texts = list(parts(bytes(size), 1))

    assert len(texts) == (size + PART_BYTES - 1) // PART_BYTES
    assert taken(Parts(), texts)[-1] == bytes(size)


def test_the_largest_packet_fits_into_what_postgres_and_the_other_nodes_take() -> None:
    messages = (bytes(MAX_MESSAGE_BYTES),) * (PACKET_BYTES // MAX_MESSAGE_BYTES)
    many = (b"",) * 1000
    packet = Packet(bytes(NODE_BYTES), 2**64 - 1, (*messages, *many)).pack()

    texts = list(parts(packet, 10**15))

    assert max(len(text.encode()) for text in texts) < 8000
    assert len(texts) <= MAX_PARTS


def test_a_packet_that_lacks_a_part_is_dropped_and_the_next_is_whole() -> None:
    first, second = list(parts(LARGE, 1)), list(parts(LARGE, 2))
    joined = Parts()

    heard = taken(joined, [*first[:1], *first[2:]])

    assert None in heard
    assert LARGE not in heard
    assert taken(joined, second)[-1] == LARGE


def test_a_packet_whose_end_is_missing_gives_way_to_the_next() -> None:
    joined = Parts()
    taken(joined, list(parts(LARGE, 1))[:-1])

    assert taken(joined, list(parts(LARGE, 2)))[-1] == LARGE


def test_parts_of_two_packets_do_not_make_one() -> None:
    for others in (parts(LARGE, 2), parts(LARGE, 1)):
        joined = Parts()
        pid = PID + 1
        heard = taken(joined, list(parts(LARGE, 1))[:2]) + taken(joined, list(others)[2:], pid)

        assert LARGE not in heard
        assert None in heard


@pytest.mark.parametrize(
    "text",
    [
        *("", "look", "1:0:1", "1:0:1:???", "1:0:1:é", "1:1:2:QUI=", "1:0:1:QUI=:", ":::"),
        "1:-1:2:QUI=",
        f"1:0:1:{'A' * 5}",
    ],
)
def test_what_is_no_part_is_refused(text: str) -> None:
    joined = Parts()

    assert joined.take(PID, text) is None
    assert taken(joined, list(parts(LARGE, 1)))[-1] == LARGE


def test_a_packet_of_too_many_parts_is_not_kept() -> None:
    joined = Parts()
    part = b64encode(bytes(PART_BYTES)).decode()

    heard = [joined.take(PID, f"1:{index}:1000000:{part}") for index in range(1000)]

    assert heard.count(b"") == MAX_PARTS


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=20)), max_size=20))
def test_whatever_comes_is_survived(texts: list[tuple[int, str]]) -> None:
    joined = Parts()
    for pid, text in texts:
        joined.take(pid, text)

    assert taken(joined, list(parts(LARGE, 1)))[-1] == LARGE
