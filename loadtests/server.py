"""A server under test: started as a subprocess, pinned to a core, measured from outside, ended by its id."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from loadtests.crowd import Address, RunFailedError

START_SECONDS = 30.0
STOP_SECONDS = 20.0
# The settings of the gateway as it ships; only what a benchmark must name.
GATEWAY_CONFIG = '[server]\nhost = "127.0.0.1"\nworkers = 1\n\n[log]\nurl = "memory://"\n'
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


Command = Callable[[Path], list[str]]
"""How to start a server on any free port; its files go into the directory that it is given."""


def command(kind: str, folder: Path) -> list[str]:
    """How to start a server, "gateway" or "baseline", on any free port; its files go into `folder`."""
    if kind == "baseline":
        return [sys.executable, str(BASELINE), "--port", "0"]
    return gateway_command(GATEWAY_CONFIG)(folder)


def gateway_command(config: str) -> Command:
    """How to start a gateway with this configuration, in TOML."""

    def arguments(folder: Path) -> list[str]:
        file = folder / "tidegate.toml"
        file.write_text(config)
        tidegate = Path(sys.executable).parent / "tidegate"
        return [str(tidegate), "serve", "--config", str(file), "--port", "0"]

    return arguments


def backend_command(orders: int, simulate_every_seconds: float) -> Command:
    """How to start the demo's orders application, with so many orders that change so often (0: never)."""
    return lambda _: [
        *(
            sys.executable,
            "-m",
            "gateway.demo.backend",
            "--port",
            "0",
            "--orders",
            str(orders),
            "--seed",
            "1",
        ),
        *("--simulate-every", str(simulate_every_seconds)),
    ]


class Server:
    """One server process, as a context manager: serving when entered, ended when left, whatever happened.

    `kind` names it, and says how to start it where no `arguments` do. Raises RunFailedError where it does not
    start, with the end of what it said.
    """

    def __init__(self, kind: str, core: int, arguments: Command | None = None) -> None:
        self.kind = kind
        self._arguments = arguments or (lambda folder: command(kind, folder))
        self.address = Address("", 0)
        self._core = core
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self._folder = Path(tempfile.mkdtemp(prefix="fanout-"))
        try:
            self._process = self._start()
            os.sched_setaffinity(self.pid, {self._core})
            self.address = self._wait_for_address()
            # Threads that began before the mask was set have their own.
            for task in os.listdir(f"/proc/{self.pid}/task"):
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

    @property
    def pid(self) -> int:
        """The process's id; only while it is entered."""
        assert self._process is not None
        return self._process.pid

    def cpu(self) -> CpuTime:
        """User and system time so far, of all threads.

        The total is the process's POSIX CPU clock (clock_getcpuclockid(3)), which /proc/PID/stat shows in
        steps of 10 ms: a single event of one stream takes less than one of those.
        """
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        system_ns = int(fields[12]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        waited_ns = int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1])
        return CpuTime(time.clock_gettime_ns((~self.pid << 3) | 2), system_ns, waited_ns)

    def resident_bytes(self) -> int:
        """Resident memory: Rss of /proc/PID/smaps_rollup. Socket buffers are the kernel's, not in it."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
        raise RunFailedError(f"/proc/{self.pid}/smaps_rollup has no Rss")

    def children(self) -> int:
        """How many processes it has started: their CPU and memory would not be in ours."""
        return len(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())

    def last_words(self) -> str:
        """The end of what it wrote to stderr, for a message about a failure."""
        with contextlib.suppress(OSError):
            return (self._folder / "stderr").read_text(errors="replace")[-2000:].strip()
        return ""

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = self._arguments(self._folder)
        # Files and not pipes: nobody reads a pipe while the loop runs, and a full one would stop the server.
        with (self._folder / "stdout").open("wb") as out, (self._folder / "stderr").open("wb") as err:
            try:
                return subprocess.Popen(
                    arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self._folder
                )
            except OSError as error:
                raise RunFailedError(f"the {self.kind} can't be started: {error}") from error

    def _wait_for_address(self) -> Address:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if match := _ADDRESS.search((self._folder / "stdout").read_bytes()):
                return Address(match[1].decode(), int(match[2]))
            if self._process is not None and self._process.poll() is not None:
                code = self._process.returncode
                raise RunFailedError(f"the {self.kind} ended with {code}:\n{self.last_words()}")
            time.sleep(0.02)
        raise RunFailedError(
            f"the {self.kind} printed no address within {START_SECONDS:.0f} s:\n{self.last_words()}"
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
