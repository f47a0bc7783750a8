"""gateway/cli/main.py from outside: help texts, exit codes, sentences. What talks to a gateway is tested in
tests/integration."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.core.version import __version__

COMMANDS = [
    "serve",
    "check-config",
    "route",
    "publish",
    "tail",
    "relay",
    "demo",
    "token",
    "key",
    "explain",
    "version",
]
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "orders.toml"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Runs commands in an empty directory, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    return CliRunner()


def test_help_names_every_command_and_every_exit_code(run: CliRunner) -> None:
    result = run.invoke(app, ["--help"])
    assert result.exit_code == 0
    for word in [*COMMANDS, "Examples:", "Exit codes", "130", "NO_COLOR"]:
        assert word in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(run: CliRunner, command: str) -> None:
    result = run.invoke(app, [command, "-h"])
    assert result.exit_code == 0
    assert f"  tidegate {command}" in result.stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "version"])
def test_the_help_of_a_command_has_its_exit_codes(run: CliRunner, command: str) -> None:
    assert "Exit codes:" in run.invoke(app, [command, "--help"]).stdout


def test_without_a_command_there_is_help_and_the_code_of_wrong_usage(run: CliRunner) -> None:
    result = run.invoke(app, [])
    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_an_unknown_command_is_wrong_usage(run: CliRunner) -> None:
    result = run.invoke(app, ["serv"])
    assert result.exit_code == 2
    assert "serve" in result.stderr


def test_version_prints_the_version(run: CliRunner) -> None:
    assert run.invoke(app, ["version"]).stdout == f"tidegate {__version__}\n"


def test_version_is_an_option_as_well(run: CliRunner) -> None:
    result = run.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"tidegate {__version__}\n")


def test_check_config_tells_where_grants_come_from(run: CliRunner) -> None:
    def rows(name: str) -> list[str]:
        result = run.invoke(app, ["check-config", "--config", str(EXAMPLE.with_name(f"access-{name}.toml"))])
        assert result.exit_code == 0
        return [" ".join(line.split()) for line in result.stdout.splitlines()]

    applications = rows("applications")
    assert "rules 5" in applications
    assert "static keys booking-backend, wallet-backend, prometheus" in applications
    assert "without a token refused" in applications
    assert "without a token as auth.anonymous says" in rows("branch")
    assert not [row for row in rows("customer") if row.startswith("static keys")]


def test_check_config_tells_what_would_run(run: CliRunner) -> None:
    result = run.invoke(app, ["check-config", "--config", str(EXAMPLE)])
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["address", "http://127.0.0.1:8080"] in lines
    assert [
        "/api/v1/orders",
        "orders",
        "order",
        "2",
        "s",
        "yes",
        "polls",
        "compared",
        "http://127.0.0.1:9000/orders",
    ] in lines
    assert ["workers", "1"] in lines
    assert ["flags", "file:flags.json"] in lines
    assert "no source of events" not in result.stdout


def test_check_config_says_where_events_of_elsewhere_come_from_and_who_shares_the_flags(
    run: CliRunner,
) -> None:
    text = EXAMPLE.read_text().replace('events = "poll"', 'events = "external"')
    text = text.replace("port = 8080", "port = 8080\nworkers = 3")
    Path("tidegate.toml").write_text(text + '\n[log]\nurl = "redis://127.0.0.1"\n[flags]\nstore = "redis"\n')
    result = run.invoke(app, ["check-config"])
    assert result.exit_code == 0, result.stderr
    assert "  outside: publish, capture  " in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["workers", "3"] in lines
    assert "redis: in the log's server, shared by all nodes" in result.stdout


def test_check_config_says_that_a_route_per_caller_gives_no_events(run: CliRunner) -> None:
    Path("tidegate.toml").write_text(EXAMPLE.read_text().replace("shared = true", "shared = false"))
    result = run.invoke(app, ["check-config"])
    assert "  no      nothing: answers are not shared  http://" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("component orders has no source of events: none of its legacy routes is shared")
    assert last.endswith("It can be off or shadow")


def test_check_config_names_the_hosts_and_what_a_component_owns(run: CliRunner) -> None:
    Path("tidegate.toml").write_text(
        '[server]\nhosts = ["shop.example", "b.example"]\n[components.empty]\nentities = []\n'
    )
    lines = [line.split() for line in run.invoke(app, ["check-config"]).stdout.splitlines()]
    assert ["hosts", "shop.example,", "b.example"] in lines
    assert ["component", "empty", "owns", "nothing"] in lines


def test_check_config_prints_every_setting_as_json(run: CliRunner) -> None:
    result = run.invoke(app, ["check-config", "--json", "--config", str(EXAMPLE)])
    settings = json.loads(result.stdout)
    assert settings["server"]["port"] == 8080
    assert settings["legacy"][0]["changes"]["orderStage"] == "stage_change"


def test_tidegate_toml_in_the_current_directory_is_used_by_itself(run: CliRunner) -> None:
    assert "defaults, no file" in run.invoke(app, ["check-config"]).stdout
    Path("tidegate.toml").write_text("[server]\nport = 9000\n")
    result = run.invoke(app, ["check-config"])
    assert "http://127.0.0.1:9000" in result.stdout
    assert "tidegate.toml" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--json"]])
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ('postgres://ann:hunter2 "?@db/events', "postgres://ann:***@db/events"),
        ("postgres://db/events?user=ann&password=hunter2", "postgres://db/events?user=ann&password=***"),
        ("redis://:hunter2@cache/1", "redis://:***@cache/1"),
        (
            "redis+sentinel://:hunter2@a,b/tides?sentinel_password=hunter2",
            "redis+sentinel://:***@a,b/tides?sentinel_password=***",
        ),
    ],
)
def test_check_config_never_prints_a_password(
    run: CliRunner, arguments: list[str], url: str, shown: str
) -> None:
    result = run.invoke(app, ["check-config", *arguments], env={"TIDEGATE_LOG__URL": url})
    assert (result.exit_code, shown in result.stdout, "hunter2" in result.output) == (0, True, False)


@pytest.mark.parametrize("command", ["check-config", "serve"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://ann:hunter2@db/x", "must be memory://, or a URL such as"),
        ("postgres://ann:hunter2@db:port/x", "The log's Postgres URL can't be read: it looks like"),
        ("postgres://ann:hunter2/@db/x", "The log's Postgres URL can't be read: it looks like"),
        ("redis://:hunter2@cache/one", "The URL of Redis is wrong: the database is a number."),
        ("redis://:hunter2#@cache", "write # as %23 in a password."),
        ("sqlite:///events.db?mode=ro", "must have the path of a file after sqlite:///"),
    ],
)
def test_a_wrong_url_of_the_log_is_one_sentence_that_never_repeats_a_password(
    run: CliRunner, command: str, url: str, said: str
) -> None:
    result = run.invoke(app, [command], env={"TIDEGATE_LOG__URL": url})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("tidegate: log.url")
    assert said in result.stderr
    assert ("hunter2" in result.stderr, result.stderr.count("\n")) == (False, 1)


def test_variables_count_for_check_config_too(run: CliRunner) -> None:
    result = run.invoke(app, ["check-config", "--json"], env={"TIDEGATE_SERVER__PORT": "9000"})
    assert json.loads(result.stdout)["server"]["port"] == 9000


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_wrong_setting_is_one_line_and_exit_code_2(run: CliRunner, command: str) -> None:
    Path("tidegate.toml").write_text("[server]\nprot = 9000\n")
    result = run.invoke(app, [command])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "tidegate: server.prot in tidegate.toml is unknown (did you mean server.port?): "
        "allowed in server are drain_seconds, host, hosts, port, ready_needs_upstreams, "
        "trusted_proxies, workers.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "server.port on the command line is 70000, but must be an integer"),
        (
            ["--host", "0.0.0.0"],
            'server.host on the command line is "0.0.0.0", but must be a loopback address',
        ),
        (["--config", "no.toml"], "The configuration file no.toml does not exist."),
    ],
)
def test_serve_refuses_a_wrong_command_line(run: CliRunner, arguments: list[str], said: str) -> None:
    result = run.invoke(app, ["serve", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"tidegate: {said}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "x"], ["tail", "--hints", "x"], ["tail", "--limit", "0"]]
)
def test_an_option_of_the_wrong_kind_is_wrong_usage(run: CliRunner, arguments: list[str]) -> None:
    result = run.invoke(app, arguments)
    assert result.exit_code == 2
    assert arguments[1] in result.stderr


@pytest.mark.parametrize("command", [["publish"], ["tail"]])
@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x?a=1", "http://[x", ""])
def test_an_address_that_is_none_is_refused(run: CliRunner, command: list[str], url: str) -> None:
    result = run.invoke(app, [*command, "--url", url], input="{}")
    assert result.exit_code == 2
    assert result.stderr.startswith("tidegate: --url must be the gateway's address")


def test_publish_refuses_a_file_that_is_not_there(run: CliRunner) -> None:
    result = run.invoke(app, ["publish", "no.json"])
    assert (result.exit_code, result.stderr) == (
        2,
        "tidegate: no.json can't be read: No such file or directory.\n",
    )


@pytest.mark.parametrize("key", ["", "a\nb", "é", " a", "a" * 257])
def test_publish_refuses_a_key_that_no_header_can_hold(run: CliRunner, key: str) -> None:
    result = run.invoke(app, ["publish", "--idempotency-key", key], input="{}")
    assert result.exit_code == 2
    assert "--idempotency-key must be" in result.stderr


def test_the_command_line_is_there_before_anything_heavy_is() -> None:
    heavy = ["aiohttp", "asyncio", "pydantic", "uvloop", "rich"]
    code = f"import sys, gateway.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_a_terminal_without_no_color(environ: dict[str, str], coloured: bool) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    terminal, its_end = pty.openpty()
    with open(terminal, "rb", buffering=0) as screen, open(its_end, "wb", buffering=0) as stderr:
        command = [sys.executable, "-m", "gateway", "check-config", "--config", "no.toml"]
        subprocess.run(command, stderr=stderr, env=inherited | environ, check=False)
        shown = screen.read(4096)
    assert b"no.toml does not exist" in shown
    assert (b"\x1b[" in shown) is coloured


def test_check_config_says_what_else_is_set_of_a_route_and_no_secret(run: CliRunner) -> None:
    Path("tidegate.toml").write_text(
        """[[legacy]]
