"""Flags, callers and stores for tests."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from flags import document
from flags.caller import Caller
from flags.file_store import FileFlagStore
from flags.flag import Flag
from flags.ledger import Ledger

NOW_MS = 1_732_098_600_123
NEVER_SECONDS = 86_400.0
NOW = "2024-11-20T10:30:00.123Z"

LATCH = {"at": NOW, "metric": "consistency", "value": 0.93, "threshold": 0.99, "reason": "mismatches"}


def make_flag(**members: Any) -> Flag:
    """A flag of `orders`; `members` are those that a test cares about, by their names in JSON."""
    return Flag.parse({"component": "orders", "revision": 1, **members})


def rule(attribute: str, operator: str, operand: str | list[str], mode: str) -> dict[str, Any]:
    """A targeting rule as JSON."""
    name = "values" if isinstance(operand, list) else "value"
    return {"attribute": attribute, "operator": operator, name: operand, "mode": mode}


USER = Caller(user="u42")


class Told:
    """Keeps what a store told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, object]]] = []

    def __call__(self, level: int, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    @property
    def events(self) -> list[str]:
        """The names of what was told, oldest first."""
        return [event for event, _ in self.lines]


@asynccontextmanager
async def open_store(
    path: Path, told: Told | None = None, now_ms: Callable[[], int] = lambda: NOW_MS
) -> AsyncIterator[FileFlagStore]:
    """A started store, whose clock stands still and which looks at its file when it is told to."""
    store = FileFlagStore(path, tell=told or Told(), now_ms=now_ms, poll_seconds=NEVER_SECONDS)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def stored(path: Path) -> Ledger:
    """What lies in a flags file."""
    return document.parse(path.read_bytes())


def edit(path: Path, before: str, after: str) -> None:
    """Changes the first place where a file says `before`, in place, as an editor may."""
    content = path.read_bytes()
    assert before.encode() in content
    path.write_bytes(content.replace(before.encode(), after.encode(), 1))


def write_flags(path: Path, flags: Mapping[str, Any], **members: Any) -> None:
    """A flags file as a person or a deployment writes it."""
    path.write_bytes(orjson.dumps({"version": 1, "flags": flags, **members}))
