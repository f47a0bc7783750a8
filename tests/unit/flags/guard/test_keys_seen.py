"""How many came with a key of late."""

import pytest

from flags.guard.keys_seen import MINUTES, KeyCounts, KeysSeen, merged


def test_what_came_is_counted_by_whether_it_had_a_key() -> None:
    seen = KeysSeen()
    for keyed in (True, False, False):
        seen.seen(7.0, keyed=keyed)

    assert seen.counts(59.9) == KeyCounts(keyed=1, keyless=2)


def test_a_minute_is_forgotten_once_it_is_old_enough() -> None:
    seen = KeysSeen()
    seen.seen(30.0, keyed=True)
    seen.seen(90.0, keyed=False)

    assert seen.counts(60.0 * MINUTES - 0.1) == KeyCounts(1, 1)
    assert seen.counts(60.0 * MINUTES) == KeyCounts(0, 1)
    assert seen.counts(60.0 * (MINUTES + 1)) == KeyCounts()


def test_it_takes_the_same_memory_however_long_it_counts() -> None:
    seen = KeysSeen()
    for minute in range(1000):
        seen.seen(60.0 * minute, keyed=True)

    assert seen.counts(60.0 * 999) == KeyCounts(keyed=MINUTES)
    assert len(seen._by_minute) == MINUTES


def test_the_counts_of_several_nodes_add_up() -> None:
    assert merged([KeyCounts(1, 2), KeyCounts(3, 4)]) == KeyCounts(4, 6)
    assert KeyCounts.of(KeyCounts(1, 2).wire()) == KeyCounts(1, 2)


@pytest.mark.parametrize("garbage", [None, [1], [1, "2"], [1, -2], [True, 1]])
def test_counts_that_are_none_are_refused(garbage: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        KeyCounts.of(garbage)
