"""An answer's items, and the memory that they take (tests/property/test_json_list.py reads any bytes)."""

import tracemalloc

import pytest

from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.items import BAD, GOOD, Items
from adapters.upstream.reading.json_list import sequence_of
from gateway.ports.legacy_route import Functions, Pages
from tests.support.comparing import extract
from tests.support.legacy import legacy_route, listed, order
from tests.support.steps import finish

ROUTE = legacy_route()
MANY = b'{"docs":[%s]}' % b",".join(b'{"orderID":%d}' % (100_000 + number) for number in range(22_000))
"""Short items, and so many that the index has just grown: the more there is to know of each byte."""


def test_an_item_stands_as_it_stood_in_the_answer() -> None:
    items = extract(b'{"docs": [ {"orderID" : 1, "x": 1.0} \t,\r\n {"orderID":"B"} ] }', ROUTE)

    assert items == {"1": b'{"orderID" : 1, "x": 1.0}', "B": b'{"orderID":"B"}'}
    assert list(items.items()) == [(key, items[key]) for key in items]
    assert ("1" in items, "A" in items, len(items)) == (True, False, 2)


def test_a_key_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        extract(listed(order("A")), ROUTE)["B"]


def test_keys_that_fall_on_one_place_of_the_index_are_told_apart() -> None:
    for count in (0, 1, 8, 1000):
        items = extract(listed(*(order(number) for number in range(count))), ROUTE)
        assert [items[str(number)] for number in range(count)] == [items.raw(one) for one in range(count)]


def test_keys_with_the_same_hash_are_told_apart() -> None:
    items = extract(listed(order("A"), order("B")), ROUTE)
    # Which texts have one hash changes from run to run: one is put in the place of another here.
    items.hashes[0] = items.hashes[1]
    list(items._indexing())

    assert items["B"] == b'{"orderID":"B"}'
    assert "A" not in items


def test_two_items_stand_for_one_entity_however_far_apart() -> None:
    many = [order(number) for number in range(1000)]
    with pytest.raises(BadAnswer) as caught:
        extract(listed(*many, order("0")), ROUTE)
    assert caught.value.kind == "duplicate_key"


def test_old_and_new_items_are_within_five_times_an_answer_of_the_shortest_ones() -> None:
    items = extract(MANY, ROUTE)

    # Both with their answers, and what a comparison notes: a number for each new one, a byte for each old.
    assert 2 * items.size + 5 * len(items) <= 5 * len(MANY)


def test_reading_an_answer_takes_little_more_than_what_is_kept_of_it() -> None:
    items = Items(MANY, ROUTE)
    tracemalloc.start()
    try:
        finish(items.reading())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak <= 1.5 * (items.size - len(MANY)) + 100_000


def test_the_members_around_the_list_are_part_of_the_answer() -> None:
    for text in (b'{"docs":[{"orderID":1}],"docs":[]}', b'{"docs":[],"x":{"docs":]}', b'{"docs":[]'):
        with pytest.raises(BadAnswer):
            extract(text, ROUTE)


def test_an_item_of_many_brackets_is_read_in_many_steps() -> None:
    nested = b'{"docs":[{"orderID":1,"x":[%s]}]}' % b",".join([b"[]"] * 10_000)

    assert len(list(Items(nested, ROUTE).reading())) > 50


def test_a_text_without_an_end_is_refused_at_once() -> None:
    """From every quotation mark on there might be a string: to try each of them would take for ever."""
    text = b'{"docs":[{"orderID":1,"x":"' + b'\\"a' * 200_000
    with pytest.raises(BadAnswer) as caught:
        extract(text, ROUTE)
    assert caught.value.kind == "not_json"


def test_a_long_text_without_the_list_is_refused_without_reading_it() -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(b'{"error":"%s"}' % (b"x" * 100_000), ROUTE)
    assert caught.value.kind == "no_list"


