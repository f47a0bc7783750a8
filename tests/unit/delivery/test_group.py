"""Subscribers that get the same bytes, and when their group goes."""

import pytest
from multidict import MultiDict

from gateway.core.eventstream import LAST_CHUNK, chunk
from gateway.core.gzip_stream import block, stored
from gateway.core.history import HistoryEntry
from gateway.core.selectors import Match, Selector, parse_selector
from gateway.delivery.group import DeliveryOptions, Group, Groups
from tests.support.events import an_event
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler
from tests.support.streams import frames_of

ORDERS = parse_selector(MultiDict({"entity": "order"}), {})


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    """A history of one event of an order and a global one."""
    node = Node(scheduler)
    node.publish(an_event("order:1", data={"n": 1}), an_event(None))
    return node


def entries(node: Node) -> list[HistoryEntry]:
    return node.history.latest(2)


@pytest.mark.parametrize(("named", "event"), [(True, "changed"), (False, None)])
@pytest.mark.parametrize("match", [Match.DELIVER, Match.LEAVE])
def test_a_frame_is_in_the_groups_format(node: Node, named: bool, event: str | None, match: Match) -> None:
    group = Group(ORDERS, DeliveryOptions(named=named), fan_in=50)
    (frame,) = frames_of(group.frame(entries(node)[0], match, node.history))
    assert frame.event == event
    assert frame.data["action"] == ("leave" if match is Match.LEAVE else "update")
    assert ("data" in frame.data) is (match is Match.DELIVER)


@pytest.mark.parametrize("match", [Match.DELIVER, Match.LEAVE])
def test_a_frame_has_the_members_that_the_group_wants(node: Node, match: Match) -> None:
    group = Group(ORDERS, DeliveryOptions(fields=frozenset({"entityId", "data"})), fan_in=50)
    (frame,) = frames_of(group.frame(entries(node)[0], match, node.history))
    assert (frame.event, frame.id) == ("changed", "e.1-0")
    assert frame.data == {"entityId": "1"} | ({"data": {"n": 1}} if match is Match.DELIVER else {})


def test_framing_is_that_of_the_http_version() -> None:
    chunked, plain = Group(ORDERS, DeliveryOptions(), 50), Group(ORDERS, DeliveryOptions(chunked=False), 50)
    assert chunked.framed(b"x") == chunk(b"x")
    assert chunked.ended(b"x") == chunk(b"x") + LAST_CHUNK
    assert plain.framed(b"x") == plain.ended(b"x") == b"x"


LONG = b"event: changed\ndata: {}\n\n" * 20


@pytest.mark.parametrize("chunked", [True, False])
def test_a_compressed_group_codes_before_it_frames(chunked: bool) -> None:
    group = Group(ORDERS, DeliveryOptions(chunked=chunked, gzip=True), 50)
    coded, apart = block(LONG), stored(LONG)
    assert len(coded) < len(LONG)
    assert group.framed(LONG) == (chunk(coded) if chunked else coded)
    assert group.framed_apart(LONG) == (chunk(apart) if chunked else apart)
    assert group.ended(LONG) == (chunk(apart) + LAST_CHUNK if chunked else apart)


def test_without_compression_nothing_differs_for_what_is_of_one_reader() -> None:
    group = Group(ORDERS, DeliveryOptions(), 50)
    assert group.framed_apart(LONG) == group.framed(LONG) == chunk(LONG)


@pytest.mark.parametrize("gzip", [True, False])
def test_nothing_to_say_is_no_chunk_for_an_empty_one_would_end_the_body(gzip: bool) -> None:
    group = Group(ORDERS, DeliveryOptions(gzip=gzip), 50)
    assert group.framed(b"") == group.framed_apart(b"") == b""


def test_groups_that_have_the_same_to_say_have_it_compressed_once() -> None:
    groups = Groups(50, lambda: None)
    one = groups.get(ORDERS, DeliveryOptions(chunked=False, gzip=True))
    other = groups.get(Selector(), DeliveryOptions(chunked=False, gzip=True))
    assert one.framed(LONG) is other.framed(bytes(bytearray(LONG)))


def test_the_same_selection_and_delivery_is_one_group() -> None:
    groups = Groups(50, lambda: None)
    one = groups.get(ORDERS, DeliveryOptions())
    assert groups.get(parse_selector(MultiDict({"entity": "order,order"}), {}), DeliveryOptions()) is one
    assert groups.get(ORDERS, DeliveryOptions(named=False)) is not one
    assert groups.get(ORDERS, DeliveryOptions(gzip=True)) is not one
    assert groups.get(ORDERS, None) is not one
    assert groups.get(Selector(), DeliveryOptions()) is not one
    some = groups.get(ORDERS, DeliveryOptions(fields=frozenset(["id", "data"])))
    assert some is not one
    assert groups.get(ORDERS, DeliveryOptions(fields=frozenset(["data", "id"]))) is some
    assert len(groups) == len(list(groups)) == 6


def test_a_group_goes_with_its_last_reader_and_not_before() -> None:
    groups = Groups(50, lambda: None)
    group = groups.get(ORDERS, DeliveryOptions())
    group.readers = 2
    groups.release(group)
    assert list(groups) == [group]
    group.readers = 0
    groups.release(group)
    assert list(groups) == []
    assert list(groups.candidates(an_event("order:1"))) == []


def test_releasing_a_group_whose_place_another_took_does_nothing() -> None:
    groups = Groups(50, lambda: None)
    old = groups.get(ORDERS, DeliveryOptions())
    groups.release(old)
    new = groups.get(ORDERS, DeliveryOptions())
    groups.release(old)
    assert list(groups) == [new]


def test_interest_is_told_for_the_first_reader_of_a_selection_only() -> None:
    told: list[bool] = []
    groups = Groups(50, lambda: told.append(groups.wants("order")))
    groups.get(ORDERS, None)
    groups.get(ORDERS, None)
    assert told == [True], "the group is filed before anybody is told"
    assert not groups.wants("job")
