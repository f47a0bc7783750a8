"""What may be done to the flags, and what a file that somebody edited turns into."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from flags.decide.flag import Flag
from flags.errors import MOST_SUMMARIES, ForbiddenMove, InvalidFlag, NotFound, StaleRevision
from flags.store.ledger import (
    MOST_FLAG_BYTES,
    Ledger,
    changed,
    merge_patch,
    reconciled,
    rolled_back,
    switched,
)
from flags.store.retention import KEPT_REVISIONS
from flags.store.revisions import RevisionHistory, attribution
from tests.support.flags import LATCH, NOW, make_flag, rule

ANN = attribution("ann", "because", NOW)
THE_FILE = attribution("file", "found in it", NOW)
NOTHING = Ledger()


def change(ledger: Ledger, expected: int | None = None, whole: bool = False, **fields: Any) -> Ledger:
    return changed(ledger, "orders", fields, expected_revision=expected, whole=whole, by=ANN)


def back(ledger: Ledger, to: int | None = None, expected: int | None = None) -> Ledger:
    return rolled_back(ledger, "orders", to_revision=to, expected_revision=expected, by=ANN)


def orders(ledger: Ledger) -> Flag:
    return ledger.flags["orders"]


def written(*flags: Flag, kill_all: bool = False, of: Ledger = NOTHING) -> Ledger:
    """A file with these flags, and the histories of another ledger."""
    return Ledger(
        MappingProxyType({flag.component: flag for flag in flags}),
        kill_all,
        of.histories,
        of.kill_all_history,
    )


@pytest.fixture
def live() -> Ledger:
    """`orders` live at 5 %, as revision 1."""
    return change(Ledger(), expected=0, stage="live", percentage=5)


def test_a_flag_is_made_with_its_defaults_as_revision_1() -> None:
    ledger = change(Ledger(), expected=0, stage="shadow")

    assert orders(ledger) == make_flag(stage="shadow")
    assert [
        (entry.revision, entry.who, entry.why, entry.before) for entry in ledger.revisions("orders").entries
    ] == [(1, "ann", "because", None)]


@pytest.mark.parametrize("stage", ["off", "shadow", "live", "rampdown", "complete"])
def test_a_flag_can_be_made_in_any_stage(stage: str) -> None:
    assert orders(change(Ledger(), expected=0, stage=stage)).stage == stage


def test_a_change_is_the_next_revision_and_leaves_the_rest(live: Ledger) -> None:
    ledger = change(live, expected=1, percentage=25)

    assert orders(ledger) == make_flag(stage="live", percentage=25, revision=2)
    assert ledger.revisions("orders").entries[1].before == {"percentage": 5}
    assert ledger.revisions("orders").entries[1].after == {"percentage": 25}
    assert orders(live).percentage == 5


def test_a_change_of_nothing_is_no_revision(live: Ledger) -> None:
    assert change(live, percentage=5, stage="live") is live


def test_a_patch_reaches_into_the_guard_and_null_restores_a_default(live: Ledger) -> None:
    ledger = change(live, guard={"dryRun": False, "errorRate": {"fail": 0.2}}, checkRatio=7)
    assert orders(ledger).guard.error_rate.wire() == {"promote": 0.01, "fail": 0.2}

    ledger = change(ledger, guard={"errorRate": None}, checkRatio=None)
    assert orders(ledger) == make_flag(stage="live", percentage=5, guard={"dryRun": False}, revision=3)


def test_a_whole_flag_takes_defaults_for_what_it_leaves_out_but_lifts_no_switch(live: Ledger) -> None:
    ledger = change(live, killed=True, latch=LATCH, checkRatio=7)
    ledger = change(ledger, whole=True, stage="live")

    assert orders(ledger) == make_flag(stage="live", killed=True, latch=LATCH, revision=3)


def test_what_the_store_gave_may_come_back_unchanged(live: Ledger) -> None:
    assert change(live, expected=1, whole=True, **orders(live).wire()) is live


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"revision": 2}, "/revision"),
        ({"component": "invoices"}, "/component"),
        ({"percentage": 101}, "/percentage"),
        ({"precentage": None}, "/precentage"),
        ({"guard": {"steps": None, "stpes": None}}, "/guard/stpes"),
        ({"targeting": [{"attribute": "age"}]}, "/targeting/0/attribute"),
    ],
)
def test_a_change_that_breaks_the_rules_is_pointed_at(live: Ledger, fields: Any, place: str) -> None:
    with pytest.raises(InvalidFlag) as caught:
        change(live, **fields)

    assert caught.value.errors[0]["pointer"] == place


def test_a_name_that_no_component_can_have_is_refused() -> None:
    with pytest.raises(InvalidFlag) as caught:
        changed(Ledger(), "a b", {}, expected_revision=0, whole=True, by=ANN)

    assert caught.value.errors[0]["pointer"] == "/component"


def test_a_move_over_a_stage_is_refused(live: Ledger) -> None:
    with pytest.raises(ForbiddenMove) as caught:
        change(live, stage="complete")

    assert caught.value.allowed == ("off", "shadow", "rampdown")


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_a_change_meant_for_another_revision_says_what_changed_since(live: Ledger, expected: int) -> None:
    ledger = change(live, percentage=25)

    with pytest.raises(StaleRevision) as caught:
        change(ledger, expected=expected, percentage=50)

    assert (caught.value.expected, caught.value.current) == (expected, 2)
    assert [entry["revision"] for entry in caught.value.since] == list(range(expected + 1, 3))


def test_a_stale_change_names_who_was_quicker(live: Ledger) -> None:
    with pytest.raises(StaleRevision, match=r"at revision 2, not at revision 1. Revision 2 by ann changed"):
        change(change(live, percentage=25), expected=1, percentage=50)


def test_a_flag_that_is_not_there_can_not_be_changed() -> None:
    with pytest.raises(NotFound):
        change(Ledger(), percentage=5)
    with pytest.raises(StaleRevision, match=r"no revision \(there is no flag\), not at revision 3"):
        change(Ledger(), expected=3, percentage=5)
    with pytest.raises(NotFound):
        back(Ledger())


def test_a_rollback_is_a_new_revision_that_names_the_one_it_restores(live: Ledger) -> None:
    ledger = back(change(change(live, percentage=25), checkRatio=7))

    assert orders(ledger) == make_flag(stage="live", percentage=5, revision=4)
    assert ledger.revisions("orders").entries[-1].restores == 1


def test_the_next_rollback_goes_further_back_and_not_forward_again(live: Ledger) -> None:
    ledger = back(change(change(live, percentage=25), percentage=50))
    assert orders(ledger).percentage == 25

    ledger = back(ledger)
    assert orders(ledger).percentage == 5
    with pytest.raises(NotFound, match="no earlier stage or percentage"):
        back(ledger)


def test_a_rollback_to_a_named_revision_takes_that_one(live: Ledger) -> None:
    ledger = back(change(change(live, percentage=25), percentage=50), to=1)

    assert orders(ledger).percentage == 5


@pytest.mark.parametrize("revision", [0, -1, 3])
def test_a_rollback_to_a_revision_that_never_was_is_refused(live: Ledger, revision: int) -> None:
    with pytest.raises(NotFound):
        back(change(live, percentage=25), to=revision)


def test_a_rollback_lifts_neither_the_kill_switch_nor_the_latch(live: Ledger) -> None:
    ledger = back(change(live, percentage=25, killed=True, latch=LATCH))

    assert orders(ledger) == make_flag(stage="live", percentage=5, killed=True, latch=LATCH, revision=3)


def test_a_rollback_follows_the_table_of_moves() -> None:
    ledger = change(change(Ledger(), expected=0, stage="live"), stage="off")

    with pytest.raises(ForbiddenMove):
        back(ledger)


def test_a_rollback_meant_for_another_revision_is_refused(live: Ledger) -> None:
    with pytest.raises(StaleRevision):
        back(change(live, percentage=25), expected=1)


@pytest.fixture
def much_changed(live: Ledger) -> Ledger:
    """`orders` after a move to 25 %, and then more changes of something else than are kept."""
    ledger = change(live, percentage=25)
    for ratio in range(1, KEPT_REVISIONS + 20):
        ledger = change(ledger, checkRatio=ratio)
    return ledger


def test_of_many_changes_the_newest_are_held_and_numbers_go_on(much_changed: Ledger) -> None:
    history = much_changed.revisions("orders")

    assert len(history.entries) == KEPT_REVISIONS
    assert orders(much_changed).revision == history.last == KEPT_REVISIONS + 21
    assert reconciled(Ledger(), much_changed, by=THE_FILE) == much_changed
    assert orders(change(much_changed, percentage=50)).revision == KEPT_REVISIONS + 22


def test_a_rollback_over_what_is_not_held_any_more_says_so(much_changed: Ledger) -> None:
    dropped = much_changed.revisions("orders").dropped

    with pytest.raises(NotFound, match=f"in the revisions that are held, {dropped + 1} and later"):
        back(much_changed)
    with pytest.raises(NotFound, match=f"the oldest revision to go back to is {dropped}"):
        back(much_changed, to=dropped - 1)
    assert orders(back(much_changed, to=dropped)).check_ratio == dropped - 2


def test_a_stale_change_gets_what_is_held_of_the_changes_since_and_a_short_sentence(
    much_changed: Ledger,
) -> None:
    with pytest.raises(StaleRevision) as caught:
        change(much_changed, expected=1, percentage=50)

    assert caught.value.since == tuple(entry.wire() for entry in much_changed.revisions("orders").entries)
    assert f"{KEPT_REVISIONS - MOST_SUMMARIES} more changes, then: Revision" in caught.value.detail
    assert caught.value.detail.count(" by ann ") == MOST_SUMMARIES


def test_an_edit_of_a_flag_with_a_long_history_is_one_more_revision(much_changed: Ledger) -> None:
    edit = make_flag(stage="live", percentage=50, revision=orders(much_changed).revision)
    ledger = reconciled(much_changed, written(edit, of=much_changed), by=THE_FILE)

    assert orders(ledger).revision == orders(much_changed).revision + 1
    assert ledger.revisions("orders").entries[-1].who == "file"


def test_the_switch_for_everything_keeps_its_newest_revisions_too() -> None:
    ledger = Ledger()
    for number in range(KEPT_REVISIONS + 20):
        ledger = switched(ledger, number % 2 == 0, by=ANN)

    assert len(ledger.kill_all_history.entries) == KEPT_REVISIONS
    assert ledger.kill_all_history.last == KEPT_REVISIONS + 20
    assert reconciled(ledger, ledger, by=THE_FILE) == ledger


def large(megabytes: float) -> list[dict[str, Any]]:
    """Targeting that takes about so many MB."""
    return [rule("user", "in", ["u" * 247] * 1000, "polling")] * round(megabytes * 4)


def test_flags_that_are_too_large_are_refused_and_a_kill_never_is(
    live: Ledger,
) -> None:
    full = live
    for number in range(4):
        component = f"component-{number}"
        full = changed(full, component, {"targeting": large(1)}, expected_revision=0, whole=True, by=ANN)
    with pytest.raises(InvalidFlag, match=f"more than {MOST_FLAG_BYTES}"):
        change(full, targeting=large(1))

    # As a file may say that somebody wrote.
    flag = make_flag(stage="live", percentage=5, targeting=large(1))
    over = reconciled(
        full, replace(full, flags=MappingProxyType({**full.flags, "orders": flag})), by=THE_FILE
    )
    assert orders(change(over, killed=True)).killed
    assert switched(over, True, by=ANN).kill_all
    assert orders(change(over, latch=LATCH)).latch
    assert orders(change(over, targeting=large(0.75))).revision == orders(over).revision + 1
    with pytest.raises(InvalidFlag):
        change(over, sunset=NOW)


def test_the_switch_for_everything_has_a_history_of_its_own() -> None:
    ledger = switched(switched(Ledger(), True, by=ANN), True, by=ANN)

    assert ledger.kill_all
    assert [(entry.revision, entry.after) for entry in ledger.kill_all_history.entries] == [
        (1, {"killAll": True})
    ]
    assert not switched(ledger, False, by=ANN).kill_all


def test_a_file_without_histories_becomes_first_revisions_by_the_file() -> None:
    ledger = reconciled(Ledger(), written(make_flag(stage="live", revision=7), kill_all=True), by=THE_FILE)

    assert orders(ledger) == make_flag(stage="live", revision=1)
    assert ledger.revisions("orders").entries[0].who == "file"
    assert ledger.kill_all
    assert ledger.kill_all_history.entries[0].who == "file"


def test_a_file_that_says_what_is_known_changes_nothing(live: Ledger) -> None:
    assert reconciled(live, live, by=THE_FILE) == live
    assert reconciled(Ledger(), live, by=THE_FILE) == live


def test_an_edit_is_one_more_revision_by_the_file(live: Ledger) -> None:
    ledger = reconciled(live, written(make_flag(stage="live", percentage=50), of=live), by=THE_FILE)

    assert orders(ledger) == make_flag(stage="live", percentage=50, revision=2)
    assert ledger.revisions("orders").entries[1].wire() == {
        "who": "file",
        "when": NOW,
        "why": "found in it",
        "revision": 2,
        "before": {"percentage": 5},
        "after": {"percentage": 50},
    }
    assert reconciled(ledger, ledger, by=THE_FILE) == ledger


def test_an_edit_that_only_numbers_the_flag_anew_is_none(live: Ledger) -> None:
    assert (
        reconciled(live, written(make_flag(stage="live", percentage=5, revision=40), of=live), by=THE_FILE)
        == live
    )


def test_an_edit_may_jump_over_stages(live: Ledger) -> None:
    assert orders(reconciled(live, written(make_flag(stage="complete")), by=THE_FILE)).stage == "complete"


def test_a_deployed_file_without_histories_keeps_what_is_known_of_them(live: Ledger) -> None:
    known = change(live, percentage=25)
    ledger = reconciled(known, written(make_flag(stage="live", percentage=25)), by=THE_FILE)

    assert ledger == known


def test_an_older_copy_of_the_file_is_an_edit_and_takes_no_number_back(live: Ledger) -> None:
    ledger = reconciled(change(live, percentage=25), live, by=THE_FILE)

    assert orders(ledger) == make_flag(stage="live", percentage=5, revision=3)


def test_a_change_by_another_program_is_taken_as_it_is(live: Ledger) -> None:
    other = change(live, percentage=25)

    assert reconciled(live, other, by=THE_FILE) == other


def test_of_two_histories_that_parted_the_longer_one_goes_on(live: Ledger) -> None:
    mine = change(live, percentage=10)
    theirs = change(change(live, percentage=25), percentage=50)

    assert reconciled(mine, theirs, by=THE_FILE) == theirs
    assert orders(reconciled(theirs, mine, by=THE_FILE)) == make_flag(stage="live", percentage=10, revision=4)


def test_a_flag_that_is_gone_from_the_file_is_removed_and_its_numbers_go_on(live: Ledger) -> None:
    ledger = reconciled(live, written(of=live), by=THE_FILE)

    assert ledger.flags == {}
    assert ledger.revisions("orders").entries[-1].after is None
    assert orders(change(ledger, expected=0, stage="shadow")).revision == 3
    assert reconciled(ledger, ledger, by=THE_FILE) == ledger
    with pytest.raises(NotFound):
        change(ledger, percentage=5)


def test_a_history_that_leads_to_no_valid_flag_is_followed_by_a_valid_one(live: Ledger) -> None:
    entry = live.revisions("orders").entries[0]
    spoilt = entry.model_copy(update={"after": {**(entry.after or {}), "percentage": "much"}})
    file = Ledger(live.flags, False, MappingProxyType({"orders": RevisionHistory((spoilt,))}))

    ledger = reconciled(Ledger(), file, by=THE_FILE)

    assert orders(ledger) == make_flag(stage="live", percentage=5, revision=2)
    assert reconciled(ledger, ledger, by=THE_FILE) == ledger
    with pytest.raises(InvalidFlag):
        back(ledger, to=1)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d", "c": None}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b"}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": 1}}}, {"a": {"bb": {"ccc": 1}}}),
    ],
)
def test_a_patch_is_merged_as_rfc_7396_says(target: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(target, patch) == merged
