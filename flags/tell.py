"""How the stores report what happens to them: the caller says where it goes."""

from collections import Counter
from threading import Lock
from typing import Protocol


class Tell(Protocol):
    """Logs `event`, a stable name, with its fields. `level` is one of `logging`'s; safe from any thread."""

    def __call__(self, level: int, event: str, **fields: object) -> None: ...


class CountingTell:
    """Passes on what it is told, and counts it: `counts` has how often each event was told."""

    def __init__(self, tell: Tell) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = Lock()
        self._tell = tell

    def __call__(self, level: int, event: str, **fields: object) -> None:
        with self._lock:
            self.counts[event] += 1
        self._tell(level, event, **fields)
