"""What clients' reports come to in the guard's windows."""

from collections.abc import Mapping

from flags.guard.who import Who
from flags.guard.window import GuardWindow


class JudgedWindows:
    """A flags.guard.telemetry.Judged that puts what counts into `windows`, whoever it is of."""

    def __init__(self, windows: Mapping[str, GuardWindow]) -> None:
        self._windows = windows

    def acknowledged(self, component: str, who: Who, now: float) -> None:
        window = self._of(component)
        if window is not None:
            window.began(True, now)
            window.reported(False, now)

    def mute(self, component: str, who: Who, now: float) -> None:
        window = self._of(component)
        if window is not None:
            window.began(False, now)

    def fell_back(self, component: str, who: Who, now: float) -> None:
        window = self._of(component)
        if window is not None:
            window.reported(True, now)

    def blocked(self, component: str, who: Who, now: float) -> None:
        self.fell_back(component, who, now)

    def _of(self, component: str) -> GuardWindow | None:
        return self._windows.get(component)
