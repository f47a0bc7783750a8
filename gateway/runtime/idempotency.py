"""Idempotency keys: refusals that all logs share, and what was appended under each, kept in memory."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from gateway.core.errors import IdempotencyConflict, LogError, NoRoomForKey
from gateway.core.events import Position
from gateway.ports.clock import Clock
from gateway.ports.log import ONCE_SECONDS, Appended

MAX_KEY_BYTES = 67_108_864
"""What the keys of a log in memory may take: some 120,000, or 200 a second."""

_KEY_OVERHEAD = 430
"""Bytes that a key costs beside its text and its digest: the objects around it, and one run; measured."""
_RUN_BYTES = 200
_FORGOTTEN_A_CALL = 100


class _Run(NamedTuple):
    """Positions that follow one another: `length` from (`major`, `minor`) on."""

    major: int
    minor: int
    length: int


class _Kept(NamedTuple):
    """What was appended under a key. `until` is monotonic seconds."""

    until: float
    digest: bytes
    epoch: str
    runs: tuple[_Run, ...]
    size: int

    def again(self) -> Appended:
        positions = [
            Position(major, minor + index) for major, minor, length in self.runs for index in range(length)
        ]
        return Appended(self.epoch, positions, replayed=True)


class _UnderWay(NamedTuple):
    digest: bytes
    answer: "asyncio.Future[Appended]"


class IdempotencyKeys:
    """Remembers each key for ONCE_SECONDS after its append; beyond `max_bytes` it takes no more of them."""

    def __init__(self, clock: Clock, max_bytes: int = MAX_KEY_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._under_way: dict[str, _UnderWay] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        """How many keys are kept, or on their way to be."""
        return len(self._kept) + len(self._under_way)

    async def append(self, key: str, digest: bytes, append: Callable[[], Awaitable[Appended]]) -> Appended:
        """What `append` gives, which is called for the first call with the key only; see EventLog."""
        now = self._clock.monotonic()
        self._forget_expired(now)
        kept = self._kept.get(key)
        if kept is not None and kept.until > now:
            _check(digest, kept.digest)
            return kept.again()
        under_way = self._under_way.get(key)
        if under_way is not None:
            _check(digest, under_way.digest)
            return (await asyncio.shield(under_way.answer))._replace(replayed=True)
        size = sys.getsizeof(key) + len(digest) + _KEY_OVERHEAD
        if self.size_bytes + size > self._max_bytes:
            raise NoRoomForKey(next(iter(self._kept.values())).until - now if self._kept else 1.0)
        self.size_bytes += size
        answer = asyncio.ensure_future(append())
        self._under_way[key] = _UnderWay(digest, answer)
        answer.add_done_callback(lambda done: self._settle(key, digest, size, done))
        # The one who asked first may go away: what was appended must be remembered all the same.
        return await asyncio.shield(answer)

    def _settle(self, key: str, digest: bytes, size: int, done: "asyncio.Future[Appended]") -> None:
        del self._under_way[key]
        if done.cancelled() or done.exception() is not None:
            self.size_bytes -= size
            return
        epoch, positions, _ = done.result()
        runs = _runs(positions)
        whole = size + _RUN_BYTES * max(0, len(runs) - 1)
        self.size_bytes += whole - size
        self._forget(key)
        self._kept[key] = _Kept(self._clock.monotonic() + ONCE_SECONDS, digest, epoch, runs, whole)

    def _forget_expired(self, now: float) -> None:
        """Forgets some whose time is over: more than come, and few enough to take no time."""
        for _ in range(_FORGOTTEN_A_CALL):
            key, kept = next(iter(self._kept.items()), (None, None))
            if key is None or kept is None or kept.until > now:
                return
            self._forget(key)

    def _forget(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size_bytes -= kept.size


def _runs(positions: Sequence[Position]) -> tuple[_Run, ...]:
    breaks = (
        index
        for index, (before, position) in enumerate(pairwise(positions), 1)
        if position != (before.major, before.minor + 1)
    )
    starts = [0, *breaks, len(positions)]
    return tuple(_Run(*positions[start], end - start) for start, end in pairwise(starts) if end > start)


def _check(digest: bytes, known: bytes) -> None:
    if digest != known:
        raise conflict()


def conflict() -> IdempotencyConflict:
    """The error of a key that came with another digest."""
    return IdempotencyConflict(
        "This Idempotency-Key came with another body before: use a new key for a new request."
    )


def closed() -> LogError:
    """The error of an append to a log that was closed."""
    return LogError("The log is closed: the gateway is stopping. Publish to another node, or again.")
