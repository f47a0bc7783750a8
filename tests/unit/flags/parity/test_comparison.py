"""Push compared with polling: each outcome, and when a difference counts."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from flags.parity.canonical import ComparisonRules
from flags.parity.fold import PushedEvent
from flags.parity.report import Outcome
from tests.support.effort import calls_of
from tests.support.steps import finish
from tests.unit.flags.parity.orders import BASE_AT, SETTLE, Orders, answer

OPEN, BILLED, PAID = {"stage": "open"}, {"stage": "billed"}, {"stage": "paid"}
LATER = BASE_AT + 10
MOMENT = 0.5
SETTLED = SETTLE + 0.1


def test_a_change_that_both_show_is_a_match() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", PAID)
    orders.poll(LATER + MOMENT, A=PAID)

    assert orders.counts == {"match": 1}
    assert orders.report.consistency == 1.0


def test_an_entity_that_nobody_touched_proves_nothing() -> None:
    orders = Orders().based(A=OPEN, B=OPEN)

    orders.poll(LATER, A=OPEN, B=OPEN)

    assert orders.counts == {}
    assert orders.report.consistency is None
    assert orders.report.unchanged == 2


def test_a_change_counts_once_however_often_it_is_polled() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", PAID)
    for number in range(5):
        orders.poll(LATER + number, A=PAID)

    assert orders.counts == {"match": 1}


def test_inserted_and_deleted_entities_match_too() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", None)
    orders.push(LATER, "B", OPEN, action="insert")
    orders.poll(LATER + MOMENT, B=OPEN)

    assert orders.counts == {"match": 2}


def test_what_only_rules_overlook_is_ignored() -> None:
    orders = Orders(ComparisonRules.of(ignored=["/servedAt"])).based(A=OPEN)

    orders.push(LATER, "A", {"stage": "paid", "servedAt": 1})
    orders.poll(LATER + MOMENT, A={"stage": "paid", "servedAt": 2})

    assert orders.counts == {"ignored": 1}
    assert orders.report.consistency == 1.0


def test_members_that_events_add_are_no_difference() -> None:
    orders = Orders(ComparisonRules.of(derived=["previousStage", "newStage"])).based(A=OPEN)

    orders.push(LATER, "A", {"stage": "paid", "previousStage": "open", "newStage": "paid"})
    orders.poll(LATER + MOMENT, A=PAID)

    assert orders.counts == {"match": 1}


def test_an_event_within_the_settle_window_explains_what_polling_showed_before() -> None:
    orders = Orders().based(A=OPEN)

    orders.poll(LATER, A=PAID)
    orders.push(LATER + 1.5, "A", PAID)

    assert orders.counts == {"push_behind": 1}
    assert orders.parity.drain().lags_ms == (1500.0,)


def test_a_change_that_polling_showed_first_is_one_agreement_however_often_it_is_polled() -> None:
    orders = Orders().based(A=OPEN)

    orders.poll(LATER, A=PAID)
    orders.push(LATER + 1.5, "A", PAID)
    orders.poll(LATER + 2, A=PAID)
    orders.poll(LATER + 9, A=PAID)

    assert orders.counts == {"push_behind": 1}


def test_an_event_that_came_between_the_answer_and_its_comparison_was_behind() -> None:
    orders = Orders().based(A=OPEN)

    polled = answer((0,), LATER, LATER, A=PAID)
    orders.push(LATER + 1, "A", PAID)
    finish(orders.parity.comparing(polled, LATER + 2))

    assert orders.counts == {"push_behind": 1}


def test_polling_that_shows_what_push_said_a_moment_ago_is_behind() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", PAID)
    orders.poll(LATER + MOMENT, A=OPEN)
    orders.poll(LATER + 1, A=PAID)

    assert orders.counts == {"push_ahead": 1}
    assert orders.report.pending == 0


def test_what_push_said_when_the_upstream_was_asked_is_a_match_although_it_said_more_since() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", BILLED)
    polled = answer((1,), LATER + 1, LATER + 1, A=BILLED)
    orders.push(LATER + 1.5, "A", PAID)
    finish(orders.parity.comparing(polled, LATER + 2))

    assert orders.counts == {"match": 1}


def test_a_stale_answer_is_excused_for_one_settle_window_only() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", PAID)
    orders.poll(LATER + SETTLED, A=OPEN)
    orders.poll(LATER + 2 * SETTLED, A=OPEN)

    assert orders.counts == {"mismatch": 1}


def test_a_difference_that_is_still_there_after_the_settle_window_counts() -> None:
    orders = Orders().based(A=OPEN, B=OPEN)

    orders.poll(LATER, A=PAID, B=OPEN)
    assert orders.counts == {}
    assert orders.report.pending == 1
    orders.poll(LATER + SETTLED, A=PAID, B=OPEN)

    assert orders.counts == {"mismatch": 1}
    assert orders.report.consistency == 0.0
    assert orders.report.standing == 1


def test_a_difference_is_not_settled_before_its_window_is_over() -> None:
    orders = Orders().based(A=OPEN)

    orders.poll(LATER, A=PAID)
    orders.poll(LATER + SETTLE - 0.1, A=PAID)

    assert orders.counts == {}


def test_a_difference_that_a_later_answer_does_not_show_is_lag() -> None:
    orders = Orders().based(A=OPEN)

    orders.poll(LATER, A=PAID)
    orders.poll(LATER + SETTLED, A=OPEN)

    assert orders.counts == {"push_ahead": 1}


def test_a_standing_difference_counts_in_every_answer_until_it_is_gone() -> None:
    orders = Orders().based(A=OPEN)

    for number in range(4):
        orders.poll(LATER + number * SETTLED, A=PAID)
    assert orders.counts == {"mismatch": 3}
    orders.push(LATER + 20, "A", PAID)
    orders.poll(LATER + 21, A=PAID)

    assert orders.counts == {"mismatch": 3, "match": 1}
    assert orders.report.standing == 0


def test_an_entity_that_push_never_told_of_is_missing() -> None:
    orders = Orders().based()

    orders.poll(LATER, A=OPEN)
    orders.poll(LATER + SETTLED, A=OPEN)

    assert orders.counts == {"missing": 1}


def test_an_entity_whose_deletion_push_never_told_is_extra() -> None:
    orders = Orders().based(A=OPEN)

    orders.poll(LATER)
    orders.poll(LATER + SETTLED)

    assert orders.counts == {"extra": 1}


def test_push_that_tells_another_value_is_a_mismatch_named_by_its_place() -> None:
    orders = Orders().based(A={"stage": "open", "total": 1})

    orders.push(LATER, "A", {"stage": "paid", "total": 2})
    for number in (2, 3):
        orders.poll(LATER + number * SETTLED, A={"stage": "paid", "total": 3})

    assert orders.counts == {"mismatch": 1}
    assert [place.pointer for place in orders.report.places["order"]] == ["/total"]
    assert orders.report.examples == ()


def test_values_are_kept_only_where_that_is_switched_on() -> None:
    orders = Orders(keep_values=True).based(A=OPEN)

    orders.poll(LATER, A={"stage": "x" * 1000})
    orders.poll(LATER + SETTLED, A={"stage": "x" * 1000})

    (example,) = orders.report.examples
    assert (example.entity_type, example.entity_id, example.pointer) == ("order", "A", "/stage")
    assert (example.pushed, example.polled) == ("open", "(1002 bytes)")


def test_an_event_told_twice_is_a_duplicate_although_the_state_is_right() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", PAID, previous=OPEN)
    orders.push(LATER, "A", PAID, previous=OPEN)
    orders.poll(LATER + MOMENT, A=PAID)

    assert orders.counts == {"duplicate": 1}
    assert orders.report.consistency == 0.0


def test_an_old_event_told_again_is_a_duplicate_that_leaves_a_wrong_state() -> None:
    orders = Orders().based(A=OPEN)

    for data in (BILLED, PAID, BILLED):
        orders.push(LATER, "A", data)
    for number in (2, 3):
        orders.poll(LATER + number * SETTLED, A=PAID)

    assert orders.counts == {"duplicate": 1}


def test_events_that_changed_places_are_reordered() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", PAID)
    orders.push(LATER, "A", BILLED)
    for number in (2, 3):
        orders.poll(LATER + number * SETTLED, A=PAID)

    assert orders.counts == {"reordered": 1}


def test_one_change_of_place_is_counted_once_and_not_again_when_it_is_mended() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", {"n": 1}, previous=OPEN)
    orders.push(LATER, "A", {"n": 3}, previous={"n": 2})
    orders.push(LATER, "A", {"n": 2}, previous={"n": 1})
    for number in (2, 3):
        orders.poll(LATER + number * SETTLED, A={"n": 3})
    orders.push(LATER + 20, "A", {"n": 4}, previous={"n": 2})
    orders.poll(LATER + 21, A={"n": 4})

    assert orders.counts == {"reordered": 1, "match": 1}


def test_an_event_at_a_position_that_is_past_is_reordered_or_a_duplicate() -> None:
    orders = Orders().based(A=OPEN, B=OPEN)

    orders.push(LATER, "A", BILLED, position=5)
    orders.push(LATER, "A", PAID, position=6)
    orders.push(LATER, "A", PAID, position=6)
    orders.push(LATER, "B", PAID, position=4)
    orders.poll(LATER + MOMENT, A=PAID, B=PAID)

    assert orders.counts == {"duplicate": 1, "reordered": 1}


def test_a_lost_event_that_a_later_one_mended_leaves_a_broken_chain() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", {"n": 1}, previous=OPEN)
    orders.push(LATER, "A", {"n": 3}, previous={"n": 2})
    orders.poll(LATER + MOMENT, A={"n": 3})

    assert orders.counts == {"match": 1}
    assert orders.report.broken_chains == 1


def test_one_change_told_under_two_event_types_is_no_fault() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", BILLED, previous=OPEN)
    orders.push(LATER, "A", {"stage": "paid", "due": 0}, previous=BILLED, action="update")
    orders.push(LATER, "A", {"stage": "paid", "due": 0}, previous=BILLED, action="insert")
    orders.poll(LATER + MOMENT, A={"stage": "paid", "due": 0})

    assert orders.counts == {"match": 1}
    assert orders.report.broken_chains == 0


def test_a_write_that_changed_nothing_may_be_told_as_often_as_it_happened() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", OPEN, previous=OPEN)
    orders.push(LATER, "A", OPEN, previous=OPEN)
    orders.poll(LATER + MOMENT, A=OPEN)

    assert orders.counts == {"match": 1}


def test_an_event_later_than_the_settle_window_with_no_answer_in_between_proves_nothing() -> None:
    orders = Orders().based(A=OPEN)

    orders.poll(LATER, A=PAID)
    orders.push(LATER + SETTLED, "A", PAID)

    assert orders.counts == {}
    assert orders.reasons["in motion"] == 1


def test_an_old_insertion_told_again_is_a_duplicate_although_a_later_event_mends_the_state() -> None:
    orders = Orders().based()

    orders.push(LATER, "A", OPEN, action="insert")
    orders.push(LATER, "A", BILLED)
    orders.push(LATER, "A", OPEN, action="insert")
    orders.push(LATER, "A", PAID)
    orders.poll(LATER + MOMENT, A=PAID)

    assert orders.counts == {"duplicate": 1}


def test_an_old_event_told_again_is_known_by_the_state_that_it_starts_from() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", BILLED, previous=OPEN)
    orders.push(LATER, "A", PAID, previous=BILLED)
    orders.push(LATER, "A", BILLED, previous=OPEN)
    orders.push(LATER, "A", {"stage": "void"}, previous=BILLED)
    orders.poll(LATER + MOMENT, A={"stage": "void"})

    assert orders.counts == {"duplicate": 1}
    assert orders.report.broken_chains == 0


def test_an_event_of_a_state_that_has_come_back_is_no_duplicate() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", BILLED)
    orders.push(LATER, "A", PAID)
    orders.push(LATER, "A", BILLED, action="insert")
    orders.push(LATER, "A", BILLED)
    orders.poll(LATER + MOMENT, A=BILLED)

    assert orders.counts == {"match": 1}


def test_the_first_event_after_a_polled_state_is_not_judged_by_it() -> None:
    orders = Orders().based(A=PAID)

    orders.push(LATER, "A", BILLED, previous=OPEN)
    orders.push(LATER, "A", PAID, previous=BILLED)
    orders.poll(LATER + MOMENT, A=PAID)

    assert orders.counts == {"match": 1}
    assert orders.report.broken_chains == 0


def test_a_standing_difference_keeps_the_name_that_it_was_given() -> None:
    orders = Orders().based(A=OPEN, B=OPEN)

    orders.push(LATER, "B", PAID, position=6)
    orders.push(LATER, "A", BILLED, position=4)
    for number in range(2, 5):
        orders.poll(LATER + number * SETTLED, A=PAID, B=PAID)

    assert orders.counts == {"match": 1, "reordered": 2}


def test_an_entity_that_moves_on_before_its_difference_is_settled_is_incomparable() -> None:
    orders = Orders().based(A={"n": 0})

    orders.poll(LATER, A={"n": 1})
    orders.push(LATER + 1, "A", {"n": 2})
    orders.poll(LATER + SETTLED, A={"n": 3})

    assert orders.counts == {}
    assert orders.reasons["in motion"] == 1


def test_push_that_tells_only_the_last_of_several_changes_is_right() -> None:
    orders = Orders().based(A={"n": 0})

    for number in range(1, 20, 2):
        at = LATER + number * SETTLED
        orders.poll(at, A={"n": number})
        orders.push(at + 1, "A", {"n": number + 1})
    orders.poll(LATER + 21 * SETTLED, A={"n": 20})

    assert orders.report.consistency == 1.0


def test_a_third_answer_decides_where_polling_shows_two_states_and_push_none() -> None:
    orders = Orders().based(A={"n": 0})

    orders.poll(LATER, A={"n": 1})
    orders.poll(LATER + SETTLED, A={"n": 2})
    assert orders.counts == {}
    orders.poll(LATER + 2 * SETTLED, A={"n": 3})

    assert orders.counts == {"mismatch": 1}
    assert orders.report.noisy == 1


def test_a_difference_beside_a_noisy_member_is_not_put_down_to_noise() -> None:
    orders = Orders().based(A={"stage": "open", "servedAt": 0})

    for number in range(1, 4):
        orders.poll(LATER + number * SETTLED, A={"stage": "paid", "servedAt": number})

    assert orders.counts == {"mismatch": 1}
    assert orders.report.noisy == 0


def test_push_made_from_the_same_poll_is_incomparable_and_never_consistent() -> None:
    orders = Orders(same_source=True)

    orders.push(LATER, "A", PAID)
    orders.poll(LATER + 1, A=PAID)

    assert orders.reasons == {"same source": 1}
    assert orders.report.consistency is None


def test_before_a_base_only_what_push_told_is_comparable() -> None:
    orders = Orders()

    orders.push(0.5, "A", PAID)
    orders.poll(1.0, A=PAID, B=OPEN)

    assert orders.counts == {"match": 1}
    assert orders.reasons == {"no base": 1}


def test_a_base_is_asked_for_a_settle_window_after_the_beginning() -> None:
    orders = Orders()

    orders.poll(SETTLE - 0.1, A=OPEN)
    for number in range(1, 4):
        orders.poll(number * SETTLED, A=PAID)

    assert orders.counts == {}
    assert orders.reasons == {"no base": 2}


def test_an_event_without_data_leaves_the_state_open_until_polling_shows_it() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", None, action="update")
    orders.poll(LATER + MOMENT, A=PAID)
    orders.poll(LATER + SETTLED, A=BILLED)
    orders.poll(LATER + 2 * SETTLED, A=BILLED)

    assert orders.counts == {}
    assert orders.reasons["no state"] == 2


def test_a_signal_says_nothing_of_the_state() -> None:
    orders = Orders().based(A=OPEN)

    orders.push(LATER, "A", {"ring": True}, action="signal")
    orders.poll(LATER + MOMENT, A=OPEN)

    assert orders.counts == {}


def test_with_merge_an_update_is_laid_over_the_known_state() -> None:
    orders = Orders(merge=True).based(A={"stage": "open", "total": 7})

    orders.push(LATER, "A", PAID, previous=OPEN)
    orders.poll(LATER + MOMENT, A={"stage": "paid", "total": 7})

    assert orders.counts == {"match": 1}


def test_with_merge_an_update_of_the_unknown_is_incomparable() -> None:
    orders = Orders(merge=True)

    orders.push(BASE_AT - 1, "A", PAID)
    orders.poll(BASE_AT, A={"stage": "paid", "total": 7})

    assert orders.counts == {}
    assert orders.reasons == {"no state": 1}


def test_an_answer_that_waited_too_long_is_not_compared() -> None:
    orders = Orders().based(A=OPEN)

    orders.compare(LATER, LATER, LATER + 3 * SETTLE + 0.1, A=PAID)

    assert orders.reasons["late answer"] == 1
    assert orders.report.pending == 0


def test_an_answer_ahead_of_the_fold_is_refused() -> None:
    orders = Orders()

    with pytest.raises(ValueError, match="cursor"):
        finish(orders.parity.comparing(answer((9,), 1.0, 1.0, A=OPEN), 1.0))

    orders.parity.advance((9,))
    finish(orders.parity.comparing(answer((9,), 1.0, 1.0, A=OPEN), 1.0))
    assert orders.report.samples == 1


def test_a_sample_is_wanted_when_a_difference_can_be_settled_by_it() -> None:
    orders = Orders().based(A=OPEN)

    assert orders.parity.next_sample_at is None
    orders.poll(LATER, A=PAID)
    at = orders.parity.next_sample_at
    assert at is not None
    assert LATER + 1 < at <= LATER + SETTLED
    orders.poll(LATER + SETTLED, A=PAID)
    assert orders.parity.next_sample_at is None


def test_restarting_forgets_states_and_differences_and_keeps_the_counts() -> None:
    orders = Orders().based(A=OPEN)
    orders.poll(LATER, A=PAID)

    finish(orders.parity.restarting((0,), LATER + 1))
    orders.poll(LATER + 5, A=PAID)
    orders.poll(LATER + 10, A=PAID)

    assert orders.counts == {}
    assert orders.reasons == {"no base": 2, "restarted": 1}


def test_beyond_its_memory_it_tracks_an_even_share_and_says_so() -> None:
    items = {f"order-{number}": {"stage": "open", "note": "x" * 100} for number in range(400)}
    orders = Orders(max_bytes=80_000).based(**items)

    share = orders.report.tracked_share
    assert share == 0.25
    for key in items:
        orders.push(LATER, key, PAID)
    orders.poll(LATER + MOMENT, **dict.fromkeys(items, PAID))

    assert 60 <= orders.counts["match"] <= 140
    assert orders.reasons["out of memory"] == 400 - orders.counts["match"]
    assert orders.report.consistency == 1.0


def test_differences_that_no_longer_fit_the_memory_are_given_up() -> None:
    orders = Orders(max_bytes=20_000).based()

    orders.poll(LATER, **{f"order-{number}": OPEN for number in range(200)})

    assert 0 < orders.report.pending < 50
    assert orders.reasons["out of memory"] + orders.report.pending == 200


ENTITIES = 2000
CALLS_A_STEP = 200
"""Enough to compare an entity; a look at each of them would take ten times as many."""


def efforts(steps: Iterator[None]) -> list[int]:
    """How many calls each step makes."""
    found = []
    took: list[object] = [None]
    over = object()
    while took[-1] is not over:
        found.append(calls_of(lambda: took.append(next(steps, over))))
    return found


@pytest.mark.parametrize("based", [True, False], ids=["states", "differences"])
def test_halving_what_is_remembered_goes_in_steps(based: bool) -> None:
    orders = Orders(max_bytes=100_000)
    if not based:
        orders.based()
    items = {f"order-{number}": OPEN for number in range(ENTITIES)}

    steps = efforts(orders.parity.comparing(answer((0,), LATER, LATER, **items), LATER))

    assert max(steps) < CALLS_A_STEP
    assert orders.report.tracked_share < 1.0


def test_halving_on_an_event_goes_in_steps() -> None:
    orders = Orders(max_bytes=ENTITIES * 500).based()
    steps = []
    for number in range(ENTITIES):
        told = PushedEvent((number + 1,), "order_update", f"order-{number}", "update", {"note": "x" * 200})
        steps += efforts(orders.parity.applying(told, LATER))

    assert max(steps) < CALLS_A_STEP
    assert orders.report.tracked_share < 1.0


def test_restarting_lets_go_in_steps() -> None:
    orders = Orders().based(**{f"order-{number}": OPEN for number in range(ENTITIES)})
    orders.poll(LATER, **{f"order-{number}": PAID for number in range(ENTITIES)})

    steps = efforts(orders.parity.restarting((0,), LATER + 1))

    assert len(steps) > 2 * ENTITIES, "one an entity, and one a difference"
    assert max(steps) < CALLS_A_STEP
    assert orders.reasons["restarted"] == ENTITIES


def test_deleted_entities_are_forgotten_in_the_end() -> None:
    orders = Orders(max_bytes=20_000).based()

    for number in range(200):
        at = LATER + number
        orders.push(at, f"order-{number}", OPEN, action="insert")
        orders.push(at, f"order-{number}", None)
        orders.poll(at)

    assert orders.report.tracked_share == 1.0


def test_the_tally_is_what_was_counted_since_the_last_one() -> None:
    orders = Orders().based(A=OPEN, B=OPEN)
    orders.push(LATER, "A", PAID)
    orders.poll(LATER + MOMENT, A=PAID, B=PAID)
    first = orders.parity.drain()

    orders.poll(LATER + 2 * SETTLED, A=PAID, B=PAID)
    second = orders.parity.drain()

    assert (first.agreed, first.differed) == (1, 0)
    assert (second.agreed, second.differed) == (0, 1)
    assert orders.parity.drain().differed == 0


def test_polls_close_together_give_the_noise_floor() -> None:
    orders = Orders().based(A={"n": 1, "servedAt": 1}, B=OPEN)
    orders.push(LATER, "B", PAID)
    first = answer((1,), LATER + 1, LATER + 1, A={"n": 1, "servedAt": 5}, B=OPEN, C=OPEN)
    second = answer((1,), LATER + 2, LATER + 2, A={"n": 1, "servedAt": 6}, B=PAID, C=OPEN, D=OPEN)

    finish(orders.parity.comparing_polls(first, second))

    floor = orders.report.noise_floor
    assert (floor.compared, floor.differing) == (3, 2)
    assert sorted(place.pointer for place in floor.places) == ["", "/servedAt"]


def test_polls_far_apart_say_nothing_of_noise() -> None:
    orders = Orders().based(A=OPEN)
    first, second = (answer((0,), at, at, A={"n": at}) for at in (LATER, LATER + SETTLED))

    finish(orders.parity.comparing_polls(first, second))
    assert orders.report.noise_floor.ratio is None


def test_every_outcome_is_one_of_the_contract() -> None:
    assert " ".join(Outcome) == (
        "match ignored push_behind push_ahead missing extra duplicate reordered mismatch incomparable"
    )


def test_an_item_that_can_not_be_read_says_nothing_against_push() -> None:
    one = Orders().based(A={"n": 1})
    one.push(20, "A", {"n": 2})
    for at in (30.0, 40.0, 50.0):
        unread = answer((1,), at, at)
        finish(one.parity.comparing(replace(unread, unread=lambda key: key == "A"), at))

    assert (one.counts, one.reasons["unread"]) == ({}, 3)
    one.poll(60, A={"n": 2})
    assert one.counts == {"match": 1}
