"""What a hub counts, and which work of its may fail."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Work = Literal[
    "abort",
    "broadcast",
    "bye",
    "catch_up",
    "drain",
    "flush",
    "heartbeats",
    "hints",
    "leave",
    "observer",
    "presence",
    "recovery",
    "replay",
    "resume",
    "review",
    "revoke",
    "sessions",
    "start_over",
    "state",
    "write",
]
"""What may raise and is counted then (gateway/runtime/failures.py), as log lines and /metrics call it."""


@dataclass(slots=True)
class HubCounters:
    """What the hub has done since it started."""

    flushes: int = 0
    deliveries: int = 0
    heartbeats: int = 0
    hints: int = 0
    moved: int = 0
    replayed: int = 0
    state_parts: int = 0
    opened: int = 0
    lagged: int = 0
    failed_writes: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    byes: Counter[str] = field(default_factory=Counter)
