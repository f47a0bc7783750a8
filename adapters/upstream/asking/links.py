"""What `Link` header fields say (RFC 8288, section 3). No I/O."""

import re
from collections.abc import Iterable, Iterator

_TOKEN = r"[^\s\"<>;,=]+"
_VALUE = r"\"(?:[^\"\\]|\\.)*+\"|[^\s\";,]*+"
_TARGET = re.compile(r"[\s,]*+<([^>]*)>")
_PARAMETER = re.compile(rf"\s*+;\s*+(?:({_TOKEN})(?:\s*+=\s*+({_VALUE}))?)?", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def next_link(fields: Iterable[str]) -> str | None:
    """The target of the first link with the relation `next`; None where there is none.

    A link about something else than the answer (`anchor`) is none. What follows something malformed in a
    field is not read.
    """
    for field in fields:
        for target, parameters in _links(field):
            relations = parameters.get("rel", "").lower().split()
            if "next" in relations and "anchor" not in parameters:
                return target
    return None


def _links(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    position = 0
    while found := _TARGET.match(field, position):
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(field, position):
            position = parameter.end()
            name, value = parameter[1], parameter[2] or ""
            if name is not None:
                # Of a parameter that is there twice the first counts (section 3.3).
                parameters.setdefault(name.lower(), _unquoted(value))
        yield found[1], parameters


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
