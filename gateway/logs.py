"""Log lines that a machine can filter: one stable `event` name and its fields, as key=value (logfmt)."""

import json
import logging
import sys
from typing import Any

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:+-@%*[],()")


def log_event(logger: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Logs `event` with its fields. Names are stable: operators' alerts are written against them."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"event": event, "fields": fields})


class LogfmtFormatter(logging.Formatter):
    """`time=… level=warning event=upstream_failed component=orders`: one line, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}"
        event = getattr(record, "event", None)
        fields: dict[str, Any] = {"time": stamp, "level": record.levelname.lower()}
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


def configure(level: str) -> None:
    """Sends every log line to standard error, as logfmt. `level` is a name of `logging`'s levels."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogfmtFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
