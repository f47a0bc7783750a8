"""Postgres and Redis of a benchmark's own, with the durability that one in production has.

They run in a temporary directory and on the loopback at most, and are gone at the end.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg2
import redis

from loadtests.bench import UsageError

START_SECONDS = 30.0
STOP_SECONDS = 20.0
USER = "tidegate"
# A free port may be taken by somebody else between finding it and using it.
PORT_ATTEMPTS = 5
REDIS_PROGRAMS = ("redis-server", "valkey-server")


class StoreMissingError(UsageError):
    """There is no such server here, or it does not start; the message is for people."""


@contextmanager
def own_postgres() -> Iterator[str]:
    """The URL of an empty database on a server with Postgres' default settings, reached over a socket.

    Raises StoreMissingError.
    """
    binaries = _postgres_binaries()
    with _directory("tidegate-bench-pg-") as directory, _log_of(directory) as log:
        data = directory / "data"
        identity = _ordinary_user(directory)
        _create(binaries, data, directory, identity)
        process = subprocess.Popen(
            (binaries / "postgres", "-D", data, "-k", directory, "-c", "listen_addresses="),
            stdout=log,
            stderr=log,
            cwd=directory,
            **identity,
        )
        url = f"postgres://{USER}@/postgres?{urlencode({'host': str(directory)})}"
        # A fast shutdown: what is connected is cut off.
        with _ended(process, signal.SIGINT):
            _wait(process, directory, lambda: psycopg2.connect(url).close(), psycopg2.OperationalError)
            yield url


@contextmanager
def own_redis() -> Iterator[str]:
    """The URL of a server that appends every write to a file and syncs that once a second.

    Raises StoreMissingError.
    """
    program = next(filter(None, map(shutil.which, REDIS_PROGRAMS)), None)
    if program is None:
        raise StoreMissingError("Redis is not installed here: put redis-server on the PATH, or use --redis.")
    with _directory("tidegate-bench-redis-") as directory, _log_of(directory) as log:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            port = _free_port()
            process = subprocess.Popen(
                (
                    *(program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory)),
                    *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
                ),
                stdout=log,
                stderr=log,
            )
            with _ended(process, signal.SIGTERM), redis.Redis(port=port) as client:
                try:
                    _wait(process, directory, client.ping, redis.ConnectionError)
                except StoreMissingError:
                    if attempt == PORT_ATTEMPTS:
                        raise
                    continue
                yield f"redis://127.0.0.1:{port}"
                return


@contextmanager
def _directory(prefix: str) -> Iterator[Path]:
    # Under /tmp, since the path of a socket has to be short.
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _log_of(directory: Path) -> Iterator[int]:
    with (directory / "server.log").open("ab") as file:
        yield file.fileno()


@contextmanager
def _ended(process: subprocess.Popen[bytes], number: signal.Signals) -> Iterator[None]:
    """Whatever happens within, the process is over afterwards."""
    try:
        yield
    finally:
        try:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _wait(
    process: subprocess.Popen[bytes], directory: Path, ask: Callable[[], object], not_yet: type[Exception]
) -> None:
    """Until it answers. Raises StoreMissingError with the end of what it said."""
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            ask()
        except not_yet as error:
            if process.poll() is not None or time.monotonic() > give_up:
                said = (directory / "server.log").read_text(errors="replace")[-1000:]
                raise StoreMissingError(f"The server of the benchmark does not start:\n{said}") from error
            # Nothing tells when another process listens; the pause only keeps from spinning.
            time.sleep(0.02)
        else:
            return


def _postgres_binaries() -> Path:
    """Where `initdb` and `postgres` are; Debian has them off the PATH, the newest version last."""
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.partition(".")[0])
    )
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        told = subprocess.run((pg_config, "--bindir"), capture_output=True, text=True, check=False)
        candidates.append(Path(told.stdout.strip()))
    for candidate in reversed(candidates):
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise StoreMissingError("Postgres is not installed here: install postgresql, or name a server.")


def _ordinary_user(directory: Path) -> dict[str, Any]:
    """As whom Postgres runs, which refuses to be root; gives that user the directory."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _create(binaries: Path, data: Path, directory: Path, identity: dict[str, Any]) -> None:
    ended = subprocess.run(
        (binaries / "initdb", "-D", data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale"),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    if ended.returncode != 0:
        raise StoreMissingError(f"initdb failed: {ended.stderr.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
