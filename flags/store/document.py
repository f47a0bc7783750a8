"""The flags file's text: a ledger as JSON, and back.

```json
{"version": 1,
 "killAll": false,
 "flags": {"orders": {"stage": "live", "percentage": 25}},
 "revisions": {"orders": [{"revision": 1, "who": "…", "when": "…", "why": "…", "before": null, "after": {}}]},
 "killAllRevisions": []}
```

`version` and `flags` are required. The store writes every member of a flag; whoever edits the file may leave
out those that have their default, and the histories altogether.

A history that has dropped its oldest revisions begins with a later one than 1. `"earlier": {"orders":
{"state": {…}, "stageSince": "…"}}` then says what is known of those (flags.store.revisions.Earlier),
`killAllEarlier` the same of the switch. Only such a file is of version 2: an older program, which wants every
revision, then keeps its hands off. It reads every other one.
"""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from flags.decide.flag import Flag
from flags.errors import InvalidFlag, StoreUnreadable
from flags.store.ledger import GIVEN_BY_STORE, SWITCH, Ledger
from flags.store.revisions import NOTHING_EARLIER, Earlier, Revision, RevisionHistory
from flags.times import in_utc
from flags.wire_model import pointer

VERSION = 2

_EARLIER, _SWITCH_EARLIER = "earlier", "killAllEarlier"
_MEMBERS = frozenset(
    {"version", "killAll", "flags", "revisions", "killAllRevisions", _EARLIER, _SWITCH_EARLIER}
)
_FLAG_MEMBERS = Flag.wire_names() - GIVEN_BY_STORE
_SWITCH_MEMBERS = frozenset({SWITCH})


def render(ledger: Ledger) -> bytes:
    """The file's content. `parse` gives the ledger back."""
    earlier = {
        component: _known(history) for component, history in ledger.histories.items() if history.dropped
    }
    switch = ledger.kill_all_history
    document = {
        "version": VERSION if earlier or switch.dropped else 1,
        "killAll": ledger.kill_all,
        "flags": {component: flag.wire() for component, flag in ledger.flags.items()},
        "revisions": {component: _entries(history) for component, history in ledger.histories.items()},
        "killAllRevisions": _entries(switch),
    }
    if earlier:
        document[_EARLIER] = earlier
    if switch.dropped:
        document[_SWITCH_EARLIER] = _known(switch)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse(raw: bytes) -> Ledger:
    """The ledger as it is written, which need not agree with itself (flags.store.ledger.reconciled).

    Raises StoreUnreadable, replaceable but where the file is of a newer version, with the first bad place.
    """
    document = _decoded(raw)
    if not isinstance(document, dict):
        raise _damaged("", "must be an object")
    _check_version(document)
    unknown = sorted(document.keys() - _MEMBERS)
    if unknown:
        raise _damaged(pointer(unknown[0]), "is no member of a flags file")
    kill_all = document.get("killAll", False)
    if not isinstance(kill_all, bool):
        raise _damaged("/killAll", "must be true or false")
    histories = _object(document.get("revisions", {}), "/revisions")
    earlier = _object(document.get(_EARLIER, {}), pointer(_EARLIER))
    return Ledger(
        flags=_flags(_object(document.get("flags"), "/flags")),
        kill_all=kill_all,
        histories=MappingProxyType(
            {
                component: _history(
                    entries,
                    pointer("revisions", component),
                    _earlier(earlier.get(component), pointer(_EARLIER, component), _FLAG_MEMBERS),
                    _FLAG_MEMBERS,
                )
                for component, entries in sorted(histories.items())
            }
        ),
        kill_all_history=_history(
            document.get("killAllRevisions", []),
            "/killAllRevisions",
            _earlier(document.get(_SWITCH_EARLIER), pointer(_SWITCH_EARLIER), _SWITCH_MEMBERS),
            _SWITCH_MEMBERS,
        ),
    )


def _entries(history: RevisionHistory) -> list[dict[str, Any]]:
    return [entry.wire() for entry in history.entries]


