"""Entity tags (RFC 9110, section 8.8.3): read out of conditions, and compared. Pure."""

import re

_ANY = r'(W/)?"([\x21\x23-\x7e\x80-\U0010ffff]*)"'
_TAG = re.compile(_ANY)
_QUOTED = re.compile(r'"([^"]*)"')
_TAGS = re.compile(rf"\s*{_ANY}(\s*,\s*{_ANY})*\s*\Z")
_STRONG = re.compile(r'"[\x21\x23-\x7e]*"\Z')
_CODING = re.compile(r'(?:--?|[;:])(?:x-)?(?:gzip|br|zstd|deflate)("?)\Z', re.IGNORECASE)


def is_strong(tag: str) -> bool:
    """Whether `tag` is a strong entity tag that can be sent on as it is."""
    return _STRONG.match(tag) is not None


def quoted(condition: str) -> list[str]:
    """What stands within quotes in a condition, also where no tag may hold it."""
    return _QUOTED.findall(condition)


def strong_tags(condition: str) -> list[str] | None:
    """What stands within the quotes of each strong tag that a condition names; None where it is no list."""
    if not _TAGS.match(condition):
        return None
    return [opaque for weak, opaque in _TAG.findall(condition) if not weak]


def none_match(condition: str, tag: str) -> bool:
    """Whether an If-None-Match field names `tag`, by weak comparison (RFC 9110, section 13.1.2).

    So does the tag that a server which compressed the answer made of it.
    """
    if condition == tag or condition.strip() == "*":
        return True
    opaque = tag.removeprefix("W/")[1:-1]
    named = [opaque for _, opaque in _TAG.findall(condition)]
    return opaque in named or opaque in map(without_coding, named)


def without_coding(tag: str) -> str:
    """An entity tag, or what stands within its quotes, without the coding that a compressing server added.

    Apache makes `"C-gzip"` of the tag `"C"`, others `"C;gzip"` or `"C--gzip"`.
    """
    return _CODING.sub(r"\1", tag)
