"""`server.workers`: several processes that serve one address, started, kept alive and ended together.

Each has the whole gateway; what they share is the log and the flags. The kernel spreads new connections over
them (SO_REUSEPORT, socket(7)). A worker that ends by itself is started again, with backoff; its clients
reconnect, to any of them, with their cursor.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway.cli import FAILED, CommandError
from gateway.cli.worker import Answer, Order
from gateway.core.backoff import Backoff
from gateway.runtime.logs import log_event
from gateway.runtime.stopping import STOP_SECONDS, stop_on_signals
from gateway.runtime.unattended import end_all
from gateway.service.serve import address_of
from gateway.service.settings import Settings

_log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "gateway.cli.worker")
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A worker that served for so long did not fail at its start: the next delay is short again."""
START_SECONDS = 60.0
MARGIN_SECONDS = STOP_SECONDS + 5.0
"""How much longer than `server.drain_seconds` a worker may take to end before it is killed.

By then it should have ended by itself, and said what held it up.
"""


async def serve_workers(
    settings: Settings,
    log_level: str,
    announce: Callable[[str], None],
    *,
    command: Sequence[str] = WORKER,
) -> None:
    """Runs `server.workers` workers until SIGTERM, SIGINT or SIGHUP; all have drained and ended then.

    `announce` is called with the address once every worker serves; each is a process of `command`, which does
    as gateway/cli/worker.py. Raises OSError where the address can't be taken, and CommandError with a
    worker's own sentence where one can't start.
    """
    stop = stop_on_signals()
    with (
        _reserved(settings.server.host, settings.server.port) as port,
        tempfile.TemporaryDirectory(prefix="tidegate-workers-") as directory,
    ):
        server = settings.server.model_copy(update={"port": port})
        settings = settings.model_copy(update={"server": server})
        count = server.workers
        workers = [
            _Worker(
                _order(settings, number, count, Path(directory), log_level),
                server.drain_seconds,
                stop,
                command,
            )
            for number in range(1, count + 1)
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                for worker in workers:
                    tasks.create_task(worker.keep())
                await asyncio.gather(*(worker.served.wait() for worker in workers))
                if not stop.is_set():
                    announce(address_of(server.host, port))
        except* CommandError as group:
            raise group.exceptions[0] from None


def _order(settings: Settings, number: int, count: int, directory: Path, log_level: str) -> Order:
    return Order(
        number=number,
        count=count,
        settings=settings.with_secrets(),
        base_dir=settings.base_dir,
        directory=directory,
        log_level=log_level,
    )


class _Worker:
    """One worker, whichever process it is at the moment."""

    def __init__(
        self, order: Order, drain_seconds: float, stop: asyncio.Event, command: Sequence[str]
    ) -> None:
        self._order = order
        self._command = command
        self._end_seconds = drain_seconds + MARGIN_SECONDS
        self._stop = stop
        self._backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        self.served = asyncio.Event()
        """Set once it has served for the first time, or is not going to."""

    async def keep(self) -> None:
        """Keeps a process running until told to stop. Raises CommandError where the first can't start."""
        try:
            while not self._stop.is_set():
                began = asyncio.get_running_loop().time()
                code = await self._run_once()
                if self._stop.is_set():
                    return
                if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                    self._backoff.reset()
                await self._pause(code)
        finally:
            self.served.set()

    async def _pause(self, code: int) -> None:
        delay = self._backoff.next()
        log_event(
            _log,
            logging.ERROR,
            "worker_ended",
            worker=self._order.number,
            exit_code=code,
            failures=self._backoff.failures,
            retry_seconds=round(delay, 3),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stop.wait()

    async def _run_once(self) -> int:
        """Runs one process to its end, and gives its exit code."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A terminal's Ctrl-C is for this process, which tells the workers.
            start_new_session=True,
        )
        try:
            assert process.stdin is not None, "started with a pipe"
            assert process.stdout is not None, "started with a pipe"
            # Stays open: its end tells the worker that this process is gone.
            process.stdin.write(self._order.model_dump_json().encode() + b"\n")
            stopping = asyncio.ensure_future(self._stop.wait())
            working = asyncio.ensure_future(self._watch(process, process.stdout))
            try:
                await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
                return working.result() if working.done() else 0
            finally:
                await end_all(stopping, working)
        finally:
            await end(process, self._end_seconds, worker=self._order.number)

    async def _watch(self, process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> int:
        """Waits until the process serves, and then for its end."""
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await output.readline()
        except TimeoutError:
            line = b""
        answer = Answer.model_validate_json(line) if line else Answer(failure="it gave no answer")
        if answer.address is None:
            return self._failed(answer)
        log_event(_log, logging.INFO, "worker_serves", worker=self._order.number, pid=process.pid)
        self.served.set()
        return await process.wait()

    def _failed(self, answer: Answer) -> int:
        """What keeps the first process from starting is told at once; it would keep the next from it too."""
        if not self.served.is_set():
            raise CommandError(answer.exit_code or FAILED, f"worker {self._order.number}: {answer.failure}")
        log_event(_log, logging.ERROR, "worker_failed", worker=self._order.number, detail=answer.failure)
        return answer.exit_code or FAILED


async def end(process: asyncio.subprocess.Process, seconds: float, *, worker: int) -> None:
    """Ends the process of that worker if it still runs: SIGTERM, and SIGKILL where that is not enough.

    It has ended on return, and where this is cancelled too: as when another worker fails meanwhile.
    """
    ending = asyncio.ensure_future(_end(process, seconds, worker))
    cancelled: asyncio.CancelledError | None = None
    while not ending.done():
        try:
            await asyncio.wait({ending})
        except asyncio.CancelledError as error:
            cancelled = error
    ending.result()
    if cancelled is not None:
        raise cancelled


async def _end(process: asyncio.subprocess.Process, seconds: float, worker: int) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        log_event(_log, logging.ERROR, "worker_killed", worker=worker, pid=process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """Keeps the address for the workers, and gives its port. Raises OSError where it can't be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # With SO_REUSEPORT two gateways of one user would share an address without a word.
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        address = probe.getsockname()
    with socket.socket(family, kind, protocol) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
        yield reserved.getsockname()[1]
