"""The commands `tidegate postgres …`: options, help texts, exit codes; postgres.py has what they do."""

import enum
from typing import Annotated

import typer

from gateway.cli.options import ending

postgres_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Set a log in Postgres up, and turn changes of tables into events.",
)


class NotifyName(enum.StrEnum):
    """The values of --notify."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="TIDEGATE_LOG__URL",
        help="The database: postgres://user@host/name; PGPASSWORD and ~/.pgpass count.",
        show_default=False,
    ),
]
SchemaOption = Annotated[
    str | None,
    typer.Option(
        "--schema",
        metavar="NAME",
        help="The schema that the log is in. Default: the first of the connection's search_path.",
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the SQL, and change nothing.")]
TableArgument = Annotated[
    str, typer.Argument(metavar="TABLE", help="As SQL writes it: orders, shop.orders.", show_default=False)
]


@postgres_app.command()
def install(url: UrlOption, schema: SchemaOption = None, dry_run: DryRunOption = False) -> None:
    """Make the log's tables and functions, or bring them up to date.

    All of it or nothing; doing it again does nothing.

    \b
    Examples:
      tidegate postgres install --url postgres://tidegate@db.example/shop
      tidegate postgres install --url postgres://tidegate@db.example/shop --schema tidegate --dry-run

    \b
    Exit codes:
      0  the schema is up to date
      2  the URL is wrong, or the schema is newer than this release
      4  the server can't be reached, or refuses
    """
    with ending():
        from gateway.cli.postgres import Database, show

        show(Database(url, schema).install(dry_run=dry_run))


@postgres_app.command()
def capture(
    table: TableArgument,
    url: UrlOption,
    entity: Annotated[
        str, typer.Option(metavar="TYPE", help="The entity type that a row is.", show_default=False)
    ],
    key: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column that is the entity's id.", show_default=False)
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="C[,C...]", help="Only these columns, and the key; repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="C[,C...]", help="All columns but these, which never enter the log; repeatable."
        ),
    ] = None,
    event_types: Annotated[
        list[str] | None,
        typer.Option(metavar="C=T[,C=T...]", help="The event type for a changed column; repeatable."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="QUERY",
            help="What a row is given as: a query of `row`, which has the captured columns.",
            show_default=False,
        ),
    ] = None,
    max_event_bytes: Annotated[
        int, typer.Option(metavar="N", help="Larger events go out with less in them.")
    ] = 65_536,
    notify: Annotated[
        NotifyName,
        typer.Option(help="Wake the gateways at once; auto: unless the server has two-phase commits."),
    ] = NotifyName.AUTO,
    schema: SchemaOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Turn every change of a table into events, whoever makes it.

    Doing it again replaces how the table was captured. Columns that the table gets later are not in the
    events before that.

    \b
    Examples:
      tidegate postgres capture orders --entity order --key id --without card_token
      tidegate postgres capture shop.orders --entity order --key id \\
        --event-types order_stage=stage_change,payment_stage=payment_update
      tidegate postgres capture tickets --entity ticket --key id \\
        --as "select id, price::text as price, customer_id as customer from row"

    \b
    Exit codes:
      0  the table is captured
      2  an option or the schema is wrong, or the table can't be captured; nothing was changed
      4  the server can't be reached, refuses, or the table was locked; nothing was changed
    """
    with ending():
        from adapters.postgres.capture import Capture
        from gateway.cli.postgres import Database, names, pairs, show

        wanted = Capture(
            entity=entity,
            key=key,
            columns=names("columns", columns or ()),
            without=names("without", without or ()),
            changes=pairs("event-types", event_types or ()),
            max_event_bytes=max_event_bytes,
            notify=notify.value,
            query=query,
        )
        show(Database(url, schema).capture(table, wanted, dry_run=dry_run))


@postgres_app.command()
def uncapture(
    table: TableArgument, url: UrlOption, schema: SchemaOption = None, dry_run: DryRunOption = False
) -> None:
    """Make no more events of a table's changes. Those in the log stay.

    \b
    Example:
      tidegate postgres uncapture orders

    \b
    Exit codes:
      0  the table is no longer captured
      2  it was not, or there is no such table
      4  the server can't be reached, refuses, or the table was locked; nothing was changed
    """
    with ending():
        from gateway.cli.postgres import Database, show

        show(Database(url, schema).uncapture(table, dry_run=dry_run))


@postgres_app.command()
def status(
    url: UrlOption,
    schema: SchemaOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what is captured, what the log holds, and what holds its delivery up.

    \b
    Examples:
      tidegate postgres status
      tidegate postgres status --json | jq .log.waitingSeconds

    \b
    Exit codes:
      0  shown, whatever it says
      2  the URL or the schema is wrong
      4  the server can't be reached, or refuses
    """
    with ending():
        import json

        from gateway.cli.postgres import Database, show
        from gateway.cli.postgres_view import status_json, status_lines

        found = Database(url, schema).status()
        show([json.dumps(status_json(found), indent=2)] if as_json else status_lines(found))
