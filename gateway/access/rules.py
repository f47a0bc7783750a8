"""Rules: what tokens with certain claims are granted, for issuers that can't add grants of ours. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.access.grant_templates import GrantTemplate


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller may do beside receiving events; the members are those of `Principal`."""

    publish: frozenset[str] = frozenset()
    presence: frozenset[str] = frozenset()
    broadcast: frozenset[str] = frozenset()
    admin: bool = False
    metrics: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the configuration: `when` holds the claims that it is for, none for every token."""

    when: Mapping[str, Any] = field(default_factory=dict)
    subscribe: tuple[GrantTemplate, ...] = ()
    allowance: Allowance = Allowance()

    def applies_to(self, claims: Mapping[str, Any]) -> bool:
        """Whether these claims have all the values that the rule asks for."""
        return not any(self.unmet_in(claims))

    def unmet_in(self, claims: Mapping[str, Any]) -> Iterator[str]:
        """The names of claims that don't have the value that the rule asks for."""
        for name, wanted in self.when.items():
            if not _has(_claim(claims, name), wanted):
                yield name


class _Absent:
    """Stands for a claim that is not there; no JSON value is equal to it."""


_ABSENT = _Absent()


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name, and where there is none what dots in it lead to within objects."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return _ABSENT
        value = value[step]
    return value


def _has(value: Any, wanted: Any) -> bool:
    if isinstance(value, list) and any(same_json(member, wanted) for member in value):
        return True
    return same_json(value, wanted)


def same_json(one: Any, other: Any) -> bool:
    """Whether two decoded values are one JSON value: 1 and 1.0 are, true and 1 are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)
