"""A guessed route as TOML to paste. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.cli.routes.guess import Guess

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_WIDTH = 100


def as_toml(guess: Guess) -> list[str]:
    """One `[[legacy]]`: the doubts as comments before it, and what may be wanted as comments behind it."""
    lines = [f"# {line}" for doubt in guess.doubts for line in _wrapped(f"Check: {doubt}")]
    lines.append("[[legacy]]")
    for name, value in guess.settings.items():
        note = guess.notes.get(name)
        lines.append(f"{name} = {toml_value(value)}" + (f"  # {one_line(note)}" if note else ""))
    for name, value, note in guess.maybe:
        lines.append(f"# {name} = {toml_value(value)}  # {one_line(note)}")
    return lines


def toml_value(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A basic string of TOML is a string of JSON, but for DEL, which it wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_name(name)} = {toml_value(inner)}" for name, inner in value.items()) + " }"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return str(value)


def one_line(text: str) -> str:
    """Text for a comment: whatever an upstream says, it stays one."""
    return "".join(char if char.isprintable() else " " for char in text)


def _name(name: str) -> str:
    return name if _BARE.match(name) else toml_value(name)


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in one_line(text).split(" "):
        if lines[-1] and len(lines[-1]) + len(word) > _WIDTH:
            lines.append("  " + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines
