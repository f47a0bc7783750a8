"""The commands `tidegate flags …`: options, help texts and exit codes; flags.py has what they do."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flags.decide.stages import Stage
from gateway.cli import WRONG_INPUT, CommandError, flags_view
from gateway.cli.guard_view import guard_lines
from gateway.cli.nodes_view import each_node_lines
from gateway.cli.options import DEFAULT_GATEWAY, GatewayOption, TokenOption, ending
from gateway.cli.telemetry_view import telemetry_lines
from gateway.cli.terminal import note

if TYPE_CHECKING:
    from gateway.cli.flags import Administration

Members = Mapping[str, Any]

_PLACING = frozenset({"percentage", "stage", "stickiness"})
"""The members of a flag by which more callers may be placed, or others."""

flags_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Read and change the flags of a running gateway: who polls, and who streams.",
)


class PreferenceName(enum.StrEnum):
    """The values of --delivery."""

    AUTO = "auto"
    POLLING = "polling"
    STREAMING = "streaming"


ComponentArgument = Annotated[str, typer.Argument(metavar="COMPONENT", show_default=False)]
OptionalComponent = Annotated[str | None, typer.Argument(metavar="COMPONENT", show_default=False)]
ReasonOption = Annotated[
    str, typer.Option(metavar="WHY", help="Why; kept in the history.", show_default=False)
]
OperatorOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who; kept in the history. Default: the user.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the gateway's answer as JSON.")]
NodesOption = Annotated[bool, typer.Option("--nodes", help="Show the figures of each node beside the sum.")]
LocalOption = Annotated[
    bool, typer.Option("--local", help="On this node, also where the flags' store can't be reached.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every component, now, and those to come.")]


@flags_app.command("list")
def list_flags(
    url: GatewayOption = DEFAULT_GATEWAY, token: TokenOption = None, as_json: JsonOption = False
) -> None:
    """List all flags.

    \b
    Example:
      tidegate flags list
    """
    _answer(url, token, None, as_json, lambda flags: flags.list(), flags_view.list_lines)


@flags_app.command()
def show(
    component: ComponentArgument,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all members of a flag.

    \b
    Example:
      tidegate flags show orders
    """
    _answer(url, token, None, as_json, lambda flags: flags.show(component), flags_view.flag_lines)


@flags_app.command("set")
def set_flag(
    component: ComponentArgument,
    reason: ReasonOption,
    stage: Annotated[Stage | None, typer.Option(help="The stage to go to.")] = None,
    percentage: Annotated[
        float | None, typer.Option(metavar="P", help="How many callers stream in live: 0 to 100.")
    ] = None,
    sunset: Annotated[
        str | None, typer.Option(metavar="TIME", help="When polling ends: 2027-01-31T00:00:00Z.")
    ] = None,
    poll_interval_ms: Annotated[int | None, typer.Option(metavar="MS", help="What pollers are told.")] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="JSON object with any members, such as targeting and guard."),
    ] = None,
    revision: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only if the flag is still at this revision.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make a flag also for a component that is not configured.")
    ] = False,
    operator: OperatorOption = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a flag; make it, where the component has none.

    What is not named stays as it is. A change that somebody else made meanwhile is not overwritten: the
    command then says what changed, and ends with 3. A flag for a component that the gateway does not know
    would decide nothing, and is mostly a slip of the pen: it takes --force.

    \b
    Examples:
      tidegate flags set orders --stage shadow --reason "compare first"
      tidegate flags set orders --stage live --percentage 25 --reason "first quarter"
      tidegate flags set orders --file targeting.json --reason "staff first" --revision 4
    """
    with ending():
        from gateway.cli.flags import read_fields

        given = {
            "stage": stage,
            "percentage": percentage,
            "sunset": sunset,
            "pollIntervalMs": poll_interval_ms,
        }
        fields = read_fields(file) | {name: value for name, value in given.items() if value is not None}
        if not fields:
            raise CommandError(WRONG_INPUT, "nothing to change: give --stage, --percentage or --file.")
    _answer(
        url,
        token,
        operator,
        as_json,
        lambda flags: flags.set(component, fields, reason, revision, force=force),
        flags_view.changed_lines,
        lambda flags, flag: flags.keyless(component, flag) if _PLACING & fields.keys() else [],
    )


@flags_app.command()
def delete(
    component: ComponentArgument,
    reason: ReasonOption,
    revision: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only if the flag is still at this revision.")
    ] = None,
    operator: OperatorOption = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a flag: the component streams and polls freely then.

    Its history stays. A flag that is killed or latched is not removed: that would let everybody stream.

    \b
    Example:
      tidegate flags delete ordres --reason "a slip of the pen"
    """
    _answer(
        url,
        token,
        operator,
        as_json,
        lambda flags: flags.delete(component, reason, revision),
        flags_view.removed_lines,
    )


@flags_app.command()
def rollback(
    component: ComponentArgument,
    reason: ReasonOption,
    to: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Default: before the last change of stage or percentage."),
    ] = None,
    operator: OperatorOption = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a flag back to an earlier revision.

    \b
    Examples:
      tidegate flags rollback orders --reason "errors at 50 %"
      tidegate flags rollback orders --to 3 --reason "as it was on Monday"
    """
    _answer(
        url,
        token,
        operator,
        as_json,
        lambda flags: flags.rollback(component, reason, to),
        flags_view.changed_lines,
    )


@flags_app.command()
def kill(
    reason: ReasonOption,
    component: OptionalComponent = None,
    everything: AllOption = False,
    local: LocalOption = False,
    operator: OperatorOption = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send all callers of a component, or of everything, to polling at once.

    With --local it holds on this node at once, whatever the flags' store does, and is written there as soon
    as that takes it. Other nodes learn of it then.

    \b
    Examples:
      tidegate flags kill orders --reason "stale prices"
      tidegate flags kill orders --local --reason "stale prices, and the database is down"
      tidegate flags kill --all --reason "incident 42"
    """
    _switch("kill", component, everything, reason, operator, url, token, as_json, local=local)


