"""The cookies of a request (RFC 6265, section 5.4)."""

from collections.abc import Iterable

SESSION_COOKIE = "tidegate_session"
"""The one that keeps a caller on its side of a percentage (docs/protocol.md, section 8)."""


def without_cookie(line: str, name: str) -> str:
    """A line of the field Cookie without the cookies of that name; the others are as they were."""
    pairs = line.split(";")
    kept = [pair for pair in pairs if pair.partition("=")[0].strip() != name]
    return line if len(kept) == len(pairs) else ";".join(kept).strip()


def cookies_named(lines: Iterable[str], name: str) -> list[str]:
    """The values of the cookies of that name, in their order, without quotes around them.

    `lines` are those of the field Cookie; there may be several (RFC 9113, section 8.2.3).
    """
    found = []
    for pair in ";".join(lines).split(";"):
        given, equals, text = pair.partition("=")
        if equals and given.strip() == name:
            found.append(text.strip().removeprefix('"').removesuffix('"'))
    return found
