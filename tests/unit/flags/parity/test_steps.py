"""A comparison of long lists is done in steps: none of them looks at more than a few items."""

from collections.abc import Iterator

import pytest

from flags.parity.comparison import PolledAnswer
from tests.unit.flags.parity.orders import Orders

COUNT = 500
A_FEW = 4


class Watched(dict[str, bytes]):
    """Items that count how often one of them is looked at."""

    looks = 0

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            self.looks += 1
            yield key

    def __contains__(self, key: object) -> bool:
        self.looks += 1
        return super().__contains__(key)

    def keys(self) -> "Watched":  # type: ignore[override]
        return self


def most_looks(steps: Iterator[None], *answers: Watched) -> int:
    """The most that one step looked at."""
    most = before = 0
    for _ in steps:
        now = sum(one.looks for one in answers)
        most, before = max(most, now - before), now
    return max(most, sum(one.looks for one in answers) - before)


@pytest.mark.parametrize("second", [range(COUNT), range(COUNT // 2, 2 * COUNT), range(0)])
def test_polls_are_compared_with_one_another_step_by_step(second: range) -> None:
    one, other = (Watched({str(number): b"{}" for number in numbers}) for numbers in (range(COUNT), second))
    orders = Orders()
    polls = [PolledAnswer((0,), at, at, items) for at, items in ((1.0, one), (1.5, other))]
    most = most_looks(orders.parity.comparing_polls(*polls), one, other)

    assert most <= A_FEW
    floor = orders.report.noise_floor
    assert (floor.compared, floor.differing) == (
        len(set(range(COUNT)) | set(second)),
        len(set(range(COUNT)) ^ set(second)),
    )
