"""The history of a flag: who changed what, when and why; and what the flag was at each revision.

A history is a tuple of revisions, numbered from 1 without a gap, oldest first. Order is the numbers' alone:
`when` is for people, and may jump with the machine's clock.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from flags.errors import InvalidFlag
from flags.wire import Text, Timestamp, WireModel, printable

Why = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(printable)]

State = Mapping[str, Any]
"""The members of a flag as JSON, without `component` and `revision`."""

History = tuple["Revision", ...]


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


def difference(before: State | None, after: State | None) -> Difference:
    """What a revision that leads from `before` to `after` holds."""
    if before is None or after is None:
        return Difference(None if before is None else dict(before), None if after is None else dict(after))
    changed = [name for name in after if name not in before or before[name] != after[name]]
    return Difference(
        {name: before[name] for name in changed if name in before}, {name: after[name] for name in changed}
    )


def next_number(history: History) -> int:
    """The number of the revision that would come next."""
    return history[-1].revision + 1 if history else 1


def state_at(history: History, revision: int) -> State | None:
    """What the flag was once `revision` had been made; None where there was none then."""
    state: dict[str, Any] | None = None
    for entry in history[:revision]:
        if entry.after is None:
            state = None
        elif entry.before is None or state is None:
            state = dict(entry.after)
        else:
            state |= entry.after
    return state


def rollback_target(history: History) -> int | None:
    """The revision before the last change of stage or percentage that still stands; None where none does.

    A rollback takes back the change that it undid: the next one goes further back, not forward again.
    """
    number = len(history)
    while number:
        entry = history[number - 1]
        if entry.restores is not None:
            number = entry.restores
        elif entry.before is None:
            return None
        elif entry.moves():
            return number - 1
        else:
            number -= 1
    return None


def longer(mine: History, theirs: History) -> History:
    """The one of two histories of the same flag to go on from; `theirs` where they are equally long.

    Numbers never go back, whoever wrote the shorter one.
    """
    return theirs if len(theirs) >= len(mine) else mine


def since(history: Sequence[Revision], revision: int) -> Sequence[Revision]:
    """The revisions after `revision`; all of them after 0."""
    return history[max(revision, 0) :]
