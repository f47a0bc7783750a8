"""The evidence of every component's guard (flags/guard/window.py)."""

from collections.abc import Callable, Collection, Iterator, Mapping

from flags.decide.flag import Flags
from flags.decide.guard_settings import GuardSettings
from flags.guard.window import GuardWindow

_DEFAULT_SECONDS = GuardSettings().window_seconds


class GuardWindows(Mapping[str, GuardWindow]):
    """Each component's window, made when it is first asked for.

    `seconds_of` says how long a component's window is, or None where there is no such component. Where its
    length has changed the component gets a new window, and begins without data.
    """

    def __init__(self, seconds_of: Callable[[str], float | None]) -> None:
        self._seconds_of = seconds_of
        self._windows: dict[str, GuardWindow] = {}

    def __getitem__(self, component: str) -> GuardWindow:
        window = self.of(component)
        if window is None:
            raise KeyError(component)
        return window

    def of(self, component: str) -> GuardWindow | None:
        """The component's window; None where there is no such component. Asked for every answer."""
        seconds = self._seconds_of(component)
        if seconds is None:
            self._windows.pop(component, None)
            return None
        window = self._windows.get(component)
        if window is None or window.seconds != seconds:
            window = self._windows[component] = GuardWindow(seconds)
        return window

    def knows(self, component: str) -> bool:
        """Whether there is such a component; makes no window."""
        return self._seconds_of(component) is not None

    def __iter__(self) -> Iterator[str]:
        """The components whose window was asked for."""
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)


def window_seconds(
    snapshot: Callable[[], Flags], configured: Collection[str]
) -> Callable[[str], float | None]:
    """How long a component's window is: its flag says so; the default where it is configured without one."""

    def seconds_of(component: str) -> float | None:
        flag = snapshot().get(component)
        if flag is not None:
            return flag.guard.window_seconds
        return _DEFAULT_SECONDS if component in configured else None

    return seconds_of
