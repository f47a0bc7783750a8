"""`GET /api/v1/sync/poll` and `/history`: the same events, by polling (docs/protocol.md, section 5)."""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import orjson
from aiohttp import web

from gateway.clock import Scheduler
from gateway.components import Asked, Components, Plan
from gateway.errors import BadParameter
from gateway.handlers.caller import Callers
from gateway.handlers.selection import (
    HISTORY_PATH,
    check_cursor,
    given_cursor,
    parse_selection,
    whole_number,
)
from gateway.handlers.terms import PollingTerms, Retired
from gateway.history import History, HistoryEntry, ResetReason
from gateway.hub import Hub
from gateway.interest import Interest
from gateway.links import POLL_PATH, stream_url
from gateway.selectors import Match, Selector
from gateway.watch import Watch

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_WAIT_SECONDS = 60.0
MAX_ANSWER_BYTES = 1_048_576
"""An answer ends with the event that passes it, and `more`: it is held while the caller reads it."""
SCAN_ENTRIES = 1024
"""How many entries are looked at before the event loop gets its turn."""

_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z")
_PREFER_WAIT = re.compile(r"""(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,6})"?\s*(?:$|[,;])""", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'"([^"]*)"')


class Batch(NamedTuple):
    """Matching events as JSON, the number up to which all was looked at, and whether more follow."""

    events: list[bytes]
    number: int
    more: bool


