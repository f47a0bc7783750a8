"""Versions of client software, in the order of Semantic Versioning 2.0.0, section 11."""

import re
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(?P<release>[0-9]{1,9}(\.[0-9]{1,9}){0,7})"
    r"(-(?P<prerelease>[0-9A-Za-z-]{1,32}(\.[0-9A-Za-z-]{1,32}){0,7}))?"
    r"(\+[0-9A-Za-z.-]{1,64})?\Z"
)

Identifier = tuple[int, int, str]


class Version(NamedTuple):
    """Compares as versions do. A prerelease comes before its release, and `2.0` is `2`."""

    release: tuple[int, ...]
    is_release: bool
    prerelease: tuple[Identifier, ...]

    @classmethod
    def parse(cls, text: str) -> "Version | None":
        """The version that `text` writes (`2`, `2.10.1`, `v3.0.0-rc.1+build5`), or None where it is none.

        One to eight numbers, where Semantic Versioning wants three: clients count as they like.
        """
        found = _VERSION.match(text)
        if found is None:
            return None
        release = [int(number) for number in found["release"].split(".")]
        while len(release) > 1 and release[-1] == 0:
            release.pop()
        prerelease = found["prerelease"]
        identifiers = tuple(_identifier(part) for part in prerelease.split(".")) if prerelease else ()
        return cls(tuple(release), not identifiers, identifiers)


def _identifier(part: str) -> Identifier:
    """Numbers before words, numbers as numbers and words as text."""
    return (0, int(part), "") if part.isdigit() else (1, 0, part)
