"""Which requests that go through change nothing at the upstream, and so cost it no poll."""

from collections.abc import Iterable
from urllib.parse import unquote

from gateway.ports.upstreams import SAFE_METHODS

_SAFE = SAFE_METHODS | {"PROPFIND", "QUERY", "REPORT", "SEARCH"}
"""Methods that are safe by the registry of RFC 9110, section 16.1.1, where requests have them at all."""
_ANY = "*"


class Reads:
    """What is no write: safe methods, and what a route names in `reads`.

    Each of `given` is a method and a path as the gateway sees it, such as `POST /api/v1/orders/search`, where
    `*` is any one step.
    """

    def __init__(self, given: Iterable[str]) -> None:
        self._given = [(method, _steps(path)) for method, _, path in (read.partition(" ") for read in given)]

    def cover(self, method: str, raw_path: str) -> bool:
        """Whether a request changes nothing, by its method and its path as it came, percent-encoded."""
        if method in _SAFE:
            return True
        steps = _steps(raw_path) if self._given else []
        return any(method == other and _fit(pattern, steps) for other, pattern in self._given)


def _steps(path: str) -> list[str]:
    return [unquote(step) for step in path.split("/")]


def _fit(pattern: list[str], steps: list[str]) -> bool:
    return len(pattern) == len(steps) and all(
        step == named or (named == _ANY and step) for named, step in zip(pattern, steps, strict=True)
    )
