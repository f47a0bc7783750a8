"""gateway/migration/judged_windows.py: what reports come to in the guard's windows."""

from flags.guard.who import Who
from flags.guard.window import GuardWindow, Metric
from gateway.migration.judged_windows import JudgedWindows

WHO = Who("s:ana")


def test_what_counts_is_in_the_window_of_its_component_and_of_no_other() -> None:
    window = GuardWindow(600.0)
    judged = JudgedWindows({"orders": window})
    for component in ("orders", "made-up"):
        judged.acknowledged(component, WHO, 1.0)
        judged.mute(component, WHO, 1.0)
        judged.fell_back(component, WHO, 1.0)
        judged.blocked(component, WHO, 1.0)

    figures = window.figures(0.0, 2.0).by_metric
    first, fallbacks = figures[Metric.FIRST_EVENT], figures[Metric.FALLBACK_RATE]
    assert (first.value, first.samples) == (0.5, 2)
    assert (fallbacks.samples, round(fallbacks.value or 0, 3)) == (3, 0.667)
