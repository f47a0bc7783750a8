"""One request for one address and interval, whoever wants its answer: routes that ask the same share it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import NamedTuple
from weakref import WeakSet, WeakValueDictionary

from adapters.upstream.asking.fetch import Asked, Fetched
from adapters.upstream.asking.request import requests_of
from gateway.core.errors import UpstreamError
from gateway.core.events import Cursor
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute

Fetch = Callable[[LegacyRoute, Mapping[str, str]], Awaitable[Fetched | None]]
"""Asks for a route's list: `adapters.upstream.asking.fetch.Polls.fetch`."""
Head = Callable[[], Awaitable[Cursor]]
"""The log's head. Raises LogError."""

_NEARLY = 0.9
"""The share of an interval after which an answer is not taken for that of the next: timers come early."""


class SharedPolls:
    """What asks for the lists of all routes. Two that ask for the very same share the answers.

    `fetch` asks, and `head` gives the log's head.
    """

    def __init__(self, fetch: Fetch, head: Head, clock: Clock) -> None:
        self._fetch = fetch
        self._head = head
        self._clock = clock
        self._polls: WeakValueDictionary[Hashable, _SharedPoll] = WeakValueDictionary()

    def asker(self, route: LegacyRoute) -> "Asker":
        """What asks for that route's list."""
        key = _key(route)
        poll = self._polls.get(key)
        if poll is None:
            poll = self._polls[key] = _SharedPoll(self._fetch, self._head, self._clock)
        return Asker(poll, route)


class Asker:
    """One list's questions to the upstream."""

    def __init__(self, poll: "_SharedPoll", route: LegacyRoute) -> None:
        self._poll = poll
        self.route = route
        self.known = 0
        """The number of the answer that it has."""
        poll.askers.add(self)

    async def __call__(self, validators: Mapping[str, str]) -> Fetched | None:
        """The list, asked for now or, for another route, less than an interval ago: `Fetched.asked` says so.

        None where nothing changed since `validators`. Raises UpstreamError, also of the other request, and
        LogError.
        """
        return await self._poll.ask(self, validators)

    def outdate(self) -> None:
        """What was asked for until now won't do any more, for nobody: something was written."""
        self._poll.forget()


class _Last(NamedTuple):
    """What the last request came to, when, and where the log ended before it."""

    answer: Fetched | UpstreamError
    asked: Asked
    before: Cursor


class _SharedPoll:
    """The questions that are the same. An answer is kept only while there are several who want it."""

    def __init__(self, fetch: Fetch, head: Head, clock: Clock) -> None:
        self.askers: WeakSet[Asker] = WeakSet()
        self._fetch = fetch
        self._head = head
        self._clock = clock
        self._turn = asyncio.Lock()
        # What whoever comes next may have too.
        self._last: _Last | None = None
        # The last answer, by its number: validators of that one can be sent, for a 304 means it.
        self._answer: Fetched | None = None
        self._number = 0
        self._writes = 0

    def forget(self) -> None:
        """What was asked for until now is for nobody else any more."""
        self._writes += 1
        self._last = None

    async def ask(self, asker: Asker, validators: Mapping[str, str]) -> Fetched | None:
        """See `Asker`."""
        if len(self.askers) < 2:
            self._last = self._answer = None
            return await self._fetch(asker.route, validators)
        async with self._turn:
            before = await self._head()
            last = self._last
            if last is None or not self._is_recent(last, before):
                return await self._renewed(asker, validators, before)
        if isinstance(last.answer, UpstreamError):
            # One error for many would grow with each of them.
            raise last.answer.with_traceback(None)
        asker.known = self._number
        return last.answer._replace(asked=last.asked)

    def _is_recent(self, last: _Last, now: Cursor) -> bool:
        interval = min(asker.route.interval_seconds for asker in self.askers)
        age = self._clock.monotonic() - last.asked.asked_at
        return age < _NEARLY * interval and last.before.epoch == now.epoch

    async def _renewed(self, asker: Asker, validators: Mapping[str, str], before: Cursor) -> Fetched | None:
        writes, asked_at = self._writes, self._clock.monotonic()
        is_known = self._answer is not None and asker.known == self._number
        try:
            fetched = await self._fetch(asker.route, validators if is_known else {})
        except UpstreamError as error:
            self._keep(error, asked_at, before, writes)
            raise
        if fetched is not None:
            self._answer, self._number = fetched, self._number + 1
            asker.known = self._number
        assert self._answer is not None, "without validators there is no answer that nothing changed"
        self._keep(self._answer, asked_at, before, writes)
        return fetched

    def _keep(self, answer: Fetched | UpstreamError, asked_at: float, before: Cursor, writes: int) -> None:
        if writes == self._writes:
            asked = Asked(asked_at, self._clock.monotonic(), self._clock.wall_ms(), str(before))
            self._last = _Last(answer, asked, before)


def _key(route: LegacyRoute) -> Hashable:
    """What is the same for routes that ask for the same, and take the same answers for a list."""
    requests = [
        (one.method, one.url, tuple(sorted(one.headers.items())), one.body) for one in requests_of(route)
    ]
    how = (route.tls, route.follow_redirects, route.public_url and (route.public_url, route.path))
    bounds = (route.pages, route.max_pages, route.max_body_bytes, route.timeout_seconds)
    return tuple(requests), how, bounds, frozenset(route.empty) & {204, 404}
