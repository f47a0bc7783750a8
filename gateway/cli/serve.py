"""`tidegate serve`: the gateway in the foreground, until SIGTERM, SIGINT or SIGHUP."""

import typer

from gateway.cli.loop import run
from gateway.cli.serving import serving
from gateway.cli.workers import serve_workers
from gateway.runtime import logs
from gateway.service.serve import serve
from gateway.service.settings import Settings


def run_gateway(settings: Settings, log_level: str) -> None:
    """Serves until the gateway has drained. Raises CommandError where it can't start."""
    logs.configure(log_level)
    with serving(settings):
        if settings.server.workers == 1:
            run(serve(settings, announce=_announce))
        else:
            run(serve_workers(settings, log_level, _announce))


def _announce(address: str) -> None:
    # Whoever starts the gateway may wait for this line through a pipe: typer.echo flushes.
    typer.echo(f"tidegate serving on {address}")
