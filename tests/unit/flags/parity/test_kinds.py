"""Of what kind a difference is."""

from typing import Any

import orjson
import pytest

from flags.parity.canonical import canonical, differences
from flags.parity.kinds import Found, Kind, classify


def kinds_of(pushed: dict[str, Any], polled: dict[str, Any]) -> dict[str, Kind]:
    return {found.pointer: found.kind for found in found_in(pushed, polled)}


def found_in(pushed: dict[str, Any], polled: dict[str, Any]) -> list[Found]:
    return list(classify(differences(canonical(pushed), canonical(polled))))


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (12.5, "12.50", Kind.NUMBER_AS_TEXT),
        (-3, "-3", Kind.NUMBER_AS_TEXT),
        (12345678901234567.0, "12345678901234567.89", Kind.NUMBER_AS_TEXT),
        (12.5, "12.51", Kind.VALUE),
        (12.5, "12.50 EUR", Kind.VALUE),
        (1, "true", Kind.VALUE),
        (True, 1, Kind.VALUE),
        ("12.50", "12.5", Kind.VALUE),
        ("2026-11-27T16:00:00+00:00", "2026-11-27T10:00:00-06:00", Kind.INSTANT),
        ("2026-11-27T16:00:00+00:00", "2026-11-27T16:00:00Z", Kind.INSTANT),
        ("2026-11-27T16:00:00+00:00", "2026-11-27 16:00:00", Kind.INSTANT),
        ("2026-11-27T16:00:00.123456+00:00", "2026-11-27T16:00:00.123Z", Kind.INSTANT),
        ("2026-11-27T16:00:00.123456+00:00", "2026-11-27T16:00:00.124Z", Kind.INSTANT),
        ("2026-11-27T16:00:00.123456+00:00", "2026-11-27T16:00:00.125Z", Kind.VALUE),
        ("2026-11-27T16:00:00+00:00", "2026-11-27T16:00:00-06:00", Kind.VALUE),
        ("2026-11-27", "2026-11-27T00:00:00Z", Kind.INSTANT),
        ("2026-02-30", "2026-02-30T00:00:00Z", Kind.VALUE),
        ("PT1H30M", "01:30:00", Kind.DURATION),
        ("P1DT2H", "1 02:00:00", Kind.DURATION),
        ("P1DT2H", "26:00:00", Kind.DURATION),
        ("PT1.5S", 1.5, Kind.DURATION),
        ("PT-1H-30M", "-01:30:00", Kind.DURATION),
        ("PT90M", "PT1H30M", Kind.DURATION),
        ("P1M", "PT1M", Kind.VALUE),
        ("PT1H", "01:30:00", Kind.VALUE),
        (0.1, 0.10001, Kind.ROUNDING),
        (128.0, 128.000000001, Kind.ROUNDING),
        (0.1, 0.2, Kind.VALUE),
        (None, 0, Kind.VALUE),
        ("", None, Kind.VALUE),
        ("a", {"b": 1}, Kind.VALUE),
    ],
)
def test_a_pair_of_values_is_of_a_kind_whichever_side_has_which(one: Any, other: Any, kind: Kind) -> None:
    assert kinds_of({"x": one}, {"x": other}) == {"/x": kind}
    assert kinds_of({"x": other}, {"x": one}) == {"/x": kind}


def test_elements_of_lists_are_one_place() -> None:
    pushed = {"lines": [{"price": 1.5}, {"price": 2.5}], "7": {"n": 1}}
    polled = {"lines": [{"price": "1.50"}, {"price": "2.50"}], "7": {"n": "1"}}

    assert kinds_of(pushed, polled) == {"/lines/*/price": Kind.NUMBER_AS_TEXT, "/*/n": Kind.NUMBER_AS_TEXT}


def test_a_list_in_another_order_is_one_difference() -> None:
    assert kinds_of({"tags": ["a", "b", "c", "b"]}, {"tags": ["c", "b", "b", "a"]}) == {"/tags": Kind.ORDER}
    assert kinds_of({"tags": ["a", "b"]}, {"tags": ["b", "d"]}) == {"/tags/*": Kind.VALUE}
    assert kinds_of({"tags": ["a", "b"]}, {"tags": ["b", "a", "c"]}) == {"/tags/*": Kind.POLLED_ONLY}


def test_a_member_of_one_side_names_those_of_the_other_that_have_its_value() -> None:
    found = {
        one.pointer: one for one in found_in({"ticket_id": 7, "n": 1}, {"ticket": 7, "agent": 7, "n": 1})
    }

    assert found["/ticket_id"].kind is Kind.PUSHED_ONLY
    assert found["/ticket_id"].names == {"/ticket", "/agent"}
    assert found["/ticket"].names == found["/agent"].names == {"/ticket_id"}


def test_a_value_of_another_place_or_type_is_no_name() -> None:
    (found, *_) = found_in({"a": {"b": 1}}, {"a": {}, "c": 1})
    assert (found.kind, found.names) == (Kind.PUSHED_ONLY, frozenset())
    (found, *_) = found_in({"a": True}, {"b": 1})
    assert found.names == frozenset()


def test_null_beside_nothing_is_a_kind_of_its_own() -> None:
    assert kinds_of({"x": None}, {}) == {"/x": Kind.NULL}
    assert kinds_of({}, {"x": None}) == {"/x": Kind.NULL}


def test_no_value_is_kept() -> None:
    found = found_in({"x": 4242.5, "y": "secret"}, {"x": "4242.50", "y": "hidden"})

    assert not any(word in repr(found) for word in ("4242", "secret", "hidden"))
    assert orjson.dumps([one.kind for one in found])
