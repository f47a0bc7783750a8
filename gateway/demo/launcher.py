"""`tidegate demo`: the orders application in a process of its own, the gateway before it, and a page."""

import asyncio
import contextlib
import errno
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.core.errors import UpstreamError
from gateway.demo.application import OrdersApplication
from gateway.demo.backend import ADDRESS_LINE
from gateway.demo.page import add_page
from gateway.demo.publisher import Fault
from gateway.runtime import logs
from gateway.runtime.unattended import end_all
from gateway.service.config import load_settings
from gateway.service.serve import serve
from gateway.service.settings import FlagsSettings, Settings

CONFIG = Path(__file__).with_name("tidegate.toml")
FLAGS = Path(__file__).with_name("flags.json")

ORDERS = 12
START_SECONDS = 20.0
"""How long the orders application may take to serve."""
STOP_SECONDS = 5.0
"""How long it may take to end before it is killed."""

STOPPED, FAILED, PORT_TAKEN = 0, 1, 2


class BackendError(Exception):
    """The orders application did not start, or ended by itself; the message is for people."""


async def run_demo(port: int, simulate_every_seconds: float, fault: Fault) -> int:
    """Runs the demo on 127.0.0.1 until SIGTERM, SIGINT or SIGHUP. Gives the exit code.

    `port` is the page's, 0 for any free one; `simulate_every_seconds` the pause between two changes to the
    orders, 0 for none; `fault` what is wrong with what is published of them. Standard output gets the line
    with the page's address once it serves, standard error the one that says why the demo ends. 0: stopped as
    asked, after the gateway has drained and the orders application has ended; 1: the orders application
    failed; 2: the port is taken. Raises ConfigError where a TIDEGATE_ variable is wrong.
    """
    logs.configure("warning")
    settings = load_settings(CONFIG, {"server": {"host": "127.0.0.1", "port": port}})
    try:
        async with _backend(simulate_every_seconds) as (process, address):
            with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as directory:
                settings = _before(settings, address, Path(directory))
                await _serve_while_alive(settings, address, process, fault)
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


def _before(settings: Settings, backend: str, directory: Path) -> Settings:
    """`settings` with the orders application's address as the upstream of every legacy route.

    The flags are kept in `directory`: no walk through a migration begins with the end of the last one.
    """
    routes = tuple(route.model_copy(update={"upstream": f"{backend}/orders"}) for route in settings.legacy)
    flags = shutil.copyfile(FLAGS, directory / FLAGS.name)
    return settings.model_copy(update={"legacy": routes, "flags": FlagsSettings(store=f"file:{flags}")})


async def _serve_while_alive(
    settings: Settings, backend: str, process: asyncio.subprocess.Process, fault: Fault
) -> None:
    """Serves until told to stop. Raises BackendError where the orders application ends first."""
    served: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    gateway = asyncio.ensure_future(
        serve(settings, announce=served.set_result, extend=lambda app: add_page(app, backend))
    )
    ended = asyncio.ensure_future(process.wait())
    introduction = asyncio.ensure_future(_introduce(served, backend, fault))
    try:
        await asyncio.wait({gateway, ended, introduction}, return_when=asyncio.FIRST_COMPLETED)
        if introduction.done():
            introduction.result()
            await asyncio.wait({gateway, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not gateway.done():
            raise BackendError(f"The demo's orders application ended by itself (exit code {ended.result()}).")
        gateway.result()
    finally:
        # Cancelled, the gateway still drains.
        await end_all(gateway, ended, introduction)


async def _introduce(served: asyncio.Future[str], backend: str, fault: Fault) -> None:
    """Tells the orders application where the gateway serves, and then people."""
    address = await served
    try:
        async with OrdersApplication.at(backend) as application:
            await application.publish(gateway=address, fault=fault)
    except UpstreamError as error:
        raise BackendError(error.detail) from error
    sys.stdout.write(f"The demo is at {address}/ (open it in a browser; stop with Ctrl-C)\n")
    sys.stdout.flush()


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
