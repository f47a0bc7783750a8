"""The audit trail: who published, who changed what, and who was refused, append-only and bounded.

`AuditStore` is what an adapter implements; tests/conformance/ holds the suite that every one of them passes.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, get_args

AuditKind = Literal["publish", "admin", "auth"]
KINDS: tuple[AuditKind, ...] = get_args(AuditKind)

TRIM_BATCH = 1000
"""How many entries go at a time: whatever else the store does must not wait long for it."""

_AFTER_ALL = "9"


class AuditEntry(NamedTuple):
    """One entry. `body` is its JSON object, as it is answered; `who` is text without NUL, "" for nobody.

    `id` orders the entries: it begins with what `moment` gives for its time, and no other entry has it. It
    has no space in it.
    """

    id: str
    kind: AuditKind
    who: str
    body: bytes


class AuditQuery(NamedTuple):
    """Which entries: those from `since` on and before `before`, of `kinds`, of `who` where it is given.

    `since` and `before` are ids, or what `moment` gives.
    """

    limit: int
    since: str = ""
    before: str = _AFTER_ALL
    kinds: Sequence[AuditKind] = KINDS
    who: str | None = None


def moment(wall_ms: int) -> str:
    """What the ids of that time begin with: it sorts, as text, before them and after all that is older."""
    return f"{max(0, wall_ms):015d}"


class AuditStore(Protocol):
    """Entries, of all nodes that share the store. All methods raise LogError where it can't be used."""

    async def start(self) -> None:
        """Connects. Raises LogError where the store can't be used, with what to do about it."""
        ...

    async def close(self) -> None:
        """Ends its connections. Closing twice, or before `start`, does nothing."""
        ...

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Adds entries. One that is there already stays as it is: what failed may be sent again."""
        ...

    async def read(self, query: AuditQuery) -> list[AuditEntry]:
        """The newest that the query means, newest first, at most `limit`."""
        ...

    async def trim(self) -> None:
        """Drops the oldest of each kind past the store's bounds: so many of a kind, and none too old."""
        ...
