"""A real Postgres for tests: the one of TEST_POSTGRES_URL, or one of our own in a temporary directory.

Our own listens on a socket in that directory and on no port, so that nothing else can be in its way.
"""

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

import psutil
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's name of the class

from adapters.postgres.connection import connect
from adapters.postgres.migrations import install as install_schema
from tests.support.debian import install, missing
from tests.support.tcp_proxy import TcpProxy

USER = "tidegate"
PASSWORD_USER = "with_password"
"""Has to give its password; every other user of our own server is let in."""
DEADLINE_SECONDS = 60.0

_ACCESS = f"""
local all {PASSWORD_USER} scram-sha-256
local all all trust
local replication all trust
"""
_CONFIGURATION = """
listen_addresses = ''
max_connections = 200
max_prepared_transactions = 10
fsync = off
full_page_writes = off
# Its transactions would hold delivery now and then, and tests want to know what they see.
autovacuum = off
"""
_numbers = itertools.count(1)


class PostgresServer:
    """A server of our own, which a test may break: `create` it, `start` it, and `remove` it at the end."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._user = _ordinary_user()
        self._process: subprocess.Popen[bytes] | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="tidegate-pg-", dir="/tmp"))
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._data = self.directory / "data"

    def create(self) -> None:
        """Makes an empty server."""
        options = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        self._run("initdb", "-D", self._data, "--username", USER, *options)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION)
        (self._data / "pg_hba.conf").write_text(_ACCESS)

    def configure(self, settings: str) -> None:
        """Adds lines to the server's configuration, for its next start."""
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(settings)

    def copy(self) -> Path:
        """A copy of the data while the server is stopped, for `put_back`."""
        kept = self.directory / f"copy-{next(_numbers)}"
        self._copy(self._data, kept)
        return kept

    def base_backup(self) -> Path:
        """A copy of the data while the server runs, for `put_back`; it does not ask for archive recovery."""
        kept = self.directory / f"backup-{next(_numbers)}"
        self._run("pg_basebackup", "-D", kept, "-d", self.url(), "--checkpoint=fast", "--no-sync")
        return kept

    def put_back(self, kept: Path) -> None:
        """Makes a copy the data of this server, which is stopped."""
        shutil.rmtree(self._data)
        self._copy(kept, self._data)

    def _copy(self, source: Path, target: Path) -> None:
        # With the owner, for whom Postgres runs.
        self._run_any("cp", "-a", source, target)

    def dump(self, database: str) -> str:
        """The database as SQL that makes it anew."""
        return self._run("pg_dump", "-d", self.url(database), "--clean", "--if-exists")

    def load(self, database: str, dump: str) -> None:
        """Runs what `dump` gave, maybe for another server."""
        self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), text=dump)

    def create_standby(self, primary: "PostgresServer") -> None:
        """Makes a copy of a running server, which follows it until it is promoted."""
        options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        self._run("pg_basebackup", "-D", self._data, "-d", primary.url(), *options)

    def promote(self) -> None:
        """Makes a standby a primary, on a timeline of its own."""
        with connected(self.url()) as connection:
            execute(connection, "select pg_promote()")

    def url(self, database: str = "postgres", user: str = USER) -> str:
        query = urlencode({"host": str(self.directory)})
        return f"postgres://{user}@/{database}?{query}"

    @property
    def socket(self) -> Path:
        """The socket that it listens on."""
        return self.directory / ".s.PGSQL.5432"

    def start(self) -> None:
        """Returns once it takes connections."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-k", self.directory],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                **self._as_ordinary_user(),
            )
        give_up = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                psycopg2.connect(self.url()).close()
            except psycopg2.OperationalError:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise
                # Nothing tells when another process listens; the pause only keeps from spinning.
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """As an operator does: every session is ended, everything committed is on disk."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Every process of it at once, as when the machine loses its power."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._end(signal.SIGKILL)
        for child in children:
            # It may have noticed already that its parent is gone.
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, DEADLINE_SECONDS)
        # Its lock file would keep the next start waiting for a process that is gone.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        """Ends it and deletes what it kept. Doing it twice does nothing."""
        if self._process is not None:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        process.wait(DEADLINE_SECONDS)

    def _run(self, program: str, *arguments: str | Path, text: str | None = None) -> str:
        """What the server's own program writes, when it gets `text` to read."""
        return self._run_any(self._binaries / program, *arguments, text=text)

    def _run_any(self, *command: str | Path, text: str | None = None) -> str:
        ended = subprocess.run(
            command,
            cwd=self.directory,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            **self._as_ordinary_user(),
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def _as_ordinary_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _ordinary_user() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root; whom it runs as then, or None where we are nobody special."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def find_binaries() -> Path | None:
    """Where `initdb` and `postgres` are on this machine."""
    candidates = []
    if (pg_config := shutil.which("pg_config")) is not None:
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(told.stdout.strip()))
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(debian, key=lambda path: int(path.parent.name.partition(".")[0]), reverse=True)
    if (postgres := shutil.which("postgres")) is not None:
        candidates.append(Path(postgres).parent)
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    return None


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """A running server that is nobody else's, for a test that breaks it; gone at the end.

    Skips the test, or fails it, where there is none.
    """
    server = new_server()
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.remove()


