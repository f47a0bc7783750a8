"""Connections to Postgres through aiopg, with its traps closed and its errors translated."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import aiopg
import aiopg.connection
import psycopg2

from adapters.postgres.address import Address, resolve
from adapters.postgres.faults import cancellations, first_line, raise_if_cancelled_since, translated
from adapters.postgres.select_patch import check_descriptors_without_select
from adapters.postgres.statements import statement
from gateway.core.errors import LogError

OLDEST_VERSION = 13
"""xid8 and pg_current_xact_id() are Postgres 13's."""
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 30.0
"""How long a statement may take before its connection is closed."""

_KEEPALIVES: Mapping[str, str] = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""A peer that is gone without a word is known to be gone after some 20 to 25 seconds."""


_SERVER_SAYS = "FATAL:"
"""Begins what the server itself answers to a connection that it ends."""


class Server(NamedTuple):
    """Which server a session is with: `system` names its data, and each promotion begins a new `timeline`.

    `started` is when it was started: what else runs from a copy of the data was started at another time.
    """

    system: str
    timeline: int
    started: str


class SessionLost(LogError):
    """The connection is gone, and with it the statement under way."""


class Session:
    """One connection to the server that takes writes, in autocommit.

    No transaction of it that writes spans a round trip: one that its client left open would hold delivery
    everywhere.
    What belongs together goes out as one query string, which is one transaction (see the manual's "Multiple
    Statements in a Simple Query"). Every method raises LogError, SessionLost where the connection did not
    survive it.
    """

    server: Server

    def __init__(self, connection: aiopg.Connection) -> None:
        self._connection = connection

    @property
    def is_usable(self) -> bool:
        """Whether it can take the next statement: open, and outside any transaction."""
        raw = self._connection.raw
        return not raw.closed and raw.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE

    @property
    def notifies(self) -> aiopg.utils.ClosableQueue:
        return self._connection.notifies

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows that `sql` gives, none where it gives no result. Cancelling it closes the connection."""
        try:
            with translated():
                async with self._connection.cursor() as cursor:
                    # It refers back to the cursor: that, with the statement's text and values, would stay
                    # until a collection of garbage.
                    vars(cursor).pop("_transaction", None)
                    await cursor.execute(sql, parameters)
                    return await cursor.fetchall() if cursor.description is not None else []
        except LogError as error:
            if self._connection.closed:
                raise SessionLost(error.detail) from error.__cause__
            raise

    def close(self) -> None:
        """Ends the connection. Closing twice does nothing."""
        self._connection.close()


async def connect(
    url: str,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    statement_seconds: float = STATEMENT_SECONDS,
    admit: Callable[[Session], None] = lambda _: None,
) -> Session:
    """A session with the first server of `url` that can be reached, takes writes and is admitted.

    Every address of every host is tried, each for `connect_seconds`. `admit` raises LogError where a server
    will not do. Raises LogError with what the last one said.
    """
    check_descriptors_without_select()
    address = Address.parse(url)
    failure: LogError | None = None
    for host in address.hosts:
        try:
            async with asyncio.timeout(connect_seconds):
                candidates = await resolve(host)
        except OSError as error:
            reason = error.strerror or "no answer in time"
            failure = LogError(f"The host of the log's Postgres can't be resolved: {reason}.")
            failure.__cause__ = error
            continue
        for candidate in candidates:
            parameters = {**_KEEPALIVES, **address.parameters, **candidate}
            try:
                return await _open(parameters, connect_seconds, statement_seconds, admit)
            except LogError as error:
                failure = error
    assert failure is not None, "an address has at least one host"
    raise failure


async def _open(
    parameters: Mapping[str, str],
    connect_seconds: float,
    statement_seconds: float,
    admit: Callable[[Session], None],
) -> Session:
    settings: dict[str, Any] = {
        "fallback_application_name": "tidegate",
        "gssencmode": "disable",
        **parameters,
    }
    settings |= {"client_encoding": "UTF8", "dsn": ""}
    before = cancellations()
    try:
        async with asyncio.timeout(connect_seconds):
            connection = await aiopg.connect(
                timeout=statement_seconds,
                enable_json=False,
                enable_hstore=False,
                enable_uuid=False,
                **settings,
            )
    except (psycopg2.Error, OSError) as error:
        raise_if_cancelled_since(before)
        raise LogError(_refusal(error, parameters)) from error
    try:
        raise_if_cancelled_since(before)
        require_version(connection.server_version)
        session = await _identified(connection)
        admit(session)
        return session
    except BaseException:
        connection.close()
        raise


async def _identified(connection: aiopg.Connection) -> Session:
    session = Session(connection)
    ((is_read_only, encoding, system, timeline, started, *_),) = await session.fetch(
        statement("session_identify")
    )
    if is_read_only:
        raise LogError("This Postgres is read-only, as a replica is: the log needs the primary.")
    if encoding != "UTF8":
        raise LogError(f"The log's database is encoded in {encoding}: it has to be UTF8 to hold any event.")
    session.server = Server(system, int(timeline, 16), started)
    return session


def require_version(server_version: int) -> None:
    """Raises LogError where the server is too old; `server_version` is libpq's, such as 150004."""
    major = server_version // 10_000
    if major < OLDEST_VERSION:
        raise LogError(f"Postgres {major} is too old for the log: it needs {OLDEST_VERSION} or newer.")


def _refusal(error: BaseException, parameters: Mapping[str, str]) -> str:
    if isinstance(error, TimeoutError):
        return "Postgres is out of reach: it did not answer in time."
    line = first_line(error)
    if password := parameters.get("password"):
        line = line.replace(password, "***")
    if line.startswith(_SERVER_SAYS):
        return f"Postgres refuses the connection: {line.removeprefix(_SERVER_SAYS).lstrip()}."
    return f"Postgres is out of reach: {line}."
