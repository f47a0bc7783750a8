"""Where flags and callers' choices are kept: what `flags.store` means."""

import logging
from typing import Any

from flags.file_store import FileFlagStore
from flags.late_preferences import LatePreferences
from flags.preferences import Preferences
from flags.shared_preferences import SharedPreferences
from flags.shared_store import SharedFlagStore
from flags.store import FlagStore
from gateway.clock import Clock
from gateway.logs import log_event
from gateway.outage import Outage
from gateway.settings import Settings
from gateway.shared import SharedStore
from gateway.shared_values import FlagValues

_log = logging.getLogger(__name__)

_FILE = "file:"


class _Lines:
    """Where the flags tell what happens to them (flags.tell.Tell): in the gateway's log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, level: int, event: str, **fields: Any) -> None:
        log_event(_log, level, event, **fields)

    def outage(self, name: str) -> Outage:
        return Outage(_log, name, level=logging.ERROR, now=self._clock.monotonic)


def open_flags(settings: Settings, shared: SharedStore | None, clock: Clock) -> tuple[FlagStore, Preferences]:
    """The flags and the choices of `flags.store`, not started yet: in a file, or in what nodes share."""
    tell = _Lines(clock)
    store = settings.flags.store
    if shared is not None and not store.startswith(_FILE):
        values = FlagValues(shared)
        flags = SharedFlagStore(values, tell=tell, now_ms=clock.wall_ms)
        return flags, SharedPreferences(values, tell=tell, timer=clock.monotonic, now_ms=clock.wall_ms)
    path = settings.base_dir / store.removeprefix(_FILE)
    choices = path.with_name(f"{path.stem}.preferences.db")
    return (
        FileFlagStore(path, tell=tell),
        LatePreferences(choices, tell=tell, now_ms=clock.wall_ms),
    )
