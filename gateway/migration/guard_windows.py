"""The evidence of every component's guard, of this node (flags/guard/window.py)."""

from collections.abc import Callable, Collection, Iterator, Mapping

from flags.decide.flag import Flags
from flags.decide.guard_settings import GuardSettings
from flags.guard.who import Who
from flags.guard.window import GuardWindow

_DEFAULTS = GuardSettings()


class GuardWindows(Mapping[str, GuardWindow]):
    """Each component's window, made when it is first asked for.

    `settings_of` gives a component's settings, or None where there is no such component. Where the length of
    its window has changed the component gets a new one, and begins without data but for the streams that are
    open.

    It is also who hears of clients' reports (`flags.guard.telemetry.Judged`): what is said of a component
    that is none is dropped.
    """

    def __init__(self, settings_of: Callable[[str], GuardSettings | None]) -> None:
        self._settings_of = settings_of
        self._windows: dict[str, GuardWindow] = {}

    def __getitem__(self, component: str) -> GuardWindow:
        window = self.of(component)
        if window is None:
            raise KeyError(component)
        return window

    def of(self, component: str) -> GuardWindow | None:
        """The component's window; None where there is no such component. Asked for every answer."""
        settings = self._settings_of(component)
        if settings is None:
            self._windows.pop(component, None)
            return None
        return self.by(component, settings)

    def by(self, component: str, settings: GuardSettings) -> GuardWindow:
        """The window of a component with these settings."""
        window = self._windows.get(component)
        if window is None or window.seconds != settings.window_seconds:
            before, window = window, GuardWindow(settings.window_seconds)
            if before is not None:
                window.callers.take_streams(before.callers)
            self._windows[component] = window
        window.fresh_ms = settings.fresh_ms
        return window

    def knows(self, component: str) -> bool:
        """Whether there is such a component; makes no window."""
        return self._settings_of(component) is not None

    def acknowledged(self, component: str, who: Who, now: float) -> None:
        window = self.of(component)
        if window is not None:
            window.callers.acknowledged(who, now)

    def mute(self, component: str, who: Who, now: float) -> None:
        window = self.of(component)
        if window is not None:
            window.callers.mute(who, now)

    def fell_back(self, component: str, who: Who, now: float, *, is_open: bool = False) -> None:
        window = self.of(component)
        if window is not None:
            window.callers.fell_back(who, now, is_open=is_open)

    def blocked(self, component: str, who: Who, now: float) -> None:
        window = self.of(component)
        if window is not None:
            window.callers.blocked(who, now)

    def __iter__(self) -> Iterator[str]:
        """The components whose window was asked for."""
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)


def guard_settings(
    snapshot: Callable[[], Flags], configured: Collection[str]
) -> Callable[[str], GuardSettings | None]:
    """A component's settings: its flag says so; the defaults where it is configured without one."""

    def settings_of(component: str) -> GuardSettings | None:
        flag = snapshot().get(component)
        if flag is not None:
            return flag.guard
        return _DEFAULTS if component in configured else None

    return settings_of
