"""gateway/core/recent.py: what was used of late is remembered, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.recent import Recent

ROOM = 8


def test_what_was_put_is_given_back_until_it_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(ROOM)
    assert recent.get("a") is None
    assert recent.put("a", 1) == 1
    assert recent.put("a", 2) == 2
    assert (recent.get("a"), len(recent)) == (2, 1)
    recent.clear()
    assert (recent.get("a"), len(recent)) == (None, 0)


def test_a_value_in_place_of_another_takes_its_room_and_no_more() -> None:
    recent: Recent[str, int] = Recent(4)
    recent.put("a", 1)
    for number in range(20):
        recent.put("b", number)
    assert (recent.get("a"), recent.get("b")) == (1, 19)


def test_what_is_larger_than_half_of_the_room_is_not_kept_nor_what_it_replaces() -> None:
    recent: Recent[str, bytes] = Recent(ROOM, len)
    recent.put("a", b"1234")
    assert recent.put("a", b"12345") == b"12345"
    assert recent.get("a") is None


@pytest.mark.parametrize("weight", [None, len])
@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh"), st.sampled_from(b"12"))))
def test_the_last_half_of_the_room_is_remembered_and_never_more_than_the_room(weight, steps) -> None:
    recent: Recent[str, bytes] = Recent(ROOM, weight)
    put: dict[str, bytes] = {}
    """The values that are to be had, the one that was used last at the end."""

    def size(values):
        return sum(map(weight, values)) if weight else len(values)

    for is_put, key, character in steps:
        # What is remembered of a key has the same size each time; that of some is too much.
        value = bytes([character]) * (1 + ord(key) % 6)
        known = put.pop(key, None)
        if is_put:
            recent.put(key, value)
            if size([value]) <= ROOM // 2:
                put[key] = value
        else:
            found = recent.get(key)
            assert found in (None, known)
            if found is not None:
                put[key] = found
        latest: list[str] = []
        for other in reversed(put):
            if size([put[one] for one in (*latest, other)]) > ROOM // 2:
                break
            latest.append(other)
        for other in latest:
            # To look at it is to use it.
            assert recent.get(other) == put[other]
            put[other] = put.pop(other)
        assert len(recent) <= ROOM
