"""What kind of text an answer's body is. Pure."""

from typing import Any, Literal, NamedTuple

import orjson

from gateway.cli.routes.lists import MAX_DEPTH, depth_of

Kind = Literal["json", "too_deep", "empty", "html", "xml", "ndjson", "csv", "other"]

_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 4096


class Text(NamedTuple):
    """A body: of which kind it is, and what it says where that is JSON (which may well be null)."""

    kind: Kind
    value: Any = None


WORDS: dict[Kind, str] = {
    "json": "JSON",
    "too_deep": "JSON that is nested too deeply",
    "empty": "empty",
    "html": "HTML, a page for people",
    "xml": "XML",
    "ndjson": "JSON line by line",
    "csv": "CSV",
    "other": "no JSON",
}


def text_of(body: bytes, content_type: str = "") -> Text:
    """Reads a body. What it looks like counts more than what `content_type` says."""
    body = body.removeprefix(_BOM)
    if not body.strip():
        return Text("empty")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Text(_kind_of(body, content_type.partition(";")[0].strip().lower()))
    return Text("json", value) if depth_of(value) <= MAX_DEPTH else Text("too_deep")


def has_errors(value: Any) -> bool:
    """Whether an answer tells errors in place of data (GraphQL, section 7.1), whatever its status."""
    return isinstance(value, dict) and bool(value.get("errors")) and value.get("data") is None


def _kind_of(body: bytes, media_type: str) -> Kind:
    head = body.lstrip()[:_HEAD_BYTES].lower()
    if head.startswith((b"<!doctype html", b"<html")) or media_type == "text/html":
        return "html"
    if head.startswith(b"<") or media_type.endswith(("/xml", "+xml")):
        return "xml"
    lines = [line for line in body.splitlines()[:20] if line.strip()]
    if len(lines) > 1 and all(_is_object(line) for line in lines[:-1]):
        return "ndjson"
    if media_type == "text/csv" or _is_csv(lines):
        return "csv"
    return "other"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _is_csv(lines: list[bytes]) -> bool:
    """Whether each line has as many commas (or semicolons, or tabs) as the first, and that is some."""
    return len(lines) > 1 and any(
        lines[0].count(comma) and all(line.count(comma) == lines[0].count(comma) for line in lines)
        for comma in (b",", b";", b"\t")
    )
