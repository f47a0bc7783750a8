"""What nodes tell one another of their channels, as JSON: docs/architecture.md has it in words. Pure.

Every message has the version of this format, the node that it is from, and a serial number that counts up.
What it says is in one further member, whose name is the kind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.core.kept_json import kept_json
from gateway.delivery.presence.table import BUCKETS, Entry, Key

VERSION = 1
ENTRIES_BYTES = 16_384
"""Of entries in one message: to take so many in is a piece of work of a millisecond or two."""

Entries = Sequence[tuple[Key, Entry]]


class MalformedMessage(ValueError):
    """It is no message of this version."""


class Changed(NamedTuple):
    """Entries of the node that are others now."""

    entries: Entries


class Digests(NamedTuple):
    """The digests of all its entries, bucket by bucket."""

    digests: Sequence[int]


class Asked(NamedTuple):
    """It asks `node` for the entries of these buckets; or, where that is "", all nodes for their digests."""

    node: str
    buckets: Sequence[int]


class Part(NamedTuple):
    """Part `number`, counted from 0, of as many `parts` as all entries of a bucket are."""

    bucket: int
    number: int
    parts: int
    entries: Entries


class Said(NamedTuple):
    """A broadcast."""

    channel: str
    event: str
    payload: dict[str, Any]
    sender: str


class Ended(NamedTuple):
    """The node ends, and with it all its entries."""


Message = Changed | Digests | Asked | Part | Said | Ended


class Envelope(NamedTuple):
    """A message, and what comes with each."""

    node: str
    serial: int
    message: Message


def in_messages(entries: Entries) -> Iterator[Entries]:
    """The entries, as many at a time as go into one message."""
    few: list[tuple[Key, Entry]] = []
    size = 0
    for key, entry in entries:
        few.append((key, entry))
        size += len(orjson.dumps([*key])) + len(entry.meta) + _NUMBERS_BYTES
        if size >= ENTRIES_BYTES:
            yield few
            few, size = [], 0
    if few:
        yield few


_NUMBERS_BYTES = 32


def write(envelope: Envelope) -> bytes:
    """The message as bytes; with the entries of `in_messages`, or a broadcast, it is one that can be sent."""
    kind, said = _written(envelope.message)
    return orjson.dumps({"v": VERSION, "node": envelope.node, "serial": envelope.serial, kind: said})


def _written(message: Message) -> tuple[str, Any]:
    match message:
        case Changed(entries):
            return "changed", _written_entries(entries)
        case Digests(digests):
            return "digests", digests
        case Asked(node, buckets):
            return "asked", [node, buckets]
        case Part(bucket, number, parts, entries):
            return "part", [bucket, number, parts, _written_entries(entries)]
        case Said():
            return "said", [*message]
        case Ended():
            return "ended", True


def _written_entries(entries: Entries) -> list[Any]:
    return [[*key, entry.connections, entry.version, orjson.Fragment(entry.meta)] for key, entry in entries]


def read(raw: bytes) -> Envelope:
    """The message that `write` wrote. Raises MalformedMessage."""
    try:
        given = orjson.loads(raw)
        version, node, serial = given.pop("v"), given.pop("node"), given.pop("serial")
        ((kind, said),) = given.items()
        if version != VERSION or not _is_text(node) or not _is_number(serial):
            raise MalformedMessage("another version, or no node's")
        return Envelope(node, serial, _READERS[kind](said))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(f"no message of version {VERSION}") from error


def _read_changed(said: Any) -> Changed:
    return Changed(_read_entries(said))


def _read_digests(said: Any) -> Digests:
    if len(said) != BUCKETS:
        raise MalformedMessage("other buckets")
    return Digests(_numbers(said))


def _read_asked(said: Any) -> Asked:
    node, buckets = said
    if not isinstance(node, str):
        raise MalformedMessage("no node")
    return Asked(node, [_bucket(number) for number in buckets])


def _read_part(said: Any) -> Part:
    bucket, number, parts, entries = said
    number, parts = _numbers([number, parts])
    part = Part(_bucket(bucket), number, parts, _read_entries(entries))
    if number >= parts or any(key.bucket != bucket for key, _ in part.entries):
        raise MalformedMessage("no part")
    return part


def _read_said(said: Any) -> Said:
    channel, event, payload, sender = said
    if not isinstance(payload, dict) or not all(map(_is_text, (channel, event, sender))):
        raise MalformedMessage("no broadcast")
    return Said(channel, event, payload, sender)


def _read_ended(said: Any) -> Ended:
    if said is not True:
        raise MalformedMessage("no end")
    return Ended()


_READERS: Mapping[str, Callable[[Any], Message]] = {
    "changed": _read_changed,
    "digests": _read_digests,
    "asked": _read_asked,
    "part": _read_part,
    "said": _read_said,
    "ended": _read_ended,
}


def _read_entries(said: Iterable[Any]) -> list[tuple[Key, Entry]]:
    entries = []
    for channel, user, connections, version, meta in said:
        connections, version = _numbers([connections, version])
        if not isinstance(meta, dict) or not _is_text(channel) or not _is_text(user):
            raise MalformedMessage("no entry")
        entries.append((Key(channel, user), Entry(connections, version, kept_json(meta))))
    return entries


def _numbers(given: Sequence[Any]) -> list[int]:
    if not all(map(_is_number, given)):
        raise MalformedMessage("no number")
    return [*given]


def _bucket(given: Any) -> int:
    if not _is_number(given) or given >= BUCKETS:
        raise MalformedMessage("no bucket")
    return int(given)


def _is_number(given: Any) -> bool:
    return type(given) is int and given >= 0


def _is_text(given: Any) -> bool:
    return isinstance(given, str) and given != ""
