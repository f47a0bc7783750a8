"""The command `tidegate`: options, help texts and exit codes. What a command does is in gateway/cli.

Nothing heavy is imported before a command needs it, so that `--help` and `version` answer at once.
"""

import enum
import os
from typing import Annotated

import typer

from gateway.cli import DONE
from gateway.cli.flags_commands import flags_app
from gateway.cli.options import (
    DEFAULT_GATEWAY,
    ConfigOption,
    GatewayOption,
    TokenOption,
    config_file,
    ending,
    settings_of,
)
from gateway.cli.postgres_commands import postgres_app
from gateway.cli.routes.commands import route_app
from gateway.cli.token_commands import token_app

app = typer.Typer(
    name="tidegate",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(route_app)
app.add_typer(token_app)
app.add_typer(flags_app, name="flags")
app.add_typer(postgres_app, name="postgres")


class LogLevel(enum.StrEnum):
    """The levels of --log-level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Hints(enum.StrEnum):
    """The values of --hints (docs/protocol.md, section 4)."""

    OFF = "off"
    WITH = "with"
    ONLY = "only"


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        version()
        raise typer.Exit


@app.callback()
def tidegate(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Tidegate polls your backend once for everybody and pushes what changed as Server-Sent Events.

    \b
    Examples:
      tidegate demo
      tidegate serve --config tidegate.toml
      tidegate tail --entity order

    \b
    Exit codes of all commands:
      0    done
      1    unexpected failure
      2    wrong setting, option or file, or address in use
      3    the gateway refused the request (4xx)
      4    the gateway can't be reached or failed (5xx): try again later
      130  Ctrl-C

    Colours are used on a terminal only, and not where NO_COLOR is set.
    """
    if os.environ.get("NO_COLOR"):
        context.color = False


@app.command()
def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to listen on (server.host).")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="P", help="Port to listen on (server.port); 0 takes any free one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that share the address (server.workers).")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What goes to standard error.")] = LogLevel.INFO,
) -> None:
    """Run the gateway in the foreground.

    Prints one line with its address once it serves. Ends on SIGTERM or Ctrl-C after the open streams were
    told to reconnect. Options win over TIDEGATE_* variables, variables over the file.

    \b
    Examples:
      tidegate serve
      tidegate serve --config tidegate.toml --port 9000
      TIDEGATE_SERVER__PORT=9000 tidegate serve

    \b
    Exit codes:
      0  ended as asked, after draining
      1  unexpected failure
      2  wrong setting, or address in use
    """
    with ending(interrupted=DONE):
        settings = settings_of(config_file(config), host=host, port=port, workers=workers)
        from gateway.cli.serve import run_gateway

        run_gateway(settings, log_level.value)


@app.command()
def publish(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", show_default=False, help="JSON file; - is standard input.")
    ] = "-",
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="K", help="Makes the same command safe to repeat for 10 minutes.")
    ] = None,
) -> None:
    """Publish one event, or a list of events, from a file or standard input.

    Prints the cursor of the last event. A list is published whole or not at all.

    \b
    Examples:
      tidegate publish events.json
      echo '{"eventType": "hello", "data": {"n": 1}}' | tidegate publish
      tidegate publish events.json --idempotency-key import-2026-11-20

    \b
    Exit codes:
      0  published
      2  the file can't be read, or an option is wrong
      3  the gateway refused the events; each place is shown
      4  the gateway can't be reached or failed
    """
    with ending():
        import asyncio

        from gateway.cli import publish as command

        asyncio.run(command.publish(url, command.read_events(file), idempotency_key, token))


