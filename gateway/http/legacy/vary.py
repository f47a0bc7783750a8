"""Whether an answer that was asked for on everybody's behalf is one caller's too (RFC 9111, section 4.1)."""

from collections.abc import Mapping, Sequence

from multidict import CIMultiDict

from gateway.ports.upstreams import Fields

_ANY = frozenset({"*"})
_ANSWERED_FOR = frozenset({"accept-encoding", "host", "origin"})
"""What says nothing of the caller: the gateway has the answer in each coding that it serves, tells pages by
rules of its own who may read it, and asks the upstream by the upstream's name."""
_UNORDERED = frozenset({"accept", "accept-charset", "accept-language"})
"""Lists whose members mean the same in any order (RFC 9110, section 12.4.2): their weights rank them."""


def varied_by(headers: CIMultiDict[str]) -> frozenset[str]:
    """The fields of a request, in lower case, on which an answer with `headers` depends; "*": on more."""
    lines = headers.getall("Vary", ())
    names = {name.strip().lower() for line in lines for name in line.split(",")}
    return frozenset(names - _ANSWERED_FOR - {""})


def is_same_request(names: frozenset[str], polled: Mapping[str, str], caller: Fields) -> bool:
    """Whether the fields `names` of the caller's request say what those of the poll say.

    `polled` has the poll's by their names in lower case. White space and several lines of one field make no
    difference, nor does the order in which a caller lists what it accepts; all else does, and so does a field
    that only one of them has.
    """
    if not names:
        return True
    if names >= _ANY:
        return False
    given: dict[str, list[str]] = {}
    for name, value in caller:
        lowered = name.lower()
        if lowered in names:
            given.setdefault(lowered, []).append(value)
    return all(
        _said(name, given.get(name, ())) == _said(name, [polled[name]] if name in polled else ())
        for name in names
    )


def _said(name: str, lines: Sequence[str]) -> tuple[str, ...] | None:
    """What the lines of one field say, in a form in which what says the same is equal; None without any."""
    if not lines:
        return None
    if name != "cookie" and name not in _UNORDERED:
        return (", ".join(line.strip() for line in lines),)
    members = [
        ";".join(part.strip() for part in member.split(";"))
        for line in lines
        for member in line.split(";" if name == "cookie" else ",")
        if member.strip()
    ]
    return tuple(sorted(members) if name in _UNORDERED else members)
