"""`GET /api/v1/sync/poll` and `/history`: the same events, by polling (docs/protocol.md, section 5)."""

import re
from collections.abc import Callable
from functools import partial

import orjson
from aiohttp import web

from gateway.core.entity_tags import quoted, without_coding
from gateway.core.errors import BadParameter
from gateway.core.event_fields import Fields
from gateway.core.events import Cursor
from gateway.core.history import History, ResetReason
from gateway.core.selectors import Selector
from gateway.delivery.hub import Hub
from gateway.delivery.interest import Interest
from gateway.delivery.long_poll import LongPoll
from gateway.delivery.replay.resume import Place, Resumes
from gateway.delivery.replay.scan import Batch, Scanner
from gateway.http.limits import RequestLimits
from gateway.http.principal import principal_of
from gateway.http.selection import HISTORY_PATH, Selections, check_cursor, given_cursors, whole_number
from gateway.http.sessions import Sessions
from gateway.http.terms import PollingTerms, Retired
from gateway.migration.components import Asked, Components, Plan
from gateway.migration.links import POLL_PATH, state_url, stream_url
from gateway.ports.clock import Clock, Scheduler

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_WAIT_SECONDS = 60.0
MAX_TAGS = 100
"""How many entity tags a condition may have: each of them is looked for in the history."""

_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z")
_PREFER_WAIT = re.compile(r"""(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,6})"?\s*(?:$|[,;])""", re.IGNORECASE)


