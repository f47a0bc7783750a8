"""Of what kind a difference is: one number, instant or duration written in two ways, another name. Pure."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from flags.parity.canonical import Difference, Side, same_value


class Kind(StrEnum):
    """How two values of one member differ.

    `number as text`: a number, and text that writes it. `instant`: one moment written in two ways (an offset,
    `Z`, fewer digits); where one of them has no offset, UTC is meant. `duration`: one span of time, as ISO
    8601, on a clock, or in seconds. `rounding`: two numbers that differ by less than a thousandth. `order`:
    the elements of a list in another order. `null`: null, and no such member. `name`: a member that only one
    side has, and another of the other side that has the same values. `pushed only`, `polled only`: a member
    that only that side has. `value`: anything else.
    """

    NUMBER_AS_TEXT = "number as text"
    INSTANT = "instant"
    DURATION = "duration"
    ROUNDING = "rounding"
    ORDER = "order"
    NULL = "null"
    NAME = "name"
    PUSHED_ONLY = "pushed only"
    POLLED_ONLY = "polled only"
    VALUE = "value"


class Form(NamedTuple):
    """How a value is written, as far as another way of writing it can be told by that.

    `style`: `text` or `number`; of an instant the character before the hour, of a duration `iso`, `clock`,
    `days` or `seconds`. `digits` of its fraction; None where that means nothing. `offset` of an instant as it
    stands there, empty where there is none.
    """

    style: str = ""
    digits: int | None = None
    offset: str = ""


class Found(NamedTuple):
    """One difference: its member (with `*` for an index of a list), its kind, and the form on each side.

    `gap` is how far two numbers of kind `rounding` are apart. `names` are members beside it which only the
    other side has, with the same value; `is_telling` where that value is not null.
    """

    pointer: str
    kind: Kind
    pushed: Form = Form()
    polled: Form = Form()
    gap: float = 0.0
    names: frozenset[str] = frozenset()
    is_telling: bool = False


_INDEX = re.compile(r"/[0-9]+(?=/|\Z)")
_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.([0-9]{1,300}))?\Z", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:([T ])[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.([0-9]{1,6}))?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?\Z",
    re.ASCII,
)
_ISO = re.compile(
    r"(-)?P(?:(-?[0-9]{1,9})D)?(?:T(?:(-?[0-9]{1,9})H)?(?:(-?[0-9]{1,9})M)?(?:(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?\Z",
    re.ASCII,
)
_CLOCK = re.compile(
    r"(-)?(?:([0-9]{1,9}) (?:days?,? )?)?([0-9]{1,9}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,9})?)\Z", re.ASCII
)
_CLOSE = 1e-3
_MANIFOLD = frozenset({"iso", "clock", "days"})
"""Styles in which there are several ways to write one value."""
_SECONDS = (86_400, 3600, 60, 1)


def classify(found: Sequence[Difference]) -> Iterator[Found]:
    """What each difference of one item is. Those of a list in another order are one."""
    one_sided = {side: [place for place in found if place.only is side] for side in Side}
    pairs: dict[str, list[Difference]] = {}
    for place in found:
        pairs.setdefault(general(place.pointer), []).append(place)
    for pointer, places in pairs.items():
        if _is_reordered(pointer, places):
            yield Found(pointer.removesuffix("/*"), Kind.ORDER)
            continue
        for place in places:
            if place.only is None:
                yield _of_values(pointer, place.pushed, place.polled)
            else:
                yield _of_one_side(pointer, place, one_sided[place.only.other])


def general(pointer: str) -> str:
    """The pointer with `*` for what may be an index of a list."""
    return _INDEX.sub("/*", pointer)


def _of_one_side(pointer: str, place: Difference, others: Sequence[Difference]) -> Found:
    pushed_only = place.only is Side.PUSHED
    value = place.pushed if pushed_only else place.polled
    parent = place.pointer.rpartition("/")[0]
    names = frozenset(
        general(other.pointer)
        for other in others
        if other.pointer.rpartition("/")[0] == parent
        and same_value(value, other.polled if pushed_only else other.pushed)
    )
    if value is None and not names:
        return Found(pointer, Kind.NULL, Form("pushed" if pushed_only else "polled"))
    kind = Kind.PUSHED_ONLY if pushed_only else Kind.POLLED_ONLY
    return Found(pointer, kind, names=names, is_telling=value is not None)


def _is_reordered(pointer: str, places: Sequence[Difference]) -> bool:
    """Whether these are elements of one list, and both sides have the same of them."""
    if not pointer.endswith("/*") or len(places) < 2 or any(place.only is not None for place in places):
        return False
    if len({place.pointer.rpartition("/")[0] for place in places}) > 1:
        return False
    left = [place.polled for place in places]
    for place in places:
        partner = next((index for index, value in enumerate(left) if same_value(place.pushed, value)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def _of_values(pointer: str, pushed: Any, polled: Any) -> Found:
    for read, kind in ((_number, Kind.NUMBER_AS_TEXT), (_instant, Kind.INSTANT), (_duration, Kind.DURATION)):
        one, other = read(pushed), read(polled)
        if one is not None and other is not None and _same(kind, one, other):
            return Found(pointer, kind, one[1], other[1])
    if _is_number(pushed) and _is_number(polled):
        gap = abs(pushed - polled)
        if gap <= _CLOSE * max(abs(pushed), abs(polled)):
            return Found(pointer, Kind.ROUNDING, gap=gap)
    return Found(pointer, Kind.VALUE)


def _same(kind: Kind, one: tuple[float, Form], other: tuple[float, Form]) -> bool:
    if one[1] == other[1] and one[1].style not in _MANIFOLD:
        return False
    if kind is Kind.INSTANT:
        # The one with fewer digits may have cut the others off.
        digits = min(one[1].digits or 0, other[1].digits or 0)
        return abs(one[0] - other[0]) < 10.0**-digits
    if kind is Kind.NUMBER_AS_TEXT and one[1].style == other[1].style:
        return False
    return math.isclose(one[0], other[0], rel_tol=1e-12, abs_tol=1e-9)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> tuple[float, Form] | None:
    if _is_number(value):
        return float(value), Form("number")
    found = _NUMBER.match(value) if isinstance(value, str) else None
    return None if found is None else (float(value), Form("text", len(found[1] or "")))


def _instant(value: Any) -> tuple[float, Form] | None:
    found = _INSTANT.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since / timedelta(seconds=1), Form(found[1] or "", len(found[2] or ""), found[3] or "")


def _duration(value: Any) -> tuple[float, Form] | None:
    if _is_number(value):
        return float(value), Form("seconds")
    if not isinstance(value, str):
        return None
    for pattern, style in ((_ISO, "iso"), (_CLOCK, "clock")):
        found = pattern.match(value)
        if found is not None and any(found.groups()[1:]):
            sign, *parts = found.groups()
            seconds = sum(float(part or 0) * unit for part, unit in zip(parts, _SECONDS, strict=True))
            # A clock that shows days is written in another way than one that does not.
            style = "days" if style == "clock" and parts[0] is not None else style
            return (-seconds if sign else seconds), Form(style)
    return None
