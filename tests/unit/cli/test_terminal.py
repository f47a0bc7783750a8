"""gateway/cli/terminal.py."""

import pytest

from gateway.cli.terminal import printable, table


def test_plain_text_stays_as_it_is() -> None:
    assert printable("Größe 3 €, 日本 🚀") == "Größe 3 €, 日本 🚀"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x9b", r"\x9b"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
    ],
)
def test_nothing_from_the_network_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_table_aligns_its_columns() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")], "  ") == ["  a    bb  c", "  aaa  b"]
