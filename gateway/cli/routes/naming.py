"""What a route is called, of the URL that it is asked for by. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from gateway.service.setting_types import route_path

_GENERIC = re.compile(
    r"(api|apis|rest|rpc|graphql|v\d+(\.\d+)*|index|query|search|list|all|json|odata|jsonrpc|services?|public)\Z",
    re.IGNORECASE,
)
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_EXTENSION = re.compile(r"\.(json|xml|csv|php|aspx?|jsp|txt|ndjson)\Z", re.IGNORECASE)
_OPAQUE = re.compile(r"(\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\w*\d{4,}\w*)\Z", re.IGNORECASE)
_WORD = re.compile(r"[^A-Za-z0-9]+")
_MAX_NAME = 56


class Names(NamedTuple):
    """The component and the entity; `path` is what callers ask the gateway for."""

    component: str
    entity: str
    path: str


def names_of(path: str, within: str = "", *, is_own_path: bool = False) -> Names:
    """Names for what is listed at a URL's `path`, and called `within` in the answer ("" for nothing).

    With `is_own_path` the route is not where the upstream has it, for there something else is asked for.
    """
    steps = [_name(_EXTENSION.sub("", unquote(step))) for step in path.split("/")]
    telling = [step for step in steps if step and not _GENERIC.match(step) and not _OPAQUE.match(step)]
    of_path, of_answer = (telling[-1] if telling else ""), _name(within)
    name = (of_answer or of_path if is_own_path else of_path or of_answer) or "items"
    own = f"/api/{name}"
    return Names(name, singular(name), own if is_own_path or not _is_free(path) else path)


def singular(name: str) -> str:
    """What one of them is called, in English: `orders` gives `order`."""
    for ending, one in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if name.endswith(ending) and len(name) > len(ending) + 1:
            return name.removesuffix(ending) + one
    if name.endswith("s") and not name.endswith(("ss", "us", "is")) and len(name) > 2:
        return name[:-1]
    return name


def opaque_steps(path: str) -> list[str]:
    """The steps of a path that look like an id, so that the path may be one of many."""
    return [step for step in path.split("/") if _OPAQUE.match(step)]


def variable(component: str, field: str, taken: Iterable[str] = ()) -> str:
    """The name of an environment variable for what is secret: `ORDERS_TOKEN` for Authorization."""
    what = "TOKEN" if field.lower() in ("authorization", "cookie") else field
    name = _WORD.sub("_", f"{component}_{what}").strip("_").upper()
    # A variable that begins so is taken for a setting of the gateway's own.
    name = f"UPSTREAM_{name}" if name.startswith("TIDEGATE_") or name[:1].isdigit() else name
    number, free = 1, name
    while free in set(taken):
        number += 1
        free = f"{name}_{number}"
    return free


def _is_free(path: str) -> bool:
    """Whether a route may be at that path."""
    try:
        route_path(path)
    except ValueError:
        return False
    return path != "/" and "{" not in path


def _name(text: str) -> str:
    return _NOT_A_NAME.sub("-", text).strip("-.")[:_MAX_NAME]
