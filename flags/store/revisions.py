"""The history of a flag: who changed what, when and why; and what the flag was at each revision.

Revisions are numbered from 1 without a gap. Order is the numbers' alone: `when` is for people, and may jump
with the machine's clock. A history drops its oldest revisions (retention.py), never a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from flags.errors import InvalidFlag
from flags.wire_model import Text, Timestamp, WireModel, printable

Why = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(printable)]

Members = Mapping[str, Any]
"""The members of a flag as JSON, without `component` and `revision`."""


class Attribution(WireModel):
    """Who changes something, when and why."""

    who: Text
    when: Timestamp
    why: Why


def attribution(who: str, reason: str, when: str) -> Attribution:
    """Raises InvalidFlag, pointing at `/who` or `/reason`, where one of them is left out or is no line.

    A reason of nothing but blanks is left out. A file may hold one from before that was refused.
    """
    if reason and not reason.strip():
        raise InvalidFlag([{"pointer": "/reason", "detail": "must say something"}])
    try:
        return Attribution.parse({"who": who, "why": reason, "when": when})
    except InvalidFlag as error:
        raise InvalidFlag(
            [{**place, "pointer": place["pointer"].replace("/why", "/reason")} for place in error.errors]
        ) from None


class Revision(Attribution):
    """One change. `before` and `after` hold the members that it changed, and nothing else.

    The revision that made a flag has no `before`, one that removed it no `after`. `restores` is the earlier
    revision that a rollback went back to.
    """

    revision: Annotated[int, Field(ge=1)]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    restores: Annotated[int, Field(ge=1)] | None = None

    @cached_property
    def size(self) -> int:
        """The bytes that it takes as JSON."""
        return len(orjson.dumps(self.wire()))

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        members: dict[str, Any] = serialize(self)
        if self.restores is None:
            del members["restores"]
        return members

    def moves(self) -> bool:
        """Whether it changed the stage or the percentage of a flag that was there."""
        return self.before is not None and self.after is not None and not _MOVING.isdisjoint(self.after)

    def summary(self) -> str:
        """A sentence for whoever did not expect it."""
        if self.before is None:
            what = "made it"
        elif self.after is None:
            what = "removed it"
        else:
            what = f"changed {', '.join(sorted(self.after))}"
        return f"Revision {self.revision} by {self.who} {what}."


_MOVING = frozenset({"stage", "percentage"})


class Difference(NamedTuple):
    """The members that differ between two states; None for a state that is not there."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None


def difference(before: Members | None, after: Members | None) -> Difference:
    """What a revision that leads from `before` to `after` holds."""
    if before is None or after is None:
        return Difference(None if before is None else dict(before), None if after is None else dict(after))
    changed = [name for name in after if name not in before or before[name] != after[name]]
    return Difference(
        {name: before[name] for name in changed if name in before}, {name: after[name] for name in changed}
    )


class Earlier(NamedTuple):
    """What is known of the revisions that a history has dropped.

    `state` is what the flag was after the last of them, None where it was removed; `stage_since` is when it
    had come into its stage.
    """

    state: Members | None
    stage_since: str | None

    def after(self, entry: Revision) -> "Earlier":
        """What is known once that revision, the next one, is dropped too."""
        if entry.after is None:
            return Earlier(None, None)
        since = entry.when if "stage" in entry.after else self.stage_since
        return Earlier(_followed(self.state, entry), since)


NOTHING_EARLIER = Earlier(None, None)


@dataclass(frozen=True, slots=True)
class RevisionHistory:
    """The revisions of one flag that are held, oldest first, and what is known of those before them.

    Where something was dropped there is at least one revision left, so that the numbers go on.
    """

    entries: tuple[Revision, ...] = ()
    earlier: Earlier = NOTHING_EARLIER

    @property
    def dropped(self) -> int:
        """How many revisions were dropped, which is the number of the last of them."""
        return self.entries[0].revision - 1 if self.entries else 0

    @property
    def last(self) -> int:
        """The number of the newest revision, and of how many there were; 0 where there was none."""
        return self.entries[-1].revision if self.entries else 0

    @property
    def state(self) -> Members | None:
        """What the flag is by its history; None where there is none."""
        return self.state_at(self.last)

    def state_at(self, revision: int) -> Members | None:
        """What the flag was once `revision` had been made; None where there was none then.

        `revision` is `dropped` at least: nobody knows what was before.
        """
        state = self.earlier.state
        for entry in self.entries[: revision - self.dropped]:
            state = _followed(state, entry)
        return state

    def since(self, revision: int) -> tuple[Revision, ...]:
        """The revisions after `revision`, as far as they are held."""
        return self.entries[max(revision - self.dropped, 0) :]

    def came_into(self, stage: str) -> str | None:
        """When the flag last came into that stage; None where that is not known."""
        for entry in reversed(self.entries):
            if entry.after is not None and entry.after.get("stage") == stage:
                return entry.when
        is_older = self.earlier.state is not None and self.earlier.state.get("stage") == stage
        return self.earlier.stage_since if is_older else None

    def followed_by(self, entry: Revision) -> "RevisionHistory":
        return RevisionHistory((*self.entries, entry), self.earlier)

    def without(self, count: int) -> "RevisionHistory":
        """The history once it has dropped its oldest `count` revisions, which are not all."""
        earlier = self.earlier
        for entry in self.entries[:count]:
            earlier = earlier.after(entry)
        return RevisionHistory(self.entries[count:], earlier)


def _followed(state: Members | None, entry: Revision) -> Members | None:
    """What a flag that was `state` is after the revision."""
    if entry.after is None:
        return None
    if entry.before is None or state is None:
        return dict(entry.after)
    return {**state, **entry.after}


def rollback_target(history: RevisionHistory) -> int | None:
    """The revision before the last change of stage or percentage that still stands.

    None where none does, or where the revisions that would tell are not held any more. A rollback takes back
    the change that it undid: the next one goes further back, not forward again.
    """
    number = history.last
    while number > history.dropped:
        entry = history.entries[number - history.dropped - 1]
        if entry.restores is not None:
            number = entry.restores
        elif entry.before is None:
            return None
        elif entry.moves():
            return number - 1
        else:
            number -= 1
    return None


def longer(mine: RevisionHistory, theirs: RevisionHistory) -> RevisionHistory:
    """The one of two histories of the same flag to go on from; `theirs` where they are equally long.

    Numbers never go back, whoever wrote the shorter one.
    """
    return theirs if theirs.last >= mine.last else mine
