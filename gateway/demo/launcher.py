"""`tidegate demo`: the orders application in a process of its own, the gateway before it, a page, pollers."""

import asyncio
import contextlib
import errno
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from gateway.core.errors import UpstreamError
from gateway.demo import pollers
from gateway.demo.application import OrdersApplication
from gateway.demo.backend import ADDRESS_LINE
from gateway.demo.page import add_page
from gateway.demo.publisher import Fault
from gateway.runtime import logs
from gateway.runtime.unattended import end_all

CONFIG = Path(__file__).with_name("tidegate.toml")
FLAGS = Path(__file__).with_name("flags.json")

ORDERS = 12
START_SECONDS = 20.0
"""How long the orders application may take to serve."""
STOP_SECONDS = 5.0
"""How long it may take to end before it is killed."""

STOPPED, FAILED, PORT_TAKEN = 0, 1, 2


class Gateway(Protocol):
    """Serves a gateway before the orders application at `backend` until it is told to stop, and drains it.

    Its flags are in the file `flags`. `announce` gets its address once it serves; `extend` may add routes.
    Raises OSError where the address can't be taken.
    """

    def __call__(
        self,
        backend: str,
        flags: Path,
        *,
        announce: Callable[[str], None],
        extend: Callable[[web.Application], None],
    ) -> Coroutine[Any, Any, None]: ...


class BackendError(Exception):
    """The orders application did not start, or ended by itself; the message is for people."""


async def run_demo(gateway: Gateway, port: int, simulate_every_seconds: float, fault: Fault) -> int:
    """Runs the demo on 127.0.0.1 until SIGTERM, SIGINT or SIGHUP. Gives the exit code.

    `port` is the one that `gateway` takes; `simulate_every_seconds` the pause between two changes to the
    orders, 0 for none; `fault` what is wrong with what is published of them. Standard output gets the line
    with the page's address once it serves, standard error the one that says why the demo ends. 0: stopped as
    asked, after the gateway has drained and the orders application has ended; 1: the orders application
    failed; 2: the port is taken.
    """
    logs.configure("warning")
    try:
        async with _backend(simulate_every_seconds) as (process, address):
            with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as directory:
                # No walk through a migration begins with the end of the last one.
                flags = Path(shutil.copyfile(FLAGS, Path(directory) / FLAGS.name))
                await _serve_while_alive(gateway, address, flags, process, fault)
    except BackendError as error:
        _complain(str(error))
        return FAILED
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _complain(f"Port {port} is in use by another program: choose another with --port (0: any free one).")
        return PORT_TAKEN
    return STOPPED


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


async def _serve_while_alive(
    gateway: Gateway, backend: str, flags: Path, process: asyncio.subprocess.Process, fault: Fault
) -> None:
    """Serves until told to stop. Raises BackendError where the orders application ends first."""
    served: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(
        gateway(backend, flags, announce=served.set_result, extend=lambda app: add_page(app, backend))
    )
    ended = asyncio.ensure_future(process.wait())
    visit = asyncio.ensure_future(_visit(served, backend, fault))
    try:
        await asyncio.wait({serving, ended, visit}, return_when=asyncio.FIRST_COMPLETED)
        if visit.done():
            visit.result()
        if not serving.done():
            raise BackendError(f"The demo's orders application ended by itself (exit code {ended.result()}).")
        serving.result()
    finally:
        # Cancelled, the gateway still drains.
        await end_all(serving, ended, visit)


async def _visit(served: asyncio.Future[str], backend: str, fault: Fault) -> None:
    """Tells the orders application where the gateway serves, and then people; then polls until cancelled."""
    address = await served
    try:
        async with OrdersApplication.at(backend) as application:
            await application.publish(gateway=address, fault=fault)
    except UpstreamError as error:
        raise BackendError(error.detail) from error
    sys.stdout.write(f"The demo is at {address}/ (open it in a browser; stop with Ctrl-C)\n")
    sys.stdout.flush()
    await pollers.run(address, random.Random())


@contextlib.asynccontextmanager
async def _backend(simulate_every_seconds: float) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The orders application while it runs, and its address. Raises BackendError where it does not start."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.demo.backend", "--port", "0", "--stop-with-stdin"),
        *("--publish", "--orders", str(ORDERS), "--simulate-every", str(simulate_every_seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A terminal's Ctrl-C is for the gateway alone: it drains first, and the application ends after it.
        start_new_session=True,
    )
    try:
        yield process, await _address(process)
    finally:
        await _end(process)


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None, "started with a pipe"
    try:
        async with asyncio.timeout(START_SECONDS):
            line = (await process.stdout.readline()).decode("utf-8", "replace")
    except TimeoutError:
        raise BackendError(
            f"The demo's orders application does not serve after {START_SECONDS:.0f} seconds."
        ) from None
    if not line.startswith(ADDRESS_LINE):
        raise BackendError("The demo's orders application did not start: its reason stands above.")
    return line.removeprefix(ADDRESS_LINE).strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the process if it still runs: SIGTERM, and SIGKILL where that is not enough."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
