"""What one legacy route did so far, and how it is."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

SharedCount = Literal["led", "followed", "overtaken", "completed", "lost"]
"""What is counted of an upstream that several nodes serve (adapters/upstream/nodes/shared_tracker.py)."""


@dataclass(slots=True)
class RouteCounters:
    """Counts since the start of the process; they only grow.

    `polls` is how often the upstream was asked: of these `not_modified` gave 304, `unchanged` the same bytes
    again, `changed` others, `held` ones that were kept back, `bad_answers` (by kind) ones that can't be used,
    and `failures` none (kinds: adapters/upstream/failures.py). `bad_items` (by kind) were left out of answers
    that can be used, and are counted once for each new answer. `etags_reused` counts bodies that came under
    the ETag of another. `events` were published, `oversized_events` of them with something left out.
    """

    polls: int = 0
    not_modified: int = 0
    unchanged: int = 0
    changed: int = 0
    held: int = 0
    bad_answers: Counter[str] = field(default_factory=Counter)
    bad_items: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    etags_reused: int = 0
    events: int = 0
    oversized_events: int = 0
    crashes: int = 0
    served: int = 0
    """Answers from the snapshot, whatever their status: `served_304`, `served_stale` and `waited` are among
    them; `waited` are those for which the upstream had to be asked first."""
    served_304: int = 0
    served_stale: int = 0
    waited: int = 0
    forwarded: int = 0
    """Requests that went through to the upstream; `forward_failures` of them came to nothing."""
    forward_failures: int = 0
    broken_off: int = 0
    """Answers of the upstream that ended before their end, after their beginning had been passed on."""
    lists_refused: int = 0
    """How often a list of a query, or of a path with parameters, was asked for that there was no room for."""
    bases_dropped: int = 0
    """Lists that went with the answer that their next one would have been compared with."""
    fields_left_out: int = 0
    """Header fields, of polled answers and of what goes through in either direction, that can't be sent."""


@dataclass(frozen=True, slots=True)
class RouteHealth:
    """How the upstream of a shared route is.

    `idle`: nobody wants its answer, so it is not asked, and nothing is known to be wrong; `connected`: the
    last answer could be used; `unusable`: it is served, and could not be compared; `down`: there was none to
    serve. `last_success` is RFC 3339.
    """

    component: str
    path: str
    state: Literal["idle", "connected", "unusable", "down"]
    last_success: str | None
    last_error: str | None

    @property
    def connected(self) -> bool:
        """False only where the upstream is known to be down."""
        return self.state != "down"
