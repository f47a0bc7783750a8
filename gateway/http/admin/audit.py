"""`GET /api/v1/admin/audit`: the audit trail, for operators (docs/protocol.md, section 8)."""

import re
from datetime import datetime

import orjson
from aiohttp import web

from gateway.core.errors import BadParameter
from gateway.core.times import in_utc
from gateway.http.admin.access import administrators_only
from gateway.http.json_body import JSON
from gateway.http.selection import whole_number
from gateway.ports.audit import KINDS, AuditQuery, moment
from gateway.runtime.audit_recorder import AuditRecorder

AUDIT_PATH = "/api/v1/admin/audit"

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

_ENTRY_ID = re.compile(r"[0-9]{15}-[0-9]{10}-[0-9a-f]{12}\Z")


class AuditHandler:
    """Answers from the trail of all nodes that share the log."""

    def __init__(self, recorder: AuditRecorder) -> None:
        self._recorder = recorder

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(AUDIT_PATH, administrators_only(self.get))

    async def get(self, request: web.Request) -> web.Response:
        query = _query(request)
        found = await self._recorder.read(query._replace(limit=query.limit + 1))
        page = found[: query.limit]
        cursor = page[-1].id if len(found) > query.limit else None
        body = b"".join(
            (
                *(b'{"entries":[', b",".join(entry.body for entry in page)),
                *(b'],"nextCursor":', orjson.dumps(cursor), b"}"),
            )
        )
        return web.Response(body=body, content_type=JSON, headers={"Cache-Control": "no-store"})


def _query(request: web.Request) -> AuditQuery:
    query = AuditQuery(
        whole_number(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT), who=request.query.get("who")
    )
    if "since" in request.query:
        query = query._replace(since=_moment(request, "since"))
    if "until" in request.query:
        query = query._replace(before=_moment(request, "until"))
    if cursor := request.query.get("cursor"):
        if not _ENTRY_ID.match(cursor):
            raise BadParameter("cursor", "must be the nextCursor of another answer")
        query = query._replace(before=min(cursor, query.before))
    if wanted := request.query.get("kind"):
        kinds = [kind for kind in KINDS if kind == wanted]
        if not kinds:
            raise BadParameter("kind", f"must be one of {', '.join(KINDS)}")
        query = query._replace(kinds=kinds)
    return query


def _moment(request: web.Request, name: str) -> str:
    # A plus that was not escaped is a space by now.
    text = in_utc(request.query[name].replace(" ", "+"))
    if text is None:
        raise BadParameter(name, "must be a time such as 2026-11-20T10:30:00Z (RFC 3339)")
    return moment(round(datetime.fromisoformat(text).timestamp() * 1000))
