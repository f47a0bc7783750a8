"""All flags with their histories, and what may be done to them: what every store keeps. No I/O.

A Ledger is never changed; each operation gives the next one, or the same one where there is nothing to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson

from flags.decide.flag import Flag, Flags
from flags.decide.stages import check_move, check_source
from flags.errors import InvalidFlag, NotFound, StaleRevision
from flags.store.retention import kept
from flags.store.revisions import (
    Attribution,
    Members,
    Revision,
    RevisionHistory,
    difference,
    longer,
    rollback_target,
)
from flags.wire_model import pointer

GIVEN_BY_STORE = frozenset({"component", "revision"})
"""The members of a flag that no change sets."""

SAFETY = frozenset({"killed", "latch"})
"""The members that only a change that names them changes: neither a rollback nor a PUT lifts them."""

_LIFTED_BY = {"killed": "unkill", "latch": "rearm"}

SWITCH = "killAll"
"""The one member of the kill switch for everything."""

MOST_FLAG_BYTES = 4 * 1024 * 1024
"""What all flags may take as JSON. They are read and written as a whole, and a kill has to be quick."""

_NO_HISTORY = RevisionHistory()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Flags by component, the kill switch for everything, and the history of each.

    `histories` also has the components whose flag was removed. A flag's revision is the last one of its
    history, and the state that its history leads to. Of the histories the newest revisions are held
    (flags/store/retention.py).
    """

    flags: Mapping[str, Flag] = field(default_factory=lambda: MappingProxyType({}))
    kill_all: bool = False
    histories: Mapping[str, RevisionHistory] = field(default_factory=lambda: MappingProxyType({}))
    kill_all_history: RevisionHistory = _NO_HISTORY

    def snapshot(self, *, stale: bool) -> Flags:
        """The flags for those who decide by them."""
        return Flags(self.flags, self.kill_all, stale)

    def revisions(self, component: str | None) -> RevisionHistory:
        """The component's revisions; with None, those of the kill switch for everything.

        Raises NotFound where the component never had a flag.
        """
        if component is None:
            return self.kill_all_history
        try:
            return self.histories[component]
        except KeyError:
            raise NotFound(f"{component} has no flag.") from None


def changed(
    ledger: Ledger,
    component: str,
    fields: Mapping[str, Any],
    *,
    expected_revision: int | None,
    whole: bool,
    by: Attribution,
) -> Ledger:
    """Makes the component's flag, or changes it; see FlagStore.change for the rules and the errors."""
    current = _current(ledger, component, expected_revision)
    before = None if current is None else state(current)
    base = _safety(before) if whole else before
    flag = _merged(component, current, base or {}, fields, _history(ledger, component).last + 1)
    return _moved(ledger, current, before, flag, by)


def rolled_back(
    ledger: Ledger, component: str, *, to_revision: int | None, expected_revision: int | None, by: Attribution
) -> Ledger:
    """Takes a flag back to an earlier revision; see FlagStore.rollback for the rules and the errors."""
    current = _current(ledger, component, expected_revision)
    history = ledger.revisions(component)
    target = rollback_target(history) if to_revision is None else to_revision
    if target is None:
        raise NotFound(f"{component} has no earlier stage or percentage to go back to{_as_held(history)}.")
    if 0 < target < history.dropped:
        raise NotFound(
            f"What {component} was at revision {target} is not known any more: the oldest revision to go "
            f"back to is {history.dropped}. Set what it is to be instead."
        )
    earlier = history.state_at(target) if 0 < target <= history.last else None
    if current is None or earlier is None:
        raise NotFound(f"{component} has no revision {target} to go back to.")
    fields = {name: value for name, value in earlier.items() if name not in SAFETY}
    before = state(current)
    flag = _parsed(component, _safety(before) | fields, history.last + 1)
    return _moved(ledger, current, before, flag, by, restores=target)


