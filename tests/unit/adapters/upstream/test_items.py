"""An answer's items, and the memory that they take (tests/property/test_json_list.py reads any bytes)."""

import tracemalloc

import pytest

from adapters.upstream.failures import BadAnswer
from adapters.upstream.items import Items
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
