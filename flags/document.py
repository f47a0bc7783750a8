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
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from flags.errors import InvalidFlag, StoreUnreadable
from flags.flag import Flag
from flags.ledger import GIVEN_BY_STORE, Ledger
from flags.revisions import History, Revision
from flags.wire import pointer

VERSION = 1

_MEMBERS = frozenset({"version", "killAll", "flags", "revisions", "killAllRevisions"})
_FLAG_MEMBERS = Flag.wire_names() - GIVEN_BY_STORE
_SWITCH_MEMBERS = frozenset({"killAll"})


def render(ledger: Ledger) -> bytes:
    """The file's content. `parse` gives the ledger back."""
    document = {
        "version": VERSION,
        "killAll": ledger.kill_all,
        "flags": {component: flag.wire() for component, flag in ledger.flags.items()},
        "revisions": {component: _entries(history) for component, history in ledger.histories.items()},
        "killAllRevisions": _entries(ledger.kill_all_history),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse(raw: bytes) -> Ledger:
    """The ledger as it is written, which need not agree with itself (flags.ledger.reconciled).

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
    return Ledger(
        flags=_flags(_object(document.get("flags"), "/flags")),
        kill_all=kill_all,
        histories=MappingProxyType(
            {
                component: _history(entries, pointer("revisions", component), _FLAG_MEMBERS)
                for component, entries in sorted(histories.items())
            }
        ),
        kill_all_history=_history(document.get("killAllRevisions", []), "/killAllRevisions", _SWITCH_MEMBERS),
    )


def _entries(history: History) -> list[dict[str, Any]]:
    return [entry.wire() for entry in history]


def _damaged(place: str, detail: str) -> StoreUnreadable:
    return StoreUnreadable(f"{place}: {detail}" if place else detail, replaceable=True)


def _decoded(raw: bytes) -> Any:
    try:
        # orjson refuses what the standard library lets pass (NaN, lone surrogates); the standard library
        # shows what orjson passes over (a member that is there twice); and both read what neither writes.
        orjson.loads(raw)
        document = json.loads(raw, object_pairs_hook=_without_doubles)
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


def _check_version(document: Mapping[str, Any]) -> None:
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise _damaged("/version", f"must be {VERSION}")
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


def _history(value: object, place: str, names: frozenset[str]) -> History:
    if not isinstance(value, list):
        raise _damaged(place, "must be a list")
    entries = []
    for index, item in enumerate(value):
        try:
            entry = Revision.parse(item)
        except InvalidFlag as error:
            raise _damaged(
                f"{place}/{index}" + error.errors[0]["pointer"], error.errors[0]["detail"]
            ) from None
        if entry.revision != index + 1:
            raise _damaged(f"{place}/{index}/revision", f"must be {index + 1}: there is no gap in a history")
        if (entry.restores or 0) >= entry.revision:
            raise _damaged(f"{place}/{index}/restores", "must be an earlier revision")
        for member, held in (("before", entry.before), ("after", entry.after)):
            if held is not None and not names.issuperset(held):
                raise _damaged(f"{place}/{index}/{member}", "has a member that is unknown")
        entries.append(entry)
    return tuple(entries)
