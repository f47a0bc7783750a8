import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.node_packets import NODE_BYTES, Packet

NODE = bytes(range(NODE_BYTES))

packets = st.builds(
    Packet,
    st.binary(min_size=NODE_BYTES, max_size=NODE_BYTES),
    st.integers(0, 2**64 - 1),
    st.lists(st.binary(max_size=200)).map(tuple),
)


@given(packets)
def test_what_was_packed_is_unpacked(packet: Packet) -> None:
    assert Packet.unpack(packet.pack()) == packet


def test_its_bytes_are_what_nodes_of_other_versions_know() -> None:
    packed = Packet(NODE, 258, (b"ab", b"")).pack()

    assert packed == (
        b"tgn2" + NODE + b"\0\0\0\0\0\0\x01\x02" + b"\0\0\0\x02ab" + b"\0\0\0\0"
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [b"", b"tgn2", b"tgn3" + bytes(16), b"{}", Packet(NODE, 1, ()).pack()[1:]],
    ids=["empty", "mark", "version", "json", "cut at the front"],
)
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no packet"):
        Packet.unpack(data)


@given(packets, st.data())
def test_a_packet_that_was_cut_is_refused_or_has_fewer_messages(packet: Packet, data: st.DataObject) -> None:
    packed = packet.pack()
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]

    try:
        found = Packet.unpack(cut)
    except ValueError:
        return
    # Between two messages nothing says that one is missing.
    assert found.messages == packet.messages[: len(found.messages)]
    assert len(found.messages) < len(packet.messages)


@given(st.binary(max_size=100))
def test_whatever_comes_is_a_packet_or_refused(garbage: bytes) -> None:
    for data in (garbage, b"tgn2" + garbage, Packet(NODE, 1, ()).pack() + garbage):
        try:
            packet = Packet.unpack(data)
        except ValueError:
            continue
        assert packet.pack() == data
