"""The commands `tidegate check-config` and `tidegate route`: options, help texts and exit codes.

What they do is in check.py, try_config.py and route.py.
"""

from typing import Annotated

import typer

from gateway.cli import WRONG_INPUT, CommandError
from gateway.cli.options import ConfigOption, config_file, ending, settings_of

route_app = typer.Typer()

PauseOption = Annotated[
    float, typer.Option(min=0, max=3600, metavar="SECONDS", help="Between asking once and asking again.")
]


@route_app.command("check-config")
def check_config(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every setting in force, as JSON.")] = False,
    is_tried: Annotated[
        bool, typer.Option("--try", help="Ask each upstream twice, and say what came of it.")
    ] = False,
    given: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=VALUE", help="With --try, for a path's {NAME}; repeatable."),
    ] = None,
    pause: PauseOption = 2.0,
) -> None:
    """Check a configuration and say what would run with it.

    Looks at the file and at TIDEGATE_* variables, as `serve` does; starts nothing and, without --try,
    connects to nothing. With --try each upstream is asked as the gateway would ask it, and what it answers is
    read and compared; nothing is published.

    \b
    Examples:
      tidegate check-config --config tidegate.toml
      tidegate check-config --json | jq .server.port
      tidegate check-config --try --with customer=7

    \b
    Exit codes:
      0  the configuration is fine, and with --try so are the answers
      2  it is not; one sentence says why
      3  with --try: an upstream refused (4xx), or its answer can't be compared
      4  with --try: an upstream can't be reached or failed (5xx, 408, 429)
    """
    with ending():
        file = config_file(config)
        settings = settings_of(file)
        from gateway.cli.routes.check import as_json_text, summary

        if as_json:
            if is_tried:
                raise CommandError(WRONG_INPUT, "--json prints settings alone: leave it out with --try.")
            typer.echo(as_json_text(settings))
            return

        typer.echo("\n".join(summary(settings, str(file) if file else None)))
        if is_tried:
            from gateway.cli.loop import run
            from gateway.cli.routes.try_config import tried, values_of
            from gateway.runtime.logs import silence

            silence()
            lines, code = run(tried(settings, values_of(given or ()), pause))
            typer.echo("\n".join(["", *lines]))
            raise typer.Exit(code)


@route_app.command()
def route(
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="What pollers ask today.")],
    method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Default: GET, with a body POST.")
    ] = None,
    body: Annotated[
        str | None, typer.Option(metavar="TEXT|@FILE", help="What is sent: JSON, unless --header says more.")
    ] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="'NAME: VALUE'", help="A header field that is sent; repeatable."),
    ] = None,
    ca_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Authorities to trust for https, in PEM.")
    ] = None,
    pause: PauseOption = 2.0,
) -> None:
    """Ask an upstream twice, and print a legacy route for it to paste into the configuration.

    Where the items are, what identifies one, how pages go on and what changes all the time is guessed from
    the answers; comments say what is doubtful. What looks like a secret becomes a variable of the
    environment; as others may read a command line, ${NAME} may be given in its place.

    \b
    Examples:
      tidegate route http://127.0.0.1:9000/orders >> tidegate.toml
      tidegate route 'http://127.0.0.1:9000/orders?status=open' --header 'Authorization: Bearer ${TOKEN}'
      tidegate route http://127.0.0.1:4000/graphql --body '{"query": "{ orders { id stage } }"}'

    \b
    Exit codes:
      0  printed
      2  an option is wrong
      3  the upstream refused (4xx)
      4  the upstream can't be reached or failed (5xx, 408, 429)
    """
    with ending():
        from gateway.cli.loop import run
        from gateway.cli.routes.route import asked_for
        from gateway.cli.routes.route import route as guessed

        asked = asked_for(url, method, body, headers or [])
        typer.echo("\n".join(run(guessed(asked, ca_file, pause))))
