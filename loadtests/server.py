"""A server under test: started as a subprocess, pinned to a core, measured from outside, ended by its id."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from loadtests import cohort
from loadtests.access import CONFIG, publisher_token, stream_token
from loadtests.browsers import fields_of
from loadtests.crowd import Address, RunFailedError
from loadtests.dialect import GATEWAY, Dialect

START_SECONDS = 30.0
STOP_SECONDS = 20.0
# The settings of the gateway as it ships; only what a benchmark must name.
GATEWAY_CONFIG = '[server]\nhost = "127.0.0.1"\nworkers = 1\n\n[log]\nurl = "{url}"\n'
BASELINE = Path(__file__).parent / "baselines" / "queue_per_connection.py"
_ADDRESS = re.compile(rb"http://([0-9.]+):([0-9]+)")


class CpuTime(NamedTuple):
    """CPU that a process has used, in nanoseconds.

    `system_ns` is the kernel's part of it, known to 10 ms only. `waited_ns` is no CPU time: it is how long
    the main thread could have run while somebody else had the core.
    """

    total_ns: int
    system_ns: int
    waited_ns: int

    def since(self, earlier: "CpuTime") -> "CpuTime":
        """What was used between two readings."""
        return CpuTime(*(now - then for now, then in zip(self, earlier, strict=True)))


class Launch(NamedTuple):
    """How to start one server: its command, on any free port.

    A server that can't say which port it got inherits a listening socket instead, as `listener`: the variable
    that names it is in `environment`. It serves once it has `children` processes.
    """

    arguments: list[str]
    listener: socket.socket | None = None
    environment: dict[str, str] | None = None
    children: int = 0


QUIET_CONFIG = """
[server]
host = "127.0.0.1"

[log]
url = "memory://"

[stream]
heartbeat_seconds = 3600
"""
"""Without heartbeats: those to 16,000 streams cost more than 100 events for one of them, and as much as an
event to all."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server: `launch` takes the folder for its files, and gives how to start one there."""

    name: str
    launch: Callable[[Path], Launch]
    dialect: Dialect = GATEWAY


def gateway(config: str, name: str = "gateway", dialect: Dialect = GATEWAY, *, flags: str = "") -> Kind:
    """The gateway of this environment, with that configuration (TOML), and a file of flags ("": none)."""

    def launch(folder: Path) -> Launch:
        path = folder / "tidegate.toml"
        path.write_text(config)
        if flags:
            (folder / cohort.FLAGS_FILE).write_text(flags)
        tidegate = Path(sys.executable).parent / "tidegate"
        return Launch([str(tidegate), "serve", "--config", str(path), "--port", "0"])

    return Kind(name, launch, dialect)


def gateway_on(log_url: str) -> Kind:
    """The gateway as it ships, on that log; one that is a file is relative to a folder that goes with it."""
    return gateway(GATEWAY_CONFIG.format(url=log_url))


def python_server(name: str, script: Path, python: str = sys.executable, dialect: Dialect = GATEWAY) -> Kind:
    """A server that is one script of Python, takes `--port 0` and prints its address."""
    return Kind(name, lambda _: Launch([python, str(script), "--port", "0"]), dialect)


def backend(orders: int, simulate_every_seconds: float) -> Kind:
    """The demo's orders application, with so many orders that change so often (0: never)."""
    arguments = [sys.executable, "-m", "gateway.demo.backend", "--port", "0", "--orders", str(orders)]
    arguments += ["--seed", "1", "--simulate-every", str(simulate_every_seconds)]
    return Kind("backend", lambda _: Launch(arguments))


QUIET_GATEWAY = gateway(QUIET_CONFIG)
WITH_TOKENS = GATEWAY._replace(stream_token=stream_token, publish_token=publisher_token)
BY_BROWSERS = GATEWAY._replace(stream_fields=fields_of)
_IN_COHORT = GATEWAY._replace(stream_query=cohort.query_of, component=cohort.COMPONENT)
_COMPACT = GATEWAY._replace(stream_query=lambda _: "fields=data", members=frozenset({"data"}))
KINDS = {
    "gateway": gateway_on("memory://"),
    "gateway-jwt": gateway(GATEWAY_CONFIG.format(url="memory://") + CONFIG, "gateway-jwt", WITH_TOKENS),
    "gateway-flag": gateway(
        GATEWAY_CONFIG.format(url="memory://") + cohort.CONFIG, "gateway-flag", _IN_COHORT, flags=cohort.FLAGS
    ),
    "gateway-flag-browsers": gateway(
        GATEWAY_CONFIG.format(url="memory://") + cohort.CONFIG,
        "gateway-flag-browsers",
        _IN_COHORT._replace(stream_fields=fields_of),
        flags=cohort.FLAGS,
    ),
    "gateway-flag-jwt": gateway(
        GATEWAY_CONFIG.format(url="memory://") + cohort.CONFIG + CONFIG,
        "gateway-flag-jwt",
        WITH_TOKENS._replace(stream_query=cohort.query_of, component=cohort.COMPONENT),
        flags=cohort.FLAGS,
    ),
    "gateway-compact": gateway(GATEWAY_CONFIG.format(url="memory://"), "gateway-compact", _COMPACT),
    "baseline": python_server("baseline", BASELINE),
}
"""`gateway-flag`: a flag is decided for each stream, by a client id of its own; with `-jwt` each has a token,
with `-browsers` the header fields of a browser of its own. `gateway-compact`: the streams ask for the data of
events alone."""
QUIET_KINDS = {
    "gateway": QUIET_GATEWAY,
    "gateway-jwt": gateway(QUIET_CONFIG + CONFIG, "gateway-jwt", WITH_TOKENS),
    "baseline": KINDS["baseline"],
}
"""Those of which each stream asks for an entity of its own. The baseline's heartbeats can't be put off."""


