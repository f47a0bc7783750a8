"""The columns of an event stand in rows.py and in four statements: the same ones, in the same order."""

import re

import pytest

from adapters.postgres.rows import columns
from adapters.postgres.statements import statement

COLUMNS = list(columns([]))
READ = ["xid", "id", *COLUMNS, "recorded_ms"]


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.DOTALL)
    assert match is not None, pattern
    return match[1]


def listed(text: str) -> list[str]:
    """The names in a list of columns, as the table has them."""
    names = [re.sub(r'::\w+|^[a-z]\.|"', "", name.strip()) for name in text.split(",")]
    return ["timestamp" if name == "moment" else name for name in names]


def test_what_is_appended_is_listed_four_times_in_one_order() -> None:
    text = statement("log_append")

    assert listed(found(r"into sync_events as e \((.*?)\)", text)) == COLUMNS
    assert listed(found(r"select(.*?)from", text)) == COLUMNS
    assert re.findall(r"%\((\w+)\)s::text\[\]", text) == COLUMNS
    assert listed(found(r"as i \((.*?), place", text)) == COLUMNS


@pytest.mark.parametrize("name", ["log_bounds", "log_latest", "log_read"])
def test_what_is_read_is_what_a_row_is_taken_apart_by(name: str) -> None:
    # What is an expression has a name behind it.
    text = re.sub(r"(?:to_char|floor)\(.*? as (\w+)", r"\1", statement(name), flags=re.DOTALL)

    assert listed(found(r"(r\.xid.*?)\nfrom", text)) == READ
    assert listed(found(r"(e\.xid, e\.id, e\.event_type.*?)\n *from", text)) == READ
