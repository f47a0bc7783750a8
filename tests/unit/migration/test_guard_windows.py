"""The windows of all components."""

import pytest

from flags.decide.flag import Flags
from gateway.migration.guard_windows import GuardWindows, window_seconds
from tests.support.flags import make_flag


def test_a_component_has_one_window_until_its_length_changes():
    seconds = {"orders": 300.0}
    windows = GuardWindows(seconds.get)
    first = windows["orders"]
    assert windows["orders"] is first
    assert (list(windows), len(windows)) == (["orders"], 1)
    seconds["orders"] = 60.0
    assert windows["orders"].seconds == 60.0
    assert windows["orders"] is not first


def test_a_component_that_is_not_known_has_none_and_is_forgotten():
    seconds = {"orders": 300.0}
    windows = GuardWindows(seconds.get)
    assert windows["orders"]
    del seconds["orders"]
    assert windows.get("orders") is None
    assert len(windows) == 0
    with pytest.raises(KeyError):
        windows["orders"]


def test_a_window_is_as_long_as_the_flag_says_and_of_the_default_length_without_one():
    flag = make_flag(guard={"windowSeconds": 60})
    seconds_of = window_seconds(lambda: Flags({"orders": flag}), {"orders", "billing"})
    assert seconds_of("orders") == 60
    assert seconds_of("billing") == 300
    assert seconds_of("made-up") is None


def test_asking_whether_a_component_is_known_makes_no_window():
    windows = GuardWindows({"orders": 300.0}.get)
    assert windows.knows("orders")
    assert not windows.knows("made-up")
    assert len(windows) == 0
