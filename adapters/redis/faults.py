"""redis-py's errors as the log's: one sentence each, with the cause chained, never with a password."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from gateway.errors import LogError


class Unreachable(LogError):
    """Redis did not answer, or can't at the moment: what was asked may or may not have been done."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Around every call of redis-py; `where` is the server, for people."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        failure = _translate(error, where)
        failure.is_refusal = isinstance(error, exceptions.ResponseError)
        raise failure from error


def _translate(error: Exception, where: str) -> LogError:
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        return LogError(f"Redis at {where} refuses the user or the password of its URL.")
    if isinstance(error, exceptions.NoPermissionError):
        return LogError(f"Redis at {where} lets its URL's user do too little: {error}.")
    if isinstance(error, exceptions.OutOfMemoryError):
        return LogError(f"Redis at {where} is out of memory: raise its maxmemory, or keep fewer events.")
    if isinstance(error, exceptions.ReadOnlyError):
        return Unreachable(f"Redis at {where} is a read-only replica: name the master, or its Sentinels.")
    if isinstance(error, exceptions.BusyLoadingError):
        return Unreachable(f"Redis at {where} is still loading its data.")
    if isinstance(error, exceptions.ResponseError):
        if "NOAUTH" in str(error) or "WRONGPASS" in str(error):
            return LogError(f"Redis at {where} refuses the user or the password of its URL.")
        if "MISCONF" in str(error):
            return LogError(f"Redis at {where} takes no writes because it can't save to its disk.")
        return LogError(f"Redis at {where} refused a command: {error}.")
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return Unreachable(f"Redis at {where} does not answer in time.")
    return Unreachable(f"Redis at {where} can't be reached: {_reason(error)}.")


def _reason(error: Exception) -> str:
    if isinstance(error, exceptions.RedisError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
