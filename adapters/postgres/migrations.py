"""The log's schema: versioned, and brought up to date in one transaction or not at all.

A migration is `migrations/NNN_name.sql`; NNN is the version that it leads to, and records. Everything is made
in, and looked for along, the connection's search_path. One that was released never changes.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from adapters.postgres.connection import Session
from adapters.postgres.statements import statement
from gateway.core.errors import LogError


class Migration(NamedTuple):
    """One step of the schema, and its SQL."""

    version: int
    name: str
    sql: str


def migrations() -> Sequence[Migration]:
    """Every step that this release knows, in order."""
    steps = []
    for file in (files("adapters.postgres") / "migrations").iterdir():
        stem, dot, suffix = file.name.partition(".")
        if dot and suffix == "sql":
            number, _, name = stem.partition("_")
            steps.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return sorted(steps)


def newest_version() -> int:
    """The version of the schema that this release works with."""
    return migrations()[-1].version


async def installed_version(session: Session) -> int:
    """The version that the database has; 0 where nothing is installed. Raises LogError."""
    ((exists,),) = await session.fetch(statement("schema_exists"))
    if not exists:
        return 0
    ((version,),) = await session.fetch(statement("schema_version"))
    return int(version)


async def use_schema(session: Session, name: str) -> str:
    """Makes everything be made in, and looked for first in, that schema; gives the session's search_path.

    Raises LogError where there is no such schema.
    """
    found = await session.fetch(statement("session_schema"), {"schema": name})
    if not found:
        raise LogError(f"There is no schema {name} in this database: make it, or name another with --schema.")
    ((path,),) = found
    return str(path)


async def pending(session: Session) -> list[Migration]:
    """The steps from what the database has to what this release needs. Changes nothing.

    Raises LogError where the database is newer than this release.
    """
    installed = await installed_version(session)
    if installed > newest_version():
        raise LogError(
            f"The log's schema has version {installed}, and this release knows {newest_version()}: it was"
            " installed by a newer Tidegate; upgrade this one."
        )
    return [step for step in migrations() if step.version > installed]


def script(steps: Sequence[Migration]) -> str:
    """The SQL that takes these steps, for a connection that is in a transaction."""
    return "\n".join([statement("schema_create"), *(step.sql for step in steps)])


async def install(session: Session) -> list[Migration]:
    """Brings the schema up to date and gives the steps that it took; none where it was already.

    All of them or none; two at the same time wait for each other. Raises LogError; the session is then to be
    closed.
    """
    await session.fetch("begin")
    await session.fetch(statement("schema_lock"))
    steps = await pending(session)
    # With its commit: a transaction that has written holds delivery until it ends.
    await session.fetch(";\n".join([script(steps), "commit"]) if steps else "commit")
    return steps


async def require_schema(session: Session) -> None:
    """Raises LogError where the schema is missing, behind this release or ahead of it."""
    steps = await pending(session)
    if not steps:
        return
    if steps[0].version == migrations()[0].version:
        raise LogError("The log's tables are missing in this database: run `tidegate postgres install`.")
    raise LogError("The log's schema is older than this release: run `tidegate postgres install`.")
