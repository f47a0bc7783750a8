"""Histories: what a flag was, and where a rollback goes."""

from typing import Any

import pytest

from flags.errors import InvalidFlag
from flags.store.revisions import Revision, RevisionHistory, attribution, difference, rollback_target
from flags.times import rfc3339
from tests.support.flags import NOW, NOW_MS


def history(*states: dict[str, Any] | int | None) -> RevisionHistory:
    """A history of these states; a number stands for going back to that revision."""
    made = RevisionHistory()
    for given in states:
        restores = given if isinstance(given, int) else None
        after = made.state_at(given) if isinstance(given, int) else given
        what = difference(made.state, after)
        made = made.followed_by(
            Revision(
                revision=made.last + 1,
                who="ann",
                when=rfc3339(NOW_MS + 1000 * made.last),
                why="because",
                before=what.before,
                after=what.after,
                restores=restores,
            )
        )
    return made


def at(percentage: int, **members: Any) -> dict[str, Any]:
    return {"stage": "live", "percentage": percentage} | members


def test_a_revision_holds_what_it_changed_and_nothing_else() -> None:
    assert difference(at(5, checkRatio=1), at(25, checkRatio=1)) == ({"percentage": 5}, {"percentage": 25})
    assert difference(None, at(5)) == (None, at(5))
    assert difference(at(5), None) == (at(5), None)


def test_the_state_at_a_revision_is_that_of_all_changes_up_to_it() -> None:
    states = [at(5), at(25), at(25, killed=True), None, at(1)]
    entries = history(*states)

    assert [entries.state_at(number) for number in range(6)] == [None, *states]


@pytest.mark.parametrize(
    ("states", "target"),
    [
        ([], None),
        ([at(5)], None),
        ([at(5), at(25)], 1),
        ([at(5), at(25), at(50)], 2),
        ([at(5), at(25), at(25, checkRatio=2), at(25, checkRatio=3)], 1),
        ([at(5), at(5, checkRatio=2)], None),
        ([at(5), at(5, checkRatio=2), {"stage": "off", "percentage": 5}], 2),
        ([at(5), at(25), at(50), 2], 1),
        ([at(5), at(25), 1], None),
        ([at(5), at(25), 1, at(10)], 3),
        ([at(5), at(25), at(50), 2, at(25, checkRatio=2)], 1),
        ([at(5), None, at(25)], None),
        ([at(5), at(25), None, at(25), at(50)], 4),
    ],
)
def test_a_rollback_goes_before_the_last_move_that_still_stands(
    states: list[Any], target: int | None
) -> None:
    assert rollback_target(history(*states)) == target


@pytest.mark.parametrize("dropped", range(1, 6))
def test_a_history_that_let_go_of_revisions_says_the_same_of_those_that_are_left(dropped: int) -> None:
    entries = history(at(5), at(25), None, at(1), at(1, killed=True), at(7))
    held = entries.without(dropped)

    assert (held.dropped, held.last, held.state) == (dropped, 6, entries.state)
    for number in range(dropped, 7):
        assert held.state_at(number) == entries.state_at(number)
        assert held.since(number) == entries.since(number)
    assert held.since(0) == held.entries
    assert held.without(0) == held


@pytest.mark.parametrize(
    ("states", "dropped", "target"),
    [
        ([at(5), at(25), at(50)], 1, 2),
        ([at(5), at(25), at(50)], 2, 2),
        ([at(5), at(25), at(25, checkRatio=2)], 2, None),
        ([at(5), at(25), at(50), 2], 2, None),
        ([at(5), at(25), at(50), 2], 1, 1),
        ([at(5), at(25), at(50), at(25), 3, at(50, checkRatio=2)], 2, 2),
    ],
)
def test_a_rollback_goes_no_further_back_than_somebody_knows(
    states: list[Any], dropped: int, target: int | None
) -> None:
    assert rollback_target(history(*states).without(dropped)) == target


@pytest.mark.parametrize("dropped", range(6))
def test_when_a_flag_came_into_its_stage_is_known_as_long_as_it_is_there(dropped: int) -> None:
    entries = history(
        at(1),
        {"stage": "rampdown"},
        at(1),
        {"stage": "rampdown"},
        {"stage": "rampdown", "checkRatio": 2},
        at(3),
    )

    came = entries.entries[3].when
    assert RevisionHistory(entries.entries[:5]).without(min(dropped, 4)).came_into("rampdown") == came
    assert entries.without(dropped).came_into("live") == entries.entries[5].when
    assert RevisionHistory(entries.entries[:5]).came_into("off") is None


def test_a_summary_says_who_did_what() -> None:
    made, changed, removed = history(at(5), at(25), None).entries

    assert made.summary() == "Revision 1 by ann made it."
    assert changed.summary() == "Revision 2 by ann changed percentage."
    assert removed.summary() == "Revision 3 by ann removed it."


def test_a_revision_comes_back_as_it_was_written() -> None:
    for entry in history(at(5), at(25), 1, None).entries:
        assert Revision.parse(entry.wire()) == entry


@pytest.mark.parametrize(
    ("who", "reason", "place"),
    [
        ("", "why not", "/who"),
        ("a\nb", "why not", "/who"),
        ("ann", "", "/reason"),
        ("ann", " \u00a0 ", "/reason"),
        ("ann", "x" * 1001, "/reason"),
        ("ann", "two\nlines", "/reason"),
        ("ann", "\ud800", "/reason"),
    ],
)
def test_a_change_without_a_name_or_a_reason_is_refused(who: str, reason: str, place: str) -> None:
    with pytest.raises(InvalidFlag) as caught:
        attribution(who, reason, NOW)

    assert [error["pointer"] for error in caught.value.errors] == [place]
