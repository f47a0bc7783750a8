"""Which polled answers are compared, and which are lost when they come too fast."""

import pytest

from flags.parity.sampling import BoundedQueue, EveryNth


def test_one_in_so_many_is_taken_beginning_with_the_first() -> None:
    every = EveryNth()

    assert [every.take(3) for _ in range(7)] == [True, False, False, True, False, False, True]


def test_a_ratio_of_one_takes_all() -> None:
    every = EveryNth()

    assert all(every.take(1) for _ in range(5))


def test_a_lower_ratio_takes_effect_at_once() -> None:
    every = EveryNth()
    every.take(1000)

    assert [every.take(2) for _ in range(4)] == [False, True, False, True]


def test_a_ratio_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        EveryNth().take(0)


def test_what_comes_first_leaves_first() -> None:
    queue: BoundedQueue[str] = BoundedQueue(4, 100)
    for item in "abc":
        queue.put(item, 10)

    assert (queue.take(), queue.take(), len(queue), queue.bytes) == ("a", "b", 1, 10)


def test_a_full_queue_drops_its_oldest_and_counts_it() -> None:
    queue: BoundedQueue[str] = BoundedQueue(2, 100)
    for item in "abc":
        queue.put(item, 1)

    assert (queue.take(), queue.take(), queue.take(), queue.dropped) == ("b", "c", None, 1)


def test_large_items_push_out_as_many_as_they_need_room() -> None:
    queue: BoundedQueue[str] = BoundedQueue(10, 100)
    for item in "abc":
        queue.put(item, 30)
    queue.put("d", 70)

    assert (queue.take(), queue.take(), queue.dropped, queue.bytes) == ("c", "d", 2, 0)


def test_an_item_larger_than_the_queue_is_dropped_and_drops_nothing_else() -> None:
    queue: BoundedQueue[str] = BoundedQueue(10, 100)
    queue.put("a", 30)
    queue.put("b", 101)

    assert (queue.take(), queue.take(), queue.dropped) == ("a", None, 1)
