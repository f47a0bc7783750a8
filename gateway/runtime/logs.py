"""Log lines that a machine can filter: one stable `event` name and its fields, as key=value (logfmt)."""

import json
import logging
import sys
from typing import Any

from gateway.core.times import rfc3339

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:+-@%*[],()")


def log_event(logger: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Logs `event` with its fields. Names are stable: operators' alerts are written against them."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"event": event, "fields": fields})


def log_failure(logger: logging.Logger, level: int, event: str, error: BaseException, **fields: Any) -> None:
    """Logs a failure that nobody foresaw: `event` with its fields, and the traceback in the same line."""
    if logger.isEnabledFor(level):
        extra = {"event": event, "fields": {**fields, "error": error}}
        logger.log(level, event, exc_info=error, extra=extra)


class LogfmtFormatter(logging.Formatter):
    """`time=… level=warning event=upstream_failed component=orders`: one line, whatever is in it.

    `time` is in UTC (RFC 3339). Where several processes write into one stream, `worker` says which this is.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        stamp = rfc3339(int(record.created * 1000))
        event = getattr(record, "event", None)
        fields: dict[str, Any] = {"time": stamp, "level": record.levelname.lower(), **self._worker}
        if event is None:
            fields |= {"event": "message", "logger": record.name, "message": record.getMessage()}
        else:
            fields |= {"event": event, **getattr(record, "fields", {})}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=True)


def configure(level: str, worker: int | None = None) -> None:
    """Sends every log line to standard error, as logfmt. `level` is a name of `logging`'s levels.

    `worker` is the number of this process where it is one of several that serve one address.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogfmtFormatter(worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def silence() -> None:
    """Sends log lines nowhere, where nobody configured more: for a command that says it in its own words."""
    logging.getLogger().addHandler(logging.NullHandler())
