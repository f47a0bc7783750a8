"""Follows one upstream: asks, compares with the last good answer, publishes, and keeps the new answer."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, ParamSpec, TypeVar

from adapters.upstream.comparison import Comparison, Items, compare, extract, too_many_missing
from adapters.upstream.counters import RouteCounters
from adapters.upstream.fetch import Fetched
from adapters.upstream.route import LegacyRoute
from adapters.upstream.snapshot import Snapshot, digest_of, is_strong, shared_headers, validators_of
from gateway.clock import Clock
from gateway.errors import LogError
from gateway.events import Cursor, Event, Position
from gateway.log import EventLog
from gateway.logs import log_event

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_R = TypeVar("_R")

Fetch = Callable[[Mapping[str, str]], Awaitable[Fetched | None]]
"""Asks the upstream, given the validators of a conditional request; see `adapters.upstream.fetch`."""

Publish = Callable[["Change"], Awaitable[Sequence[Position]]]
"""Appends the events of a change to the log, and gives their positions in order. Raises LogError."""

ItemsCache = MutableMapping[tuple[str, str], Items]
"""The items of an answer, by its route's path and its digest. It may forget any of them at any time."""

_READ_BATCH = 1000
# Reading and comparing so much takes about a millisecond; more than that would hold up every stream.
_OFFLOAD_BYTES = 65_536


class Change(NamedTuple):
    """The events that lead from one snapshot to the next, noticed at `at_ms` (wall time)."""

    old: Snapshot
    new: Snapshot
    events: tuple[Event, ...]
    at_ms: int


