"""What a hub counts."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class HubCounters:
    """What the hub has done since it started."""

    flushes: int = 0
    deliveries: int = 0
    heartbeats: int = 0
    hints: int = 0
    moved: int = 0
    replayed: int = 0
    opened: int = 0
    lagged: int = 0
    failed_writes: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    byes: Counter[str] = field(default_factory=Counter)
