"""How nodes' summaries lie in the store that they share: a roster, a value each, and what is past.

`guard:nodes` says who there is, `guard:node:ID` is one node's summary, `guard:past` the sum of nodes that are
gone. All are changed by comparing and setting a version, but for a node's own value, which it alone puts.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from gateway.core.errors import LogError
from gateway.ports.shared import SharedEntry, SharedStore

VERSION = 1
"""Of what is written here. What another version wrote is left out."""
MOST_NODES = 256
MOST_FOLDED = 256
"""How many ids of nodes that were folded into the past are kept."""
MOST_BYTES = 4 * 1024 * 1024
"""A value that would be larger is not put."""

_MOST_UNPACKED_BYTES = 8 * MOST_BYTES
_LONG_BYTES = 64 * 1024
"""What is longer is packed and unpacked in a thread."""
_TRIES = 10
_MOST_NAME = 256

_ROSTER = "guard:nodes"
_PAST = "guard:past"
_NODE = "guard:node:"


class TooLarge(Exception):
    """The value would take more than MOST_BYTES. Nothing was put."""


class Unusable(ValueError):
    """A value that can't be counted: `reason` is "version" or "unreadable"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Told(NamedTuple):
    """A node's summary as it put it: at `at_ms` of its wall clock. `ended`: it said that it ends."""

    at_ms: int
    ended: bool
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """What nodes that are gone have left: the sum, as of `at_ms`, and the ids that are in it."""

    at_ms: int = 0
    sums: Mapping[str, Any] = field(default_factory=dict)
    folded: Sequence[str] = ()


class SummaryValues:
    """The values in `store`. Every method raises LogError where the store can't be used."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    async def roster_version(self) -> int:
        """Another number than before where somebody came or went; 0 where nobody is there."""
        return await self._store.version(_ROSTER)

    async def roster(self) -> tuple[dict[str, str], int]:
        """The nodes that there are, by id, with their names; and the roster's version."""
        entry = await self._store.get(_ROSTER)
        return _names(await _members(entry)), 0 if entry is None else entry.version

    async def join(self, node: str, name: str, since_ms: int) -> bool:
        """Puts the node on the roster; False where that is full."""
        is_there = True

        def joined(roster: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal is_there
            is_there = node in roster or len(roster) < MOST_NODES
            entry = {"name": name, "since": since_ms}
            return None if node in roster or not is_there else roster | {node: entry}

        await self._change_roster(joined)
        return is_there

    async def leave(self, nodes: Sequence[str]) -> None:
        """Takes nodes and their values away."""
        for node in nodes:
            await self._store.remove(_NODE + node)
        await self._change_roster(
            lambda roster: (
                {node: entry for node, entry in roster.items() if node not in nodes}
                if roster.keys() & set(nodes)
                else None
            )
        )

    async def put(self, node: str, told: Told) -> None:
        """Puts the node's summary. Raises TooLarge."""
        value = {"version": VERSION, "at": told.at_ms, "ended": told.ended, "content": told.content}
        await self._store.put(_NODE + node, await _packed(value))

    async def get(self, node: str) -> SharedEntry | None:
        """The node's summary, to be read by `told`."""
        return await self._store.get(_NODE + node)

    async def past(self) -> Past:
        """What is past; an empty one where nothing is. Raises Unusable."""
        entry = await self._store.get(_PAST)
        return _past(entry, await _members(entry))

    async def fold(self, node: str, at_ms: int, folded: Callable[[Past], Mapping[str, Any]]) -> None:
        """Has the past be what `folded` makes of it, with `node` in it; does nothing where that is so.

        Raises Unusable where it can't be read, and TooLarge.
        """
        for _ in range(_TRIES):
            entry = await self._store.get(_PAST)
            past = _past(entry, await _members(entry))
            if node in past.folded:
                return
            ids = [*past.folded, node][-MOST_FOLDED:]
            value = {"version": VERSION, "at": at_ms, "sums": folded(past), "folded": ids}
            expected = 0 if entry is None else entry.version
            if await self._store.put(_PAST, await _packed(value), expected=expected) is not None:
                return
        raise LogError("Others keep changing what nodes have left.")

    async def _change_roster(self, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Has the roster be what `change` makes of it; where that is None it stays."""
        for _ in range(_TRIES):
            entry = await self._store.get(_ROSTER)
            members = await _members(entry)
            names = _names(members)
            # What is no entry is dropped with the first change.
            roster = {node: members[node] for node in names} if members is not None else {}
            changed = change(roster)
            if changed is None:
                return
            expected = 0 if entry is None else entry.version
            if await self._store.put(_ROSTER, await _packed(changed), expected=expected) is not None:
                return
        raise LogError("Others keep changing the roster of nodes.")


async def told(entry: SharedEntry) -> Told:
    """What a node's value says. Raises Unusable."""
    members = await _members(entry)
    if members is None:
        raise Unusable("unreadable")
    if members.get("version") != VERSION:
        raise Unusable("version")
    at_ms, ended, content = members.get("at"), members.get("ended", False), members.get("content")
    if type(at_ms) is not int or type(ended) is not bool or not isinstance(content, dict):
        raise Unusable("unreadable")
    return Told(at_ms, ended, content)


def _past(entry: SharedEntry | None, members: dict[str, Any] | None) -> Past:
    if entry is None:
        return Past()
    if members is None:
        raise Unusable("unreadable")
    if members.get("version") != VERSION:
        raise Unusable("version")
    at_ms, sums, folded = members.get("at"), members.get("sums"), members.get("folded")
    if type(at_ms) is not int or not isinstance(sums, dict) or not isinstance(folded, list):
        raise Unusable("unreadable")
    return Past(at_ms, sums, [str(node) for node in folded[-MOST_FOLDED:]])


def _names(members: dict[str, Any] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for node, entry in (members or {}).items():
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and len(name) <= _MOST_NAME and _is_id(node) and len(found) < MOST_NODES:
            found[node] = name
    return found


def _is_id(node: str) -> bool:
    """Whether it can be part of a key."""
    return 0 < len(node) <= 64 and node.isascii() and node.isalnum()


async def _packed(value: Mapping[str, Any]) -> bytes:
    raw = orjson.dumps(value)
    if len(raw) > _MOST_UNPACKED_BYTES:
        raise TooLarge
    is_long = len(raw) > _LONG_BYTES
    packed = await asyncio.to_thread(_compressed, raw) if is_long else _compressed(raw)
    if len(packed) > MOST_BYTES:
        raise TooLarge
    return packed


def _compressed(raw: bytes) -> bytes:
    return zlib.compress(raw, 1)


async def _members(entry: SharedEntry | None) -> dict[str, Any] | None:
    """The JSON object that the value is; None where it is none, or would be too large."""
    if entry is None:
        return None
    is_long = len(entry.value) > _LONG_BYTES
    value = await asyncio.to_thread(_unpacked, entry.value) if is_long else _unpacked(entry.value)
    return value if isinstance(value, dict) else None


def _unpacked(packed: bytes) -> object:
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(packed, _MOST_UNPACKED_BYTES)
        value: object = orjson.loads(raw) if unpacking.eof else None
    except (zlib.error, ValueError):
        return None
    return value
