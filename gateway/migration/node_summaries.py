"""What every node has counted, for whoever asks any of them: a summary of each in the store they share."""

import asyncio
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from flags.log_lines import Outage as ToldOutage
from gateway.core.errors import LogError
from gateway.migration.known_node import GONE_SECONDS, KnownNode, Reason
from gateway.migration.summary_values import Past, SummaryValues, Told, TooLarge, Unusable, told
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage

_log = logging.getLogger(__name__)

LEASE = "guard"
PUT_SECONDS = 1.0
"""How often a node puts its summary, and the one that leads reads the others'."""
RETAIN_SECONDS = 1200.0
READ_SECONDS = 2.0
"""How long somebody who asks waits for what others say."""
CLOSE_SECONDS = 1.0
"""How long a node that ends may take to say so."""
LONG = 10
"""After how many times `retain_seconds` a node is given up that can't be added to the past."""
PAST = "past"
PAST_NAME = "nodes that are gone"

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """What one node says of itself.

    `node` is the random id of its process, `name` what people call it: the machine's name, with " worker 2"
    where there are several. `age_seconds` ago it was made, as far as this node can tell. `is_gone`: it ended,
    or has said nothing for GONE_SECONDS. `content` is JSON: what `make` gave there, or for the node PAST
    `{"sums": …}` alone.
    """

    node: str
    name: str
    age_seconds: float
    is_here: bool
    is_gone: bool
    content: Content


class LeftOut(NamedTuple):
    """A node whose figures can't be counted, and why."""

    name: str
    reason: Reason
    age_seconds: float = 0.0
    is_gone: bool = False


class Sums(Protocol):
    """What can be done with the member `sums` of contents (gateway/migration/node_sums.py)."""

    def check(self, sums: object) -> None:
        """Raises ValueError where it is none."""
        ...

    def fold(self, parts: Sequence[tuple[Content, float]]) -> Content:
        """The sum of what nodes that are gone have left, each with its age in seconds."""
        ...

    def less(self, sums: Content, before: Content) -> Content:
        """What was counted since `before`, which the same node gave."""
        ...


