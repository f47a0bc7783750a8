"""Which history the log in Redis is, and whether it still is the one that this node has read from."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from adapters.redis import stream
from adapters.redis.connection import RedisConnection
from adapters.redis.faults import Unreachable
from adapters.redis.stream import KnownEvent, StreamEntry, StreamState
from gateway.core.errors import EpochChanged, LogError
from gateway.core.events import Position
from gateway.ports.clock import Clock
from gateway.ports.log import unknown
from gateway.runtime.logs import log_event

Why = Literal["inherited", "lost"]
"""Why a history is named anew: its server took another's place, or it lacks an event that was seen."""

_LINES: Mapping[Why, str] = {"inherited": "redis_took_over", "lost": "redis_lost_its_tail"}
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

_log = logging.getLogger(__name__)


class Epochs:
    """The epoch that this node reads and appends in, and the newest event that it has seen there.

    What was delivered is in the log, or every reader is told: where the log no longer holds exactly the event
    that a node saw last, or is on a server that took the place of another, the history is named anew. The
    events that it holds stay, and whoever reads on is raised EpochChanged. Nothing of that where a relay
    fills the log: it fills in again what is missing, at the same positions.
    """

    def __init__(self, connection: RedisConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._looking = asyncio.Lock()
        self._is_relayed = False
        self.name = ""
        self.origin = ""
        """The epoch in which the log was begun: what calls it remembers holds as long as that is the same."""
        self.known: KnownEvent | None = None
        self.counts: Counter[str] = Counter()

    @property
    def state_key(self) -> str:
        return self._connection.key("state")

    def stream_key(self, epoch: str) -> str:
        return stream.stream_key(self._connection.address.prefix, epoch)

    def state_command(self) -> tuple[str, ...]:
        return ("HMGET", self.state_key, *stream.STATE_FIELDS)

    def learn(self, epoch: str, position: Position, number: int, payload: bytes | None) -> None:
        """Says that this node has seen an event of that epoch in the log."""
        if epoch == self.name and (self.known is None or position >= self.known.position):
            self.known = KnownEvent(position, number, payload, self._clock.monotonic())

    async def look(self) -> StreamState:
        """Goes over to the epoch that the log has now, and gives its state; begins one where there is none.

        Raises LogError, also where a relay has to begin it.
        """
        async with self._looking:
            while True:
                state, replication = await self._begun()
                if not state.is_relayed and stream.is_inherited(state, replication):
                    await self._rename(state.epoch, "inherited")
                elif state.epoch == self.name:
                    return state
                elif await self._has_what_was_seen(state):
                    self._adopt(state)
                    return state
                else:
                    await self._rename(state.epoch, "lost")

    async def same(self, raw_state: Any, epoch: str) -> StreamState:
        """The state that was read, where it is one of `epoch`. Raises EpochChanged."""
        state = stream.to_state(raw_state)
        if state is None or not self.name == epoch == state.epoch:
            await self.look()
            if self.name != epoch:
                raise changed()
            raise Unreachable(f"Redis at {self._connection.address} is being replaced by another server.")
        return state

    async def ask(self, epoch: str, *commands: Sequence[str | int]) -> tuple[StreamState, list[Any]]:
        """The state and the answers to `commands`, all of one moment, of a log that still is what it was.

        Raises EpochChanged where it is not, UnknownPosition where a relay brought another event to the place
        of the newest one, and Unreachable where the server is no master any more.
        """
        known = self.known
        place = "0-0" if known is None else str(known.position)
        raw_state, raw_known, replication, *answers = await self._connection.together(
            self.state_command(),
            ("XRANGE", self.stream_key(epoch), place, place),
            ("INFO", "replication"),
            *commands,
        )
        await self._connection.require_master(replication)
        state = await self.same(raw_state, epoch)
        if not state.is_relayed:
            if stream.is_inherited(state, replication):
                await self.renew(epoch, "inherited")
            elif known is not None and not stream.holds(state, known, _first(raw_known)):
                await self.renew(epoch, "lost")
            if self.name != epoch:
                raise changed()
        elif known is not None and stream.is_another(known, _first(raw_known)):
            self.known = None
            raise unknown(known.position)
        return state, answers

    async def check(self, after: Position, epoch: str) -> int | None:
        """The number of the event at `after`, None where the log has not come to it yet.

        Raises what `ask` does, TrimmedError and UnknownPosition.
        """
        state, (own,) = await self.ask(epoch, ("XRANGE", self.stream_key(epoch), str(after), str(after)))
        return stream.number_at(state, after, _first(own))

    async def renew(self, epoch: str, why: Why) -> None:
        """Names the history anew, where it still is called `epoch`, and goes over to its new name."""
        await self._rename(epoch, why)
        await self.look()

    async def _has_what_was_seen(self, state: StreamState) -> bool:
        """Whether the readers of another epoch have all that this node saw before it, or were told of it.

        They were told where that epoch began later than this node saw its newest event. Where it began before
        that, the event came from a server that is not the log's any more, and the log has it or not.
        """
        known = self.known
        if known is None or state.is_relayed:
            return True
        seconds = self._clock.monotonic() - known.seen_at
        place = str(known.position)
        raw, (now, microseconds) = await self._connection.together(
            ("XRANGE", self.stream_key(state.epoch), place, place), ("TIME",)
        )
        if (found := _first(raw)) is not None and stream.holds(state, known, found):
            return True
        return int(now) + int(microseconds) / 1e6 - state.began_ms / 1e3 <= seconds

    async def _rename(self, epoch: str, why: Why) -> None:
        new = _new_epoch()
        is_done = await self._connection.script(
            "start_over", (self.state_key, self.stream_key(epoch), self.stream_key(new)), (epoch, new)
        )
        if is_done:
            self.counts[why] += 1
            log_event(_log, logging.ERROR, _LINES[why], epoch=epoch, becomes=new)

    async def _begun(self) -> tuple[StreamState, Mapping[str, Any]]:
        """The state, and what the server says of its replication."""
        must_be_relayed = self._connection.address.is_relayed
        while True:
            raw_state, replication = await self._connection.together(
                self.state_command(), ("INFO", "replication")
            )
            await self._connection.require_master(replication)
            state = stream.to_state(raw_state)
            if state is not None and (state.is_relayed or not must_be_relayed):
                return state, replication
            if self._is_relayed or must_be_relayed:
                # The relay gives it the same epoch as before: cursors stay good.
                raise LogError("A relay fills this log, and it is not there or not done yet.")
            await self._connection.script("create", (self.state_key,), (_new_epoch(),))

    def _adopt(self, state: StreamState) -> None:
        log_event(_log, logging.INFO, "redis_epoch", epoch=state.epoch, before=self.name)
        self.name, self.origin, self._is_relayed = state.epoch, state.origin, state.is_relayed
        self.known = KnownEvent(state.last, state.number, None, self._clock.monotonic())


def _first(raw: Any) -> StreamEntry | None:
    return next(iter(stream.to_entries(raw)), None)


def _new_epoch() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def changed() -> EpochChanged:
    return EpochChanged("The log has started over.")