class Server:
    """One server process, as a context manager: serving when entered, ended when left, whatever happened.

    What is measured is the process with its children. Raises RunFailedError where it does not start, with
    the end of what it said.
    """

    def __init__(self, kind: Kind, core: int) -> None:
        self.kind = kind.name
        self.dialect = kind.dialect
        self._launch = kind.launch
        self.address = Address("", 0)
        self._core = core
        self._children = 0
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self._folder = Path(tempfile.mkdtemp(prefix="fanout-"))
        try:
            self._process = self._start()
            os.sched_setaffinity(self.pid, {self._core})
            self._wait_until_serving()
            # Threads and processes that began before the mask was set have their own.
            for pid in self.pids():
                for task in os.listdir(f"/proc/{pid}/task"):
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(int(task), {self._core})
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and (words := self.last_words()):
            print(f"The {self.kind} said last:\n{words}", file=sys.stderr)
        self._stop()

    def refuse_fallen(self) -> None:
        """RunFailedError where the process has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RunFailedError(f"the {self.kind} ended with {self._process.returncode} in the middle of it")

    @property
    def pid(self) -> int:
        """The process's id; only while it is entered."""
        assert self._process is not None
        return self._process.pid

    def pids(self) -> list[int]:
        """The process and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *(int(child) for child in children)]

    def cpu(self) -> CpuTime:
        """User and system time so far, of all threads and of the children.

        The total is the process's POSIX CPU clock (clock_getcpuclockid(3)), which /proc/PID/stat shows in
        steps of 10 ms: a single event of one stream takes less than one of those.
        """
        return CpuTime(*(sum(times) for times in zip(*map(_cpu_of, self.pids()), strict=True)))

    def resident_bytes(self) -> int:
        """Resident memory of all: Rss of smaps_rollup. Socket buffers are the kernel's, not in it."""
        return sum(map(_resident_bytes_of, self.pids()))

    def last_words(self) -> str:
        """The end of what it wrote to stderr, for a message about a failure."""
        with contextlib.suppress(OSError):
            return (self._folder / "stderr").read_text(errors="replace")[-2000:].strip()
        return ""

    def _start(self) -> subprocess.Popen[bytes]:
        launch = self._launch(self._folder)
        self._children = launch.children
        if launch.listener is not None:
            self.address = Address(*launch.listener.getsockname())
        # Files and not pipes: nobody reads a pipe while the loop runs, and a full one would stop the server.
        with (
            launch.listener or contextlib.nullcontext(),
            (self._folder / "stdout").open("wb") as out,
            (self._folder / "stderr").open("wb") as err,
        ):
            try:
                return subprocess.Popen(
                    launch.arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=self._folder,
                    env=os.environ | (launch.environment or {}),
                    pass_fds=[launch.listener.fileno()] if launch.listener else [],
                )
            except OSError as error:
                raise RunFailedError(f"the {self.kind} can't be started: {error}") from error

    def _wait_until_serving(self) -> None:
        """Until its address is known and its children are there; RunFailedError where it ends before."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if match := _ADDRESS.search((self._folder / "stdout").read_bytes()):
                self.address = Address(match[1].decode(), int(match[2]))
            if self.address.port and len(self.pids()) > self._children:
                return
            if self._process is not None and self._process.poll() is not None:
                code = self._process.returncode
                raise RunFailedError(f"the {self.kind} ended with {code}:\n{self.last_words()}")
            time.sleep(0.02)
        raise RunFailedError(
            f"the {self.kind} did not serve within {START_SECONDS:.0f} s:\n{self.last_words()}"
        )

    def _stop(self) -> None:
        process = self._process
        try:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
        finally:
            # Also where a second Ctrl-C ends the wait.
            if process is not None and process.poll() is None:
                print(f"The {self.kind} (process {process.pid}) had to be killed.", file=sys.stderr)
                process.kill()
                process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)


def _cpu_of(pid: int) -> CpuTime:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    system_ns = int(fields[12]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    waited_ns = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return CpuTime(time.clock_gettime_ns((~pid << 3) | 2), system_ns, waited_ns)


def _resident_bytes_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise RunFailedError(f"/proc/{pid}/smaps_rollup has no Rss")
