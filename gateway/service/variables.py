"""`${NAME}` in legacy routes: what the environment has under that name stands there.

The contract is docs/protocol.md, section 7. What is filled in is a secret: nothing here shows a value, only
names.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class CantFillIn(ValueError):
    """A text names a variable that is not there, or none at all: the end of a sentence about `path`."""

    def __init__(self, predicate: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(predicate)
        self.path = path


def route_filled_in(route: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a route with the environment's values in `headers`, `query` and `body`.

    A query in `upstream` that names a variable becomes `query`, which is hidden, unless there is one already.
    In a query what a variable holds is percent-encoded. Raises CantFillIn.
    """
    filled = dict(route)
    upstream, mark, query = _text(filled.get("upstream")).partition("?")
    if mark and "${" in query and "query" not in filled:
        filled |= {"upstream": upstream, "query": _at(("upstream",), query, environ, _encoded)}
    elif "query" in filled:
        filled["query"] = _at(("query",), filled["query"], environ, _encoded)
    if "body" in filled:
        filled["body"] = _at(("body",), filled["body"], environ)
    headers = filled.get("headers")
    if isinstance(headers, Mapping):
        filled["headers"] = {
            name: _at(("headers", str(name)), value, environ) for name, value in headers.items()
        }
    return filled


def has_reference(value: str) -> bool:
    """Whether there is anything to fill in."""
    return "${" in value


def filled_in(value: str, environ: Mapping[str, str], spell: Callable[[str], str] = str) -> str:
    """`value` with what `environ` has in place of each `${NAME}`, as `spell` writes it; `$${` gives `${`.

    What a variable holds is not looked into again. Raises CantFillIn.
    """

    def found(reference: re.Match[str]) -> str:
        name = reference[1]
        if name is None:
            return "${"
        if not reference[2] or not _NAME.match(name):
            raise CantFillIn("must have the name of a variable between ${ and } ($${ stands for ${ itself)")
        if not environ.get(name):
            state = "is empty" if name in environ else "is not set"
            raise CantFillIn(f"names the variable {name}, which {state} in the environment")
        return spell(environ[name])

    return _REFERENCE.sub(found, value)


def _at(
    path: tuple[str, ...], value: Any, environ: Mapping[str, str], spell: Callable[[str], str] = str
) -> Any:
    try:
        return filled_in(value, environ, spell) if isinstance(value, str) else value
    except CantFillIn as error:
        raise CantFillIn(str(error), path) from None


def _encoded(value: str) -> str:
    return quote(value, safe="")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
