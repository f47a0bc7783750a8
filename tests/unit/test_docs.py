"""docs/: what the manual lists is what there is."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from adapters.postgres.health import PostgresHealth
from adapters.sqlite import SqliteLog
from gateway.delivery.counters import Work
from gateway.ports.log import Figure
from gateway.service.legacy_settings import LegacySettings
from gateway.service.settings import Settings
from tests.support import module_map
from tests.support.clock import ManualClock
from tests.support.redis import make_log

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
_EXAMPLES = {"entities", "components"}
_LOGGING = {"log_event", "_tell", "tell"}


def test_the_contract_lists_every_setting_with_its_default() -> None:
    (block,) = re.findall(r"^## 12\..*?```toml\n(.*?)```", PROTOCOL, re.DOTALL | re.MULTILINE)
    written = {name: table for name, table in tomllib.loads(block).items() if name not in _EXAMPLES}
    defaults = Settings().model_dump(mode="json", exclude={"legacy", *_EXAMPLES}, exclude_none=True)
    assert written == defaults


def test_the_contract_has_every_setting_of_a_route() -> None:
    section = PROTOCOL.partition("\n## 7. ")[2].partition("\n## 8. ")[0]
    missing = {name for name in LegacySettings.model_fields if not re.search(rf"`{name}\b", section)}
    assert missing <= {"parity"}


def test_the_operators_manual_has_every_setting() -> None:
    named = set(_settings_in(OPERATIONS.partition("## Settings")[2].partition("\n## ")[0]))
    for section, values in Settings().model_dump(exclude={"legacy", *_EXAMPLES}).items():
        missing = {name for name in values if not named & {f"{section}.{name}", f"{section}.*"}}
        assert missing == set(), section


def _settings_in(table: str) -> Iterator[str]:
    """The settings in the first column: `a.b`, `.c` is a row's `a.b` and `a.c`."""
    for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE):
        section = ""
        for first, name in re.findall(r"`(\w*)\.([\w*]+)`", row):
            section = first or section
            yield f"{section}.{name}"


def figures_of_every_log(tmp_path: Path, clock: ManualClock) -> Iterator[Figure]:
    yield from PostgresHealth(True, True, 0.0, 0.0, 0, 0, 0, 0).figures()
    yield from make_log("redis://127.0.0.1").figures()
    yield from SqliteLog(tmp_path / "events.db", clock, max_events=1, max_age_seconds=1.0).figures()


def test_the_operators_manual_has_every_figure_of_a_log(tmp_path: Path, clock: ManualClock) -> None:
    for figure in figures_of_every_log(tmp_path, clock):
        name = f"`tidegate_log_{figure.name}{'_total' if figure.is_total else ''}`"
        assert name in OPERATIONS


def test_the_operators_manual_has_every_work_that_may_fail() -> None:
    (row,) = re.findall(
        r"^\| `tidegate_delivery_failures_total\{work\}` \| (.*?) \|", OPERATIONS, re.MULTILINE
    )
    assert re.findall(r"`(\w+)`", row) == sorted(get_args(Work))


def _log_lines(sources: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """The name of each event that the code logs, and where."""
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _LOGGING:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value, f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("package", ["gateway", "adapters", "flags"])
def test_the_operators_manual_has_every_log_line(package: str) -> None:
    lines = dict(_log_lines((ROOT / package).rglob("*.py")))
    assert lines, "the package logs nothing: this test looks at the wrong names"
    assert {name: place for name, place in lines.items() if f"`{name}`" not in OPERATIONS} == {}


def test_the_readmes_figures_are_lines_of_the_measured_tables() -> None:
    section = (
        (ROOT / "README.md").read_text().partition("## Load it, and measure it")[2].partition("\n## ")[0]
    )
    measured = (ROOT / "docs" / "performance.md").read_text().splitlines()
    rows = [line for line in section.splitlines() if line.startswith("| ")]

    assert len(rows) > 2
    assert [row for row in rows if row not in measured] == []


def test_the_pictures_of_the_measurements_are_there() -> None:
    docs = ROOT / "docs"
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (docs / "performance.md").read_text())

    assert named
    assert [name for name in named if not (docs / name).is_file()] == []


def test_the_page_of_modules_is_what_the_docstrings_say() -> None:
    assert module_map.PAGE.read_text() == module_map.page(), (
        "python -m tests.support.module_map writes it anew"
    )


def test_every_module_says_what_it_is_for() -> None:
    lines = [line for line in module_map.page().splitlines() if line.startswith("- `")]
    assert len(lines) > 200
    assert [line for line in lines if not line.partition("`: ")[2]] == []
