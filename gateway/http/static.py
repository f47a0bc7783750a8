"""`/static/…`: the browser client's files, as they stand in gateway/static."""

import gzip
import hashlib
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.core.entity_tags import none_match
from gateway.http.accept import accepts_coding
from gateway.http.request_head import RequestHead

STATIC_PATH = "/static"
_CONTENT_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".ts": "text/plain",
}
"""What of the folder is served, by the ends of names."""


def add_static_files(app: web.Application, folder: Path) -> None:
    """Adds a resource for each file in `folder` and below it, by its path there.

    They are read, and compressed, once. Whoever comes may have them: an `import` of a page can't send a token
    (`is_static`). They have to be asked for anew each time (`no-cache`), since an entry that is newer than
    its parts would be another program; mostly that gives a 304. Raises OSError where a file can't be read.
    """
    for file in sorted(folder.rglob("*")):
        content_type = _CONTENT_TYPES.get(file.suffix)
        if content_type is not None:
            path = f"{STATIC_PATH}/{file.relative_to(folder).as_posix()}"
            app.router.add_get(path, _sender(file.read_bytes(), content_type))


def is_static(request: RequestHead) -> bool:
    """Whether one of these files answers the request: a path may be called so too, below a legacy route."""
    resource = request.match_info.route.resource
    return isinstance(resource, web.PlainResource) and resource.canonical.startswith(f"{STATIC_PATH}/")


def _sender(plain: bytes, content_type: str) -> Handler:
    digest = hashlib.sha256(plain).hexdigest()[:32]
    bodies = {"": plain, "gzip": gzip.compress(plain, mtime=0)}

    async def send(request: web.Request) -> web.Response:
        accepted = ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, []))
        coding = "gzip" if accepts_coding(accepted, "gzip") else ""
        # Of each coding its own (RFC 9110, section 8.8.3.3).
        tag = f'"{digest}-{coding}"' if coding else f'"{digest}"'
        headers = {
            hdrs.CACHE_CONTROL: "no-cache",
            hdrs.ETAG: tag,
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            "X-Content-Type-Options": "nosniff",
        }
        if none_match(",".join(request.headers.getall(hdrs.IF_NONE_MATCH, [])), tag):
            return web.Response(status=304, headers=headers)
        if coding:
            headers[hdrs.CONTENT_ENCODING] = coding
        return web.Response(body=bodies[coding], headers=headers, content_type=content_type, charset="utf-8")

    return send
