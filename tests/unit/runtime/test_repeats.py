"""gateway/runtime/repeats.py: the first is told, those that follow are counted."""

from gateway.runtime.repeats import MAX_KEYS, WINDOW_SECONDS, Counted, Repeats


def test_the_first_of_a_key_is_told_and_the_others_are_counted() -> None:
    repeats: Repeats[str] = Repeats()

    told = [repeats.is_first(key, 100.0, now_ms) for now_ms, key in enumerate("aabab")]

    assert told == [True, False, True, False, False]
    assert repeats.take(100.0 + WINDOW_SECONDS) == [Counted("a", 2, 3), Counted("b", 1, 4)]


def test_nothing_is_taken_before_the_window_is_over_unless_it_is_asked_for() -> None:
    repeats: Repeats[str] = Repeats()
    repeats.is_first("a", 100.0, 1)
    repeats.is_first("a", 100.0, 2)

    assert repeats.take(100.0 + WINDOW_SECONDS - 0.1) == []
    assert repeats.take(100.0, at_once=True) == [Counted("a", 1, 2)]


def test_what_came_once_gives_no_count_and_is_the_first_again_afterwards() -> None:
    repeats: Repeats[str] = Repeats()
    repeats.is_first("a", 100.0, 1)

    assert repeats.take(100.0 + WINDOW_SECONDS) == []
    assert repeats.is_first("a", 100.0 + WINDOW_SECONDS, 2)


def test_a_flood_of_different_ones_takes_no_more_room() -> None:
    repeats: Repeats[int] = Repeats()

    told = [repeats.is_first(key, 100.0, key) for key in range(MAX_KEYS + 1000)]

    assert sum(told) == MAX_KEYS
    assert repeats.take(100.0 + WINDOW_SECONDS) == [Counted(None, 1000, MAX_KEYS + 999)]