def test_the_items_of_a_map_have_its_names_for_keys() -> None:
    items = extract(b'{"x": {"a\\u00e9" : {"n":1} , "b":{"n": {}}}}', legacy_route(items="/x", shape="map"))

    assert items == {"aé": b'{"n":1}', "b": b'{"n": {}}'}
    assert items.item(1) == {"n": {}}


@pytest.mark.parametrize(
    ("text", "shape", "kind"),
    [
        (b'{"docs":[]}', "map", "no_list"),
        (b'{"docs":{}}', "list", "no_list"),
        (b'{"docs":[{"orderID":1}]}', "single", "no_list"),
        (b'{"docs":{"a":{},"a":{}}}', "map", "duplicate_key"),
        (b'{"docs":{"a":{},}}', "map", "not_json"),
        (b'{"docs":{"a":{}]}', "map", "not_json"),
        (b'{"docs":[{"orderID":1},]}', "list", "not_json"),
        (b'{"docs":{a:{}}}', "map", "not_json"),
        (b'{"docs":{"":{}}}', "map", "bad_key"),
        (b'{"docs":{"a":7}}', "map", "not_an_object"),
    ],
)
def test_what_is_of_another_shape_or_malformed_is_bad(text: bytes, shape: str, kind: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(text, legacy_route(shape=shape))
    assert caught.value.kind == kind


def test_a_single_entity_is_one_item() -> None:
    route = legacy_route(items="/status", shape="single", id="cluster")
    assert extract(b'{"status": {"up": [{}]}, "x": 1}', route) == {"cluster": b'{"up": [{}]}'}


@pytest.mark.parametrize("shape", ["list", "map", "single"])
def test_null_is_no_items_where_the_route_says_so(shape: str) -> None:
    route = legacy_route(shape=shape)
    assert len(extract(b'{"docs": null }', route)) == 0
    for text in (b'{"docs":nul}', b'{"docs":nullx}', b'{"docs":null'):
        with pytest.raises(BadAnswer, match="not JSON"):
            extract(text, route)
    with pytest.raises(BadAnswer) as caught:
        extract(b'{"docs":null}', legacy_route(shape=shape, empty=()))
    assert caught.value.kind == "no_list"


@pytest.mark.parametrize("text", [b"{}", b'{"data":null}', b'{"data":{}}', b"[]", b"7"])
def test_nothing_at_the_pointer_is_no_items_where_the_route_says_so(text: bytes) -> None:
    assert len(extract(text, legacy_route(items="/data/docs", empty=("absent",)))) == 0
    with pytest.raises(BadAnswer) as caught:
        extract(text, legacy_route(items="/data/docs"))
    assert caught.value.kind == "no_list"


@pytest.mark.parametrize("text", [b"", b"<html>", b'{"docs"', b'{"docs":[]} x', b'{"x":1} {"docs":[]}'])
def test_what_is_no_json_never_means_no_items(text: bytes) -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(text, legacy_route(empty=("absent", "null")))
    assert caught.value.kind == "not_json"


def test_a_status_that_means_no_items_leaves_the_body_unread() -> None:
    items = Items(b"Not Found", ROUTE, is_empty=True)
    finish(items.reading())
    assert len(items) == 0


def test_a_byte_order_mark_is_overlooked() -> None:
    assert extract(b"\xef\xbb\xbf" + listed(order("A")), ROUTE) == {"A": b'{"orderID":"A"}'}
    assert extract(b"\xef\xbb\xbf[]", legacy_route(items="")) == {}


def test_bad_items_among_good_ones_are_left_out_and_named() -> None:
    text = b'{"docs":[null,{"orderID":"A"},{"orderID":"B","n":"\\ud83d"},{"n":1},{"orderID":"C"}]}'
    items = extract(text, ROUTE)

    assert items == {"A": b'{"orderID":"A"}', "C": b'{"orderID":"C"}'}
    assert items.bad == {"not_an_object": 1, "unreadable": 1, "no_key": 1}
    assert items.bad_ones == [(0, "not_an_object"), (2, "unreadable"), (3, "no_key")]
    assert [items.key(number) for number, state in enumerate(items.states) if state == BAD] == ["B"]
    assert [key for key in "ABCD" if items.is_unread(key)] == ["B"]


def test_many_bad_items_are_counted_and_the_first_ones_named() -> None:
    items = extract(listed(order("A"), *range(100)), ROUTE)
    assert (items.bad, len(items.bad_ones)) == ({"not_an_object": 100}, 5)


@pytest.mark.parametrize(
    ("mark", "is_there"),
    [
        (True, False),
        (False, True),
        (None, True),
        (0, True),
        ("", True),
        (1, False),
        ("2026-11-20T10:30:00Z", False),
        ({}, False),
    ],
)
def test_an_item_that_is_marked_as_deleted_is_not_there(mark: object, is_there: bool) -> None:
    items = extract(
        listed(order("A", meta={"archived": mark}), order("B")), legacy_route(deleted="/meta/archived")
    )
    assert list(items) == (["A", "B"] if is_there else ["B"])


def test_a_list_of_items_that_are_all_marked_is_an_empty_list() -> None:
    assert extract(listed(order("A", gone=True), {"gone": True}), legacy_route(deleted="gone")) == {}


def test_items_have_the_routes_members() -> None:
    route = legacy_route(members={"customer": "7"}, key=("customer", "orderID"))
    items = extract(listed(order(1, customer=7)), route)

    assert list(items) == ["7:1"]
    assert items.item(0) == {"orderID": 1, "customer": "7"}


def several(*bodies: bytes) -> bytes:
    return b"".join(sequence_of(bodies))


def test_the_items_of_several_bodies_are_one_list() -> None:
    items = extract(several(listed(order(1), order(2)), b"\xef\xbb\xbf" + listed(), listed(order(3))), ROUTE)
    assert items == {str(number): b'{"orderID":%d}' % number for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("settings", "shown"), [({"pages": Pages("/next")}, "new"), ({"also": ("/closed",)}, "old")]
)
def test_an_item_that_stands_in_two_bodies_is_one(settings: dict[str, object], shown: str) -> None:
    first, second = listed(order(1), order(2, n="old")), listed(order(2, n="new"), order(3))
    items = extract(several(first, second), legacy_route(**settings))

    assert list(items) == (["1", "2", "3"])
    assert items.item([*items.states].index(GOOD, 1))["n"] == shown


def test_within_one_of_several_bodies_a_key_stands_once() -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(several(listed(order(1)), listed(order(2), order(2))), legacy_route(pages=Pages("/next")))
    assert caught.value.kind == "duplicate_key"


@pytest.mark.parametrize(
    "body", [b"", b'{"docs":[', b'{"docs":[{"orderID":4},', b'{"docs":[{"orderID":"', b"x"]
)
def test_a_body_that_is_broken_off_does_not_go_on_in_the_next(body: bytes) -> None:
    for bodies in ((body, listed(order(1))), (listed(order(1)), body, listed(order(2)))):
        with pytest.raises(BadAnswer) as caught:
            extract(several(*bodies), ROUTE)
        assert caught.value.kind == "not_json"


def test_what_functions_made_is_read_where_it_stands() -> None:
    route = legacy_route(functions=Functions(map="shop.orders:plain"), also=("/closed",))
    items = extract(several(b'[{"orderID":1},null]', b'[{"orderID":1},{"orderID":2}]'), route)

    assert (list(items), items.bad) == (["1", "2"], {"not_an_object": 1})


def test_functions_say_null_where_there_is_no_entity() -> None:
    route = legacy_route(functions=Functions(decode="shop.status:read"), shape="single", empty=("absent",))
    assert len(extract(b"null", route)) == 0


def test_the_data_of_some_keys_is_looked_up() -> None:
    items = extract(listed(order("A", n=1), order("B", n=2), order("C", n=3)), ROUTE)

    assert list(items.data(["C", "X", "A"])) == [("C", items["C"]), ("A", items["A"])]
