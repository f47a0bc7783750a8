"""One upstream that several nodes serve: one of them asks it, the others serve what it got.

Who asks has a lease. What it got is kept in the store that all nodes share, and the version of that entry is
the fence: whoever wants to publish a change sets the entry first, marked as pending, and publishes under a
key made of the entry's version. So a change is published once, whoever dies or falls asleep in between:

1. the body goes under its digest, and the entry, pending, in place of the version that was compared with;
   where that is not there any more another node was quicker, and this one publishes nothing;
2. the events are appended under the key; the next holder of the lease that finds a pending entry does the
   same again, from the two bodies, and the log knows the key. Of many events a batch is appended at a time,
   and before each further one the entry is set anew, with how many were published so far: its new version is
   that batch's key;
3. the entry is set again, with the cursor that it corresponds to, not pending any more: others serve it.
"""

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from weakref import WeakMethod

from adapters.upstream.failures import BadAnswer, OtherStatus
from adapters.upstream.nodes.shared_bodies import BODY_TTL_SECONDS, FLEETING_TTL_SECONDS, SharedBodies
from adapters.upstream.nodes.shared_snapshot import Bodies, SharedSnapshot
from adapters.upstream.nodes.shared_word import SharedWord
from adapters.upstream.nodes.snapshot_bodies import SnapshotBodies
from adapters.upstream.reading.items import Items
from adapters.upstream.tracker import ListChange, Publish, Tracker
from gateway.core.errors import LogError, UpstreamError
from gateway.core.events import Cursor
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.log import EventLog
from gateway.ports.route_counters import SharedCount
from gateway.ports.upstreams import Snapshot
from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

_LONGEST_LOOK_SECONDS = 1.0
"""How often those that do not ask look for what the one that does has got, and whether there is one."""
_LOOK_AGAIN_SECONDS = 0.1
"""How soon those look again that have nothing to serve yet."""
_NEARLY = 0.9
"""A snapshot that is so many intervals old is due to be asked for again: pollers wake a little early."""
_LATE_INTERVALS = 3
"""An answer that is so many intervals old, and some seconds, is one that its node could not renew."""
_LATE_SECONDS = 5.0
_UNREAD = -1


class _Overtaken(Exception):
    """Another node has set the entry meanwhile."""


