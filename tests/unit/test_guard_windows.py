"""The windows of all components."""

import pytest

from gateway.guard_windows import GuardWindows


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