def removed(ledger: Ledger, component: str, *, expected_revision: int | None, by: Attribution) -> Ledger:
    """Removes a flag; see FlagStore.remove for the rules and the errors."""
    current = _current(ledger, component, expected_revision)
    if current is None:
        raise NotFound(f"{component} has no flag.")
    errors = [
        {"pointer": pointer(member), "detail": f"sends everybody to polling: {lifted_by} the component first"}
        for member, lifted_by in _LIFTED_BY.items()
        if getattr(current, member)
    ]
    if errors:
        raise InvalidFlag(errors)
    return _appended(ledger, component, state(current), None, by)


def within_source(component: str, change: Callable[[Ledger], Ledger], ledger: Ledger) -> Ledger:
    """The ledger after a change of a component that has no source of events.

    Raises ForbiddenMove where that takes it into a stage, or lets more callers in, that wait for events. What
    somebody wrote into the store stands, and can be killed, or taken back.
    """
    after = change(ledger)
    had, has = ledger.flags.get(component), after.flags.get(component)
    if has is not None and (had is None or had.stage is not has.stage or had.percentage < has.percentage):
        check_source(component, None if had is None else had.stage, has.stage)
    return after


def switched(ledger: Ledger, killed: bool, *, by: Attribution) -> Ledger:
    """Turns the kill switch for everything on or off."""
    if ledger.kill_all is killed:
        return ledger
    history = ledger.kill_all_history
    entry = _entry(history, {SWITCH: ledger.kill_all}, {SWITCH: killed}, by)
    return _bounded(replace(ledger, kill_all=killed, kill_all_history=history.followed_by(entry)))


def reconciled(ledger: Ledger, written: Ledger, *, by: Attribution) -> Ledger:
    """The ledger after what lies in the store, `written`, came true.

    Histories go on from the longer of the two. Where a flag that was written is not what its history leads
    to, somebody edited it there: that is a revision more, also where no table allows the move, for what is
    written states what is. Equal to `written` where that needs no correction.
    """
    result = replace(
        ledger,
        kill_all=written.kill_all,
        flags=MappingProxyType({}),
        histories=MappingProxyType(
            {
                component: longer(_history(ledger, component), _history(written, component))
                for component in sorted({*ledger.histories, *written.histories})
            }
        ),
        kill_all_history=longer(ledger.kill_all_history, written.kill_all_history),
    )
    for component in sorted({*result.histories, *written.flags}):
        result = _found(result, component, written.flags.get(component), by)
    known = bool((result.kill_all_history.state or {}).get(SWITCH, False))
    if known is not written.kill_all:
        result = switched(replace(result, kill_all=known), written.kill_all, by=by)
    return _bounded(result)


def state(flag: Flag) -> Members:
    """What a history keeps of a flag."""
    return {name: value for name, value in flag.wire().items() if name not in GIVEN_BY_STORE}


def _safety(members: Members | None) -> dict[str, Any]:
    """Those that only a change that names them changes."""
    return {name: value for name, value in (members or {}).items() if name in SAFETY}


def _current(ledger: Ledger, component: str, expected: int | None) -> Flag | None:
    """The flag to change, None where one is to be made."""
    current = ledger.flags.get(component)
    revision = 0 if current is None else current.revision
    if expected is not None and expected != revision:
        since = _history(ledger, component).since(expected)
        raise StaleRevision(
            component,
            expected,
            revision,
            [entry.wire() for entry in since],
            [entry.summary() for entry in since],
        )
    if current is None and expected is None:
        raise NotFound(f"{component} has no flag.")
    return current


def _merged(
    component: str, current: Flag | None, base: Members, fields: Mapping[str, Any], number: int
) -> Flag:
    given = {"component": component} | ({} if current is None else {"revision": current.revision})
    errors = [
        {"pointer": pointer(name), "detail": "is given by the store, and can't be changed"}
        for name in GIVEN_BY_STORE
        if name in fields and fields[name] != given.get(name)
    ]
    if errors:
        raise InvalidFlag(errors)
    return _parsed(
        component, merge_patch(base, {k: v for k, v in fields.items() if k not in GIVEN_BY_STORE}), number
    )


def _parsed(component: str, members: Members, revision: int) -> Flag:
    return Flag.parse({**members, "component": component, "revision": revision})


