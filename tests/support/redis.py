"""A real Redis for tests: the one of TEST_REDIS_URL, or one of our own on a free port."""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from adapters.redis import Address, RedisConnection, RedisLog
from gateway.ports.clock import SystemClock
from tests.support.debian import install, missing
from tests.support.ports import own_port

DEADLINE_SECONDS = 60.0
_numbers = itertools.count(1)


class RedisServer:
    """A server of our own, which a test may also break.

    `options` are its command line's. With the file `config` it is a Sentinel.
    """

    def __init__(self, binary: str, *options: str, config: Path | None = None) -> None:
        self._binary = binary
        self._options = options
        self._config = config
        self.process: subprocess.Popen[bytes] | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="tidegate-redis-"))
        self._keeping = ExitStack()
        self.port = self._keeping.enter_context(own_port())

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers, on its port."""
        self.process = self._spawn()
        assert self._answers(), (self.directory / "server.log").read_text()

    def _spawn(self) -> subprocess.Popen[bytes]:
        listen = ("--port", "0", "--tls-port") if "--tls-cert-file" in self._options else ("--port",)
        role = ("--save", "") if self._config is None else (str(self._config), "--sentinel")
        with (self.directory / "server.log").open("ab") as log:
            return subprocess.Popen(
                (
                    *(self._binary, *role, *listen, str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self.directory), "--unixsocket", str(self.directory / "socket")),
                    *self._options,
                ),
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self.client() as client:
            while self.process is not None and self.process.poll() is None:
                with contextlib.suppress(RedisConnectionError):
                    if client.info("server")["tcp_port"] in (self.port, 0):
                        return True
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.01)
        return False

    def client(self) -> Redis:
        """A client past every proxy, for what a test does to the server."""
        given = dict(pairwise(self._options))
        return Redis(
            unix_socket_path=str(self.directory / "socket"),
            password=given.get("--requirepass"),
            protocol=2,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and waits for its end."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def forget(self) -> None:
        """Takes away what it kept on the disk. Only while it is stopped."""
        for path in self.directory.iterdir():
            if path.name.startswith(("appendonly", "dump")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def remove(self) -> None:
        self.kill()
        self._keeping.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def find_binary() -> str:
    """The server's program; ends the test where there is none."""
    found = _binary() or (install("redis-server") and _binary())
    return found or missing(
        "needs Redis: set TEST_REDIS_URL, or put redis-server or valkey-server on the PATH"
    )


def _binary() -> str | None:
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A server for one test, which may break it."""
    server = RedisServer(find_binary(), *options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@functools.cache
def _shared_url() -> str:
    if given := os.environ.get("TEST_REDIS_URL"):
        atexit.register(_clean, given)
        return given
    server = RedisServer(find_binary())
    atexit.register(server.remove)
    server.start()
    return server.url


def _clean(url: str) -> None:
    with Redis.from_url(url) as client:
        for key in client.scan_iter(f"test-{os.getpid()}-*"):
            client.unlink(key)


def redis_url() -> str:
    """The server that all tests share, with a prefix of the caller's own."""
    return with_prefix(_shared_url(), f"test-{os.getpid()}-{next(_numbers)}")


def with_prefix(url: str, prefix: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), ("prefix", prefix)])))


def make_log(
    url: str,
    *,
    max_events: int = 10_000,
    max_age_seconds: float = 1e6,
    timeout_seconds: float = 5.0,
    append_seconds: float = DEADLINE_SECONDS,
) -> RedisLog:
    """A log as a gateway opens it, not started. Its tails wait for a tenth of the timeout."""
    connection = RedisConnection(Address.parse(url), timeout_seconds=timeout_seconds)
    return RedisLog(
        connection,
        SystemClock(),
        max_events=max_events,
        max_age_seconds=max_age_seconds,
        block_seconds=timeout_seconds / 10,
        append_seconds=append_seconds,
    )


@asynccontextmanager
async def opened(url: str, **arguments: float) -> AsyncIterator[RedisLog]:
    """A log, started, and closed at the end."""
    log = make_log(url, **arguments)  # type: ignore[arg-type]
    try:
        await log.start()
        yield log
    finally:
        await log.close()
