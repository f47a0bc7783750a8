"""What to write so that push and polling say the same, where a member differs in one kind alone. Pure.

Python is for `map`, on the polled side (docs/protocol.md, section 7); SQL is an expression for the query of a
captured table (docs/operations.md, "A query of the row"); a setting is a line of `[legacy.parity]`, which
overlooks the difference and mends nothing. What can't be told from the kind alone is not proposed.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from flags.parity.canonical import parse_pointer
from flags.parity.kind_counts import PlaceKinds
from flags.parity.kinds import Form, Kind

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z", re.ASCII)
_UTC_OFFSETS = frozenset({"", "Z", "+00", "+0000", "+00:00"})
_LONGEST_FRACTION = 6


class Proposal(NamedTuple):
    """What to write: any one of them will do, and what does not apply is None."""

    python: str | None = None
    sql: str | None = None
    setting: str | None = None


class Assessment(NamedTuple):
    """The most frequent kind of the differences at `pointer`, and its share of them; they came `times`.

    `other` is the member that has its values on the polled side, of kind `name`. `proposal` is there where
    the share is 1, and something can be proposed.
    """

    pointer: str
    kind: Kind
    times: int
    share: float
    other: str | None
    proposal: Proposal | None


def assess(places: Iterable[PlaceKinds]) -> list[Assessment]:
    """One for each member that differed; the two of a name are one, at the pushed one."""
    known = {place.pointer: place for place in places}
    named = {pointer: other for pointer, place in known.items() if (other := _name(place, known)) is not None}
    return [
        _assessed(place, named.get(pointer))
        for pointer, place in known.items()
        if pointer not in named.values()
    ]


def _name(place: PlaceKinds, known: Mapping[str, PlaceKinds]) -> str | None:
    """The polled member that has the values of a pushed one, where it is the only one, and has no other."""
    if set(place.counts) != {Kind.PUSHED_ONLY} or not place.is_telling or len(place.names) != 1:
        return None
    (name,) = place.names
    other = known.get(name)
    if other is None or set(other.counts) != {Kind.POLLED_ONLY} or other.names != {place.pointer}:
        return None
    return name


def _assessed(place: PlaceKinds, other: str | None) -> Assessment:
    kind = max(place.counts, key=lambda each: place.counts[each])
    share = place.counts[kind] / place.total
    if other is not None:
        kind = Kind.NAME
    proposal = _proposal(place, kind, other) if len(place.counts) == 1 else None
    return Assessment(place.pointer, kind, place.total, share, other, proposal)


def _proposal(place: PlaceKinds, kind: Kind, other: str | None) -> Proposal | None:
    ignore = f"ignore = [{_text(place.pointer)}]"
    if kind is Kind.ORDER:
        return Proposal(setting=f"unordered = [{_text(place.pointer)}]")
    if kind is Kind.ROUNDING:
        return Proposal(setting=f"numeric_tolerance = {_rounded_up(place.gap)}")
    if kind in (Kind.PUSHED_ONLY, Kind.POLLED_ONLY):
        return Proposal(setting=ignore)
    path = parse_pointer(place.pointer)
    if kind is Kind.NAME and other is not None:
        return _renamed(path, parse_pointer(other))
    if kind not in _WRITERS:
        return None
    if "*" in path:
        return Proposal(setting=ignore)
    python, sql = _WRITERS[kind](place)
    item = _item(path)
    return Proposal(
        None if python is None else _guarded(path, python.replace("VALUE", item)),
        None
        if sql is None or len(path) > 1
        else f"{sql.replace('VALUE', _column(path[0]))} as {_column(path[0])}",
        ignore,
    )


def _renamed(pushed: tuple[str, ...], polled: tuple[str, ...]) -> Proposal | None:
    if "*" in pushed:
        return None
    sql = f"{_column(pushed[0])} as {_column(polled[0])}" if len(pushed) == 1 else None
    parent = _item(pushed[:-1])
    old, new = _text(polled[-1]), _text(pushed[-1])
    return Proposal(f"if {old} in {parent}:\n    {parent}[{new}] = {parent}.pop({old})", sql)


Expressions = tuple[str | None, str | None]
"""In Python, for the polled value, and in SQL, for the column: what makes it as the other side has it.

