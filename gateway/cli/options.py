"""What all commands of `tidegate` share: the gateway's address, and how they end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from gateway.cli import FAILED, INTERRUPTED, WRONG_INPUT, CommandError
from gateway.cli.terminal import problem
from gateway.core.errors import ConfigError, TidegateError

DEFAULT_GATEWAY = "http://127.0.0.1:8080"

GatewayOption = Annotated[str, typer.Option("--url", metavar="URL", help="Address of the gateway.")]


@contextmanager
def ending(*, interrupted: int = INTERRUPTED) -> Iterator[None]:
    """Turns what a command raises into one message and its exit code.

    `interrupted` is that of Ctrl-C: what runs until then has ended as asked, also before it served.
    """
    try:
        yield
    except CommandError as error:
        problem(error.message)
        raise typer.Exit(error.exit_code) from None
    except TidegateError as error:
        problem(error.detail)
        raise typer.Exit(WRONG_INPUT if isinstance(error, ConfigError) else FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(interrupted) from None
