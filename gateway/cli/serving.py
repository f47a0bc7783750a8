"""What keeps a gateway from serving, as one sentence and its exit code."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.cli import FAILED, WRONG_INPUT, CommandError
from gateway.cli.routes.check import origin
from gateway.core.errors import ConfigError, TidegateError
from gateway.service.settings import Settings

_ADDRESS_PROBLEMS = {
    errno.EADDRINUSE: "is in use by another program: choose another with --port (0 takes any free one)",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
    errno.EACCES: "needs more rights than this user has: choose a port from 1024 up",
}


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """Turns what keeps a gateway with these settings from serving into a CommandError of one sentence."""
    try:
        yield
    except TidegateError as error:
        code = WRONG_INPUT if isinstance(error, ConfigError) else FAILED
        raise CommandError(code, error.detail) from error
    except OSError as error:
        unresolved = isinstance(error, socket.gaierror)
        problem = "can't be resolved" if unresolved else _ADDRESS_PROBLEMS.get(error.errno or 0)
        if problem is None:
            raise
        raise CommandError(
            WRONG_INPUT, f"{origin(settings)} (server.host and server.port) {problem}."
        ) from error
