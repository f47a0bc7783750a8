"""What tokens, static keys and callers without either may see and do (docs/protocol.md, section 9). Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cachetools import LRUCache

from gateway.access.grant_parsing import MalformedGrant, parse_grant
from gateway.access.grant_templates import NothingToFill
from gateway.access.principal import Principal
from gateway.access.rules import Allowance, Rule
from gateway.core.credentials import NOBODY, Credentials
from gateway.core.events import NAME_PATTERN
from gateway.core.grants import EVERY, Grant, Scope
from gateway.core.json_weight import json_weight
from gateway.core.recent import Recent

CLAIM = "tidegate"
"""The claim of a token that holds grants."""
MAX_VALUES = 1000
"""How many grants of each kind one token may hold, those to receive together with their filters' operands.

What comes after them grants nothing.
"""

KEPT_VALUES = 10_000
"""How much is kept of callers with tokens: each counts for one, and so do its grants, their operands and
members, and what its claims weigh."""

KEPT_SCOPES = 10_000
"""How much is kept of scopes, grants with operands, so that callers who are granted the same share one."""

_NAME = re.compile(NAME_PATTERN)
_NO_CLAIMS: Mapping[str, Any] = {}
_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """What one place grants a caller. `name` is that place; `refused` says what grants nothing there."""

    name: str
    grants: tuple[Grant, ...] = ()
    allowance: Allowance = field(default_factory=Allowance)
    refused: tuple[str, ...] = ()


class Rights:
    """Who may do what, by the rules and settings that a gateway has.

    `keys` are the static keys by name. `anonymous` is what callers without a token or key are granted; None:
    they have to have one.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        keys: Mapping[str, Source] | None = None,
        anonymous: Source | None = None,
        kept_values: int = KEPT_VALUES,
    ) -> None:
        self._callers: Recent[int, Principal] = Recent(2 * kept_values, _size)
        self._scopes: LRUCache[str, Scope] = LRUCache(KEPT_SCOPES, getsizeof=lambda scope: 1 + scope.size)
        self._rules = tuple(rules)
        self._key_sources = dict(keys or {})
        self._keys = {
            name: principal_of([source], Credentials(key=name)) for name, source in self._key_sources.items()
        }
        self._anonymous_source = anonymous
        self.anonymous = None if anonymous is None else principal_of([anonymous], NOBODY)
        """The caller without a token or key; None where there may be none."""

    def of_token(self, claims: Mapping[str, Any]) -> Principal:
        """The caller with a token of these claims, which were checked and which nobody changes.

        The same object for the same object while it is kept: a token that comes with every request, and that
        the verifier knows again, is read once.
        """
        known = self._callers.get(id(claims))
        # It holds its claims, so no others have their id while it is there.
        if known is not None and known.claims is claims:
            return known
        credentials = Credentials(
            subject=_text(claims.get("sub")),
            token_id=_text(claims.get("jti")),
            issued_at=_number(claims.get("iat")),
            expires_at=_number(claims.get("exp")),
        )
        caller = self._sharing_scope(principal_of(self.sources_of_token(claims), credentials, claims))
        return self._callers.put(id(claims), caller)

    def _sharing_scope(self, caller: Principal) -> Principal:
        """The caller with the scope that all share who are granted the same, while it is among the latest."""
        assert caller.scope is not None, "a token has grants, if none"
        shared = self._scopes.get(caller.scope.text)
        if shared is not None and shared == caller.scope:
            return replace(caller, scope=shared)
        if caller.scope.size < self._scopes.maxsize:
            self._scopes[caller.scope.text] = caller.scope
        return caller

    def of_key(self, name: str) -> Principal:
        """The caller with the static key of that name. Raises KeyError where there is none."""
        return self._keys[name]

    def sources_of_key(self, name: str) -> list[Source]:
        """What the static key of that name is granted. Raises KeyError where there is none."""
        return [self._key_sources[name]]

    def sources_of_nobody(self) -> list[Source] | None:
        """What callers without a token or key are granted; None where there may be none."""
        return None if self._anonymous_source is None else [self._anonymous_source]

    def sources_of_token(self, claims: Mapping[str, Any]) -> list[Source]:
        """What a token of these claims is granted: by itself, then by each rule that applies to it."""
        sources = [_in_token(claims[CLAIM])] if CLAIM in claims else []
        for number, rule in enumerate(self._rules, 1):
            if rule.applies_to(claims):
                sources.append(_by_rule(f"rule {number}", rule, claims))
        return sources

    def rules_passed_over(self, claims: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
        """The rules that are not for a token of these claims, each with the claims that are others."""
        unmet = [(f"rule {number}", [*rule.unmet_in(claims)]) for number, rule in enumerate(self._rules, 1)]
        return [(name, names) for name, names in unmet if names]


def principal_of(
    sources: Sequence[Source], credentials: Credentials, claims: Mapping[str, Any] = _NO_CLAIMS
) -> Principal:
    """The caller that all of these grant something."""
    given = [source.allowance for source in sources]
    return Principal(
        credentials=credentials,
        scope=Scope.of(grant for source in sources for grant in source.grants),
        publish=_union(allowance.publish for allowance in given),
        presence=_union(allowance.presence for allowance in given),
        broadcast=_union(allowance.broadcast for allowance in given),
        admin=any(allowance.admin for allowance in given),
        metrics=any(allowance.metrics for allowance in given),
        claims=claims,
    )


def _union(names: Iterable[frozenset[str]]) -> frozenset[str]:
    # Most callers have none, of which there is to be one object.
    return frozenset(name for each in names for name in each) or _NO_NAMES


def _size(caller: Principal) -> int:
    received = 0 if caller.scope is None else caller.scope.size
    named = len(caller.publish) + len(caller.presence) + len(caller.broadcast)
    return 1 + received + named + json_weight(caller.claims)


def _values_of(grant: Grant) -> int:
    return 1 + sum(len(filter_.operands) for filter_ in grant.filters)


def _in_token(given: Any) -> Source:
    """What the claim CLAIM grants: whatever is malformed in it nothing, and the rest all the same."""
    refused: list[str] = []
    if not isinstance(given, Mapping):
        return Source("token", refused=("tidegate is no object",))
    grants = _granted(given, refused)
    allowance = Allowance(
        publish=_names(given, "publish", refused),
        presence=_names(given, "presence", refused),
        broadcast=_names(given, "broadcast", refused),
        admin=given.get("admin") is True,
    )
    return Source("token", tuple(grants), allowance, tuple(refused))


def _granted(given: Mapping[str, Any], refused: list[str]) -> list[Grant]:
    grants = []
    left = MAX_VALUES
    for place, written in _entries(given, "subscribe", refused):
        try:
            grant = parse_grant(written)
        except MalformedGrant as error:
            refused.append(f"{place} grants nothing: it {error}")
            continue
        left -= _values_of(grant)
        if left < 0:
            refused.append(
                f"{place} and those after it grant nothing: with it there are more than {MAX_VALUES} grants "
                "and operands of their filters"
            )
            break
        grants.append(grant)
    return grants


def _by_rule(name: str, rule: Rule, claims: Mapping[str, Any]) -> Source:
    grants = []
    refused = []
    for index, template in enumerate(rule.subscribe):
        try:
            grants.append(template.filled(claims))
        except NothingToFill as error:
            refused.append(f"subscribe[{index}] grants nothing: {error}")
    return Source(name, tuple(grants), rule.allowance, tuple(refused))


def _entries(given: Mapping[str, Any], kind: str, refused: list[str]) -> list[tuple[str, Any]]:
    """The grants of that kind, each with its place; what is amiss goes to `refused`."""
    entries = given.get(kind, [])
    if not isinstance(entries, list):
        refused.append(f"{kind} grants nothing: it must be a list")
        return []
    if len(entries) > MAX_VALUES:
        refused.append(f"{kind} has {len(entries)} entries, and those after the first {MAX_VALUES} count not")
    return [(f"{kind}[{index}]", entry) for index, entry in enumerate(entries[:MAX_VALUES])]


def _names(given: Mapping[str, Any], kind: str, refused: list[str]) -> frozenset[str]:
    """Entity types or channels, and EVERY; GLOBAL looks like any of them."""
    names = set()
    for place, entry in _entries(given, kind, refused):
        if isinstance(entry, str) and (entry == EVERY or _NAME.match(entry)):
            names.add(entry)
        else:
            refused.append(f"{place} grants nothing: it must be a name (1 to 64 of A-Z a-z 0-9 _ . -) or *")
    return frozenset(names)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
