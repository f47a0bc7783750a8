"""`tidegate postgres`: the log's schema and table capture, in the database itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import typer

from adapters.postgres.address import Address
from adapters.postgres.capture import Capture, CaptureError, apply, capture, uncapture
from adapters.postgres.connection import Session, connect
from adapters.postgres.migrations import (
    install,
    installed_version,
    pending,
    require_schema,
    script,
    use_schema,
)
from adapters.postgres.status import Status, status
from gateway.cli import UNREACHABLE, WRONG_INPUT, CommandError
from gateway.core.errors import LogError

LOCK_SECONDS = 5.0
"""How long the writers of a table may have to wait for its capture."""

Result = TypeVar("Result")


class Database:
    """The Postgres at `url`. Every method raises CommandError, or ConfigError for what can't be captured.

    The log is in `schema`, else along the connection's search_path. With `dry_run` nothing is changed, and
    the SQL is given that would have been run.
    """

    def __init__(self, url: str, schema: str | None = None) -> None:
        try:
            Address.parse(url)
        except LogError as error:
            raise CommandError(WRONG_INPUT, error.detail) from None
        self._url = url
        self._schema = schema
        self._path: str | None = None

    def install(self, *, dry_run: bool) -> list[str]:
        """Brings the schema up to date; lines about what was done."""

        async def steps(session: Session) -> list[str]:
            if dry_run:
                found = await _schema(pending(session))
                return self._script([script(found)]) if found else []
            found = await _schema(install(session))
            version = await installed_version(session)
            return [
                *(f"installed {step.version}: {step.name}" for step in found),
                f"schema version {version}",
            ]

        return self._run(steps)

    def capture(self, table: str, wanted: Capture, *, dry_run: bool) -> list[str]:
        """Captures the table in place of how it was captured before; lines about what was done."""
        return self._change(
            lambda session: capture(session, table, wanted), f"captured {table} as {wanted.entity}", dry_run
        )

    def uncapture(self, table: str, *, dry_run: bool) -> list[str]:
        """Ends the capture of the table; lines about what was done."""
        return self._change(
            lambda session: uncapture(session, table), f"no longer captured: {table}", dry_run
        )

    def status(self) -> Status:
        async def ask(session: Session) -> Status:
            await _schema(require_schema(session))
            return await status(session)

        return self._run(ask)

    def _change(self, plan: Callable[[Session], Awaitable[list[str]]], done: str, dry_run: bool) -> list[str]:
        async def change(session: Session) -> list[str]:
            await _schema(require_schema(session))
            statements = await plan(session)
            if dry_run:
                return self._script([f"{sql};" for sql in statements])
            await apply(session, statements, lock_seconds=LOCK_SECONDS)
            return [done]

        return self._run(change)

    def _run(self, task: Callable[[Session], Awaitable[Result]]) -> Result:
        async def connected() -> Result:
            session = await connect(self._url)
            try:
                if self._schema is not None:
                    self._path = await _schema(use_schema(session, self._schema))
                return await task(session)
            finally:
                session.close()

        try:
            return asyncio.run(connected())
        except LogError as error:
            raise CommandError(UNREACHABLE, error.detail) from error

    def _script(self, statements: Sequence[str]) -> list[str]:
        """The statements as one transaction, for any connection to the database."""
        path = [] if self._path is None else [f"set local search_path = {self._path};"]
        return ["begin;", *path, *statements, "commit;"]


async def _schema(answer: Awaitable[Result]) -> Result:
    """`answer`; a schema that does not fit is the operator's to put right, and no failure of the server's."""
    try:
        return await answer
    except LogError as error:
        if error.__cause__ is None:
            raise CommandError(WRONG_INPUT, error.detail) from error
        raise


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """`column=type` pairs, several in a text with commas between. Raises CaptureError."""
    found = {}
    for text in names(option, given):
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise CaptureError(f"{option}: must be COLUMN=TYPE, and is {text!r}.")
        found[name] = value
    return found


def names(option: str, given: Sequence[str]) -> list[str]:
    """Names, several in a text with commas between, without the spaces around them.

    Raises CaptureError for an empty one: an unset variable of a script must not mean "all columns".
    """
    found = [name.strip() for text in given for name in text.split(",")]
    if not all(found):
        raise CaptureError(f"{option}: has an empty name.")
    return found


def show(lines: Sequence[str]) -> None:
    """Prints what a command has to say."""
    for line in lines:
        typer.echo(line)