@app.command()
def tail(
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    entity: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE[:ID]", help="Only this entity type, or this one entity; repeatable."),
    ] = None,
    event_types: Annotated[
        list[str] | None,
        typer.Option(metavar="T[,T...]", help="Only these event types; repeatable."),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", metavar="F", help="Only where this holds of data: branch_id=eq.7; repeatable."
        ),
    ] = None,
    hints: Annotated[
        Hints, typer.Option(help="Refresh hints: none, beside the events, or alone.")
    ] = Hints.OFF,
    client: Annotated[
        str | None, typer.Option(metavar="ID", help="The client id to be known by: migrations go by it.")
    ] = None,
    cursor: Annotated[
        str | None,
        typer.Option(metavar="C", help="Start after this cursor; earliest: all that is held. Default: now."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on standard output, and nothing else.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N events.")] = None,
) -> None:
    """Follow the stream of events in the terminal.

    Events go to standard output, notes about the connection to standard error. A broken connection is
    resumed after the last event seen, without loss or double. With --json each line is the event as the
    gateway sent it; a refresh hint is the line that has no eventType.

    \b
    Examples:
      tidegate tail
      tidegate tail --entity order --event-types stage_change,payment_update
      tidegate tail --filter branch_id=eq.7 --filter total=gt.100
      tidegate tail --cursor earliest --limit 10 --json | jq .data

    \b
    Exit codes:
      0    N events shown, or the gateway asked to poll or ended the stream for good
      2    an option is wrong
      3    the gateway refused the request
      4    the gateway can't be reached at first; once it was, it is tried for ever
      130  Ctrl-C
    """
    with ending():
        import asyncio

        from gateway.cli.tail import Wanted, follow
        from gateway.core.backoff import Backoff

        parameters = [("entity", value) for value in entity or ()]
        parameters += [("eventTypes", value) for value in event_types or ()]
        parameters += [("filter", value) for value in filters or ()]
        parameters += [] if client is None else [("clientId", client)]
        parameters.append(("hints", hints.value))
        wanted = Wanted(url, tuple(parameters), cursor, limit, as_json, token)
        raise typer.Exit(asyncio.run(follow(wanted, Backoff(base_seconds=1.0, cap_seconds=30.0))))


@app.command()
def relay(
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="The log to read: postgres://…", envvar="RELAY_FROM")
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="URL", help="The log to fill: redis://…", envvar="RELAY_TO")
    ],
    max_events: Annotated[int, typer.Option(min=1, metavar="N", help="Events that the target keeps.")] = (
        1_000_000
    ),
    max_age_seconds: Annotated[
        float, typer.Option(min=1, metavar="S", help="How long the target keeps an event.")
    ] = 604_800.0,
    lock_seconds: Annotated[
        float,
        typer.Option(min=0.1, metavar="S", help="After that long another relay takes over from a dead one."),
    ] = 5.0,
    log_level: Annotated[LogLevel, typer.Option(help="What goes to standard error.")] = LogLevel.INFO,
) -> None:
    """Copy the events of a Postgres log into Redis, where any number of gateways read them.

    Positions and epoch carry over: a cursor is good at gateways of either. A Redis that lost events is filled
    again from Postgres. Run two of these, for when one dies; one of them works at a time. What stands on a
    command line others may read: the URLs may be given as RELAY_FROM and RELAY_TO in the environment.

    \b
    Examples:
      tidegate relay --from postgres://gateway@db/events --to redis://cache
      tidegate relay --from postgres://gateway@db/events --to rediss://:secret@cache:6380/0?prefix=shop

    \b
    Exit codes:
      0  ended as asked
      1  unexpected failure
      2  an option is wrong
      4  a log can't be used at the start; later failures are tried again for ever
    """
    with ending(interrupted=DONE):
        from gateway.cli.loop import run
        from gateway.cli.relay import Wanted, run_relay

        wanted = Wanted(source, target, max_events, max_age_seconds, lock_seconds)
        run(run_relay(wanted, log_level.value))


@app.command()
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="P", help="Port of the page; 0: any.")
    ] = 8080,
    every: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="Pause between two changes; 0: none.")
    ] = 1.0,
    fault: Annotated[
        str | None,
        typer.Option(
            metavar="stale-push|none",
            help="What is wrong with push, in the demo that runs on this port, or in a new one.",
        ),
    ] = None,
) -> None:
    """Show the gateway at work: a small orders backend, the gateway before it, and a page with both.

    The page shows the same orders twice, polled and pushed, and how far their migration is. Everything runs
    on this machine and ends with Ctrl-C. With --fault a demo that runs already is broken or mended, and the
    command ends at once.

    \b
    Examples:
      tidegate demo
      tidegate demo --port 9000
      tidegate demo --fault stale-push

    \b
    Exit codes:
      0  ended as asked
      1  unexpected failure
      2  wrong option, or address in use
      4  the demo that runs could not be changed
    """
    with ending(interrupted=DONE):
        from gateway.cli.demo import change_fault, parse_fault, serve_demo
        from gateway.cli.loop import run
        from gateway.demo.publisher import Fault

        wanted = Fault.NONE if fault is None else parse_fault(fault)
        changed = None if fault is None or port == 0 else run(change_fault(port, wanted))
        if changed is None:
            raise typer.Exit(run(serve_demo(port, every, wanted)))
        typer.echo(changed)


@app.command()
def version() -> None:
    """Print the version.

    \b
    Example:
      tidegate version
    """
    from gateway.core.version import __version__

    typer.echo(f"tidegate {__version__}")


def main() -> None:
    """The entry point of `tidegate`; ends the process with an exit code of gateway/cli."""
    app()
