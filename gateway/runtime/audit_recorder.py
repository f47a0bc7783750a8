"""Writes the audit trail beside everything else: nobody waits for it but who reads it."""

import asyncio
import logging
import secrets
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import orjson

from gateway.core.backoff import Backoff
from gateway.core.errors import LogError
from gateway.core.times import rfc3339
from gateway.ports.audit import KINDS, AuditEntry, AuditKind, AuditQuery, AuditStore, moment
from gateway.ports.clock import Clock
from gateway.runtime.logs import log_event
from gateway.runtime.repeats import WINDOW_SECONDS, Repeats

_log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""How many entries of a kind wait while the store is out of reach; what comes then is lost."""
BATCH = 200
TRIM_SECONDS = 60.0
TRIM_EVERY = 1000
"""After so many seconds, or entries, the store's bounds are applied."""


class RecorderTiming(NamedTuple):
    """How long an entry waits for others to be written with it, how long whoever reads waits at most for what
    this node has yet to write, and how long the end may take; and the longest pause after a failure.
    """

    pause_seconds: float = 0.2
    read_seconds: float = 2.0
    close_seconds: float = 1.0
    longest_retry_seconds: float = 10.0


class Outage(Protocol):
    """Where it is told that the store is out of reach (gateway/runtime/outage.py)."""

    def failed(self, **fields: Any) -> None: ...

    def over(self, **fields: Any) -> None: ...


class Refused(NamedTuple):
    """What makes one refused request the like of another: from where, with which problem, and why."""

    address: str | None
    problem: str
    reason: str


class _Waiting(NamedTuple):
    at_ms: int
    number: int
    kind: AuditKind
    who: str
    members: Mapping[str, Any]


_USUAL = RecorderTiming()


class AuditRecorder:
    """Takes entries at once and writes them to `store` in batches. `run` is to be kept running.

    `recorded` and `lost` count entries by kind. What is read is what all nodes have written, and what this
    one took before. `outage` is told of a store that is out of reach; `audit_lost` says once in each such
    time that entries are lost.
    """

    def __init__(
        self, store: AuditStore, clock: Clock, outage: Outage, timing: RecorderTiming = _USUAL
    ) -> None:
        self._timing = timing
        self._store = store
        self._clock = clock
        self._outage = outage
        self._node = secrets.token_hex(6)
        self._number = 0
        self._waiting: dict[AuditKind, deque[_Waiting]] = {kind: deque() for kind in KINDS}
        self._repeats: Repeats[Refused] = Repeats()
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self._trimmed_at = clock.monotonic()
        self._since_trim = 0
        self._tells_of_loss = True
        self.recorded = Counter[AuditKind](dict.fromkeys(KINDS, 0))
        self.lost = Counter[AuditKind](dict.fromkeys(KINDS, 0))

    @property
    def waiting(self) -> int:
        """How many entries are not written yet."""
        return sum(map(len, self._waiting.values()))

    def add(self, kind: AuditKind, who: str, members: Mapping[str, Any]) -> None:
        """One more entry, of this moment. `members` are JSON without secrets; `who` is "" for nobody."""
        self._add(self._clock.wall_ms(), kind, who, members)

    def add_refused(self, refused: Refused, who: str, members: Mapping[str, Any]) -> None:
        """One more refused request: an entry, but one for many alike that follow each other closely."""
        now_ms = self._clock.wall_ms()
        if self._repeats.is_first(refused, self._clock.monotonic(), now_ms):
            self._add(now_ms, "auth", who, {**members, "count": 1})

    async def read(self, query: AuditQuery) -> list[AuditEntry]:
        """What the query means, with what this node took before. Raises LogError."""
        try:
            async with asyncio.timeout(self._timing.read_seconds):
                await self.flush(counts_at_once=True)
        except TimeoutError:
            raise LogError("The audit trail can't be written at the moment: try again later.") from None
        return await self._store.read(query)

    async def run(self) -> None:
        """Writes what comes, and applies the store's bounds, until it is cancelled."""
        backoff = Backoff(0.5, self._timing.longest_retry_seconds)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(WINDOW_SECONDS):
                    await self._arrived.wait()
            self._arrived.clear()
            await asyncio.sleep(self._timing.pause_seconds)
            try:
                await self.flush()
                await self._trim()
                backoff.reset()
            except LogError as error:
                self._outage.failed(error=error)
                await asyncio.sleep(backoff.next())
                self._arrived.set()

    async def flush(self, *, counts_at_once: bool = False) -> None:
        """Writes what was taken before. Raises LogError where not all of it could be."""
        async with self._turn:
            for refused, count, last_ms in self._repeats.take(
                self._clock.monotonic(), at_once=counts_at_once
            ):
                members = {"others": True} if refused is None else refused._asdict()
                self._add(last_ms, "auth", "", {**members, "count": count})
            for waiting in self._waiting.values():
                while waiting:
                    await self._write([waiting.popleft() for _ in range(min(BATCH, len(waiting)))], waiting)

    async def close(self) -> None:
        """Writes what waits, for a bounded time, and says what is lost. Then closes the store."""
        with suppress(TimeoutError, LogError):
            async with asyncio.timeout(self._timing.close_seconds):
                await self.flush(counts_at_once=True)
        for kind, waiting in self._waiting.items():
            self.lost[kind] += len(waiting)
        if self.waiting:
            log_event(_log, logging.WARNING, "audit_lost", entries=self.waiting)
        await self._store.close()

    def _add(self, at_ms: int, kind: AuditKind, who: str, members: Mapping[str, Any]) -> None:
        waiting = self._waiting[kind]
        if len(waiting) >= MAX_WAITING:
            self.lost[kind] += 1
            if self._tells_of_loss:
                self._tells_of_loss = False
                log_event(_log, logging.WARNING, "audit_lost", waiting=self.waiting)
            return
        self._number += 1
        self.recorded[kind] += 1
        waiting.append(_Waiting(at_ms, self._number, kind, who, members))
        self._arrived.set()

    async def _write(self, batch: list[_Waiting], waiting: deque[_Waiting]) -> None:
        try:
            await self._store.append([self._entry(taken) for taken in batch])
        except BaseException:
            # It may be there all the same, and stays what it is then.
            waiting.extendleft(reversed(batch))
            raise
        self._since_trim += len(batch)
        self._tells_of_loss = True
        self._outage.over()

    async def _trim(self) -> None:
        now = self._clock.monotonic()
        if now - self._trimmed_at >= TRIM_SECONDS or self._since_trim >= TRIM_EVERY:
            await self._store.trim()
            self._trimmed_at, self._since_trim = now, 0
            self._outage.over()

    def _entry(self, taken: _Waiting) -> AuditEntry:
        # The number keeps the order of one node within a millisecond.
        entry_id = f"{moment(taken.at_ms)}-{taken.number:010d}-{self._node}"
        head = {"id": entry_id, "at": rfc3339(taken.at_ms), "kind": taken.kind, "who": taken.who or None}
        return AuditEntry(entry_id, taken.kind, taken.who, orjson.dumps({**head, **taken.members}))