@flags_app.command()
def unkill(
    reason: ReasonOption,
    component: OptionalComponent = None,
    everything: AllOption = False,
    local: LocalOption = False,
    operator: OperatorOption = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a kill switch back: the flags count again.

    With --local, what this node holds until the store takes it is dropped; the store stays as it is.

    \b
    Examples:
      tidegate flags unkill orders --reason "prices are right"
      tidegate flags unkill --all --reason "incident 42 is over"
    """
    _switch("unkill", component, everything, reason, operator, url, token, as_json, local=local)


@flags_app.command()
def rearm(
    component: ComponentArgument,
    reason: ReasonOption,
    operator: OperatorOption = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Clear the latch of an automatic rollback, so that the flag's stage counts again.

    \b
    Example:
      tidegate flags rearm orders --reason "the proxy is fixed"
    """
    _answer(
        url,
        token,
        operator,
        as_json,
        lambda flags: flags.switch("rearm", component, reason),
        flags_view.changed_lines,
    )


@flags_app.command()
def history(
    component: OptionalComponent = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="The last N revisions.")] = 20,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who changed a flag, when, what and why; without COMPONENT, the kill switch for everything.

    \b
    Example:
      tidegate flags history orders
    """
    _answer(
        url, token, None, as_json, lambda flags: flags.history(component, limit), flags_view.history_lines
    )


@flags_app.command()
def parity(
    component: ComponentArgument,
    nodes: NodesOption = False,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether push says the same as polling.

    \b
    Example:
      tidegate flags parity orders
    """
    _figures("parity", component, nodes, url, token, as_json, flags_view.parity_lines)


@flags_app.command()
def pollers(
    component: ComponentArgument,
    nodes: NodesOption = False,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which client software still polls a component.

    \b
    Example:
      tidegate flags pollers orders
    """
    _figures("pollers", component, nodes, url, token, as_json, flags_view.poller_lines)


@flags_app.command()
def telemetry(
    component: ComponentArgument,
    nodes: NodesOption = False,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what clients of a component said: first events, and why they fell back.

    \b
    Example:
      tidegate flags telemetry orders
    """
    _figures("telemetry", component, nodes, url, token, as_json, telemetry_lines)


@flags_app.command()
def guard(
    component: ComponentArgument,
    nodes: NodesOption = False,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the guard makes of a component, from which figures, and what it would do.

    \b
    Example:
      tidegate flags guard orders
    """
    _figures("guard", component, nodes, url, token, as_json, guard_lines)


@flags_app.command()
def explain(
    user: Annotated[str | None, typer.Option(metavar="ID", help="The caller's user id.")] = None,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Its session id.")] = None,
    client: Annotated[str | None, typer.Option(metavar="ID", help="Its client id.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Its tenant.")] = None,
    client_version: Annotated[str | None, typer.Option(metavar="V", help="Its client's version.")] = None,
    claim: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A claim of its token; repeatable.")
    ] = None,
    delivery: Annotated[
        PreferenceName | None, typer.Option(help="Its own choice. Default: the one that it made.")
    ] = None,
    component: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this component; repeatable.")
    ] = None,
    url: GatewayOption = DEFAULT_GATEWAY,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a caller would get of each component, and why.

    \b
    Examples:
      tidegate flags explain --user u42
      tidegate flags explain --user u42 --component orders --delivery polling
    """
    with ending():
        named = {
            "user": user,
            "session": session,
            "client": client,
            "tenant": tenant,
            "clientVersion": client_version,
            "delivery": delivery,
        }
        caller = [(name, str(value)) for name, value in named.items() if value is not None]
        caller += [_claim(text) for text in claim or ()]
        caller += [("component", name) for name in component or ()]
    _answer(url, token, None, as_json, lambda flags: flags.explain(caller), flags_view.explain_lines)


def _claim(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(WRONG_INPUT, f"--claim must be NAME=VALUE, and is {text!r}.")
    return f"claim.{name}", value


def _switch(
    name: str,
    component: str | None,
    everything: bool,
    reason: str,
    operator: str | None,
    url: str,
    token: str | None,
    as_json: bool,
    *,
    local: bool,
) -> None:
    with ending():
        if everything is (component is not None):
            raise CommandError(WRONG_INPUT, "give either a component or --all.")
    view = flags_view.switched_lines if everything else flags_view.changed_lines
    _answer(
        url, token, operator, as_json, lambda flags: flags.switch(name, component, reason, local=local), view
    )


def _figures(
    name: str,
    component: str,
    each: bool,
    url: str,
    token: str | None,
    as_json: bool,
    view: Callable[[Members], list[str]],
) -> None:
    def lines(answer: Members) -> list[str]:
        return [*view(answer), *each_node_lines(answer, view)]

    _answer(url, token, None, as_json, lambda flags: flags.figures(component, name, each=each), lines)


def _answer(
    url: str,
    token: str | None,
    operator: str | None,
    as_json: bool,
    ask: Callable[["Administration"], dict[str, Any]],
    view: Callable[[Members], list[str]],
    warnings: Callable[["Administration", Members], Sequence[str]] = lambda flags, answer: [],
) -> None:
    """Asks the gateway, and prints its answer as JSON or as the lines of `view`, then the `warnings`."""
    with ending():
        from gateway.cli.flags import Administration, show_answer

        administration = Administration(url, operator, token)
        answer = ask(administration)
        show_answer(answer, view(answer), as_json)
        for line in warnings(administration, answer):
            note(line)
