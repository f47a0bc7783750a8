"""What a serving process asks of its interpreter."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.process import collect_garbage_rarely


@pytest.fixture(autouse=True)
def _collecting_as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_there_already_is_left_out_of_collections_which_become_rare() -> None:
    gc.set_threshold(700, 10, 10)
    collect_garbage_rarely()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == (2_000, 10, 10)


def test_cycles_are_collected_all_the_same() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.own = self

    collect_garbage_rarely()
    gone = weakref.ref(Cycle())
    kept: list[list[int]] = [[] for _ in range(3 * gc.get_threshold()[0])]
    assert gone() is None, f"outlived {len(kept)} containers"
