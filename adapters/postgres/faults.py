"""Postgres' and aiopg's errors in the words of `LogError`: one sentence that says what to do."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errorcodes

from gateway.core.errors import LogError

_PREFIX = re.compile(r"^.*? failed: ", re.DOTALL)
"""libpq begins with the address, which is a file's path where the server listens on a socket."""

_SENTENCES = {
    errorcodes.UNDEFINED_TABLE: "A table of the log is missing: run `tidegate postgres install`.",
    errorcodes.UNDEFINED_COLUMN: "A table of the log lacks a column: run `tidegate postgres install`.",
    errorcodes.INVALID_SCHEMA_NAME: "The schema of the log is missing: create it, then run"
    " `tidegate postgres install`.",
    errorcodes.READ_ONLY_SQL_TRANSACTION: "This Postgres is read-only, as a replica is: the log needs the"
    " primary.",
    errorcodes.QUERY_CANCELED: "Postgres cancelled a statement, as it does at statement_timeout.",
    errorcodes.TOO_MANY_CONNECTIONS: "Postgres has no connection left: raise max_connections, or run fewer"
    " nodes.",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises LogError in place of whatever the driver raises, with the cause chained.

    A CancelledError that nobody asked for is aiopg 1.4.0's name for a statement that the server cancelled;
    one that was asked for goes on as it is, and is raised where it got lost.
    """
    before = cancellations()
    try:
        yield
        raise_if_cancelled_since(before)
    except (psycopg2.Error, OSError) as error:
        raise_if_cancelled_since(before)
        failure = LogError(_what_failed(error))
        # What an operator ended (class 57) may have been done by then.
        code = error.pgcode if isinstance(error, psycopg2.Error) else None
        failure.is_refusal = code is not None and not code.startswith("57")
        raise failure from error
    except asyncio.CancelledError as error:
        if cancellations() > before:
            raise
        raise LogError(_SENTENCES[errorcodes.QUERY_CANCELED]) from error


def cancellations() -> int:
    """How often the running task was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def raise_if_cancelled_since(before: int) -> None:
    """Raises CancelledError where the task was asked to end after `cancellations` gave `before`.

    aiopg waits with `asyncio.wait_for`, and that of Python 3.11 gives the result, or raises the error, and
    forgets the cancellation, where both come in one tick: the task would go on for ever.
    """
    if cancellations() > before:
        raise asyncio.CancelledError


def _what_failed(error: psycopg2.Error | OSError) -> str:
    if isinstance(error, psycopg2.Error):
        return sentence(error)
    if isinstance(error, TimeoutError):
        return "Postgres did not answer in time."
    return f"Postgres is out of reach: {error.strerror or type(error).__name__}."


def sentence(error: psycopg2.Error) -> str:
    """What went wrong, for whoever runs the gateway: without the password, the statement and its values."""
    known = _SENTENCES.get(error.pgcode or "")
    if known is not None:
        return known
    if error.pgcode is not None:
        return f"Postgres refused a statement ({error.pgcode}): {error.diag.message_primary}."
    return f"Postgres is out of reach: {first_line(error)}."


def first_line(error: BaseException) -> str:
    """The driver's own words on a lost or refused connection, without addresses and advice."""
    lines = _PREFIX.sub("", str(error)).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
