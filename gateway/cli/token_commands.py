"""The commands `tidegate token` and `tidegate key`: options, help texts, exit codes; tokens.py does them."""

from typing import Annotated

import typer

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

        wanted = Wanted(sub, claims, tuple(subscribe or ()), tuple(publish or ()), admin, expires_in)
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
