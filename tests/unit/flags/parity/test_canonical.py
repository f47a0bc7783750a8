"""When two items are the same, and where they differ."""

import tracemalloc
from typing import Any

import orjson
import pytest

from flags.parity.canonical import STRICT, ComparisonRules, canonical, contradicts, differences, parse_pointer


def places(pushed: Any, polled: Any, **rules: Any) -> list[str]:
    found = differences(orjson.dumps(pushed), orjson.dumps(polled), ComparisonRules.of(**rules))
    return [difference.pointer for difference in found]


@pytest.mark.parametrize(
    ("pushed", "polled"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1, "b": [1, {"c": None}]}, {"b": [1, {"c": None}], "a": 1}),
        ({"a": "é"}, {"a": "\u00e9"}),
    ],
)
def test_equal_json_is_the_same_however_it_is_written(pushed: Any, polled: Any) -> None:
    assert places(pushed, polled) == []


@pytest.mark.parametrize(
    ("pushed", "polled", "pointers"),
    [
        ({"a": 1}, {"a": True}, ["/a"]),
        ({"a": 0}, {"a": False}, ["/a"]),
        ({"a": None}, {}, ["/a"]),
        ({"a": "1"}, {"a": 1}, ["/a"]),
        ({"a": {}}, {"a": []}, ["/a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["/a/0", "/a/1"]),
        ({"a": [1]}, {"a": [1, 2]}, ["/a/1"]),
        ({"a": {"b/c": {"~": 1}}}, {"a": {"b/c": {"~": 2}}}, ["/a/b~1c/~0"]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, ["/a", "/b"]),
    ],
)
def test_differences_are_named_by_json_pointers(pushed: Any, polled: Any, pointers: list[str]) -> None:
    assert places(pushed, polled) == pointers


def test_ignored_pointers_overlook_what_lies_below_them() -> None:
    pushed = {"meta": {"seenAt": 1, "by": "x"}, "lines": [{"at": 1, "n": 1}], "n": 1}
    polled = {"meta": {"seenAt": 2, "by": "y"}, "lines": [{"at": 2, "n": 1}], "n": 1}

    assert places(pushed, polled, ignored=["/meta", "/lines/*/at"]) == []
    assert places(pushed, polled, ignored=["/meta/seenAt"]) == ["/lines/0/at", "/meta/by"]


def test_an_ignored_member_may_be_missing_on_one_side() -> None:
    assert places({"a": 1, "etag": 7}, {"a": 1}, ignored=["/etag"]) == []


def test_numbers_within_the_tolerance_are_the_same_and_booleans_are_no_numbers() -> None:
    assert places({"a": 0.1 + 0.2}, {"a": 0.3}, numeric_tolerance=1e-9) == []
    assert places({"a": 1.2}, {"a": 1.0}, numeric_tolerance=0.1) == ["/a"]
    assert places({"a": 1}, {"a": True}, numeric_tolerance=5) == ["/a"]


def test_a_list_whose_order_does_not_count_is_compared_as_a_bag() -> None:
    pushed = {"tags": ["a", "b", "b"], "rest": [1, 2]}

    assert places(pushed, {"tags": ["b", "a", "b"], "rest": [1, 2]}, unordered=["/tags"]) == []
    assert places(pushed, {"tags": ["b", "a", "a"], "rest": [1, 2]}, unordered=["/tags"]) == ["/tags"]
    assert places(pushed, {"tags": ["a", "b"], "rest": [2, 1]}, unordered=["/tags"]) == [
        "/rest/0",
        "/rest/1",
        "/tags",
    ]


def test_rules_apply_within_the_elements_of_an_unordered_list() -> None:
    pushed = {"lines": [{"sku": "A", "price": 1.0, "at": 1}, {"sku": "B", "price": 2.0, "at": 2}]}
    polled = {"lines": [{"sku": "B", "price": 2.001, "at": 8}, {"sku": "A", "price": 0.999, "at": 9}]}
    rules = {"unordered": ["/lines"], "ignored": ["/lines/*/at"]}

    assert places(pushed, polled, numeric_tolerance=0.01, **rules) == []
    assert places(pushed, polled, **rules) == ["/lines"]


def test_an_element_does_not_take_the_only_partner_of_another() -> None:
    pushed, polled = {"n": [1.05, 1.0]}, {"n": [1.04, 1.1]}

    assert places(pushed, polled, unordered=["/n"], numeric_tolerance=0.06) == []


def test_a_bag_with_too_many_elements_of_no_equal_differs_whatever_the_tolerance() -> None:
    pushed, polled = {"n": list(range(100))}, {"n": [number + 0.1 for number in range(100)]}

    assert places(pushed, polled, unordered=["/n"], numeric_tolerance=0.2) == ["/n"]
    assert places({"n": [1]}, {"n": [1, 1]}, unordered=["/n"]) == ["/n"]


def test_a_nested_list_of_each_element_may_be_unordered() -> None:
    pushed, polled = {"lines": [{"tags": [1, 2]}]}, {"lines": [{"tags": [2, 1]}]}

    assert places(pushed, polled, unordered=["/lines/*/tags"]) == []


def test_derived_members_are_no_part_of_the_item() -> None:
    rules = ComparisonRules.of(derived=["previousStage", "newStage"])

    assert canonical({"stage": "b", "previousStage": "a", "newStage": "b"}, rules) == b'{"stage":"b"}'
    assert canonical({"b": 1, "a": {"d": 1, "c": 2}}) == b'{"a":{"c":2,"d":1},"b":1}'


def test_a_canonical_item_takes_no_more_memory_than_its_size() -> None:
    tracemalloc.start()
    try:
        kept = [canonical({"n": number}) for number in range(1000)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used / len(kept) < 200


def test_no_more_places_are_named_than_anybody_reads() -> None:
    pushed = {f"m{number}": 0 for number in range(1000)}

    assert len(places(pushed, {})) == 16
    assert len(differences(orjson.dumps(pushed), b"{}", STRICT, limit=1)) == 1


@pytest.mark.parametrize(
    ("previous", "found"),
    [
        ({"stage": "a"}, False),
        ({"stage": "b"}, True),
        ({"gone": 1}, True),
        ({"newStage": 1}, False),
        ({}, False),
    ],
)
def test_a_previous_state_contradicts_only_by_what_it_holds(previous: dict[str, Any], found: bool) -> None:
    rules = ComparisonRules.of(derived=["newStage"])

    assert contradicts(previous, b'{"other":1,"stage":"a"}', rules) is found


@pytest.mark.parametrize("pointer", ["a", "/a~", "/a~2b", "a/b"])
def test_what_is_no_json_pointer_is_refused(pointer: str) -> None:
    with pytest.raises(ValueError, match="JSON pointer"):
        parse_pointer(pointer)


@pytest.mark.parametrize(
    "rules", [{"ignored": [""]}, {"numeric_tolerance": -1}, {"numeric_tolerance": float("nan")}]
)
def test_rules_that_would_hide_everything_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ignore everything|tolerance"):
        ComparisonRules.of(**rules)
