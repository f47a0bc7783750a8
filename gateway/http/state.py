"""`GET /api/v1/sync/state`: what there is, and from where a stream goes on (docs/protocol.md, section 4)."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from gateway.core.entity_tags import none_match
from gateway.core.errors import BadParameter
from gateway.delivery.state.parts import StateParts
from gateway.delivery.state.question import question_of
from gateway.delivery.state.shared import RETRY_SECONDS, NoSuchState, SharedStates
from gateway.http.caller import Callers
from gateway.http.long_answers import LongAnswers
from gateway.http.selection import Selections
from gateway.migration.components import Components
from gateway.migration.links import STATE_PATH
from gateway.ports.clock import Clock
from gateway.ports.state import StateUnknown

WAIT_SECONDS = 30.0
"""How long a caller waits for a state at most: an upstream may be slow, and others may be read before it."""


class StateHandler:
    """Answers with a state that all who ask for the same share."""

    def __init__(
        self,
        states: SharedStates,
        components: Components,
        callers: Callers,
        clock: Clock,
        selections: Selections,
        long_answers: LongAnswers,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._states = states
        self._components = components
        self._callers = callers
        self._clock = clock
        self._selections = selections
        self._wait_seconds = wait_seconds
        self._long_answers = long_answers

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(STATE_PATH, self.get)

    async def get(self, request: web.Request) -> web.StreamResponse:
        selection = self._selections.of(request)
        if not selection.selector.entities and not selection.components:
            raise BadParameter("entity", "name at least one entity type, or a component: a state is of those")
        caller = await self._callers.of(request)
        question = question_of(selection.selector, self._components.owned_by(selection.components))
        if question is None:
            named = ", ".join(selection.components)
            raise NoSuchState(f"No entity type that you may see belongs to {named}: name an entity type.")
        try:
            async with asyncio.timeout(self._wait_seconds):
                state = await self._states.parts(question, is_current=True)
        except TimeoutError:
            told = {"Retry-After": str(RETRY_SECONDS)}
            raise StateUnknown("The state was not read in time: ask again.", headers=told) from None
        cursor = str(state.cursor)
        headers = {
            "ETag": state.etag,
            "Cache-Control": "private, no-cache",
            "Sync-Cursor": cursor,
            "Link": selection.link(cursor, caller),
            "Age": str(max(0, (self._clock.wall_ms() - state.as_of_ms) // 1000)),
        }
        if none_match(",".join(request.headers.getall("If-None-Match", [])), state.etag):
            return web.Response(status=304, headers=headers)
        return await self._answer(request, state, headers)

    async def _answer(
        self, request: web.Request, state: StateParts, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/json"
        response.content_length = state.json_size
        await response.prepare(request)
        await self._long_answers.send(response, state.json() if request.method != "HEAD" else ())
        return response
