"""The kinds of the differences of each member, counted."""

from typing import Any

from flags.parity.canonical import canonical, differences
from flags.parity.kind_counts import KindCounts, PlaceKinds, merged
from flags.parity.kinds import Form, Kind


def counted(*pairs: tuple[dict[str, Any], dict[str, Any]], most: int = 50) -> KindCounts:
    counts = KindCounts(most)
    for pushed, polled in pairs:
        counts.add(differences(canonical(pushed), canonical(polled)))
    return counts


def test_kinds_and_forms_of_a_member_add_up() -> None:
    (place,) = counted(
        ({"x": 1.5}, {"x": "1.50"}), ({"x": 2.5}, {"x": "2.50"}), ({"x": 1}, {"x": "one"})
    ).latest()

    assert place.counts == {Kind.NUMBER_AS_TEXT: 2, Kind.VALUE: 1}
    assert place.total == 3
    assert place.polled == {Form("text", 2), Form()}


def test_many_forms_are_none() -> None:
    pairs = [({"x": 1}, {"x": f"1.{'0' * digits}"}) for digits in range(1, 7)]
    (place,) = counted(*pairs).latest()

    assert (place.pushed, place.polled) == ({Form("number")}, None)


def test_names_are_those_that_fitted_every_time() -> None:
    places = counted(({"a": 7}, {"b": 7, "c": 7}), ({"a": 8}, {"b": 8, "c": 9})).latest()

    assert {place.pointer: place.names for place in places} == {"/a": {"/b"}, "/b": {"/a"}, "/c": frozenset()}


def test_the_oldest_member_is_forgotten() -> None:
    counts = counted(({"a": 1, "b": 1}, {"a": 2, "b": 1}), ({"a": 1, "b": 1}, {"a": 1, "b": 2}), most=1)

    assert [place.pointer for place in counts.latest()] == ["/b"]


def test_several_lists_of_one_type_are_one() -> None:
    one, other = counted(({"x": 1}, {"x": "1"})), counted(({"x": 1}, {"x": 2}), ({"y": 1}, {"y": "1"}))

    assert {place.pointer: place.counts for place in merged(one.latest() + other.latest())} == {
        "/x": {Kind.NUMBER_AS_TEXT: 1, Kind.VALUE: 1},
        "/y": {Kind.NUMBER_AS_TEXT: 1},
    }
    assert PlaceKinds("/x", {}).total == 0
