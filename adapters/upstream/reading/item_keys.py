"""What identifies an item of an upstream's answer: the id of its entity. No I/O."""

from typing import Any

from gateway.core.events import is_text
from gateway.core.json_pointer import ABSENT, Path, found_at, member_path
from gateway.ports.legacy_route import LegacyRoute

_MAX_ID_CHARACTERS = 256


class BadItem(Exception):
    """What keeps one item from being compared; `kind` names it for counters and log lines."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class ItemKeys:
    """The keys of a route's items.

    In a map an item's key is its member's name, behind the values of those members of the route that `key`
    names; of a single entity it is the route's `id`, where it has one. Several parts are joined with a colon,
    and in each of them `%` and `:` are written `%25` and `%3A`.
    """

    def __init__(self, route: LegacyRoute) -> None:
        self._fixed = route.id if route.shape == "single" else None
        is_map = route.shape == "map"
        names = [name for name in route.keys if name and (not is_map or name in route.members)]
        self._paths = [member_path(name) for name in names]
        self._is_composite = len(names) + is_map > 1

    def of(self, item: dict[str, Any], name: str | None = None) -> str:
        """The key of an item that has the route's members too; `name` is that of its member in a map.

        Raises BadItem: `no_key`, or `bad_key` (neither text nor integer, or not an entity id: 1 to 256
        characters, no control characters, no half of a surrogate pair).
        """
        if self._fixed is not None:
            return self._fixed
        parts = [_part(item, path) for path in self._paths]
        if name is not None:
            parts.append(name)
        if self._is_composite:
            parts = [part.replace("%", "%25").replace(":", "%3A") for part in parts]
        key = ":".join(parts)
        if not 1 <= len(key) <= _MAX_ID_CHARACTERS or not is_text(key):
            raise BadItem("bad_key")
        return key


def _part(item: dict[str, Any], path: Path) -> str:
    value = found_at(item, path)
    if value is None or value is ABSENT:
        raise BadItem("no_key")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadItem("bad_key")
    return str(value)