def _known(history: RevisionHistory) -> dict[str, Any]:
    return {"state": history.earlier.state, "stageSince": history.earlier.stage_since}


def _damaged(place: str, detail: str) -> StoreUnreadable:
    return StoreUnreadable(f"{place}: {detail}" if place else detail, replaceable=True)


def _decoded(raw: bytes) -> Any:
    try:
        # The standard library shows what orjson passes over (a member that is there twice), and lets other
        # threads run meanwhile. What only it takes (NaN, lone surrogates, long numbers) can't be kept.
        document = json.loads(
            raw.decode(),
            object_pairs_hook=_without_doubles,
            parse_constant=_no_number,
            parse_float=_finite,
        )
        orjson.dumps(document)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged("", f"no JSON that could be kept: {error}") from None
    return document


def _without_doubles(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        names = [name for name, _ in members]
        doubles = sorted({name for name in names if names.count(name) > 1})
        raise _damaged("", f"the member {doubles[0]!r} is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _check_version(document: Mapping[str, Any]) -> None:
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise _damaged("/version", f"must be a number, {VERSION} at most")
    if version > VERSION:
        raise StoreUnreadable(
            f"it is of version {version}, and this program knows no newer one than {VERSION}"
        )


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _damaged(place, "must be an object")
    return value


def _flags(members: Mapping[str, Any]) -> Mapping[str, Flag]:
    return MappingProxyType(
        {component: _flag(component, members[component]) for component in sorted(members)}
    )


def _flag(component: str, value: object) -> Flag:
    place = pointer("flags", component)
    given = _object(value, place)
    if given.get("component", component) != component:
        raise _damaged(f"{place}/component", f"must be {component}, or be left out")
    try:
        return Flag.parse({"revision": 1, **given, "component": component})
    except InvalidFlag as error:
        raise _damaged(place + error.errors[0]["pointer"], error.errors[0]["detail"]) from None


def _earlier(value: object, place: str, names: frozenset[str]) -> Earlier | None:
    """What is known of the revisions that are not there; None where all are."""
    if value is None:
        return None
    given = _object(value, place)
    if given.keys() != {"state", "stageSince"}:
        raise _damaged(place, "must have the members state and stageSince")
    since = given["stageSince"]
    if since is not None and not (isinstance(since, str) and in_utc(since) == since):
        raise _damaged(f"{place}/stageSince", "must be null, or a time in UTC")
    state = given["state"]
    if state is not None:
        _check_members(_object(state, f"{place}/state"), f"{place}/state", names)
    return Earlier(state, since)


def _history(value: object, place: str, earlier: Earlier | None, names: frozenset[str]) -> RevisionHistory:
    if not isinstance(value, list):
        raise _damaged(place, "must be a list")
    entries: list[Revision] = []
    for index, item in enumerate(value):
        try:
            entry = Revision.parse(item)
        except InvalidFlag as error:
            raise _damaged(
                f"{place}/{index}" + error.errors[0]["pointer"], error.errors[0]["detail"]
            ) from None
        number = entries[-1].revision + 1 if entries else 1 if earlier is None else max(2, entry.revision)
        if entry.revision != number:
            raise _damaged(f"{place}/{index}/revision", f"must be {number}: there is no gap in a history")
        if (entry.restores or 0) >= entry.revision:
            raise _damaged(f"{place}/{index}/restores", "must be an earlier revision")
        for member, held in (("before", entry.before), ("after", entry.after)):
            if held is not None:
                _check_members(held, f"{place}/{index}/{member}", names)
        entries.append(entry)
    if earlier is not None and not entries:
        raise _damaged(place, "must have a revision at least, for its numbers to go on")
    return RevisionHistory(tuple(entries), earlier or NOTHING_EARLIER)


def _check_members(state: Mapping[str, Any], place: str, names: frozenset[str]) -> None:
    if not names.issuperset(state):
        raise _damaged(place, "has a member that is unknown")