class PollHandler:
    """Answers from the history and the log; waits with a `Watch` where the caller asks for that."""

    def __init__(
        self,
        history: History,
        hub: Hub,
        resumes: Resumes,
        scanner: Scanner,
        interest: Interest,
        scheduler: Scheduler,
        clock: Clock,
        components: Components,
        sessions: Sessions,
        terms: PollingTerms,
        selections: Selections,
        limits: RequestLimits,
    ) -> None:
        self._history = history
        self._hub = hub
        self._resumes = resumes
        self._scanner = scanner
        self._interest = interest
        self._scheduler = scheduler
        self._clock = clock
        self._components = components
        self._sessions = sessions
        self._terms = terms
        self._selections = selections
        self._limits = limits

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(POLL_PATH, self.poll)
        app.router.add_get(HISTORY_PATH, self.history)

    async def poll(self, request: web.Request) -> web.Response:
        selection = self._selections.of(request)
        caller = await self._sessions.caller(request, selection.selector, selection.components)
        asked = Asked(selection.selector, selection.components, caller)
        plan = self._components.plan(asked)
        if plan.is_retired:
            selector, named = selection.selector, selection.components
            # The state is that of types or components, and the poll may be of everything.
            of = named if selector.entities or named else tuple(plan.decisions)
            raise Retired(stream_url(selector, named, caller), state_url(selector, of, caller))
        self._interest.note(selection.selector)
        limit = whole_number(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        fields = self._selections.fields(request)
        wait_seconds, applied = _wait(request)
        place, is_conditional = await self._start(request, selection.selector.scope_text)
        found = await self._batch(request, selection.selector, place, limit, wait_seconds, fields)
        # Not before the wait: the flags may have changed meanwhile.
        plan = self._components.plan(asked)
        headers = self._headers(plan)
        link = partial(selection.link, caller=asked.caller)
        if applied is not None:
            headers["Preference-Applied"] = applied
        if not isinstance(found, Batch):
            self._hub.counters.resets[found] += 1
            now = Cursor(self._history.epoch, self._history.head_position, selection.selector.scope_text)
            reset = b',"reset":{"reason":"%b"}' % found.encode()
            return self._answer(link, Batch([], now, False), headers, plan, reset)
        if is_conditional and not found.events and not found.more:
            headers |= _cursor_headers(link, str(found.cursor))
            return web.Response(status=304, headers=headers)
        return self._answer(link, found, headers, plan)

    def _headers(self, plan: Plan) -> dict[str, str]:
        return {
            "Fetch-Mode": plan.mode,
            "Cache-Control": "private, no-cache",
            **dict(self._terms.fields(plan.decisions)),
        }

    async def _start(self, request: web.Request, scope: str) -> tuple[Place, bool]:
        """Where to start, or why that can't be; and whether it came as a condition, which 304 can answer."""
        cursors = given_cursors(request)
        if cursors:
            return await self._resumes.place(*cursors, scope=scope), False
        condition = ",".join(request.headers.getall("If-None-Match", [])).strip()
        if not condition or condition == "*":
            return self._history.head, False
        tags = [as_given(tag) for tag in quoted(condition) or [condition]]
        if len(tags) > MAX_TAGS:
            raise BadParameter("If-None-Match", f"a condition has at most {MAX_TAGS} entity tags")
        for tag in tags:
            check_cursor("If-None-Match", tag)
        # Of several answers that the client holds, the newest is what it would have to be told anew.
        return await self._resumes.place(*tags, scope=scope), True

    def _answer(
        self,
        link: Callable[[str], str],
        batch: Batch,
        headers: dict[str, str],
        plan: Plan,
        reset: bytes = b"",
    ) -> web.Response:
        headers |= _cursor_headers(link, str(batch.cursor))
        body = b'{"events":[%b],"cursor":"%b","more":%b,"fetchMode":"%b","pollIntervalMs":%d%b}' % (
            b",".join(batch.events),
            str(batch.cursor).encode(),
            b"true" if batch.more else b"false",
            plan.mode.encode(),
            plan.poll_interval_ms,
            reset,
        )
        return web.Response(body=body, headers=headers, content_type="application/json")

    async def _batch(
        self,
        request: web.Request,
        selector: Selector,
        place: Place,
        limit: int,
        wait_seconds: float,
        fields: Fields | None,
    ) -> Batch | ResetReason:
        """The first matching events from a place on, or why they can't be told."""
        credentials = principal_of(request).credentials
        if credentials.expires_at is not None:
            # It waits no longer than a stream would stay open.
            left = credentials.expires_at - self._clock.wall_ms() / 1000
            wait_seconds = max(0.0, min(wait_seconds, left))
        deadline = self._scheduler.time() + wait_seconds
        found = await self._scanner.scan(selector, place, limit, credentials, fields)
        if not _is_to_wait(found) or wait_seconds == 0:
            return found
        with self._limits.long_poll(request), LongPoll(self._hub.groups, selector, credentials) as long_poll:
            while isinstance(found, Batch) and _is_to_wait(found) and not self._hub.is_draining:
                left = deadline - self._scheduler.time()
                unmatched = await long_poll.wait(left) if left > 0 else None
                if unmatched is None:
                    return self._moved_on(found)
                found = await self._scanner.go_on(
                    selector, found.cursor, unmatched, limit, credentials, fields
                )
        return found

    def _moved_on(self, found: Batch) -> Batch:
        """What a poll that waited in vain is told: nothing matched up to what was flushed meanwhile."""
        flushed = self._history.position(self._hub.flushed)
        if flushed is None or flushed <= found.cursor.position or found.cursor.epoch != self._history.epoch:
            return found
        return found._replace(cursor=found.cursor._replace(position=flushed))

    async def history(self, request: web.Request) -> web.Response:
        selection = self._selections.of(request)
        limit = whole_number(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        fields = self._selections.fields(request)
        events, cursor = await self._scanner.latest(
            selection.selector, limit, principal_of(request).credentials, fields
        )
        body = b'{"events":[%b],"cursor":%b}' % (b",".join(events), orjson.dumps(cursor))
        headers = {"Cache-Control": "private, no-cache", "Link": selection.link(cursor)}
        return web.Response(body=body, headers=headers, content_type="application/json")


def _cursor_headers(link: Callable[[str], str], cursor: str) -> dict[str, str]:
    return {"ETag": f'"{cursor}"', "Link": link(cursor)}


def _is_to_wait(found: Batch | ResetReason) -> bool:
    """Whether there is nothing to tell yet."""
    return isinstance(found, Batch) and not found.events and not found.more


def as_given(tag: str) -> str:
    """The cursor of an entity tag to which a server that compressed the answer added its coding.

    Any other tag is given as it is.
    """
    bare = without_coding(tag)
    return tag if Cursor.parse(bare) is None else bare


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
