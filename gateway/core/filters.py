"""A member of an event's data compared with what a reader asked for (docs/protocol.md, section 3). Pure."""

import math
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import orjson

from gateway.core.errors import BadParameter
from gateway.core.events import has_control_characters, is_encodable
from gateway.core.quoted_values import Value, in_quotes, read_quoted, read_value

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": eq,
    "neq": ne,
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
    "in": eq,
    "is": eq,
}
"""How each operator compares a member with an operand; with several, one of them is enough."""

_FILTER = re.compile(rf"[^=]+=(?:{'|'.join(OPERATORS)})\.")
_HEAD = re.compile(r"([^=,]*)=([^.,]*)\.")
_LIST_MARK = re.compile(r"[(),]")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_MAX_MEMBER_CHARACTERS = 256
_QUOTE_IT = 'an operand with a comma or a parenthesis in it stands in quotes, as in.("a,b",c)'
_IS_OPERANDS: dict[str, object] = {"null": None, "true": True, "false": False}
_WORDS: dict[object, str] = {None: "null", True: "true", False: "false"}
_MEANS_TEXT_TOO = frozenset({"eq", "neq", "in"})
_INTEGERS = range(-(2**63), 2**64)
"""Those that an event keeps; what is beyond is read as a float."""


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
    `written` says how many operands the text has.
    """

    text: str
    path: tuple[str, ...] = field(compare=False)
    operator: str = field(compare=False)
    operands: tuple[Any, ...] = field(compare=False)
    equals: Mapping[type, Container[Any]] = field(compare=False, repr=False)
    written: int = field(compare=False, repr=False)

    def matches(self, data: Mapping[str, Any]) -> bool:
        value = member(data, self.path)
        compare = OPERATORS[self.operator]
        if compare is not eq and compare is not ne:
            return _ordered(value, compare, self.operands[0])
        equal = self.equals.get(type(value))
        is_equal = equal is not None and value in equal
        return is_equal if compare is eq else not is_equal and value is not _ABSENT

    def excludes(self, other: "Filter") -> bool:
        """Whether no row can match both, since they ask one member to equal values that are never equal."""
        if self.path != other.path or not (OPERATORS[self.operator] is OPERATORS[other.operator] is eq):
            return False
        # One of them may have a thousand operands, and it is asked of as many grants with one each.
        few, many = sorted((self, other), key=lambda given: len(given.operands))
        return not any(operand in many.equals.get(type(operand), ()) for operand in few.operands)


def _equals(operator: str, operands: Iterable[Any]) -> Mapping[type, Container[Any]]:
    if OPERATORS[operator] not in (eq, ne):
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


def _ordered(value: Any, compare: Callable[[Any, Any], Any], operand: Any) -> bool:
    comparable = (_is_number(value) and _is_number(operand)) or (
        isinstance(value, str) and isinstance(operand, str)
    )
    if not comparable:
        return False
    return bool(compare(value, operand))


def filter_of(path: tuple[str, ...], operator: str, operands: Iterable[Any]) -> Filter:
    """The filter of these JSON scalars, in the one text that all filters of the same meaning have.

    Numbers are taken as an event's are, and texts stand in quotes; repeats and order of the operands of `in`,
    and `in` or `is` where `eq` says the same, make no difference. The text reads as this filter, where no
    operand holds control characters: those stand in no query parameter. Raises BadParameter for operands that
    the operator does not take, for a number that is too large and for text that is not UTF-8.
    """
    values = dict(map(_written, operands))
    texts = sorted(values)
    if not texts or (len(texts) > 1 and operator != "in"):
        raise BadParameter("filter", f"{operator} takes one operand, and only in takes several")
    for value in values.values():
        _check_fits(operator, value)
    if len(texts) == 1 and (operator == "in" or (operator == "is" and texts != ["null"])):
        operator = "eq"
    kept = tuple(values[text] for text in texts)
    operand = f"({','.join(texts)})" if operator == "in" else texts[0]
    text = f"{'.'.join(path)}={operator}.{operand}"
    return Filter(text, path, operator, kept, _equals(operator, kept), len(kept))


def _written(operand: Any) -> tuple[str, Any]:
    """How an operand is written, and the value that this is read as."""
    if operand is None or isinstance(operand, bool):
        return _WORDS[operand], operand
    if isinstance(operand, str):
        if not is_encodable(operand):
            raise BadParameter("filter", "text is not UTF-8")
        return in_quotes(operand), operand
    if not _is_number(operand):
        raise BadParameter("filter", "an operand is a number, text, true, false or null")
    number = _as_in_events(operand)
    return orjson.dumps(number).decode(), number


def _as_in_events(number: float) -> float:
    """That number as an event has it, and a whole one that an event has as an integer as one."""
    try:
        if int(number) == number and int(number) in _INTEGERS:
            return int(number)
        as_float = float(number)
    except (OverflowError, ValueError):
        as_float = math.inf
    if not math.isfinite(as_float):
        raise BadParameter("filter", "a number is too large")
    return as_float


def parse_filters(joined: str, text_members: Container[str] = ()) -> Iterator[Filter]:
    """The filters that one value of `filter` writes, with commas between them. Raises BadParameter.

    The members in `text_members` may be texts, whatever they look like. An operand that is to equal one means
    the text as it is written as well: `eq.7` selects the number 7 and the text "7".
    """
    if has_control_characters(joined):
        raise BadParameter("filter", "control characters are not allowed")
    start = 0
    while start <= len(joined):
        given, end = _filter_at(joined, start, text_members)
        yield given
        start = end + 1


def _filter_at(joined: str, start: int, text_members: Container[str]) -> tuple[Filter, int]:
    """The filter that begins at `start`, and where it ends: at a comma, or the end of `joined`."""
    head = _HEAD.match(joined, start)
    path = tuple(head[1].split(".")) if head is not None else ()
    if head is None or not all(path) or len(head[1]) > _MAX_MEMBER_CHARACTERS:
        raise BadParameter(
            "filter", 'a filter looks like branch_id=eq.7, and text with a comma in it like name=eq."a,b"'
        )
    operator = head[2]
    if operator not in OPERATORS:
        raise BadParameter("filter", f"the operators are {' '.join(OPERATORS)}")
    if operator == "in":
        values, end = _list(joined, head.end())
    else:
        value = read_value("filter", joined, head.end())
        values, end = (value,), value.end
    operands = tuple(_operand(operator, value) for value in values)
    if operator in _MEANS_TEXT_TOO and head[1] in text_members:
        operands += tuple(
            value.text
            for value, operand in zip(values, operands, strict=True)
            if not isinstance(operand, str)
        )
    return Filter(joined[start:end], path, operator, operands, _equals(operator, operands), len(values)), end


def _operand(operator: str, value: Value) -> Any:
    if operator == "is":
        if value.is_quoted or value.text not in _IS_OPERANDS:
            raise BadParameter("filter", "is takes null, true or false")
        return _IS_OPERANDS[value.text]
    operand = _scalar(value)
    _check_fits(operator, operand)
    return operand


def _check_fits(operator: str, operand: Any) -> None:
    """Raises BadParameter where `operand` is of a type that the operator does not compare."""
    is_word = operand is None or isinstance(operand, bool)
    if operator == "is" and not is_word:
        raise BadParameter("filter", "is takes null, true or false")
    if OPERATORS[operator] not in (eq, ne) and is_word:
        raise BadParameter("filter", f"{operator} compares numbers or text, not {_WORDS[operand]}")


def _list(joined: str, start: int) -> tuple[tuple[Value, ...], int]:
    """What stands in the list that begins at `start`, and where what follows the list begins."""
    if not joined.startswith("(", start) or joined.startswith("()", start):
        raise BadParameter("filter", "in takes a list such as in.(7,8)")
    values = []
    end = start
    while not joined.startswith(")", end):
        value = _listed(joined, end + 1)
        values.append(value)
        end = value.end
    if joined[end + 1 : end + 2] not in ",":
        raise BadParameter("filter", f"text stands after the list of in: {_QUOTE_IT}")
    return tuple(values), end + 1


def _listed(joined: str, start: int) -> Value:
    """The operand of a list that begins at `start`; a comma or a closing parenthesis follows it.

    Parentheses within one that is not quoted come in pairs, else the list could end anywhere. For the same
    reason it is nothing that could be a filter of its own, which would be lost without a word.
    """
    if joined.startswith('"', start):
        value = read_quoted("filter", joined, start, ",)")
        if value.end == len(joined):
            raise BadParameter("filter", "the list of in has no closing parenthesis")
        return value
    depth = 0
    for mark in _LIST_MARK.finditer(joined, start):
        if mark[0] == "(":
            depth += 1
        elif depth == 0:
            if _FILTER.match(joined, start, mark.start()):
                raise BadParameter("filter", f"a filter stands within the list of another one: {_QUOTE_IT}")
            return Value(joined[start : mark.start()], False, mark.start())
        elif mark[0] == ")":
            depth -= 1
        else:
            break
    raise BadParameter("filter", f"the list of in has no closing parenthesis: {_QUOTE_IT}")


def _scalar(value: Value) -> Any:
    """The JSON number, boolean or null that `value` writes, read as an event's are, else the text itself."""
    text = value.text
    if value.is_quoted:
        return text
    if text in _IS_OPERANDS:
        return _IS_OPERANDS[text]
    if not _NUMBER.match(text):
        return text
    try:
        # The reader of all events: what it makes of an integer beyond 64 bits is what theirs became.
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadParameter("filter", "a number is too large") from None
