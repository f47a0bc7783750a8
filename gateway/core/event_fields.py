"""The members of events that a reader wants, and an event's JSON with those alone.

The contract is docs/protocol.md, section 4. Nothing is decoded for it, and each member of an event is encoded
once, however many readers want it: to encode a large one takes as long as hundreds of deliveries.
"""

from collections.abc import Mapping
from functools import lru_cache

import orjson

from gateway.core.errors import BadParameter
from gateway.core.events import EVENT_MEMBERS, Event, members_of
from gateway.core.selectors import MultiMapping

Fields = frozenset[str]
"""The members that a reader wants; None stands for all, in the bytes that everybody gets."""


def parse_fields(query: MultiMapping, id_aliases: Mapping[str, str]) -> Fields | None:
    """The members that `fields` asks for: one or several, joined with commas; None where it is not there.

    Members are those of every event, and the id aliases. Raises BadParameter where it has another name, or
    an empty one.
    """
    given = query.getall("fields", [])
    if not given:
        return None
    wanted = frozenset(",".join(given).split(","))
    known = (*EVENT_MEMBERS, *id_aliases.values())
    if not wanted.issubset(known):
        raise BadParameter("fields", f"must be some of {', '.join(known)}, joined with commas")
    return _one(wanted)


@lru_cache(maxsize=1024)
def _one(wanted: Fields) -> Fields:
    """One object for all who want the same: there may be a group for each stream, and each has its own."""
    return wanted


class MemberTexts:
    """The members of one event as JSON, each made when it is first wanted.

    With `leave` the event says that the entity left the reader's view, as for `event_json`.
    """

    __slots__ = ("_texts", "_values", "event")

    def __init__(self, event: Event, id_aliases: Mapping[str, str], *, leave: bool = False) -> None:
        self.event = event
        alias = None if event.entity_type is None else id_aliases.get(event.entity_type)
        self._values = members_of(event, alias, leave=leave)
        self._texts: dict[str, bytes] = {}

    def json(self, cursor: bytes, wanted: Fields) -> bytes:
        """What `event_json` gives with that cursor, less the members that are not wanted: `{}` without any.

        Raises TypeError as that does.
        """
        texts = [b'"id":"%b"' % cursor] if "id" in wanted else []
        texts += [self._text(name) for name in self._values if name in wanted]
        return b"{%b}" % b",".join(texts)

    def _text(self, name: str) -> bytes:
        text = self._texts.get(name)
        if text is None:
            text = b"%b:%b" % (orjson.dumps(name), orjson.dumps(self._values[name]))
            self._texts[name] = text
        return text
