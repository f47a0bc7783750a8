"""What the commands of `tidegate` share: the gateway's address, its settings, and how they end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import FAILED, INTERRUPTED, WRONG_INPUT, CommandError
from gateway.cli.terminal import problem
from gateway.core.errors import ConfigError, TidegateError

if TYPE_CHECKING:
    from gateway.service.settings import Settings

DEFAULT_GATEWAY = "http://127.0.0.1:8080"

GatewayOption = Annotated[str, typer.Option("--url", metavar="URL", help="Address of the gateway.")]

TokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="TIDEGATE_TOKEN",
        help="A token or static key. Others may read a command line: the variable is for that.",
    ),
]

DEFAULT_CONFIG = Path("tidegate.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="TOML file. Default: tidegate.toml here, if there is one."
    ),
]


def config_file(given: Path | None) -> Path | None:
    """The configuration to read: the one that was given, or that of this directory; None for none."""
    if given is None and DEFAULT_CONFIG.is_file():
        return DEFAULT_CONFIG
    return given


def settings_of(file: Path | None, **server: object) -> "Settings":
    """What is set in `file`, in the environment, and of `server` on the command line. Raises ConfigError."""
    from gateway.service.config import load_settings

    given = {name: value for name, value in server.items() if value is not None}
    return load_settings(file, {"server": given} if given else {})


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
