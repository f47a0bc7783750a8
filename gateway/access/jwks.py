"""The keys that an issuer publishes at an address: fetched beside the requests, and kept through outages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.access.token_keys import OF_PUBLIC_KEYS, KeySet, TokenKey
from gateway.core.access_errors import KeysUnavailable
from gateway.runtime.logs import log_event
from gateway.runtime.outage import Outage
from gateway.runtime.waiters import resolve

_log = logging.getLogger(__name__)

REGULAR_SECONDS = 300.0
"""How often the keys are fetched; sooner where the answer's max-age is shorter. A key that the issuer took
back is refused no later than that."""
ASKED_SECONDS = 10.0
"""How often at most they are fetched because a token names a key that is not known, or for a max-age."""
RETRY_SECONDS = 5.0
"""How long after a fetch that failed the next one begins."""
WAIT_SECONDS = 6.0
"""How long a request may wait for a fetch, which is bounded itself: a little longer."""


class Fetched(NamedTuple):
    """What the address gave, and the `max-age` of its Cache-Control where there is one."""

    keys: KeySet
    max_age_seconds: float | None = None


class FetchFailed(Exception):
    """The address gave no keys; `kind` names the reason for log lines."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


Fetch = Callable[[], Awaitable[Fetched]]
"""One fetch, bounded in time and size. Raises FetchFailed."""

Rest = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits for the event, or for so many seconds."""


async def _rest(wanted: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wanted.wait()
    except TimeoutError:
        pass


class RefreshTimes:
    """When the keys are fetched. Times are monotonic seconds, and are handed in."""

    def __init__(self) -> None:
        self._began: float | None = None
        self.due = 0.0
        """When the next fetch begins, unless one is asked for before."""

    def may_begin(self, now: float) -> bool:
        """Whether a token with an unknown key may have them fetched."""
        return self._began is None or now - self._began >= ASKED_SECONDS

    def begin(self, now: float) -> None:
        self._began = now

    def succeeded(self, now: float, max_age_seconds: float | None) -> None:
        wait = REGULAR_SECONDS if max_age_seconds is None else max_age_seconds
        self.due = now + min(max(wait, ASKED_SECONDS), REGULAR_SECONDS)

    def failed(self, now: float) -> None:
        self.due = now + RETRY_SECONDS


class RemoteKeys:
    """A gateway.access.tokens.KeySource of what `fetch` gives, as long as `run` runs.

    While the address is out of reach the keys that were fetched last are good; `outage` is told. `now` gives
    monotonic seconds; a request waits `wait_seconds` at most. `fetches` and `failures` count.
    """

    def __init__(
        self,
        fetch: Fetch,
        now: Callable[[], float],
        outage: Outage,
        rest: Rest = _rest,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._outage = outage
        self._rest = rest
        self._wait_seconds = wait_seconds
        self._times = RefreshTimes()
        self._keys: KeySet | None = None
        self._is_fetching = False
        self._wanted = asyncio.Event()
        self._tried = asyncio.Event()
        self._waiters: set[asyncio.Future[None]] = set()
        self.revision = 0
        self.fetches = 0
        self.failures = 0

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the last fetch failed."""
        return self._outage.lasts

    async def run(self) -> None:
        """Fetches the keys again and again; for a supervisor."""
        while True:
            self._wanted.clear()
            await self._refresh()
            await self._rest(self._wanted, max(0.0, self._times.due - self._now()))

    async def tried(self, seconds: float) -> None:
        """Waits until the first fetch has ended, well or not, and no longer than that."""
        await _rest(self._tried, seconds)

    async def fitting(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """As in KeySource. Where no key fits, it waits for the fetch under way, or for one if it is time."""
        if algorithm not in OF_PUBLIC_KEYS:
            return ()
        keys = self.known(algorithm, kid)
        if keys:
            return keys
        await self._another_fetch()
        if self._keys is None:
            raise KeysUnavailable(self._times.due - self._now())
        return self.known(algorithm, kid)

    def known(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """As in KeySource."""
        if self._keys is None or algorithm not in OF_PUBLIC_KEYS:
            return ()
        return self._keys.fitting(algorithm, kid)

    async def _another_fetch(self) -> None:
        if not self._is_fetching:
            if not self._times.may_begin(self._now()):
                return
            self._wanted.set()
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)

    async def _refresh(self) -> None:
        self._is_fetching = True
        self._times.begin(self._now())
        self.fetches += 1
        try:
            fetched = await self._fetch()
        except FetchFailed as error:
            self.failures += 1
            self._times.failed(self._now())
            self._outage.failed(kind=error.kind, error=error)
        else:
            self._times.succeeded(self._now(), fetched.max_age_seconds)
            self._outage.over()
            self._take(fetched.keys)
        finally:
            self._is_fetching = False
            self._tried.set()
            resolve(self._waiters, None)

    def _take(self, keys: KeySet) -> None:
        if keys == self._keys:
            return
        self._keys = keys
        self.revision += 1
        level = logging.INFO if keys.keys else logging.WARNING
        log_event(_log, level, "token_keys_changed", keys=len(keys.keys))