component = "orders"
path = "/orders"
upstream = "http://backend.example/orders?key=hunter2"
entity = "order"
key = "id"
shared = true
events = "none"
headers = { Authorization = "Bearer ${TOKEN}", Accept = "text/csv" }
method = "POST"
body = "hunter2"
pages = { next = "/next" }
empty = ["null", 404]
"""
    )
    result = run.invoke(app, ["check-config"], env={"TOKEN": "hunter2"})
    assert result.exit_code == 0, result.output
    assert (
        '\n  /orders with headers Authorization, Accept; method = "POST"; body ***; '
        'pages = { next = "/next" }; empty = ["null", 404]\n'
    ) in result.stdout
    assert "http://backend.example/orders?***" in result.stdout
    assert "nothing: it only serves" in result.stdout
    shown = run.invoke(app, ["check-config", "--json"], env={"TOKEN": "hunter2"})
    assert json.loads(shown.stdout)["legacy"][0]["headers"] == {
        "Authorization": "**********",
        "Accept": "**********",
    }
    assert "hunter2" not in result.output + shown.output


def test_a_trial_prints_no_settings_as_json(run: CliRunner) -> None:
    result = run.invoke(app, ["check-config", "--json", "--try"])
    assert result.exit_code == 2
    assert "leave it out with --try" in result.stderr
