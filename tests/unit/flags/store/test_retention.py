"""Which revisions are kept: the newest, within a number and a size, of each flag one at least."""

import orjson
import pytest

from flags.store.retention import KEPT_BYTES, KEPT_REVISIONS, kept
from flags.store.revisions import Revision, RevisionHistory
from tests.support.flags import NOW


def history(count: int, why: str = "because") -> RevisionHistory:
    """A flag that was made, and changed until it had so many revisions."""
    made = RevisionHistory()
    for number in range(1, count + 1):
        entry = Revision(
            revision=number,
            who="ann",
            when=NOW,
            why=why,
            before=None if number == 1 else {"checkRatio": number - 1},
            after={"checkRatio": number},
        )
        made = made.followed_by(entry)
    return made


def size(*histories: RevisionHistory) -> int:
    """What all but the newest revisions take."""
    return sum(len(orjson.dumps(entry.wire())) for one in histories for entry in one.entries[:-1])


def test_histories_within_the_bounds_stay_as_they_are() -> None:
    histories = [history(3), history(0), history(1)]

    assert kept(histories, most=3) is histories
    assert kept(histories, most_bytes=size(*histories)) is histories


def test_of_a_long_history_the_newest_are_kept_and_numbers_and_state_go_on() -> None:
    (held,) = kept([history(10)], most=4)

    assert [entry.revision for entry in held.entries] == [7, 8, 9, 10]
    assert (held.dropped, held.last) == (6, 10)
    assert held.earlier.state == {"checkRatio": 6}
    assert [held.state_at(number) for number in (6, 7, 10)] == [{"checkRatio": n} for n in (6, 7, 10)]


def test_what_is_kept_is_kept_the_next_time() -> None:
    held = kept([history(10), history(7)], most=4, most_bytes=size(history(5)))

    assert kept(held, most=4, most_bytes=size(history(5))) is held


def test_the_history_that_takes_most_lets_go_first() -> None:
    small, large = history(5), history(5, why="w" * 900)

    held = kept([small, large], most_bytes=size(small, large) - 1)
    assert [one.dropped for one in held] == [0, 1]
    held = kept([small, large], most_bytes=size(small))
    assert [one.dropped for one in held] == [0, 4]


@pytest.mark.parametrize("most", [1, 5])
def test_the_newest_of_each_stays_whatever_it_takes(most: int) -> None:
    held = kept([history(5, why="w" * 900), history(1), history(0), history(2)], most=most, most_bytes=1)

    assert [[entry.revision for entry in one.entries] for one in held] == [[5], [1], [], [2]]


def test_one_flag_of_everyday_revisions_has_room_for_all_that_are_counted() -> None:
    assert size(history(KEPT_REVISIONS, why="a sentence of the length that people write")) * 5 < KEPT_BYTES