class PollHandler:
    """Answers from the history; waits with a `Watch` where the caller asks for that."""

    def __init__(
        self,
        history: History,
        hub: Hub,
        interest: Interest,
        scheduler: Scheduler,
        components: Components,
        callers: Callers,
        terms: PollingTerms,
        id_aliases: Mapping[str, str],
    ) -> None:
        self._history = history
        self._hub = hub
        self._interest = interest
        self._scheduler = scheduler
        self._components = components
        self._callers = callers
        self._terms = terms
        self._id_aliases = id_aliases

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(POLL_PATH, self.poll)
        app.router.add_get(HISTORY_PATH, self.history)

    async def poll(self, request: web.Request) -> web.Response:
        selection = parse_selection(request, self._id_aliases)
        asked = Asked(selection.selector, selection.components, await self._callers.of(request))
        if self._components.plan(asked).is_retired:
            raise Retired(stream_url(selection.selector, selection.components, asked.caller))
        self._interest.note(selection.selector)
        limit = whole_number(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        wait_seconds, applied = _wait(request)
        start, is_conditional = self._start(request)
        if isinstance(start, int):
            batch = await self._batch(selection.selector, start, limit, wait_seconds)
        # Not before the wait: the flags may have changed meanwhile.
        plan = self._components.plan(asked)
        headers = self._headers(plan)
        link = partial(selection.link, caller=asked.caller)
        if applied is not None:
            headers["Preference-Applied"] = applied
        if not isinstance(start, int) or batch is None:
            reason = "trimmed" if isinstance(start, int) else start
            self._hub.counters.resets[reason] += 1
            return self._answer(
                link,
                Batch([], self._history.head, False),
                headers,
                plan,
                b',"reset":{"reason":"%b"}' % reason.encode(),
            )
        if is_conditional and not batch.events:
            headers |= self._cursor_headers(link, batch.number)
            return web.Response(status=304, headers=headers)
        return self._answer(link, batch, headers, plan)

    def _headers(self, plan: Plan) -> dict[str, str]:
        return {
            "Fetch-Mode": plan.mode,
            "Cache-Control": "private, no-cache",
            **dict(self._terms.fields(plan.decisions)),
        }

    def _start(self, request: web.Request) -> tuple[int | ResetReason, bool]:
        """Where to start, or why that can't be; and whether it came as a condition, which 304 can answer."""
        cursor = given_cursor(request)
        if cursor is not None:
            return self._history.resolve(cursor), False
        condition = ",".join(request.headers.getall("If-None-Match", [])).strip()
        if not condition or condition == "*":
            return self._history.head, False
        tags = _ENTITY_TAG.findall(condition) or [condition]
        for tag in tags:
            check_cursor("If-None-Match", tag)
        known = [self._history.resolve(tag) for tag in tags]
        numbers = [number for number in known if isinstance(number, int)]
        # Of several answers that the client holds, the newest is what it would have to be told anew.
        return max(numbers) if numbers else known[0], True

    def _answer(
        self,
        link: Callable[[str], str],
        batch: Batch,
        headers: dict[str, str],
        plan: Plan,
        reset: bytes = b"",
    ) -> web.Response:
        headers |= self._cursor_headers(link, batch.number)
        body = b'{"events":[%b],"cursor":"%b","more":%b,"fetchMode":"%b","pollIntervalMs":%d%b}' % (
            b",".join(batch.events),
            self._history.cursor(batch.number).encode(),
            b"true" if batch.more else b"false",
            plan.mode.encode(),
            plan.poll_interval_ms,
            reset,
        )
        return web.Response(body=body, headers=headers, content_type="application/json")

    def _cursor_headers(self, link: Callable[[str], str], number: int) -> dict[str, str]:
        cursor = self._history.cursor(number)
        return {"ETag": f'"{cursor}"', "Link": link(cursor)}

    async def _batch(self, selector: Selector, number: int, limit: int, wait_seconds: float) -> Batch | None:
        """The first matching events after `number`; None where the history was trimmed past it meanwhile."""
        deadline = self._scheduler.time() + wait_seconds
        batch = await scan(self._history, selector, number, limit)
        if wait_seconds == 0 or batch is None or batch.events:
            return batch
        with Watch(self._hub.groups, selector) as watch:
            while batch is not None and not batch.events and not self._hub.is_draining:
                left = deadline - self._scheduler.time()
                if left <= 0 or not await watch.wait(left):
                    break
                batch = await scan(self._history, selector, batch.number, limit)
        return batch

    async def history(self, request: web.Request) -> web.Response:
        selection = parse_selection(request, self._id_aliases)
        limit = whole_number(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        head = self._history.head
        events: list[bytes] = []
        size = 0
        for entry in reversed(self._history.latest(head)):
            json = event_for(self._history, selection.selector, entry)
            if json is not None:
                events.append(json)
                size += len(json)
                if len(events) == limit or size >= MAX_ANSWER_BYTES:
                    break
        events.reverse()
        cursor = self._history.cursor(head)
        body = b'{"events":[%b],"cursor":%b}' % (b",".join(events), orjson.dumps(cursor))
        headers = {"Cache-Control": "private, no-cache", "Link": selection.link(cursor)}
        return web.Response(body=body, headers=headers, content_type="application/json")


async def scan(history: History, selector: Selector, number: int, limit: int) -> Batch | None:
    """The first matching events after `number`; None where the history was trimmed past it meanwhile."""
    events: list[bytes] = []
    size = 0
    while (entries := history.after(number, SCAN_ENTRIES)) is not None:
        for entry in entries:
            json = event_for(history, selector, entry)
            if json is not None:
                if len(events) == limit or size >= MAX_ANSWER_BYTES:
                    return Batch(events, number, True)
                events.append(json)
                size += len(json)
            number += 1
        if len(entries) < SCAN_ENTRIES:
            return Batch(events, number, False)
        await asyncio.sleep(0)
    return None


def event_for(history: History, selector: Selector, entry: HistoryEntry) -> bytes | None:
    """The event's JSON as a reader with this selector gets it, or None where it gets nothing."""
    match = selector.match(entry.event)
    if match is Match.SKIP:
        return None
    return entry.json if match is Match.DELIVER else history.leave_json(entry)


def _wait(request: web.Request) -> tuple[float, str | None]:
    """How many seconds to wait, and the preference that was applied (RFC 7240, sections 3 and 4.3)."""
    text = request.query.get("wait")
    if text is not None:
        if not _SECONDS.match(text) or float(text) > MAX_WAIT_SECONDS:
            raise BadParameter("wait", f"must be seconds from 0 to {MAX_WAIT_SECONDS:.0f}")
        return float(text), None
    for header in request.headers.getall("Prefer", []):
        preferred = _PREFER_WAIT.search(header)
        if preferred is not None:
            seconds = min(int(preferred[1]), int(MAX_WAIT_SECONDS))
            return float(seconds), f"wait={seconds}"
    return 0.0, None