class NodeSummaries:
    """This node's summary, which it puts, and those of the others, which it reads.

    `make` gives this node's content as it is now, as JSON's types and at most a few MiB of it. Without
    `leases`, or with some that nobody else can have, this node is alone: it leads, and reads nothing. A node
    that has been gone for `retain_seconds` is given up by the one that leads: what `sums` can add up goes
    into the past.
    """

    def __init__(
        self,
        leases: Leases | None,
        clock: Clock,
        name: str,
        make: Callable[[], Awaitable[Content]],
        sums: Sums,
        *,
        retain_seconds: Callable[[], float] = lambda: RETAIN_SECONDS,
        outage: ToldOutage | None = None,
    ) -> None:
        self.name = name
        """What people call this node: to be set before `run`, if it is not known earlier."""
        self._leases = leases if leases is not None and leases.is_shared else None
        self._values = None if self._leases is None else SummaryValues(self._leases.store)
        self._clock = clock
        self._make = make
        self._sums = sums
        self._retain_seconds = retain_seconds
        self._outage = outage or Outage(_log, "node_summaries", now=clock.monotonic)
        self._node = secrets.token_hex(8)
        # What this process had counted when it was given up, and when it put its summary last.
        self._before: Content = {}
        self._last_sums: Content = {}
        self._roster_version = -1
        self._is_on_roster = self._was_on_roster = False
        self._known: dict[str, KnownNode] = {}
        self._past = Past()
        self._past_reason: Reason | None = None
        self._read_at = -math.inf
        self._reached_at = clock.monotonic()
        # Since it has the lease: who judges first has to know how far the one before it came.
        self._has_read = False
        self._unfit: str | None = None
        self._reading = asyncio.Lock()
        self._closing = asyncio.Event()

    async def run(self) -> None:
        """Puts this node's summary each second, and where it leads reads the others', until it is closed."""
        while self._leases is not None and not self._closing.is_set():
            await self.tick()
            try:
                await asyncio.wait_for(self._closing.wait(), PUT_SECONDS)
            except TimeoutError:
                continue

    async def tick(self) -> None:
        """What is done each second. Raises nothing where the store is out of reach: the outage is told."""
        if self._leases is None or self._values is None:
            return
        try:
            await self._join(self._values)
            await self._put(self._values)
            await self._lead(self._leases)
            if self._leases.holds(LEASE):
                await self._read(self._values)
                self._has_read = True
                await self._give_up(self._values)
            else:
                self._has_read = False
        except LogError as error:
            self._outage.failed(error=error.detail)
        else:
            self._reached_at = self._clock.monotonic()
            self._outage.over()

    async def close(self) -> None:
        """Ends `run`, says so to the others, and gives the lease back, if that takes no longer than a second.

        What this node has counted stays with the others, which then know that it ended.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._values is not None and self._is_on_roster:
                    await self._put(self._values, ended=True)
                if self._leases is not None:
                    await self._leases.release(LEASE)
        except (LogError, TimeoutError) as error:
            # The others find it out in GONE_SECONDS, and the lease runs out.
            log_event(_log, logging.INFO, "node_summary_not_ended", error=str(error) or "It took too long.")

    @property
    def leads(self) -> bool:
        """Whether this node judges: it alone has the lease, as far as it knows, and has read what the others
        say."""
        return self.has_lease and not self._closing.is_set()

    @property
    def has_lease(self) -> bool:
        """The same, but also while it ends: what it says last is what the next one goes on from."""
        return self._leases is None or (self._has_read and self._leases.holds(LEASE))

    @property
    def others(self) -> Sequence[NodeSummary]:
        """The summaries of the others as they were read last, then the past.

        None where the store has been out of reach for GONE_SECONDS.
        """
        now = self._clock.monotonic()
        if self._is_cut_off(now):
            return []
        others = [
            NodeSummary(node, known.name, known.age(now), False, known.is_gone, known.content)
            for node, known in self._known.items()
            if known.reason is None and known.content is not None and node not in self._past.folded
        ]
        return [*others, *self._past_summary()]

    def _past_summary(self) -> list[NodeSummary]:
        if not self._past.folded or self._past_reason is not None:
            return []
        return [NodeSummary(PAST, PAST_NAME, self._past_age(), False, True, {"sums": self._past.sums})]

    def _past_age(self) -> float:
        return max(0.0, (self._clock.wall_ms() - self._past.at_ms) / 1000)

    async def read(self) -> Sequence[NodeSummary]:
        """This node's own summary, made now, then `others`, read anew where that was over a second ago.

        Where the store is out of reach they are as they were read last.
        """
        if self._values is not None and self._clock.monotonic() - self._read_at >= PUT_SECONDS:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await self._read(self._values)
            except TimeoutError:
                # Whoever asks is not to wait for a server that hangs; `tick` finds that out too.
                self._outage.failed(error=f"It took longer than {READ_SECONDS:g} s.")
            except LogError as error:
                self._outage.failed(error=error.detail)
        content = self._since_given_up(await self._make())
        return [NodeSummary(self._node, self.name, 0.0, True, False, content), *self.others]

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """The nodes whose figures are in no sum here, as far as they were read."""
        now = self._clock.monotonic()
        if self._is_cut_off(now):
            return [LeftOut(known.name, "unreachable", known.age(now)) for known in self._known.values()]
        found = [
            LeftOut(known.name, known.reason, known.age(now), known.is_gone)
            for known in self._known.values()
            if known.reason is not None
        ]
        past = [LeftOut(PAST_NAME, self._past_reason, is_gone=True)] if self._past_reason else []
        return [*found, *past]

    def warnings(self) -> list[str]:
        """What an operator should see to, one sentence each."""
        found = [f"This node's figures are in no sum: {self._unfit}."] if self._unfit else []
        if self._leases is not None and self._is_cut_off(self._clock.monotonic()):
            return [*found, "Sums over nodes are of this node alone: what the nodes share is out of reach."]
        left_out = [f"The figures of {out.name} are left out: {WHY[out.reason]}." for out in self.left_out]
        return [*found, *left_out]

    def counts(self) -> dict[str, int]:
        """How many other nodes there are, as of the last look: `read`, `left_out` and `gone`."""
        left_out = sum(known.reason is not None for known in self._known.values())
        gone = sum(known.reason is None and known.is_gone for known in self._known.values())
        return {"read": len(self._known) - left_out - gone, "left_out": left_out, "gone": gone}

    def _is_cut_off(self, now: float) -> bool:
        return self._leases is not None and now - max(self._reached_at, self._read_at) >= GONE_SECONDS

    def _since_given_up(self, made: Content) -> Content:
        if not self._before:
            return made
        return {**made, "sums": self._sums.less(made.get("sums", {}), self._before)}

    async def _join(self, values: SummaryValues) -> None:
        """Sees to it that this node is on the roster.

        One that was away for so long that it was given up comes back as another, and begins anew: what it
        had counted is past.
        """
        version = await values.roster_version()
        if version == self._roster_version and self._is_on_roster:
            return
        roster, self._roster_version = await values.roster()
        self._is_on_roster = self._node in roster
        if self._is_on_roster:
            return
        if self._was_on_roster and self._node in (await values.past()).folded:
            self._before, self._node = self._last_sums, secrets.token_hex(8)
        self._is_on_roster = await values.join(self._node, self.name, self._clock.wall_ms())
        self._roster_version = -1
        self._was_on_roster = self._was_on_roster or self._is_on_roster
        self._unfit_for("there are too many nodes", not self._is_on_roster)

    async def _put(self, values: SummaryValues, *, ended: bool = False) -> None:
        if not self._is_on_roster:
            return
        wall_ms, made = self._clock.wall_ms(), await self._make()
        if self._closing.is_set() and not ended:
            # A turn that was under way must not replace what this node said last.
            return
        try:
            await values.put(self._node, Told(wall_ms, ended, self._since_given_up(made)))
        except TooLarge:
            self._unfit_for("they are too large", True)
        else:
            self._last_sums = made.get("sums", {})
            self._unfit_for("they are too large", False)

    def _unfit_for(self, why: str, is_so: bool) -> None:
        if is_so and self._unfit != why:
            self._unfit = why
            log_event(_log, logging.WARNING, "node_summary_not_put", node=self.name, reason=why)
        elif not is_so and self._unfit == why:
            self._unfit = None

    async def _lead(self, leases: Leases) -> None:
        """Asks for the lease, or gives it back where this node's own clock is the wrong one."""
        if self._values is not None and self._is_odd():
            await self._read(self._values)
        if self._is_odd():
            await leases.release(LEASE)
        elif not self._closing.is_set():
            await leases.acquire(LEASE)

    def _is_odd(self) -> bool:
        """Whether this node finds the clocks of most others wrong, and of more than one."""
        live = [known.reason for known in self._known.values() if not known.is_gone]
        wrong = live.count("clock")
        return wrong >= 2 and 2 * wrong > len(live)

    async def _read(self, values: SummaryValues) -> None:
        """Reads what has changed, of every node and of the past."""
        async with self._reading:
            began = self._clock.monotonic()
            roster, _ = await values.roster()
            self._known = {
                node: self._known.get(node) or KnownNode(name)
                for node, name in roster.items()
                if node != self._node
            }
            # While it waits a node may be given up.
            for node, known in tuple(self._known.items()):
                await self._look(values, node, known)
            # Last, so that a node that is folded meanwhile is missed in neither place.
            try:
                self._past, self._past_reason = await values.past(), None
            except Unusable as error:
                self._past_reason = _reason(error)
            self._read_at = self._clock.monotonic()
            self._reached_at = max(self._reached_at, began)

    async def _look(self, values: SummaryValues, node: str, known: KnownNode) -> None:
        began = self._clock.monotonic()
        entry = await values.get(node)
        now, wall = self._clock.monotonic(), self._clock.wall_ms() / 1000
        if entry is not None and known.is_new(entry.version):
            try:
                said = await told(entry)
                if known.content is None:
                    self._sums.check(said.content.get("sums", {}))
            except Unusable as error:
                known.said_nothing_usable(entry.version, _reason(error), now)
            except ValueError:
                known.said_nothing_usable(entry.version, "unreadable", now)
            else:
                known.content, known.ended = said.content, said.ended
                known.said(entry.version, said.at_ms / 1000, now, wall)
        known.looked(began, now)
        if known.reason is not None and not known.is_told:
            known.is_told = True
            log_event(_log, logging.WARNING, "node_summary_left_out", node=known.name, reason=known.reason)

    async def _give_up(self, values: SummaryValues) -> None:
        """Folds the nodes that have been gone for long into the past, and forgets them."""
        now, retain_seconds = self._clock.monotonic(), self._retain_seconds()
        past = [(node, known) for node, known in self._known.items() if known.is_past(retain_seconds, now)]
        for node, known in past:
            if known.reason is None and known.content is not None:
                try:
                    await self._fold(values, node, known.content.get("sums", {}), known.age(now))
                    # Whoever asks meanwhile is to find it in one of the two.
                    self._past = await values.past()
                except (Unusable, TooLarge):
                    # It may be another release that can. But they must not fill the roster.
                    if not known.is_past(LONG * retain_seconds, now):
                        continue
            await values.leave([node])
            self._known.pop(node, None)

    async def _fold(self, values: SummaryValues, node: str, sums: Content, age_seconds: float) -> None:
        wall_ms = self._clock.wall_ms()

        def folded(past: Past) -> Content:
            past_age = max(0.0, (wall_ms - past.at_ms) / 1000)
            return self._sums.fold([(past.sums, past_age), (sums, age_seconds)])

        await values.fold(node, wall_ms, folded)


WHY: Mapping[Reason, str] = {
    "clock": "its clock is more than 10 s off, or this node's is",
    "version": "it is of another release",
    "unreadable": "what it says can't be read",
    "unreachable": "what the nodes share is out of reach",
}
"""Each reason in words for people."""


def _reason(error: Unusable) -> Reason:
    return "version" if error.reason == "version" else "unreadable"
