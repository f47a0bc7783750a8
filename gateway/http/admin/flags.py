"""`/api/v1/admin`: flags read and changed by operators (docs/protocol.md, section 8)."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import orjson
from aiohttp import web

from flags.decide.flag import Flag
from flags.store.local_kills import LocalKills
from flags.wire_model import pointer
from gateway.core.entity_tags import none_match
from gateway.core.errors import InvalidInput, NoSuchFlag, RevisionStale
from gateway.http.admin.access import Handler, administrators_only, operator
from gateway.http.admin.flag_problems import entity_tag, flag_problems
from gateway.http.admin.preconditions import expected_revision, required_revision
from gateway.http.json_body import JSON, read_object
from gateway.http.selection import truth, whole_number

ADMIN_PATH = "/api/v1/admin"
FLAGS_PATH = f"{ADMIN_PATH}/flags"
FLAG_PATH = FLAGS_PATH + "/{component}"

MAX_REVISIONS = 1000
MERGE_PATCH = "application/merge-patch+json"

LOOK_SECONDS = 1.0
"""How long an operator waits at most for what was changed at other nodes."""

_SWITCHES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"kill": {"killed": True}, "unkill": {"killed": False}, "rearm": {"latch": None}}
)
"""The change that each short way to one is (flags/store/port.py)."""


LOCAL_KILLS = web.AppKey("local_kills", LocalKills)
"""The flags of the application, for whoever tells other workers of the same address what is killed."""


class AdminHandler:
    """Answers from the store's snapshot, and changes the store. `configured` are the components that are.

    Several nodes may stand behind one address: who changed a flag at one may see it at once at any other.
    """

    def __init__(self, store: LocalKills, configured: Iterable[str]) -> None:
        self._store = store
        self._configured = frozenset(configured)

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_get(FLAGS_PATH, self._current(self.overview))
        router.add_get(FLAG_PATH, self._current(self.show))
        router.add_get(FLAG_PATH + "/revisions", self._current(self.revisions))
        router.add_get(f"{ADMIN_PATH}/kill", self._current(self.kill_all_revisions))
        changes: list[tuple[str, str, Handler]] = [
            ("PUT", FLAG_PATH, self.put),
            ("PATCH", FLAG_PATH, self.patch),
            ("DELETE", FLAG_PATH, self.delete),
            ("POST", FLAG_PATH + "/rollback", self.rollback),
            ("POST", FLAG_PATH + "/{switch:kill|unkill|rearm}", self.switch),
            ("POST", ADMIN_PATH + "/{switch:kill|unkill}", self.switch_all),
        ]
        for method, path, handler in changes:
            router.add_route(method, path, self._current(handler))

    def _current(self, handler: Handler) -> Handler:
        """The handler, for administrators, with what other nodes changed taken over before."""

        async def handle(request: web.Request) -> web.StreamResponse:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._store.refresh()
            return await handler(request)

        return administrators_only(handle)

    async def overview(self, request: web.Request) -> web.Response:
        """Every flag by its component's name, and the kill switch for everything."""
        flags = self._store.snapshot()
        return json_response(
            {
                "killAll": flags.kill_all,
                "stale": flags.stale,
                "staleReason": self._store.trouble,
                "heldHere": {
                    "killAll": None in self._store.held,
                    "components": sorted(name for name in self._store.held if name is not None),
                },
                "flags": [flag.wire() for _, flag in sorted(flags.by_component.items())],
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        flag = self._flag(request)
        tag = entity_tag(flag.revision)
        condition = ",".join(request.headers.getall("If-None-Match", []))
        if condition and none_match(condition, tag):
            return web.Response(status=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
        return _flag_response(flag)

    async def revisions(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]
        return self._history(request, component, {"component": component})

    async def kill_all_revisions(self, request: web.Request) -> web.Response:
        """The kill switch for everything, and who turned it when and why."""
        return self._history(request, None, {"killAll": self._store.snapshot().kill_all})

    async def put(self, request: web.Request) -> web.Response:
        """Makes a flag, or replaces all of it but `killed` and `latch`, where these are left out."""
        component = request.match_info["component"]
        if self._store.snapshot().get(component) is None and not truth(request, "force"):
            self._check_configured(component)
        return await self._change(request, (JSON,), whole=True)

    async def patch(self, request: web.Request) -> web.Response:
        """Changes what a JSON merge patch (RFC 7396) names."""
        self._flag(request)
        return await self._change(request, (JSON, MERGE_PATCH), whole=False)

    async def delete(self, request: web.Request) -> web.Response:
        """Removes a flag: the component streams and polls freely then."""
        component = request.match_info["component"]
        reason = await _only_reason(request)
        expected = required_revision(request, component, self._flag(request))
        with flag_problems():
            revision = await self._store.remove(
                component, expected_revision=expected, who=operator(request), reason=reason
            )
        return json_response({"component": component, "revision": revision, "removed": True})

    async def rollback(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]
        body = await read_object(request)
        reason = take_reason(body)
        target = body.pop("toRevision", None)
        if target is not None and (type(target) is not int or target < 1):
            raise _invalid("/toRevision", "must be a revision's number")
        check_rest(body)
        expected = expected_revision(request, component, self._store.snapshot().get(component))
        with flag_problems():
            flag = await self._store.rollback(
                component,
                to_revision=target,
                expected_revision=expected,
                who=operator(request),
                reason=reason,
            )
        return _flag_response(flag)

    async def switch(self, request: web.Request) -> web.Response:
        """`kill`, `unkill` and `rearm`. `If-Match` is not asked for: who kills is in a hurry."""
        component, switch = request.match_info["component"], request.match_info["switch"]
        reason, is_local = await _reason_and_place(request)
        expected = expected_revision(request, component, self._flag(request))
        if is_local:
            if expected not in (None, self._flag(request).revision):
                raise RevisionStale(f"{component} is at another revision than If-Match names.")
            told = await self._switch_here(request, switch, component, reason)
            return json_response({**self._flag(request).wire(), **told})
        with flag_problems():
            flag = await self._store.change(
                component,
                _SWITCHES[switch],
                expected_revision=expected,
                who=operator(request),
                reason=reason,
            )
        return _flag_response(flag)

    async def switch_all(self, request: web.Request) -> web.Response:
        reason, is_local = await _reason_and_place(request)
        switch = request.match_info["switch"]
        told: Mapping[str, Any] = {}
        if is_local:
            told = await self._switch_here(request, switch, None, reason)
        else:
            with flag_problems():
                await self._store.kill_all(switch == "kill", who=operator(request), reason=reason)
        return json_response({"killAll": self._store.snapshot().kill_all, **told})

    async def _switch_here(
        self, request: web.Request, switch: str, component: str | None, reason: str
    ) -> Mapping[str, Any]:
        """Kills or lifts on this node, whatever the store does; the members that say what came of it."""
        if switch == "rearm":
            raise _invalid("/local", "a latch is the store's: only kill and unkill may be local")
        with flag_problems():
            if switch == "kill":
                missed = await self._store.kill_here(component, who=operator(request), reason=reason)
            else:
                missed = await self._store.lift_here(component)
        return {"local": component in self._store.held, "missedWorkers": list(missed)}

    async def _change(self, request: web.Request, kinds: tuple[str, ...], *, whole: bool) -> web.Response:
        component = request.match_info["component"]
        fields = await read_object(request, kinds=kinds)
        current = self._store.snapshot().get(component)
        expected = required_revision(request, component, current)
        reason = take_reason(fields)
        with flag_problems():
            flag = await self._store.change(
                component,
                fields,
                expected_revision=expected,
                who=operator(request),
                reason=reason,
                whole=whole,
            )
        if expected == 0:
            return _flag_response(flag, status=201, headers={"Location": str(request.rel_url.raw_path)})
        return _flag_response(flag)

    def _check_configured(self, component: str) -> None:
        """Raises InvalidInput for a component that owns nothing: mostly a slip of the pen."""
        if component not in self._configured:
            known = ", ".join(sorted(self._configured)) or "none"
            raise InvalidInput(
                f"{component} is not configured here, so its flag would decide nothing. Configured: {known}. "
                "To make it all the same, say force=true (--force)."
            )

    def _flag(self, request: web.Request) -> Flag:
        component = request.match_info["component"]
        flag = self._store.snapshot().get(component)
        if flag is None:
            raise NoSuchFlag(f"{component} has no flag.")
        return flag

    def _history(
        self, request: web.Request, component: str | None, members: Mapping[str, Any]
    ) -> web.Response:
        """The last `limit` revisions, oldest first, how many there were, and the oldest that is held."""
        limit = whole_number(request, "limit", MAX_REVISIONS, 1, MAX_REVISIONS)
        with flag_problems():
            history = self._store.revisions(component)
        entries = [entry.wire() for entry in history.entries[-limit:]]
        held = {"total": history.last, "heldFrom": history.dropped + 1}
        return json_response({**members, **held, "revisions": entries})


def take_reason(body: dict[str, Any]) -> str:
    """Takes `reason` out of a body. What it may be is the store's to check. Raises InvalidInput."""
    reason = body.pop("reason", None)
    if not isinstance(reason, str):
        raise _invalid("/reason", "is required, a line of text: why is this changed?")
    return reason


def check_rest(body: Mapping[str, Any]) -> None:
    """Raises InvalidInput where a body has members that nothing has taken out of it."""
    if body:
        errors = [{"pointer": pointer(name), "detail": "is not known here"} for name in sorted(body)[:20]]
        raise InvalidInput("Nothing was changed.", errors=errors)


def json_response(body: Mapping[str, Any], **options: Any) -> web.Response:
    """A JSON answer that nobody stores without asking again."""
    headers = {"Cache-Control": "no-cache", **options.pop("headers", {})}
    return web.Response(body=orjson.dumps(body), content_type=JSON, headers=headers, **options)


def _flag_response(
    flag: Flag, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    tag = {"ETag": entity_tag(flag.revision)}
    return json_response(flag.wire(), status=status, headers=tag | dict(headers or {}))


async def _reason_and_place(request: web.Request) -> tuple[str, bool]:
    """The reason for a switch, and whether it is meant for this node, whatever the store does."""
    body = await read_object(request)
    reason = take_reason(body)
    is_local = body.pop("local", False)
    if not isinstance(is_local, bool):
        raise _invalid("/local", "must be true or false")
    check_rest(body)
    return reason, is_local


async def _only_reason(request: web.Request) -> str:
    body = await read_object(request)
    reason = take_reason(body)
    check_rest(body)
    return reason


def _invalid(place: str, detail: str) -> InvalidInput:
    return InvalidInput("Nothing was changed.", errors=[{"pointer": place, "detail": detail}])
