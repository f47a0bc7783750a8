"""Flags, callers and stores for tests."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from flags.decide.caller import Caller
from flags.decide.flag import Flag
from flags.store import document
from flags.store.file_store import file_flag_store
from flags.store.ledger import Ledger
from flags.store.ledger_store import LedgerStore

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
    """Keeps what a store told, and passes each line's name on to `heard`."""

    def __init__(self, heard: Callable[[str], None] = lambda event: None) -> None:
        self.lines: list[tuple[str, Mapping[str, object]]] = []
        self._heard = heard

    def __call__(self, level: int, event: str, **fields: object) -> None:
        self.lines.append((event, fields))
        self._heard(event)

    def outage(self, name: str) -> "ToldOutage":
        return ToldOutage(self, name)

    @property
    def events(self) -> list[str]:
        """The names of what was told, oldest first."""
        return [event for event, _ in self.lines]


class ToldOutage:
    """Tells when an outage begins and when it is over; `tries` are the failures of the one that lasts."""

    def __init__(self, told: Told, name: str) -> None:
        self._told = told
        self._name = name
        self.tries = 0

    def failed(self, **fields: object) -> None:
        self.tries += 1
        if self.tries == 1:
            self._told(logging.ERROR, f"{self._name}_failed", **fields)

    def over(self, **fields: object) -> None:
        if self.tries:
            self._told(logging.INFO, f"{self._name}_recovered", **fields)
        self.tries = 0


@asynccontextmanager
async def open_store(
    path: Path, told: Told | None = None, now_ms: Callable[[], int] = lambda: NOW_MS
) -> AsyncIterator[LedgerStore]:
    """A started store, whose clock stands still and which looks at its file when it is told to."""
    store = file_flag_store(path, tell=told or Told(), now_ms=now_ms, poll_seconds=NEVER_SECONDS)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def stored(path: Path) -> Ledger:
    """What lies in a flags file."""
    return document.parse(path.read_bytes())


def many_changes(count: int, component: str = "orders") -> dict[str, Any]:
    """A document with so many revisions, each of which sets the percentage, as 0.1.0 kept them: all of them.

    The flag is live from the first one on; at the last its percentage is `1 + (count - 1) % 90`.
    """
    made = make_flag(stage="live", percentage=1).wire()
    state = {name: value for name, value in made.items() if name not in ("component", "revision")}
    revisions: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        percentage = 1 + (number - 1) % 90
        before = None if number == 1 else {"percentage": state["percentage"]}
        state["percentage"] = percentage
        revisions.append(
            {
                "revision": number,
                "who": "ann",
                "when": NOW,
                "why": "step by step",
                "before": before,
                "after": dict(state) if before is None else {"percentage": percentage},
            }
        )
    return {
        "version": 1,
        "killAll": False,
        "flags": {component: {**state, "component": component, "revision": count}},
        "revisions": {component: revisions},
        "killAllRevisions": [],
    }


def edit(path: Path, before: str, after: str) -> None:
    """Changes the first place where a file says `before`, in place, as an editor may."""
    content = path.read_bytes()
    assert before.encode() in content
    path.write_bytes(content.replace(before.encode(), after.encode(), 1))


def write_flags(path: Path, flags: Mapping[str, Any], **members: Any) -> None:
    """A flags file as a person or a deployment writes it."""
    path.write_bytes(orjson.dumps({"version": 1, "flags": flags, **members}))
