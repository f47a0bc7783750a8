"""What can go wrong with flags: one tree, below which every error says who erred.

A `detail` is written for whoever asked: it never holds a file path. Log lines may.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MOST_SUMMARIES = 5
"""How many changes the sentence of a StaleRevision names at most, the newest."""


class FlagError(Exception):
    """Base of everything that the flags raise on purpose. `detail` is one or more sentences for people."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidFlag(FlagError):
    """A flag, or a change of one, breaks the rules; nothing was changed.

    `errors` has one `{"pointer": "/percentage", "detail": "…"}` a place (JSON pointers, RFC 6901, into the
    flag or the change).
    """

    def __init__(self, errors: Iterable[Mapping[str, str]]) -> None:
        self.errors = tuple(dict(error) for error in errors)
        super().__init__("; ".join(f"{error['pointer'] or '/'}: {error['detail']}" for error in self.errors))


class ForbiddenMove(FlagError):
    """There is no such move. `allowed` are the stages that may follow `before`, None where there was none.

    `why` is the sentence for people, where it is not that the table of stages does not have it.
    """

    def __init__(self, before: str | None, after: str, allowed: Sequence[str], why: str = "") -> None:
        super().__init__(why or f"No way leads from {before} to {after}: allowed are {', '.join(allowed)}.")
        self.before = before
        self.after = after
        self.allowed = tuple(allowed)


class NotFound(FlagError):
    """There is no such flag, or no such revision of it."""


class StaleRevision(FlagError):
    """The change was meant for another revision than the current one; nothing was changed.

    `expected` is the revision it was meant for and `current` the one that is (0: there is no flag);
    `since` are the revisions after the expected one as the wire carries them, oldest first, as far as they
    are held, and `summaries` a sentence for each.
    """

    def __init__(
        self,
        component: str,
        expected: int,
        current: int,
        since: Sequence[Mapping[str, Any]],
        summaries: Sequence[str],
    ) -> None:
        self.component = component
        self.expected = expected
        self.current = current
        self.since = tuple(since)
        changes = list(summaries[-MOST_SUMMARIES:])
        more = len(summaries) - len(changes)
        if more:
            changes.insert(0, f"{more} more changes, then:")
        super().__init__(
            " ".join([f"{component} is at {_revision(current)}, not at {_revision(expected)}.", *changes])
        )


class StoreUnwritable(FlagError):
    """The store could not keep the change; nothing was changed. `detail` says why."""


class StoreFull(StoreUnwritable):
    """There is no room for one more; nothing was changed. There may be after `retry_after_seconds`."""

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class StoreUncertain(FlagError):
    """The change may have been made, and may not have been. `detail` says why, and how to find out."""


class StoreUnreadable(FlagError):
    """The store holds nothing that can be used as flags. `detail` says why.

    `replaceable` says whether what it holds is damaged beyond use, so that a later change may take its place.
    """

    def __init__(self, detail: str, *, replaceable: bool = False) -> None:
        super().__init__(detail)
        self.replaceable = replaceable


def _revision(number: int) -> str:
    return f"revision {number}" if number else "no revision (there is no flag)"