def _moved(
    ledger: Ledger,
    current: Flag | None,
    before: Members | None,
    flag: Flag,
    by: Attribution,
    restores: int | None = None,
) -> Ledger:
    """The ledger once `flag` is in place of `current`, whose state is `before`."""
    if current is not None:
        if flag.numbered(current.revision) == current:
            return ledger
        check_move(current.stage, flag.stage)
    after = _appended(ledger, flag.component, before, flag, by, restores)
    _check_room(ledger, after, flag.component)
    return after


def _check_room(before: Ledger, after: Ledger, component: str) -> None:
    """Raises InvalidFlag where the change makes the flags too large.

    Never on the way out: what is smaller than before may still be too large, and a change of nothing but the
    safety switches is made in any case.
    """
    change = after.histories[component].entries[-1]
    if change.before is not None and change.after is not None and SAFETY.issuperset(change.after):
        return
    size = _size(after)
    if size > MOST_FLAG_BYTES and size > _size(before):
        raise InvalidFlag(
            [
                {
                    "pointer": "",
                    "detail": f"would make all flags take {size} bytes of JSON, more than {MOST_FLAG_BYTES}: "
                    "shorten the lists of values in targeting, for instance by a tenant or a claim",
                }
            ]
        )


def _size(ledger: Ledger) -> int:
    return sum(len(orjson.dumps(flag.wire())) for flag in ledger.flags.values())


def _appended(
    ledger: Ledger,
    component: str,
    before: Members | None,
    flag: Flag | None,
    by: Attribution,
    restores: int | None = None,
) -> Ledger:
    history = _history(ledger, component)
    entry = _entry(history, before, None if flag is None else state(flag), by, restores)
    flags = {name: other for name, other in ledger.flags.items() if name != component}
    if flag is not None:
        flags[component] = flag.numbered(entry.revision)
    histories = {**ledger.histories, component: history.followed_by(entry)}
    return _bounded(
        replace(
            ledger,
            flags=MappingProxyType(dict(sorted(flags.items()))),
            histories=MappingProxyType(dict(sorted(histories.items()))),
        )
    )


def _history(ledger: Ledger, component: str) -> RevisionHistory:
    return ledger.histories.get(component, _NO_HISTORY)


def _bounded(ledger: Ledger) -> Ledger:
    """The ledger without the revisions that are not to be kept; itself where all are."""
    histories = [*ledger.histories.values(), ledger.kill_all_history]
    held = kept(histories)
    if held is histories:
        return ledger
    return replace(
        ledger,
        histories=MappingProxyType(dict(zip(ledger.histories, held[:-1], strict=True))),
        kill_all_history=held[-1],
    )


def _as_held(history: RevisionHistory) -> str:
    return f" in the revisions that are held, {history.dropped + 1} and later" if history.dropped else ""


def _entry(
    history: RevisionHistory,
    before: Members | None,
    after: Members | None,
    by: Attribution,
    restores: int | None = None,
) -> Revision:
    what = difference(before, after)
    # All of it was checked: `by` as what it is, the states as a flag's.
    return Revision.model_construct(
        revision=history.last + 1,
        who=by.who,
        when=by.when,
        why=by.why,
        before=what.before,
        after=what.after,
        restores=restores,
    )


def _found(ledger: Ledger, component: str, written: Flag | None, by: Attribution) -> Ledger:
    """The ledger with the component's flag as it was written, which may be a revision more."""
    history = _history(ledger, component)
    known = history.state
    if written is None:
        return ledger if known is None else _appended(ledger, component, known, None, by)
    if known is not None and _leads_to(known, written):
        flags = {**ledger.flags, component: written.numbered(history.last)}
        return replace(ledger, flags=MappingProxyType(flags))
    return _appended(ledger, component, known, written, by)


def _leads_to(known: Members, written: Flag) -> bool:
    try:
        return _parsed(written.component, known, written.revision) == written
    except InvalidFlag:
        return False


def merge_patch(target: object, patch: object) -> Any:
    """JSON Merge Patch (RFC 7396), but that a null where there is nothing to remove stays, to be refused."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None and name in merged:
            del merged[name]
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
