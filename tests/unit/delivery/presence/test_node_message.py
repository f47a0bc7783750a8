"""The messages of nodes: what was written is read, and nothing else is taken."""

import orjson
import pytest

from gateway.delivery.presence.node_message import (
    Asked,
    Changed,
    Digests,
    Ended,
    Envelope,
    MalformedMessage,
    Part,
    Said,
    in_messages,
    read,
    write,
)
from gateway.delivery.presence.table import BUCKETS, NOTHING, Entry, Key
from gateway.ports.node_messages import MAX_MESSAGE_BYTES

ANA = Key("portal", "ana")
ENTRIES = [(ANA, Entry(2, 1_732_125_600_123, b'{"name":"\xc3\x84na","at":[1,null,2.5]}'))]


@pytest.mark.parametrize(
    "message",
    [
        Changed(ENTRIES),
        Changed([(ANA, NOTHING)]),
        Digests([*range(BUCKETS - 1), 2**64 - 1]),
        Asked("", []),
        Asked("b", [0, BUCKETS - 1]),
        Part(ANA.bucket, 1, 2, ENTRIES),
        Part(3, 0, 1, []),
        Said("chat", "typing", {"on": True}, "ana"),
        Ended(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_was_written_is_read(message):
    envelope = Envelope("a", 7, message)
    assert read(write(envelope)) == envelope


GOOD = {"v": 1, "node": "a", "serial": 1}


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"v"',
        {},
        GOOD,
        GOOD | {"v": 2, "ended": True},
        GOOD | {"ended": True, "asked": ["", []]},
        GOOD | {"nonsense": True},
        GOOD | {"ended": False},
        GOOD | {"node": "", "ended": True},
        GOOD | {"node": 1, "ended": True},
        GOOD | {"serial": -1, "ended": True},
        GOOD | {"serial": True, "ended": True},
        GOOD | {"serial": 1.5, "ended": True},
        GOOD | {"changed": None},
        GOOD | {"changed": {}, "x": 1},
        GOOD | {"changed": [["portal", "ana", 1, 1]]},
        GOOD | {"changed": [["portal", "ana", -1, 1, {}]]},
        GOOD | {"changed": [["portal", "ana", "1", 1, {}]]},
        GOOD | {"changed": [["portal", "ana", 1, 1, []]]},
        GOOD | {"changed": [["", "ana", 1, 1, {}]]},
        GOOD | {"changed": [["portal", 5, 1, 1, {}]]},
        GOOD | {"digests": [0] * (BUCKETS - 1)},
        GOOD | {"digests": [0] * (BUCKETS - 1) + ["0"]},
        GOOD | {"digests": 5},
        GOOD | {"asked": ["b", [BUCKETS]]},
        GOOD | {"asked": ["b"]},
        GOOD | {"asked": [None, []]},
        GOOD | {"part": [BUCKETS, 0, 1, []]},
        GOOD | {"part": [0, 1, 1, []]},
        GOOD | {"part": [(ANA.bucket + 1) % BUCKETS, 0, 1, [["portal", "ana", 1, 1, {}]]]},
        GOOD | {"said": ["chat", "typing", [], "ana"]},
        GOOD | {"said": ["chat", "", {}, "ana"]},
    ],
)
def test_what_is_no_message_of_this_version_is_refused(given):
    with pytest.raises(MalformedMessage):
        read(given if isinstance(given, bytes) else orjson.dumps(given))


def test_a_message_of_another_kind_of_a_later_version_is_refused_as_any():
    with pytest.raises(MalformedMessage):
        read(orjson.dumps({"v": 2, "who": "a"}))


def test_as_many_entries_as_there_are_go_into_messages_that_can_be_sent():
    meta = b'{"m":"%b"}' % ("\N{GRINNING FACE}".encode() * 250)
    entries = [(Key("portal", '"' * 250 + str(number)), Entry(1, 2**63, meta)) for number in range(500)]
    messages = [write(Envelope("a" * 16, 2**63, Changed(few))) for few in in_messages(entries)]
    assert max(map(len, messages)) <= MAX_MESSAGE_BYTES
    assert [entry for raw in messages for entry in read(raw).message.entries] == entries
    assert [*in_messages([])] == []


def test_the_largest_broadcast_can_be_sent():
    said = Said("c" * 64, "e" * 64, {"p": "x" * 8180}, "\N{GRINNING FACE}" * 266)
    assert len(write(Envelope("a" * 16, 2**63, said))) <= MAX_MESSAGE_BYTES
