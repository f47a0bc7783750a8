"""Grants of rules: written with claims in place of operands and ids, which each token fills in. Pure.

A claim becomes an operand of its own JSON type, or an id. It is never put into a text that is parsed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.access.grant_parsing import (
    GrantParts,
    MalformedGrant,
    canonical,
    in_one_form,
    is_entity_id,
    read_grant,
)
from gateway.core.errors import BadParameter
from gateway.core.filters import Filter, filter_of
from gateway.core.grants import Grant, Members
from gateway.core.selectors import MAX_VALUES

_CLAIM = re.compile(r'\{((?:"(?:[^"\\]|\\["\\])*"|[^{}"])*)\}')
_STEP = re.compile(r'(?:"((?:[^"\\]|\\["\\])+)"|([A-Za-z0-9_:\-]+))(\.|\Z)')
_ESCAPED = re.compile(r'\\(["\\])')
_FIRST_SLOT = 0x100000
_SLOT = re.compile("[\U00100000-\U0010fffd]")
_INTEGERS = range(-(2**63), 2**64)


class NothingToFill(ValueError):
    """A claim that grants nothing here; its text says why, and not what is in the claim."""


class Claim(NamedTuple):
    """A claim by name, or by the way to it within objects. `is_list`: it stands for a whole list of `in`."""

    path: tuple[str, ...]
    is_list: bool
    text: str

    def value_in(self, claims: Mapping[str, Any]) -> Any:
        """What those claims have there; None where that is nothing."""
        value: Any = claims
        for name in self.path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return value


@dataclass(frozen=True, slots=True)
class FilterTemplate:
    """A filter some of whose operands are claims."""

    path: tuple[str, ...]
    operator: str
    operands: tuple[Any, ...]

    def filled(self, claims: Mapping[str, Any]) -> Filter:
        """The filter for these claims. Raises NothingToFill."""
        operands = [operand for given in self.operands for operand in _operands(given, claims)]
        if len(operands) > MAX_VALUES:
            raise NothingToFill(f"a list has more than {MAX_VALUES} values")
        try:
            return filter_of(self.path, self.operator, operands)
        except BadParameter as error:
            raise NothingToFill(error.errors[0]["detail"]) from None


@dataclass(frozen=True, slots=True)
class GrantTemplate:
    """A subscribe grant of a rule."""

    entity: str
    entity_id: str | Claim | None
    filters: tuple[Filter | FilterTemplate, ...]
    members: Members

    def filled(self, claims: Mapping[str, Any]) -> Grant:
        """The grant for these claims. Raises NothingToFill where one of them grants nothing."""
        entity_id = self.entity_id
        if isinstance(entity_id, Claim):
            entity_id = _entity_id(entity_id, claims)
        filters = [
            given.filled(claims) if isinstance(given, FilterTemplate) else given for given in self.filters
        ]
        return Grant(self.entity, entity_id, in_one_form(filters), self.members)


def parse_template(given: Any) -> GrantTemplate:
    """The grant that a rule writes. Raises MalformedGrant."""
    slots = _Slots()
    parts = read_grant(slots.in_place_of_claims(given))
    template = GrantTemplate(
        parts.entity,
        None if parts.entity_id is None else slots.claim_or_text(parts.entity_id),
        tuple(_filter(filter_, slots) for filter_ in parts.filters),
        parts.members,
    )
    slots.check_all_found(parts)
    return template


def without_claims(given: Any) -> Any:
    """`given`, a grant where no token fills in claims. Raises MalformedGrant where it names some."""
    if any(mark in text for text in _texts_of(given) for mark in "{}"):
        raise MalformedGrant("must have no { or }: claims stand in the grants of rules only, [[auth.grants]]")
    return given


def _filter(given: Filter, slots: "_Slots") -> Filter | FilterTemplate:
    operands = tuple(map(slots.claim_or_text, given.operands))
    if any(isinstance(operand, Claim) for operand in operands):
        return FilterTemplate(given.path, given.operator, operands)
    return canonical(given)


def _operands(given: Any, claims: Mapping[str, Any]) -> list[Any]:
    """The operands that stand for `given`, which is one, or a claim."""
    if not isinstance(given, Claim):
        return [given]
    value = given.value_in(claims)
    if given.is_list and isinstance(value, list):
        scalars = [member for member in value if isinstance(member, str | int | float)]
        if not scalars:
            raise NothingToFill(f"the claim {given.text} is a list without a number, a text or a boolean")
        return scalars
    if not isinstance(value, str | int | float):
        raise NothingToFill(f"the claim {given.text} is {_kind(value)}")
    return [value]


def _entity_id(given: Claim, claims: Mapping[str, Any]) -> str:
    value = given.value_in(claims)
    if isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS:
        return str(value)
    if not isinstance(value, str):
        raise NothingToFill(f"the claim {given.text} is {_kind(value)}, and an id is text or a whole number")
    if not is_entity_id(value):
        raise NothingToFill(f"the claim {given.text} is no entity's id")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "absent or null"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list, which fits in.{…} only"
    return "true or false" if isinstance(value, bool) else "a number"


class _Slots:
    """The claims of one grant. A character that nobody writes stands for each while the grant is parsed."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []
        self._found: set[int] = set()

    def in_place_of_claims(self, given: Any) -> Any:
        """`given` with a slot for each claim of its text, or of its filters."""
        if isinstance(given, str):
            return self._slotted(given)
        if isinstance(given, Mapping) and isinstance(given.get("filters"), list | tuple):
            filters = [self._slotted(text) if isinstance(text, str) else text for text in given["filters"]]
            return {**given, "filters": filters}
        return given

    def _slotted(self, text: str) -> str:
        if _SLOT.search(text):
            raise MalformedGrant("must have no characters of the last private-use plane of Unicode")
        pieces = []
        end = 0
        for found in _CLAIM.finditer(text):
            before = text[end : found.start()]
            if before.endswith('"') or text.startswith('"', found.end()):
                raise MalformedGrant("must have its claims without quotes around them, as in eq.{sub}")
            if len(self._claims) == MAX_VALUES:
                raise MalformedGrant(f"must have at most {MAX_VALUES} claims")
            is_list = before.endswith("=in.")
            slot = chr(_FIRST_SLOT + len(self._claims))
            self._claims.append(Claim(_path(found[1]), is_list, found[0]))
            pieces += [before, f"({slot})" if is_list else slot]
            end = found.end()
        pieces.append(text[end:])
        return "".join(pieces)

    def claim_or_text(self, operand: Any) -> Any:
        """The claim whose slot `operand` is, all of it; anything else as it is."""
        if isinstance(operand, str) and len(operand) == 1 and _SLOT.match(operand):
            index = ord(operand) - _FIRST_SLOT
            self._found.add(index)
            return self._claims[index]
        return operand

    def check_all_found(self, parts: GrantParts) -> None:
        """Raises MalformedGrant where a slot, or what is left of a brace, is somewhere else."""
        texts = (parts.entity_id or "", *(parts.members or ()), *(given.text for given in parts.filters))
        if len(self._found) != len(self._claims) or any(mark in text for text in texts for mark in "{}"):
            raise MalformedGrant(
                "must have each claim, such as {sub}, as a whole operand or a whole id, and no other braces"
            )


def _path(text: str) -> tuple[str, ...]:
    steps: list[str] = []
    end = 0
    while found := _STEP.match(text, end):
        steps.append(found[2] or _ESCAPED.sub(r"\1", found[1]))
        end = found.end()
        if not found[3]:
            return tuple(steps)
    raise MalformedGrant(
        'must name claims as {sub}, {a.b} or, with other characters than A-Z a-z 0-9 _ : -, {"https://x/role"}'
    )


def _texts_of(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping):
        for value in given.values():
            yield from _texts_of(value)
    elif isinstance(given, list | tuple):
        for value in given:
            yield from _texts_of(value)
