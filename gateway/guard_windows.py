"""The evidence of every component's guard (flags/guard_window.py)."""

from collections.abc import Callable, Iterator, Mapping

from flags.guard_window import GuardWindow


class GuardWindows(Mapping[str, GuardWindow]):
    """Each component's window, made when it is first asked for.

    `seconds_of` says how long a component's window is, or None where there is no such component. Where its
    length has changed the component gets a new window, and begins without data.
    """

    def __init__(self, seconds_of: Callable[[str], float | None]) -> None:
        self._seconds_of = seconds_of
        self._windows: dict[str, GuardWindow] = {}

    def __getitem__(self, component: str) -> GuardWindow:
        seconds = self._seconds_of(component)
        if seconds is None:
            self._windows.pop(component, None)
            raise KeyError(component)
        window = self._windows.get(component)
        if window is None or window.seconds != seconds:
            window = self._windows[component] = GuardWindow(seconds)
        return window

    def __iter__(self) -> Iterator[str]:
        """The components whose window was asked for."""
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)