Lines of Python before the last one prepare the expression.
"""


def _number(place: PlaceKinds) -> Expressions:
    polled, pushed = _only(place.polled), _styles(place.pushed)
    if _styles(place.polled) == {"text"}:
        return "float(VALUE)", "VALUE::text"
    digits = _only(place.pushed)
    python = None if digits is None or polled is None else f'format(VALUE, ".{digits.digits}f")'
    return (python if pushed == {"text"} else None), "VALUE::numeric"


def _instant(place: PlaceKinds) -> Expressions:
    return _instant_python(place.pushed, place.polled), _instant_sql(place.pushed, place.polled)


def _instant_python(pushed: frozenset[Form] | None, polled: frozenset[Form] | None) -> str | None:
    """As a column of type timestamptz is pushed: in UTC, with the digits up to the last that is not zero."""
    if pushed is None or polled is None or {form.offset for form in pushed} != {"+00:00"}:
        return None
    offsets = {form.offset for form in polled}
    digits = max(form.digits or 0 for form in pushed)
    if ("" in offsets and len(offsets) > 1) or digits > max(form.digits or 0 for form in polled):
        return None
    zone = "replace(tzinfo=UTC)" if offsets == {""} else "astimezone(UTC)"
    moment = f"datetime.fromisoformat(VALUE).{zone}.isoformat()"
    return rf're.sub(r"(\.\d*[1-9])0+\+", r"\1+", {moment})' if digits else moment


def _instant_sql(pushed: frozenset[Form] | None, polled: frozenset[Form] | None) -> str | None:
    """As polling writes it, where that is one style and one offset: several are a place's, and have rules."""
    if pushed is None or polled is None:
        return None
    offsets, styles = {form.offset for form in polled}, _styles(polled)
    digits = {form.digits or 0 for form in polled}
    if len(offsets) > 1 or len(styles) > 1 or styles == {""} or not digits <= {0, 3, _LONGEST_FRACTION}:
        return None
    ((offset,), (style,)) = offsets, styles
    column = "VALUE at time zone 'UTC'" if {form.offset for form in pushed} == {""} else "VALUE"
    zone = "'UTC'" if offset in _UTC_OFFSETS else f"interval '{_with_colon(offset)}'"
    fraction = {3: ".MS", 6: ".US"}.get(max(digits), "")
    quoted = style if style == " " else f'"{style}"'
    text = f"to_char({column} at time zone {zone}, 'YYYY-MM-DD{quoted}HH24:MI:SS{fraction}')"
    if 0 in digits and fraction:
        text = f"replace({text}, '.{'0' * max(digits)}', '')"
    return f"{text} || '{offset}'" if offset else text


_ISO_OF_CLOCK = """hours, minutes, seconds = map(float, VALUE.split(":"))
parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
"PT" + ("".join(f"{number:.12g}{unit}" for number, unit in parts if number) or "0S")"""
"""As a column of type interval is pushed: without the parts that are zero."""


def _duration(place: PlaceKinds) -> Expressions:
    style = _styles(place.polled)
    if style == {"clock"}:
        python = _ISO_OF_CLOCK if _styles(place.pushed) == {"iso"} else None
        return python, "to_char(VALUE, 'HH24:MI:SS')"
    return None, "extract(epoch from VALUE)::float8" if style == {"seconds"} else None


def _null(place: PlaceKinds) -> Expressions:
    return None, None


_WRITERS: Mapping[Kind, Callable[[PlaceKinds], Expressions]] = {
    Kind.NUMBER_AS_TEXT: _number,
    Kind.INSTANT: _instant,
    Kind.DURATION: _duration,
    Kind.NULL: _null,
}


def _only(forms: frozenset[Form] | None) -> Form | None:
    return next(iter(forms)) if forms is not None and len(forms) == 1 else None


def _styles(forms: frozenset[Form] | None) -> set[str]:
    return set() if forms is None else {form.style for form in forms}


def _with_colon(offset: str) -> str:
    return offset if ":" in offset else f"{offset[:3]}:{offset[3:] or '00'}"


def _rounded_up(gap: float) -> str:
    """The gap with one digit, and never less than it is."""
    unit = 10.0 ** math.floor(math.log10(gap))
    times = math.ceil(gap / unit)
    return next(text for more in (0, 1) if float(text := f"{(times + more) * unit:g}") >= gap)


def _item(path: tuple[str, ...]) -> str:
    return "item" + "".join(f"[{_text(token)}]" for token in path)


def _guarded(path: tuple[str, ...], expression: str) -> str:
    modules = [name for name in ("re", "datetime") if f"{name}." in expression]
    imports = [
        f"from datetime import UTC, {name}" if name == "datetime" else f"import {name}" for name in modules
    ]
    condition = f"if {_item(path[:-1])}.get({_text(path[-1])}) is not None:"
    *before, value = expression.splitlines()
    return "\n".join(
        [*imports, condition, *(f"    {line}" for line in before), f"    {_item(path)} = {value}"]
    )


def _text(token: str) -> str:
    return json.dumps(token, ensure_ascii=False)


def _column(name: str) -> str:
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'
