"""Where flags and callers' choices are kept: what `flags.store` means."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flags import log_lines as told
from flags.store.file_store import file_flag_store
from flags.store.local_kills import LocalKills, Others
from flags.store.port import FlagStore
from flags.store.preferences import FilePreferences, Preferences
from flags.store.shared_preferences import SharedPreferences
from flags.store.shared_store import shared_flag_store
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedStore
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage
from gateway.runtime.stopping import Closing
from gateway.service.settings import Settings
from gateway.service.wiring.entities import without_source
from gateway.service.wiring.shared_values import FlagValues

_log = logging.getLogger(__name__)

_FILE = "file:"


PATIENCE_SECONDS = 5.0
"""How long what lives beside the log may fail without a line: by then an outage of the log is known."""


class _Lines:
    """Where the flags tell what happens to them (flags.log_lines.Tell): in the gateway's log."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic

    def __call__(self, level: int, event: str, **fields: Any) -> None:
        log_event(_log, level, event, **fields)

    def outage(self, name: str) -> told.Outage:
        return Outage(_log, name, level=logging.ERROR, now=self._now)


class _LinesBesideLog(_Lines):
    """The same of what lives in the log's server: while `log` tells of its outage, that suffices."""

    def __init__(self, clock: Clock, log: Outage) -> None:
        super().__init__(clock)
        self._log_outage = log

    def outage(self, name: str) -> told.Outage:
        return OutageBesideLog(super().outage(name), self._log_outage, self._now)


class OutageBesideLog:
    """An outage that is told while the log has none, and once it has lasted for `PATIENCE_SECONDS`."""

    def __init__(self, own: told.Outage, log: Outage, now: Callable[[], float]) -> None:
        self._own = own
        self._log_outage = log
        self._now = now
        self._since: float | None = None

    def failed(self, **fields: Any) -> None:
        now = self._now()
        if self._since is None or self._log_outage.lasts:
            self._since = now
        elif now - self._since >= PATIENCE_SECONDS:
            self._own.failed(**fields)

    def over(self, **fields: Any) -> None:
        self._since = None
        self._own.over(**fields)


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags, with kills that hold while their store takes nothing, and the callers' choices."""

    store: LocalKills
    preferences: Preferences

    async def start(self, closing: Closing) -> None:
        """Reads the flags. Raises StoreUnreadable where they can't be."""
        closing.add("flags", self.store.close)
        await self.store.start()
        closing.add("preferences", self.preferences.close)
        await self.preferences.start()


def make_flags(
    settings: Settings, clock: Clock, shared: SharedStore | None, log_outage: Outage, others: Others
) -> Flags:
    """As `open_flags` gives them, with kills of this machine, of which `others` are the other processes."""
    store, preferences = open_flags(settings, shared, clock, log_outage)
    return Flags(LocalKills(store, tell=_Lines(clock), others=others, now_ms=clock.wall_ms), preferences)


def open_flags(
    settings: Settings, shared: SharedStore | None, clock: Clock, log_outage: Outage
) -> tuple[FlagStore, Preferences]:
    """The flags and the choices of `flags.store`, not started yet: in a file, or in what nodes share.

    `log_outage` tells when the log is out of reach.
    """
    store, silent = settings.flags.store, without_source(settings)
    if shared is not None and not store.startswith(_FILE):
        tell = _LinesBesideLog(clock, log_outage)
        values = FlagValues(shared)
        flags = shared_flag_store(values, tell=tell, now_ms=clock.wall_ms, without_source=silent)
        return flags, SharedPreferences(values, tell=tell, timer=clock.monotonic, now_ms=clock.wall_ms)
    lines = _Lines(clock)
    path = settings.base_dir / store.removeprefix(_FILE)
    choices = path.with_name(f"{path.stem}.preferences.db")
    return (
        file_flag_store(path, tell=lines, without_source=silent),
        FilePreferences(choices, tell=lines, now_ms=clock.wall_ms),
    )