def new_server() -> PostgresServer:
    """A server that does not exist yet. Skips the test, or fails it, where there is none."""
    binaries = find_binaries()
    if binaries is None and install("postgresql"):
        binaries = find_binaries()
    if binaries is None:
        missing("Postgres is not installed here: name a server in TEST_POSTGRES_URL, or install postgresql.")
    return PostgresServer(binaries)


@functools.cache
def _shared_server() -> PostgresServer:
    server = new_server()
    atexit.register(server.remove)
    server.create()
    server.start()
    return server


def server_url() -> str:
    """A database of the server that all tests share, from which others can be created."""
    return os.environ.get("TEST_POSTGRES_URL") or _shared_server().url()


def url_with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def through(proxy: TcpProxy, url: str) -> str:
    """The URL's database, reached through the proxy by a name that may stand for several addresses."""
    return f"postgres://tidegate@localhost:{proxy.port}/{database_of(url)}"


def make_read_only(connection: Connection, proxy: TcpProxy) -> None:
    """The database of `connection` takes no writes from those who reach it through the proxy.

    They are cut off: asking Postgres for its sessions overlooks one that is about to begin, which has read
    the database's settings by then.
    """
    name = connection.info.dbname
    execute(connection, f"alter database {name} set default_transaction_read_only = on")
    proxy.cut()


@contextmanager
def no_standby_answers(server: PostgresServer) -> Iterator[None]:
    """Every commit that waits for what the server waits for waits for ever."""
    with connected(server.url()) as connection:
        execute(connection, "alter system set synchronous_standby_names = 'nobody'")
        execute(connection, "select pg_reload_conf()")
        try:
            yield
        finally:
            execute(connection, "alter system reset synchronous_standby_names")
            execute(connection, "select pg_reload_conf()")


def database_of(url: str) -> str:
    """The name of the URL's database."""
    return urlsplit(url).path.removeprefix("/")


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A plain connection in autocommit, for what a test does beside the log."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def execute(connection: Connection, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    """The rows that it gives, none where it gives no result."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description is not None else []


@contextmanager
def fresh_database(url: str | None = None) -> Iterator[str]:
    """The URL of an empty database, on the shared server or on that of `url`; dropped at the end."""
    base = url or server_url()
    name = f"tidegate_test_{os.getpid()}_{next(_numbers)}"
    with connected(base) as connection:
        execute(connection, f"create database {name} template template0 encoding 'UTF8'")
    try:
        yield url_with_database(base, name)
    finally:
        with connected(base) as connection:
            execute(connection, f"drop database if exists {name} with (force)")


async def _install_log(url: str) -> None:
    session = await connect(url)
    try:
        await install_schema(session)
    finally:
        session.close()


@asynccontextmanager
async def log_database(url: str | None = None) -> AsyncIterator[str]:
    """The URL of a fresh database with the log's schema."""
    with fresh_database(url) as database:
        await _install_log(database)
        yield database


@asynccontextmanager
async def log_schema() -> AsyncIterator[str]:
    """The URL of a fresh log in a schema of its own, in a database that tests share.

    Much quicker to make than a database, for tests that look at nothing but the log.
    """
    base = server_url()
    name = f"tidegate_test_{os.getpid()}_{next(_numbers)}"
    with connected(base) as connection:
        execute(connection, f"create schema {name}")
        url = f"{base}{'&' if '?' in base else '?'}options=-c%20search_path%3D{name}"
        try:
            await _install_log(url)
            yield url
        finally:
            _drop_schema(connection, name)


def _drop_schema(connection: Connection, name: str) -> None:
    """Drops it as soon as no session of a node that a test cut off is at work in it any more."""
    while True:
        try:
            execute(connection, f"drop schema {name} cascade")
        except psycopg2.errors.DeadlockDetected:
            # The other session is one whose statement goes on without its client, and ends by itself.
            continue
        return
