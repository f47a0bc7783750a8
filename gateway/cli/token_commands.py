"""The commands `tidegate token`, `tidegate key` and `tidegate explain`: options, help texts, exit codes.

What they do is in tokens.py and explain.py.
"""

from typing import Annotated

import typer

from gateway.cli import WRONG_INPUT, CommandError
from gateway.cli.options import ConfigOption, config_file, ending, settings_of

token_app = typer.Typer()


@token_app.command()
def token(
    sub: Annotated[str, typer.Option(metavar="ID", help="Whose token it is.", show_default=False)],
    claims: Annotated[
        str, typer.Option(metavar="JSON", help='Further claims: \'{"role": "customer"}\'.')
    ] = "{}",
    subscribe: Annotated[
        list[str] | None,
        typer.Option(metavar="GRANT", help="What it may receive: order, order:7, order:a=eq.1; repeatable."),
    ] = None,
    publish: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="Entity types that it may publish, global or *; repeatable."),
    ] = None,
    presence: Annotated[
        list[str] | None,
        typer.Option(metavar="CHANNEL", help="Channels that it may join, or *; repeatable."),
    ] = None,
    broadcast: Annotated[
        list[str] | None,
        typer.Option(metavar="CHANNEL", help="Channels that it may hear and speak in, or *; repeatable."),
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="It may administer the gateway.")] = False,
    expires_in: Annotated[
        int, typer.Option(min=1, max=315_360_000, metavar="SECONDS", help="How long it is valid.")
    ] = 3600,
    config: ConfigOption = None,
) -> None:
    """Print a token for development, signed with auth.secret.

    It has the audience and issuer of the configuration, and an id of its own (jti). Where tokens are checked
    with a public key or a JWKS, their issuer alone can sign one.

    \b
    Examples:
      tidegate token --sub u42 --subscribe 'order:customer_id=eq.42'
      tidegate token --sub u42 --claims '{"role": "customer"}' --expires-in 600
      curl -N -H "Authorization: Bearer $(tidegate token --sub u42 --subscribe order)" \\
        http://127.0.0.1:8080/api/v1/sync/events

    \b
    Exit codes:
      0  printed
      2  an option or the configuration is wrong, or there is no secret to sign with
    """
    with ending():
        import time

        from gateway.cli.tokens import Wanted, mint

        wanted = Wanted(
            *(sub, claims, tuple(subscribe or ()), tuple(publish or ())),
            *(tuple(presence or ()), tuple(broadcast or ()), admin, expires_in),
        )
        typer.echo(mint(settings_of(config_file(config)), wanted, time.time()))


@token_app.command()
def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.", show_default=False)],
) -> None:
    """Make a static key for a backend or a scraper.

    Prints the key, which is shown this once, and the part of the configuration by which the gateway knows
    it, without the key itself.

    \b
    Examples:
      tidegate key billing
      tidegate key prometheus

    \b
    Exit codes:
      0  printed
      2  the name is not 1 to 64 of A-Z a-z 0-9 _ . -
    """
    with ending():
        from gateway.cli.tokens import new_key

        typer.echo("\n".join(new_key(name)))


@token_app.command()
def explain(
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="TIDEGATE_TOKEN",
            help="A token or a static key. Without it: whoever has none.",
        ),
    ] = None,
    event: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The id of an event, which is read from log.url.")
    ] = None,
    event_json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="A file with an event's JSON; - is standard input.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Say what a caller is granted and by what, and why an event does not reach it.

    Looks at the configuration and the token alone, and at the event where one is given: what a gateway with
    that configuration would do, but for revocations and for the flags of a migration. What a token or an
    event holds is not shown, but for the subject and for what grants are made of.

    \b
    Examples:
      tidegate explain --token "$TOKEN"
      tidegate explain --token "$TOKEN" --event 1k2j.1795766400123-0
      tidegate tail --limit 1 --json | tidegate explain --token "$TOKEN" --event-json -

    \b
    Exit codes:
      0  explained, whatever the answer is
      2  an option, the file, the event or the configuration is wrong
      3  the token or key is not valid, or there is none and callers without one get 401
      4  the log or the issuer's keys can't be reached
    """
    with ending():
        import asyncio

        from gateway.cli.explain import Wanted
        from gateway.cli.explain import explain as explained
        from gateway.cli.terminal import printable

        if event is not None and event_json is not None:
            raise CommandError(WRONG_INPUT, "Give --event or --event-json, not both.")
        wanted = Wanted(token, event, event_json)
        for line in asyncio.run(explained(settings_of(config_file(config)), wanted)):
            typer.echo(printable(line))
