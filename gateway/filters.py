"""A member of an event's data compared with what a reader asked for (docs/protocol.md, section 3). Pure."""

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any

from gateway.errors import BadParameter
from gateway.events import has_control_characters

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_MAX_MEMBER_CHARACTERS = 256
_MAX_NUMBER_CHARACTERS = 400
_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_IS_OPERANDS: dict[str, object] = {"null": None, "true": True, "false": False}


class _Absent:
    """Stands for a member that is not there; no JSON value is equal to it."""


_ABSENT = _Absent()
_NONE: Mapping[type, Container[Any]] = {}
_IS_NULL: Mapping[type, Container[Any]] = {type(None): (None,), _Absent: (_ABSENT,)}


def member(data: Mapping[str, Any] | None, path: tuple[str, ...]) -> Any:
    """The value at `path` within nested JSON objects, or a marker that equals no JSON value."""
    value: Any = data
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


@dataclass(frozen=True, slots=True)
class Filter:
    """A member of `data` compared: `path` within it, an operator, and what it is compared with.

    A member that is not there satisfies `is.null` and nothing else. Values of different JSON types are
    never equal and have no order. `equals` are the values that are equal to an operand, by their type: to
    look a value up costs the same however many operands there are, and objects and lists have no place in it.
    """

    text: str
    path: tuple[str, ...] = field(compare=False)
    operator: str = field(compare=False)
    operands: tuple[Any, ...] = field(compare=False)
    equals: Mapping[type, Container[Any]] = field(compare=False, repr=False)

    def matches(self, data: Mapping[str, Any]) -> bool:
        value = member(data, self.path)
        operator = self.operator
        if operator in _ORDERS:
            return _ordered(value, operator, self.operands[0])
        equal = self.equals.get(type(value))
        is_equal = equal is not None and value in equal
        return is_equal if operator != "neq" else not is_equal and value is not _ABSENT


def _equals(operator: str, operands: Iterable[Any]) -> Mapping[type, Container[Any]]:
    if operator in _ORDERS:
        return _NONE
    if operator == "is" and None in operands:
        return _IS_NULL
    by_type: dict[type, set[Any]] = {}
    for operand in operands:
        # Numbers are one type for JSON, whole or not; and True, which equals 1 for Python, is of another.
        kind = float if _is_number(operand) else type(operand)
        by_type.setdefault(kind, set()).add(operand)
    # Most filters have one operand, for which a set would be four times as large.
    equals: dict[type, Container[Any]] = {
        kind: frozenset(values) if len(values) > 1 else tuple(values) for kind, values in by_type.items()
    }
    if float in equals:
        equals[int] = equals[float]
    return equals


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(value: Any, operator: str, operand: Any) -> bool:
    comparable = (_is_number(value) and _is_number(operand)) or (
        isinstance(value, str) and isinstance(operand, str)
    )
    if not comparable:
        return False
    return bool(_ORDERS[operator](value, operand))


def parse_filter(text: str) -> Filter:
    """The filter that one value of the parameter `filter` writes. Raises BadParameter."""
    name, equals, comparison = text.partition("=")
    operator, dot, operand = comparison.partition(".")
    path = tuple(name.split("."))
    if not equals or not dot or not all(path) or len(name) > _MAX_MEMBER_CHARACTERS:
        raise BadParameter("filter", "a filter looks like branch_id=eq.7")
    if has_control_characters(text):
        raise BadParameter("filter", "control characters are not allowed")
    operands = _operands(operator, operand)
    return Filter(text, path, operator, operands, _equals(operator, operands))


def _operands(operator: str, operand: str) -> tuple[Any, ...]:
    if operator in ("eq", "neq"):
        return (_scalar(operand),)
    if operator in ("gt", "gte", "lt", "lte"):
        value = _scalar(operand)
        if value is None or isinstance(value, bool):
            raise BadParameter("filter", f"{operator} compares numbers or text, not {operand}")
        return (value,)
    if operator == "in":
        if not (operand.startswith("(") and operand.endswith(")") and len(operand) > 2):
            raise BadParameter("filter", "in takes a list such as in.(7,8)")
        return tuple(_scalar(value) for value in operand[1:-1].split(","))
    if operator == "is":
        if operand not in _IS_OPERANDS:
            raise BadParameter("filter", "is takes null, true or false")
        return (_IS_OPERANDS[operand],)
    raise BadParameter("filter", "the operators are eq neq gt gte lt lte in is")


def _scalar(text: str) -> Any:
    """The JSON number, boolean or null that `text` writes, else the text itself."""
    if text in _IS_OPERANDS:
        return _IS_OPERANDS[text]
    if not _NUMBER.match(text):
        return text
    if len(text) > _MAX_NUMBER_CHARACTERS:
        raise BadParameter("filter", "a number is too long")
    if text.lstrip("-").isdigit():
        return int(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadParameter("filter", "a number is too large")
    return number
