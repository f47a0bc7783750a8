"""Asks the upstreams of routes as the gateway would, once and again, and keeps what came of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from adapters.memory import MemoryLog
from adapters.upstream.asking.fetch import Fetched, Polls
from adapters.upstream.asking.tls import TlsContexts
from adapters.upstream.functions.runner import FunctionRunner
from adapters.upstream.reading.items import Items
from adapters.upstream.tracker import Tracker
from gateway.core.errors import ConfigError, TidegateError
from gateway.core.events import ORIGIN, Event
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters
from gateway.runtime.slices import Slices

_MAX_EVENTS = 100_000
_LONG_SECONDS = 3600.0
_LOG_BYTES = 2**30


class Heard(NamedTuple):
    """What came of asking once. `fetched` is the answer, None where there was none, or a 304.

    `items` are None where they can't be compared, or nothing came: `error` says why. `events` are what the
    gateway would have published.
    """

    fetched: Fetched | None
    seconds: float
    error: TidegateError | None = None
    items: Items | None = None
    events: Sequence[Event] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether the upstream said that nothing changed (304)."""
        return self.fetched is None and self.error is None


@asynccontextmanager
async def polls_of(routes: Sequence[LegacyRoute], clock: Clock) -> AsyncIterator[Polls]:
    """What asks the upstreams of `routes`. Raises ConfigError where one can't be asked as it says."""
    try:
        polls = Polls(routes, TlsContexts(routes), clock.wall_ms, Slices(clock))
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    polls.start()
    try:
        yield polls
    finally:
        await polls.close()


class Trial:
    """A route that is tried: it is asked, read and compared as in the gateway, and nobody hears of it.

    `directory` is where modules of its functions are looked for first. Who makes it closes it.
    """

    def __init__(self, route: LegacyRoute, polls: Polls, clock: Clock, directory: Path) -> None:
        self.route = route
        self._polls = polls
        self._clock = clock
        self._log = MemoryLog(
            clock, max_events=_MAX_EVENTS, max_age_seconds=_LONG_SECONDS, max_bytes=_LOG_BYTES
        )
        self._fetched: Fetched | None = None
        self._runner = FunctionRunner(route.functions, str(directory)) if route.functions else None
        self._tracker = Tracker(
            *(route, self._log, self._fetch, clock, {}, RouteCounters(), Slices(clock)),
            functions=None if self._runner is None else partial(self._runner.text_of, route),
        )

    @property
    def _has_keys(self) -> bool:
        """Whether the items can be told apart: a route that only serves need not say how."""
        return bool(self.route.keys or self.route.id) or self.route.shape == "map"

    async def close(self) -> None:
        """Ends what runs the route's functions."""
        if self._runner is not None:
            await self._runner.close()

    async def ask(self) -> Heard:
        """Asks the upstream once; what changed since the last time are the events."""
        self._fetched = None
        begun = self._clock.monotonic()
        error: TidegateError | None = None
        items = None
        try:
            await self._tracker.poll(fresh=True)
            if self._tracker.snapshot is not None and self._has_keys:
                items = await self._tracker.items_of(self._tracker.snapshot)
        except TidegateError as failure:
            error = failure
        seconds = self._clock.monotonic() - begun
        events = [record.event for record in await self._log.read(ORIGIN, _MAX_EVENTS)]
        return Heard(self._fetched, seconds, error, items, events)

    async def _fetch(self, validators: Mapping[str, str]) -> Fetched | None:
        self._fetched = await self._polls.fetch(self.route, validators)
        return self._fetched


async def asked_twice(
    trials: Sequence[Trial], pause_seconds: float, tell: Callable[[str], None]
) -> list[tuple[Heard, Heard | None]]:
    """What all upstreams said, and said again after the pause; None where the first time gave no answer.

    `tell` is told how far it is.
    """
    firsts = []
    for trial in trials:
        tell(f"asking for {trial.route.name}")
        firsts.append(await trial.ask())
    if all(first.fetched is None for first in firsts):
        return [(first, None) for first in firsts]
    tell(f"asking again in {pause_seconds:g} s, for what changes from answer to answer")
    await asyncio.sleep(pause_seconds)
    return [
        (first, None if first.fetched is None else await trial.ask())
        for trial, first in zip(trials, firsts, strict=True)
    ]
