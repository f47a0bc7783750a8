"""The windows of all components."""

import pytest

from flags.decide.flag import Flags
from flags.decide.guard_settings import GuardSettings
from flags.guard.callers import Side
from flags.guard.metrics import Metric, figures
from flags.guard.who import Who
from gateway.migration.guard_windows import GuardWindows, guard_settings
from tests.support.flags import make_flag


def test_a_component_has_one_window_until_its_length_changes():
    settings = {"orders": GuardSettings(window_seconds=300)}
    windows = GuardWindows(settings.get)
    first = windows["orders"]
    assert windows["orders"] is first
    assert (list(windows), len(windows)) == (["orders"], 1)
    settings["orders"] = GuardSettings(window_seconds=60)
    assert windows["orders"].seconds == 60
    assert windows["orders"] is not first


def test_streams_that_are_open_when_the_length_changes_are_open_in_the_new_window():
    settings = {"orders": GuardSettings(window_seconds=300)}
    windows = GuardWindows(settings.get)
    ann, ben = Who("s:ann"), Who("s:ben")
    for who in (ann, ben):
        windows["orders"].callers.opened(who, Side.TREATED, 1.0)
    windows["orders"].callers.acknowledged(ann, 1.0)
    windows["orders"].polled(ann, Side.TREATED, 1.0, failed=True)
    windows["orders"].polled(Who("s:eve"), Side.TREATED, 1.0, failed=True)
    settings["orders"] = GuardSettings(window_seconds=60)
    found = figures(windows["orders"].tally(2.0, 3.0), is_streaming=True, trusts_timestamps=False).by_metric
    assert (found[Metric.ERROR_RATE].value, found[Metric.ERROR_RATE].samples) == (0.0, 2)
    assert (found[Metric.FIRST_EVENT].value, found[Metric.FIRST_EVENT].samples) == (1.0, 1)


def test_a_component_that_is_not_known_has_none_and_is_forgotten():
    settings = {"orders": GuardSettings()}
    windows = GuardWindows(settings.get)
    assert windows["orders"]
    del settings["orders"]
    assert windows.get("orders") is None
    assert len(windows) == 0
    with pytest.raises(KeyError):
        windows["orders"]


def test_a_window_is_as_long_as_the_flag_says_and_of_the_default_length_without_one():
    flag = make_flag(guard={"windowSeconds": 60})
    settings_of = guard_settings(lambda: Flags({"orders": flag}), {"orders", "billing"})
    assert settings_of("orders").window_seconds == 60
    assert settings_of("billing").window_seconds == 300
    assert settings_of("made-up") is None


def test_asking_whether_a_component_is_known_makes_no_window():
    windows = GuardWindows({"orders": GuardSettings()}.get)
    assert windows.knows("orders")
    assert not windows.knows("made-up")
    assert len(windows) == 0


def test_how_late_a_change_may_be_is_what_the_settings_say_now():
    settings = {"orders": GuardSettings(fresh_ms=1000)}
    windows = GuardWindows(settings.get)
    window = windows["orders"]
    settings["orders"] = GuardSettings(fresh_ms=2500)
    assert windows["orders"] is window
    assert window.fresh_ms == 2500


def test_what_is_reported_of_a_component_that_is_none_is_dropped():
    windows = GuardWindows({}.get)
    for tell in (windows.acknowledged, windows.mute, windows.fell_back, windows.blocked):
        tell("made-up", Who("s:ann"), 0.0)
    assert len(windows) == 0
