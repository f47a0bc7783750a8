"""Which log `log.url` means. A driver is imported only where its log is asked for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from adapters.memory import MemoryLog
from gateway.clock import Clock
from gateway.errors import ConfigError
from gateway.log import EventLog
from gateway.settings import SQLITE, Settings


def open_log(settings: Settings, clock: Clock) -> EventLog:
    """The log of `log.url`, not started yet.

    Raises ConfigError where the log's driver is not installed. Whether the log can be used is what its
    `start` finds out.
    """
    scheme = settings.log.url.partition("://")[0]
    return _OPENERS[scheme](settings, clock)


@contextmanager
def needs_extra(extra: str, package: str) -> Iterator[None]:
    """Around the import of an adapter: that `package` is missing becomes a ConfigError with the remedy.

    Any other import error stays as it is: that is a defect, and not a missing extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ConfigError(
            f"log.url: this log needs the package {package}, which is not installed: "
            f"pip install 'tidegate[{extra}]'."
        ) from error


def _memory(settings: Settings, clock: Clock) -> EventLog:
    # Gone with the process, so it holds what the history does: more could reach nobody.
    return MemoryLog(clock, **settings.history.model_dump())


def _sqlite(settings: Settings, clock: Clock) -> EventLog:
    from adapters.sqlite import SqliteLog

    return SqliteLog(
        settings.base_dir / settings.log.url.removeprefix(SQLITE),
        clock,
        max_events=settings.log.max_events,
        max_age_seconds=settings.log.max_age_seconds,
    )


_OPENERS: Mapping[str, Callable[[Settings, Clock], EventLog]] = {"memory": _memory, "sqlite": _sqlite}
"""By scheme; gateway.settings lets through those that stand here."""
