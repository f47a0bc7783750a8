"""loadtests/state_measure.py: what clients got is read, and taken for what it is."""

import pytest

from loadtests.bench import UsageError
from loadtests.state import given
from loadtests.state_measure import answer_in, events_in, list_in

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def test_the_items_of_a_stream_are_those_of_its_parts() -> None:
    connected = b'event: connected\ndata: {"state":true}\n\n'
    one = b'event: state\ndata: {"entityType":"order","items":[{"entityId":"1","data":{"n":1}}],"part":1}\n\n'
    two = b'event: state\nid: e.1-0\ndata: {"entityType":"order","items":[{"entityId":"2","data":{}}]}\n\n'
    raw = HEAD + chunk(connected) + chunk(one) + chunk(two) + b"5\r\neve"
    assert events_in(raw) == [{"n": 1}, {}]


def test_the_items_of_an_answer_and_of_a_list() -> None:
    assert answer_in(HEAD + b'{"cursor":"e.1-0","items":[{"entityId":"1","data":{"n":1}}]}') == [{"n": 1}]
    assert list_in(HEAD + b'{"docs":[{"n":1}]}') == [{"n": 1}]


@pytest.mark.parametrize(("value", "taken"), [(None, 7), (1, 1), (10, 10)])
def test_an_option_within_its_bounds_is_taken(value: int | None, taken: int) -> None:
    assert given(value, "clients", 10, 7) == taken


@pytest.mark.parametrize("value", [0, 11])
def test_another_one_is_refused(value: int) -> None:
    with pytest.raises(UsageError, match="--clients takes 1 to 10"):
        given(value, "clients", 10, 7)
