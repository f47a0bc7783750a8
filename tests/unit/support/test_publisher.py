"""What the tests of browsers call lost and doubled."""

import pytest

from tests.support.publisher import doubled, lost

RESET = {"type": "reset", "n": None}
HEARTBEAT = {"type": "heartbeat", "n": None}


def came(*given):
    """What came: numbers of events, and other messages as they are."""
    return [{"type": "stage_change", "n": one} if isinstance(one, int) else one for one in given]


@pytest.mark.parametrize(
    ("got", "missing"),
    [
        (came(1, 2, 3, 4), []),
        (came(1, 2, HEARTBEAT, 4), [3]),
        (came(2, 3, 4), [1]),
        (came(1, 2), [3, 4]),
        (came(), [1, 2, 3, 4]),
        (came(1, RESET, 4), []),
        (came(1, 2, RESET), []),
        (came(1, RESET, 2, 4), [3]),
        (came(1, 3, RESET, 4), [2]),
        (came(1, 2, 1, 2, 3, 4), []),
    ],
)
def test_a_number_is_lost_that_never_came_and_of_which_no_reset_told(got, missing):
    assert lost(got, first=1, last=4) == missing


@pytest.mark.parametrize(
    ("got", "again"), [(came(1, 2, 3), []), (came(1, 2, 2, 3), [2]), (came(1, 3, 2, HEARTBEAT, 3), [2, 3])]
)
def test_a_number_is_doubled_that_comes_again_or_late(got, again):
    assert doubled(got) == again
