"""redis-py's errors as the log's: one sentence each, with the cause chained, never with a password."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from gateway.core.errors import LogError


class Unreachable(LogError):
    """Redis did not answer, or can't at the moment: what was asked may or may not have been done."""


class NoMaster(Unreachable):
    """The server is no master, or not any more: nothing was done."""


_CLOSED = "the handler is closed"
"""What uvloop says of a connection that ended, and is written to before redis-py has heard of its end."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Around every call of redis-py; `where` is the server, for people."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        failure = _translate(error, where)
        failure.is_refusal = isinstance(error, exceptions.ResponseError)
        raise failure from error
    except RuntimeError as error:
        if _CLOSED not in str(error):
            raise
        raise Unreachable(f"Redis at {where} closed the connection.") from error


_CODES: Mapping[str, tuple[type[LogError], str]] = {
    "NOAUTH": (LogError, "refuses the user or the password of its URL."),
    "WRONGPASS": (LogError, "refuses the user or the password of its URL."),
    "NOPERM": (LogError, "lets its URL's user do too little: {error}."),
    "OOM": (LogError, "is out of memory: raise its maxmemory, or keep fewer events."),
    "MISCONF": (LogError, "takes no writes because it can't save to its disk."),
    "NOREPLICAS": (Unreachable, "takes no writes: too few replicas follow it (min-replicas-to-write)."),
    "READONLY": (NoMaster, "is a read-only replica: name the master, or its Sentinels."),
    "UNBLOCKED": (NoMaster, "was made a replica."),
    "MASTERDOWN": (NoMaster, "is a replica that has lost its master."),
    "LOADING": (Unreachable, "is still loading its data."),
    "BUSY": (Unreachable, "is busy with a script of somebody."),
}
_CODE = re.compile(rf"(?:^|[\s-])({'|'.join(_CODES)})\b")
"""The code that begins an error. One that a script was given stands in the middle of a text (Redis 6.2)."""

_CODE_OF: Mapping[type[Exception], str] = {
    exceptions.AuthenticationError: "WRONGPASS",
    exceptions.AuthenticationWrongNumberOfArgsError: "WRONGPASS",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.MasterDownError: "MASTERDOWN",
}
"""The codes that redis-py takes away from the text."""


def _translate(error: Exception, where: str) -> LogError:
    code = _code(error)
    if code is not None:
        kind, text = _CODES[code]
        return kind(f"Redis at {where} {text.format(error=error)}")
    if isinstance(error, exceptions.ResponseError):
        return LogError(f"Redis at {where} refused a command: {error}.")
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return Unreachable(f"Redis at {where} does not answer in time.")
    return Unreachable(f"Redis at {where} can't be reached: {_reason(error)}.")


def _code(error: Exception) -> str | None:
    if (code := _CODE_OF.get(type(error))) is not None:
        return code
    found = _CODE.search(str(error)) if isinstance(error, exceptions.ResponseError) else None
    return found[1] if found else None


def _reason(error: Exception) -> str:
    if isinstance(error, MasterNotFoundError):
        # Its text is redis-py's own objects.
        return "no Sentinel answers, or none knows a master of that name; check both in the URL"
    if isinstance(error, exceptions.RedisError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