class SharedTracker:
    """Stands before the Tracker of one node; a poller asks it as it would ask that.

    `make_tracker` gives the node's tracker, which publishes as it is told. `counts` has how often this node
    `led` and `followed`, was `overtaken`, `completed` what another node had begun to publish, and `lost` what
    to compare with; lists of one route may share them. `pause` waits for some seconds.
    """

    def __init__(
        self,
        route: LegacyRoute,
        make_tracker: Callable[[Publish], Tracker],
        log: EventLog,
        leases: Leases,
        clock: Clock,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        counts: Counter[SharedCount] | None = None,
    ) -> None:
        self._route = route
        self._pause = pause
        self._tracker = make_tracker(_weakly(self._publish))
        self._events_log = log
        self._leases = leases
        self._store = leases.store
        self._clock = clock
        self._lease = f"poll:{route.key_name}"
        self._entry_key = f"snapshot:{route.key_name}"
        # Of lists that come and go nothing stays behind for good.
        self._ttl = 2 * FLEETING_TTL_SECONDS if route.is_one_of_many else None
        ttl = FLEETING_TTL_SECONDS if route.is_one_of_many else BODY_TTL_SECONDS
        # Of the entry that this node's snapshot is: its own, or one that it took over.
        self._version = 0
        self._is_kept = False
        self._stored = SharedBodies(leases.store, route.key_name, clock, ttl)
        self._bodies = SnapshotBodies(self._stored)
        self._late_seconds = _LATE_INTERVALS * route.interval_seconds + _LATE_SECONDS
        self._word = SharedWord(leases.store, route.key_name, clock, self._late_seconds)
        # What the entry says, where this node set it, it is not pending, and there is no other node.
        self._final: list[Bodies] | None = None
        self.counts: Counter[SharedCount] = Counter() if counts is None else counts

    @property
    def snapshot(self) -> Snapshot | None:
        return self._tracker.snapshot

    @property
    def unusable(self) -> Snapshot | None:
        return self._tracker.unusable

    @property
    def is_leading(self) -> bool:
        """Whether this node asks the upstream, as far as it knows."""
        return self._leases.holds(self._lease)

    @property
    def has_begun(self) -> bool:
        """Whether there may be an answer already: another node may have one."""
        return True

    @property
    def pace_seconds(self) -> float:
        if self.is_leading:
            return self._route.interval_seconds
        return min(self._route.interval_seconds, _LONGEST_LOOK_SECONDS)

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of one of its snapshots, by key. Asks nobody."""
        return await self._tracker.items_of(snapshot)

    async def rest(self) -> None:
        """Lets another node ask, where somebody there wants the result."""
        await self._leases.release(self._lease)

    async def poll(self, *, fresh: bool = False) -> bool:
        """See adapters.upstream.poller.Follows. `fresh` takes the lease from whoever has it.

        Where there is nothing to serve yet, it waits for the node that asks, as long as an upstream may take.
        Raises what the upstream said to that node, where there is nothing else to serve, and for as long as
        it wants to be left alone, whichever node it said that to.
        """
        for _ in range(math.ceil(self._route.timeout_seconds / _LOOK_AGAIN_SECONDS)):
            try:
                was_leading = self.is_leading
                if await self._leases.acquire(self._lease, steal=fresh):
                    if not was_leading:
                        await self._leave_alone()
                    return await self._lead(fresh=fresh)
            except _Overtaken:
                self.counts["overtaken"] += 1
                await self._leases.release(self._lease)
                if fresh:
                    # What the other node has got may have been asked for too early.
                    continue
            if await self._follow():
                return True
            await self._pause(_LOOK_AGAIN_SECONDS)
        raise UpstreamError("The node that asks the upstream has no answer of it yet.")

    async def _lead(self, *, fresh: bool) -> bool:
        await self._take_up()
        if self._latest is not None and not self._is_kept:
            # What the next answer is compared with has to be there for whoever takes over in between.
            await self._keep()
        if not fresh and self._is_recent():
            return True
        self.counts["led"] += 1
        self._is_kept = False
        try:
            taken = await self._tracker.poll(fresh=fresh)
        except BadAnswer as error:
            if error.is_kept:
                # Nothing can be compared with it, and callers of the other nodes are to have it all the same.
                await self._keep()
            if self._leases.is_shared and (isinstance(error, OtherStatus) or not error.is_kept):
                # It counts here also where the others can't be told.
                with contextlib.suppress(LogError):
                    await self._word.tell(error)
            raise
        if taken:
            await self._keep()
        await self._word.take_back()
        return taken

    async def _leave_alone(self) -> None:
        """Raises what the upstream said to the node that asked before, while it wants to be left alone."""
        word = await self._word.heard()
        if isinstance(word, OtherStatus) and word.answer.retry_after_seconds:
            raise word

    @property
    def _latest(self) -> Snapshot | None:
        """What the upstream said last, whether or not it can be compared."""
        return self._tracker.unusable or self._tracker.snapshot

    def _is_recent(self) -> bool:
        snapshot = self._latest
        if snapshot is None or self._age(snapshot) >= _NEARLY * self._route.interval_seconds:
            return False
        # The cursor of a history that is over is of no use to anybody.
        cursor = Cursor.parse(snapshot.cursor)
        return cursor is not None and cursor.epoch == self._events_log.epoch

    async def _take_up(self) -> None:
        """Goes on from what the last node to ask has got, and publishes what it did not get to."""
        found = await self._look()
        if found is None:
            return
        shared, version = found
        snapshot, unusable = await self._load(shared)
        self._version = version
        if snapshot is not None and shared.pending:
            await self._complete(shared, snapshot)
            return
        if snapshot is None and shared.problem is None:
            self._lost(shared)
        self._adopt(shared, snapshot, unusable)
        self._is_kept = True

    async def _complete(self, shared: SharedSnapshot, new: Snapshot) -> None:
        """Publishes what leads to `new`, which may have been published before, and lets others serve it."""
        assert shared.previous is not None, "what is pending has something before it"
        before = await self._bodies.load(Bodies(shared.previous, text=shared.previous_text))
        try:
            if before is None:
                raise BadAnswer("gone", "What the answer is to be compared with is gone.")
            old = replace(
                new, body=before.body, digest=shared.previous, text=before.text, status=shared.previous_status
            )
            change = await self._tracker.change(old, new, shared.changed_at_ms, shared.published)
        except BadAnswer:
            # Gone, or read under other settings by the process before.
            self._lost(shared)
            self._tracker.adopt(None)
            return
        cursor = await self._append(change, shared, is_set=True)
        self._tracker.adopt(replace(new, cursor=cursor))
        self.counts["completed"] += 1
        await self._keep()

    async def _publish(self, change: ListChange) -> str:
        """What the tracker publishes with: steps 1 and 2."""
        shared = SharedSnapshot.of(
            change.new,
            await self._bodies.keep(change.new),
            self._asked_at_ms(change.new),
            pending=True,
            previous=change.old.digest,
            previous_status=change.old.status,
            previous_text=await self._bodies.text_of(change.old),
            changed_at_ms=change.at_ms,
        )
        return await self._append(change, shared, is_set=False)

    async def _append(self, change: ListChange, shared: SharedSnapshot, *, is_set: bool) -> str:
        """Appends every batch once, whoever has tried before; `is_set`: the entry is `shared` already."""
        shown = self._tracker.shown(change.new)
        try:
            async with contextlib.aclosing(change.batches):
                async for batch in change.batches:
                    if not is_set:
                        await self._set(shared)
                    key = f"poll:{self._route.key_name}:{self._version}"
                    await shown.append(await self._events_log.append_once(batch, key, b""))
                    published = shared.published + len(batch)
                    shared = replace(shared, published=published, cursor=str(shown.cursor))
                    is_set = False
        except BaseException:
            # How far it got is not known. The next poll finds the entry as if it were new.
            self._version = _UNREAD
            raise
        return str(shown.cursor)

    async def _keep(self) -> None:
        """Step 3, for whatever the tracker has now."""
        kept = [one for one in (self._tracker.snapshot, self._tracker.unusable) if one is not None]
        bodies = [await self._bodies.keep(one) for one in kept]
        # Who comes after a process that is alone needs the bodies, and not how old they are.
        if self._leases.is_shared or bodies != self._final:
            shared, *unusable = (
                SharedSnapshot.of(one, its, self._asked_at_ms(one))
                for one, its in zip(kept, bodies, strict=True)
            )
            await self._set(replace(shared, unusable=unusable[0]) if unusable else shared)
            self._final = bodies
        self._is_kept = True
        await self._bodies.let_go_but(bodies)

    async def _follow(self) -> bool:
        """Serves what the node that asks has got; False where there is nothing to serve yet.

        Raises UpstreamError where it is too old, what the upstream said where that is why.
        """
        self.counts["followed"] += 1
        found = await self._look()
        if found is not None and not found[0].pending:
            shared, version = found
            snapshot, unusable = await self._load(shared)
            if snapshot is not None or unusable is not None:
                self._adopt(shared, snapshot, unusable)
                self._version = version
        latest = self._latest
        age = math.inf if latest is None else self._age(latest)
        if age <= self._late_seconds:
            return True
        word = await self._word.heard()
        if word is not None:
            raise word
        if latest is not None:
            raise UpstreamError(f"The node that asks the upstream has had no answer for {age:.0f} s.")
        return False

    async def _look(self) -> tuple[SharedSnapshot, int] | None:
        """What another node has set since the last look, and its version; None where none has."""
        entry = await self._store.get(self._entry_key)
        if entry is None:
            self._version, self._is_kept = 0, False
            self._final = None
            self._stored.doubt()
            return None
        if entry.version == self._version:
            return None
        # Whoever set it may have dropped what this node kept.
        self._stored.forget()
        return SharedSnapshot.parse(entry.value), entry.version

    async def _set(self, shared: SharedSnapshot) -> None:
        version = await self._store.put(
            self._entry_key, shared.json(), expected=self._version, ttl_seconds=self._ttl
        )
        if version is None:
            raise _Overtaken
        self._version = version

    async def _load(self, shared: SharedSnapshot) -> tuple[Snapshot | None, Snapshot | None]:
        """The good answer and the unusable one after it; None where there is none, or its bodies are gone."""
        snapshot = await self._load_one(shared)
        if shared.problem is not None:
            return None, snapshot
        return snapshot, None if shared.unusable is None else await self._load_one(shared.unusable)

    async def _load_one(self, shared: SharedSnapshot) -> Snapshot | None:
        loaded = await self._bodies.load(shared.bodies)
        if loaded is None:
            return None
        age = max(0, self._clock.wall_ms() - shared.asked_at_ms) / 1000
        return shared.snapshot(loaded.body, self._clock.monotonic() - age, loaded.coded, loaded.text)

    def _adopt(self, shared: SharedSnapshot, snapshot: Snapshot | None, unusable: Snapshot | None) -> None:
        self._tracker.adopt(snapshot, unusable)
        self._bodies.remember(one.bodies for one in (shared, shared.unusable) if one is not None)

    def _age(self, snapshot: Snapshot) -> float:
        return self._clock.monotonic() - snapshot.asked_at

    def _asked_at_ms(self, snapshot: Snapshot) -> int:
        return self._clock.wall_ms() - round(self._age(snapshot) * 1000)

    def _lost(self, shared: SharedSnapshot) -> None:
        """Says that the answer to compare with is gone: what changed since goes unnoticed."""
        self.counts["lost"] += 1
        log_event(
            _log,
            logging.ERROR,
            "upstream_base_lost",
            component=self._route.component,
            path=self._route.path,
            digest=shared.digest,
        )


def _weakly(publish: Publish) -> Publish:
    """The same, without keeping alive whose method it is: what is dropped takes its answer along at once."""
    method = WeakMethod(publish)

    async def published(change: ListChange) -> str:
        bound = method()
        assert bound is not None, "who polls it has it"
        return await bound(change)

    return published
