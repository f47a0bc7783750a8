"""What one poll asks of an upstream: one conditional request, or as many as the list has parts and pages."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.upstream.asking.exchange import Exchanged, exchange, is_list, poll_session, unpacked
from adapters.upstream.asking.given import other_status
from adapters.upstream.asking.pages import BadPages, next_page
from adapters.upstream.asking.request import PollRequest, requests_of
from adapters.upstream.asking.tls import TlsContexts
from adapters.upstream.failures import BadAnswer, TooLarge
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.ports.legacy_route import LegacyRoute
from gateway.runtime.slices import Slices

WHOLE_TIMEOUTS = 10.0
"""How many times `timeout_seconds` all requests of one poll may take together."""


class Asked(NamedTuple):
    """When an answer was asked for and came (monotonic; the latter also in wall time), and what the log's
    head was before."""

    asked_at: float
    received_at: float
    received_ms: int
    cursor: str


class Fetched(NamedTuple):
    """A good answer, of the first of several requests; `more` are the bodies of the others, in their order.

    `body` is without the content coding in which it came: `coded` is what came, in `coding`, where there was
    one, and its ETag is of those bytes. A `status` other than 200 means that this answer holds no items; of
    such answers of the other requests there is nothing in `more`. `problem` is what keeps it from being the
    whole list, where the first answer is one that callers can have all the same. `asked` says when it was
    asked for, where that was for somebody else, and before.
    """

    headers: CIMultiDictProxy[str]
    body: bytes
    coded: bytes | None = None
    coding: str = ""
    status: int = 200
    more: tuple[bytes, ...] = ()
    problem: BadAnswer | None = None
    asked: Asked | None = None


class Page(NamedTuple):
    """One answer of several, and its body without any content coding."""

    answer: Exchanged
    body: bytes


class Polls:
    """Asks the upstreams of all routes, on everybody's behalf. `start` and `close` within the event loop.

    `tls` has the contexts of all routes; `wall_ms` gives the time of day, and long answers are
    looked through in `slices`. Raises ValueError where what a route asks for can't be: see `requests_of`.
    """

    def __init__(
        self,
        routes: Iterable[LegacyRoute],
        tls: TlsContexts,
        wall_ms: Callable[[], int],
        slices: Slices,
        *,
        whole_timeouts: float = WHOLE_TIMEOUTS,
    ) -> None:
        for route in routes:
            try:
                requests_of(route)
            except ValueError as error:
                raise ValueError(f"{route.path}: {error}") from error
        self._tls = tls
        self._wall_ms = wall_ms
        self._slices = slices
        self._whole_timeouts = whole_timeouts
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Opens the session; nothing is connected yet."""
        self._session = poll_session()

    async def close(self) -> None:
        """Closes every connection. Closing twice, or before `start`, does nothing."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, route: LegacyRoute, validators: Mapping[str, str]) -> Fetched | None:
        """Asks the upstream for its list; None where it says that nothing changed since `validators`.

        `validators` are fields that can be sent; they are where one request is all, for that the first of
        several has not changed says nothing of the others; a POST is never conditional. Raises OtherStatus
        for an answer that is no list; BadAnswer (`status`, also for a 304 that nobody asked for,
        `head_too_large`, `encoding`, `too_large`); UpstreamTimeout where one request took over
        `timeout_seconds`, or all of them ten times as long; NoAnswer where no whole answer came.

        Where the first answer is one and another is not, `Fetched.problem` is such an error: of a status too,
        `too_large` where all pages together are, and `bad_page`, `other_origin`, `page_loop` or
        `too_many_pages`, of what names the next page.
        """
        seconds = self._whole_timeouts * route.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._fetch(route, validators)
        except TimeoutError as error:
            detail = f"The upstream did not answer with all pages of its list within {seconds:g} s."
            raise UpstreamTimeout(detail) from error

    async def _fetch(self, route: LegacyRoute, validators: Mapping[str, str]) -> Fetched | None:
        if not route.is_in_parts:
            (request,) = requests_of(route)
            is_conditional = bool(validators) and request.method == "GET"
            if is_conditional:
                headers = CIMultiDict(request.headers)
                headers.update(validators)
                request = replace(request, headers=headers)
            answer = await self._ask(route, request, route.max_body_bytes)
            if answer.status == 304 and is_conditional:
                return None
            return _fetched([await self._page(route, answer, route.max_body_bytes)])
        pages: list[Page] = []
        left = route.max_body_bytes
        try:
            for request in requests_of(route):
                async with contextlib.aclosing(self._pages(route, request, left)) as found:
                    async for page in found:
                        left -= len(page.body)
                        pages.append(page)
        except BadAnswer as error:
            if not pages:
                raise
            return _fetched(pages)._replace(problem=error)
        return _fetched(pages)

    async def _pages(self, route: LegacyRoute, request: PollRequest, left: int) -> AsyncGenerator[Page, None]:
        """The pages of one list, of `left` bytes at most."""
        asked = set()
        while True:
            asked.add(request.url)
            page = await self._page(route, await self._ask(route, request, left), left)
            left -= len(page.body)
            yield page
            if page.answer.status != 200:
                return
            following = await next_page(route, page.answer, page.body, self._slices)
            if following is None:
                return
            if following in asked:
                raise BadPages("page_loop", "A page of the upstream's list names one before it as the next.")
            if len(asked) >= route.max_pages:
                detail = f"The upstream's list has more than {route.max_pages} pages (max_pages)."
                raise BadPages("too_many_pages", detail)
            request = replace(request, url=following)

    async def _ask(self, route: LegacyRoute, request: PollRequest, left: int) -> Exchanged:
        if self._session is None:
            raise UpstreamError("The gateway has not started polling.")
        return await exchange(self._session, route, request, self._tls.of(route), left)

    async def _page(self, route: LegacyRoute, answer: Exchanged, left: int) -> Page:
        if not is_list(route, answer.status):
            raise await other_status(answer, self._wall_ms)
        body = None if answer.body is None else await unpacked(answer.body, answer.coding, left)
        if body is None:
            raise TooLarge(route.max_body_bytes)
        return Page(answer, body)


def _fetched(pages: list[Page]) -> Fetched:
    first, *others = pages
    answer = first.answer
    return Fetched(
        answer.headers,
        first.body,
        answer.body if answer.coding else None,
        answer.coding,
        answer.status,
        tuple(page.body for page in others if page.answer.status == 200),
    )
