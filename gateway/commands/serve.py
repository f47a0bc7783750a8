"""`tidegate serve`: the gateway in the foreground, until SIGTERM or SIGINT."""

import errno
import socket

import typer

from gateway import logs
from gateway.app import serve
from gateway.commands import WRONG_INPUT, CommandError
from gateway.commands.check import origin
from gateway.commands.loop import run
from gateway.settings import Settings

_ADDRESS_PROBLEMS = {
    errno.EADDRINUSE: "is in use by another program: choose another with --port (0 takes any free one)",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
    errno.EACCES: "needs more rights than this user has: choose a port from 1024 up",
}


def run_gateway(settings: Settings, log_level: str) -> None:
    """Serves until the gateway has drained. Raises CommandError where its address can't be taken."""
    logs.configure(log_level)
    try:
        run(serve(settings, announce=_announce))
    except OSError as error:
        unresolved = isinstance(error, socket.gaierror)
        problem = "can't be resolved" if unresolved else _ADDRESS_PROBLEMS.get(error.errno or 0)
        if problem is None:
            raise
        raise CommandError(
            WRONG_INPUT, f"{origin(settings)} (server.host and server.port) {problem}."
        ) from error


def _announce(address: str) -> None:
    # Whoever starts the gateway may wait for this line through a pipe: typer.echo flushes.
    typer.echo(f"tidegate serving on {address}")