class Tracker:
    """The last good answer of one upstream, and the events that led to it.

    `snapshot` is None until the first good answer, which is the base of all comparing and publishes nothing.
    `poll` must not run twice at once. `publish` takes what changed to the log; by default it just appends.
    """

    def __init__(
        self,
        route: LegacyRoute,
        log: EventLog,
        fetch: Fetch,
        clock: Clock,
        items: ItemsCache,
        counters: RouteCounters,
        publish: Publish | None = None,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self._route = route
        self._events_log = log
        self._fetch = fetch
        self._clock = clock
        self._items = items
        self._counters = counters
        self._publish = publish or self._append
        self._held: frozenset[str] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is an answer already."""
        return self.snapshot is not None

    @property
    def pace_seconds(self) -> float:
        """How long after one `poll` the next is due."""
        return self._route.interval_seconds

    async def rest(self) -> None:
        """Nobody wants the result for now: nothing has to be done about that."""

    async def poll(self, *, fresh: bool = False) -> bool:
        """Asks the upstream once. True: `snapshot` is what it said; False: that is held until confirmed.

        `fresh` makes no difference: every answer is. Raises UpstreamError (BadAnswer among them) where the
        upstream gave nothing to use, LogError where the log did not take the events. `snapshot` is then what
        it was, and the next poll compares with it again.

        The cursor of an answer that changed nothing is the log's head from before the upstream was asked:
        what this route published is at or before it, and what others publish of this entity while the
        upstream answers may or may not be in the answer, and comes after it. `position_shown` gives that of
        an answer that changed something.
        """
        epoch = self._events_log.epoch
        before = (await self._events_log.bounds()).head
        self._counters.polls += 1
        asked_at = self._clock.monotonic()
        old = self.snapshot
        fetched = await self._fetch(old.validators if old is not None else {})
        received_at = self._clock.monotonic()
        cursor = str(Cursor(epoch, before))
        if fetched is None:
            if old is not None:
                self.snapshot = replace(old, asked_at=asked_at, received_at=received_at, cursor=cursor)
            self._counters.not_modified += 1
            self._held = None
            return True
        digest = await _offload(len(fetched.body), digest_of, fetched.body)
        new = self._snapshot_of(fetched, digest, asked_at, received_at, cursor)
        if old is not None and old.digest == digest:
            self.snapshot = replace(new, body=old.body)
            self._counters.unchanged += 1
            self._held = None
            return True
        items = await _offload(len(new.body), extract, new.body, self._route)
        if old is not None and not await self._follow(old, new, items, Cursor(epoch, before)):
            return False
        if old is None:
            self.snapshot = new
        # A cache refuses what is larger than itself: such items are read from the body again.
        with contextlib.suppress(ValueError):
            self._items[self._route.path, digest] = items
        return True

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of an answer that was kept, read again where nobody remembers them."""
        known = self._items.get((self._route.path, snapshot.digest))
        if known is not None:
            return known
        return await _offload(len(snapshot.body), extract, snapshot.body, self._route)

    async def _follow(self, old: Snapshot, new: Snapshot, items: Items, before: Cursor) -> bool:
        """Publishes what leads from `old` to `new` and keeps `new`; False where that is held."""
        now_ms = self._clock.wall_ms()
        comparison, count = await self._compared(old, items, now_ms)
        if self._to_be_held(comparison, count):
            return False
        self._counters.changed += 1
        positions: Sequence[Position] = ()
        if comparison.events and self._route.events == "poll":
            positions = await self._publish(Change(old, new, comparison.events, now_ms))
            self._counters.events += len(positions)
            self._tell_of_oversized(comparison)
        # Kept before anything else is awaited: an answer that was published must never be published again.
        self.snapshot = new
        if positions:
            shown = await self.position_shown(before.position, positions)
            self.snapshot = replace(new, cursor=str(Cursor(before.epoch, shown)))
        return True

    async def _append(self, change: Change) -> Sequence[Position]:
        return (await self._events_log.append(change.events)).positions

    async def events_between(self, old: Snapshot, new: Snapshot, at_ms: int) -> tuple[Event, ...]:
        """The events that lead from `old` to `new`: the same ones whenever and wherever it is asked.

        Raises BadAnswer where one of them can't be read.
        """
        items = await _offload(len(new.body), extract, new.body, self._route)
        return (await self._compared(old, items, at_ms))[0].events

    def adopt(self, snapshot: Snapshot | None) -> None:
        """Goes on from a snapshot that another tracker of the same upstream took, or begins anew."""
        self.snapshot = snapshot
        self._held = None

    async def _compared(self, old: Snapshot, items: Items, now_ms: int) -> tuple[Comparison, int]:
        route = self._route
        known = self._items.get((route.path, old.digest))

        def work() -> tuple[Comparison, int]:
            base = extract(old.body, route) if known is None else known
            return compare(base, items, route, now_ms), len(base)

        return await _offload(len(old.body), work)

    def _to_be_held(self, comparison: Comparison, count: int) -> bool:
        """Whether too much is gone at once, and not yet confirmed by a second answer that lacks it too."""
        if too_many_missing(comparison, count, self._route) and (
            self._held is None or not self._held <= comparison.missing
        ):
            self._held = comparison.missing
            self._counters.held += 1
            self._tell(logging.WARNING, "upstream_deletions_held", missing=len(self._held), items=count)
            return True
        self._held = None
        return False

    async def position_shown(self, before: Position, own: Sequence[Position]) -> Position:
        """The last position up to which the log holds nothing of this entity that the answer may lack.

        That is the last of `own`, the events just appended, unless somebody else published an event of this
        entity after the upstream was asked: the answer may be older than that event, so a stream has to
        resume before it. Such a stream may repeat some of `own`; it misses nothing.
        """
        mine, at = frozenset(own), before
        try:
            while at < own[-1]:
                records = await self._events_log.read(at, _READ_BATCH)
                if not records:
                    break
                for record in records:
                    if record.position not in mine and record.event.entity_type == self._route.entity:
                        return at
                    at = record.position
                    if at == own[-1]:
                        break
        except LogError as error:
            self._tell(logging.WARNING, "upstream_cursor_kept_back", detail=error.detail)
        return at

    def _snapshot_of(
        self, fetched: Fetched, digest: str, asked_at: float, received_at: float, cursor: str
    ) -> Snapshot:
        old = self.snapshot
        given = fetched.headers.get("ETag", "")
        trusted = old is None or old.etags_trusted
        if (
            old is not None
            and trusted
            and is_strong(given)
            and given == old.validators.get("If-None-Match")
            and digest != old.digest
        ):
            # Sent on, it would make a 304 of a change. From here on the gateway's own digests stand in.
            trusted = False
            self._counters.etags_reused += 1
            self._tell(logging.WARNING, "upstream_etag_reused")
        received = datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)
        validators = validators_of(fetched.headers, received)
        if not trusted:
            validators.pop("If-None-Match", None)
        own = trusted and not fetched.coded and is_strong(given)
        return Snapshot(
            body=fetched.body,
            digest=digest,
            headers=shared_headers(fetched.headers),
            etag=given if own else f'"{digest}"',
            etags_trusted=trusted,
            validators=validators,
            asked_at=asked_at,
            received_at=received_at,
            cursor=cursor,
        )

    def _tell_of_oversized(self, comparison: Comparison) -> None:
        if comparison.oversized:
            self._counters.oversized_events += len(comparison.oversized)
            self._tell(
                logging.WARNING,
                "upstream_events_oversized",
                items=len(comparison.oversized),
                first=comparison.oversized[0],
                max_event_bytes=self._route.max_event_bytes,
            )

    def _tell(self, level: int, event: str, **fields: object) -> None:
        route = self._route
        log_event(_log, level, event, component=route.component, path=route.path, **fields)


async def _offload(size: int, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Runs `work`, in a thread where it has so many bytes to go through that streams would have to wait."""
    if size <= _OFFLOAD_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
