"""The kinds of log that there are, and which of them a URL means."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.service.setting_types import wrong

_NOT_IN_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f?#%]")

SQLITE = "sqlite:///"
"""What the path of an SQLite log follows: a further slash makes it absolute."""


class LogKind(NamedTuple):
    """One kind of log. Its URLs begin with one of `schemes`; where there is none, `example` is the only URL.

    `is_in_server`: other nodes may share it, and what they share beside it, the flags too, can be kept there.
    """

    schemes: tuple[str, ...]
    example: str
    is_in_server: bool


LOGS: Mapping[str, LogKind] = {
    "memory": LogKind((), "memory://", False),
    "sqlite": LogKind((SQLITE,), f"{SQLITE}path", False),
    "postgres": LogKind(("postgres://", "postgresql://"), "postgres://host/name", True),
    "redis": LogKind(
        ("redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://"), "redis://host", True
    ),
}
"""Every kind of log, by name; gateway/service/wiring/logs.py opens them."""

SERVERS = tuple(name for name, kind in LOGS.items() if kind.is_in_server)
"""Those that nodes may share."""


def either(texts: Iterable[str]) -> str:
    """`texts` as a choice in words: "a, b or c"."""
    *others, last = texts
    return f"{', '.join(others)} or {last}"


def quoted(text: str) -> str:
    """As a setting has it in the file."""
    return f'"{text}"'


def log_kind(url: str) -> str:
    """Which of LOGS the URL means. Raises ValueError for one that none of them has."""
    for name, kind in LOGS.items():
        if url == kind.example or url.startswith(kind.schemes):
            return name
    only, *others = (kind.example for kind in LOGS.values())
    raise wrong(f"must be {only}, or a URL such as {either(others)}")


def log_url(value: str) -> str:
    """`value`, where it is a URL of a log. Raises ValueError otherwise."""
    log_kind(value)
    path = value.removeprefix(SQLITE)
    if path == ":memory:":
        raise wrong("must be memory:// where nothing is to last")
    if path != value and (not path or _NOT_IN_PATH.search(path)):
        raise wrong("must have the path of a file after sqlite:///, without ?, #, % and control characters")
    return value
