"""Rate limits for each client and for all: neither passed nor filled up by a flood."""

import pytest

from flags.guard.token_bucket import ClientLimits, Rate

PLENTY = Rate(1000, 1000)


def limits(each: Rate, total: Rate = PLENTY, most_clients: int = 100) -> ClientLimits:
    return ClientLimits(each, total, most_clients, 0.0)


def test_a_client_has_its_burst_and_then_its_rate() -> None:
    bucket = limits(Rate(0.5, 2))

    assert [bucket.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert bucket.take("a", 1.0) == 1.0
    assert bucket.take("a", 2.0) == 0.0
    assert bucket.take("a", 2.0) == 2.0


def test_being_refused_takes_no_token() -> None:
    bucket = limits(Rate(1, 1))
    bucket.take("a", 0.0)

    for _ in range(10):
        bucket.take("a", 0.5)

    assert bucket.take("a", 1.0) == 0.0


def test_one_client_does_not_use_up_what_is_anothers() -> None:
    bucket = limits(Rate(1, 1))
    bucket.take("a", 0.0)

    assert bucket.take("b", 0.0) == 0.0


def test_all_together_are_limited_too() -> None:
    bucket = limits(Rate(1, 1), total=Rate(1, 3))

    taken = [bucket.take(f"client-{number}", 0.0) for number in range(5)]

    assert taken == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_those_whom_nobody_can_tell_apart_are_limited_together_alone() -> None:
    bucket = limits(Rate(1, 1), total=Rate(1, 3))

    taken = [bucket.take(None, 0.0) for _ in range(4)]

    assert taken == [0.0, 0.0, 0.0, 1.0]
    assert len(bucket) == 0


def test_a_flood_of_made_up_names_shares_one_bucket_and_bounded_memory() -> None:
    bucket = limits(Rate(0.01, 2), most_clients=10)

    taken = sum(bucket.take(f"client-{number}", 0.0) == 0.0 for number in range(10_000))

    assert taken == 10 + 2
    assert len(bucket) == 10


def test_clients_with_full_buckets_make_room_for_others() -> None:
    bucket = limits(Rate(1, 1), most_clients=2)
    bucket.take("a", 0.0)
    bucket.take("b", 0.5)

    assert bucket.take("c", 1.0) == 0.0
    assert bucket.take("b", 1.0) == 0.5
    assert len(bucket) == 2


def test_a_clock_that_went_back_gives_no_tokens_and_takes_none() -> None:
    bucket = limits(Rate(1, 1))
    bucket.take("a", 100.0)

    assert bucket.take("a", 50.0) == 1.0
    assert bucket.take("a", 101.0) == 0.0


@pytest.mark.parametrize(
    ("per_second", "burst"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1), (1, float("inf"))]
)
def test_a_rate_that_makes_no_sense_is_refused(per_second: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Rate(per_second, burst)


def test_several_tokens_are_taken_at_once_or_none() -> None:
    bucket = limits(Rate(1, 4))

    assert bucket.take("a", 0.0, 3) == 0.0
    assert bucket.take("a", 0.0, 3) == 2.0
    assert bucket.take("a", 0.0, 1) == 0.0


def test_more_than_the_burst_takes_a_full_bucket_and_is_paid_for_afterwards() -> None:
    bucket = limits(Rate(2, 4))
    bucket.take("a", 0.0, 1)

    assert bucket.take("a", 0.0, 10) == 0.5
    assert bucket.take("a", 0.5, 10) == 0.0
    assert bucket.take("a", 0.5, 1) == 3.5
    assert bucket.take("a", 4.0, 1) == 0.0


def test_where_all_together_have_no_limit_each_has_its_own() -> None:
    bucket = ClientLimits(Rate(1, 1), None, 100, 0.0)

    assert [bucket.take(client, 0.0) for client in ("a", "b", "a", None, None)] == [0.0, 0.0, 1.0, 0.0, 0.0]
