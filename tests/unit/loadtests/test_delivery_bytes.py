"""docs/performance.md, "Bytes a delivery": what it says of the benchmark's event is what is sent of one."""

import re
from pathlib import Path

import orjson
from multidict import MultiDict
from yarl import URL

from gateway.core.event_fields import parse_fields
from gateway.core.events import Event, Position, parsing_events
from gateway.core.history import History
from gateway.core.selectors import Match, Selector
from gateway.delivery.group import DeliveryOptions, Group
from loadtests.peer_measure import EVENT_BYTES, NOBODY
from loadtests.publisher import sized_event
from tests.support.events import a_record

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "performance.md").read_text()
SECTION = PAGE.partition("\n## Bytes a delivery\n")[2].partition("\n## ")[0]
EPOCH = "6iiiplkcz2"
"""As a log in memory draws one."""
NOW_MS = 1_795_795_911_936


def figures(first_column: str) -> dict[str, int]:
    """The table whose first column is headed so: what each row is about, and its bytes."""
    _, _, table = SECTION.partition(f"\n| {first_column} | bytes |")
    rows = re.findall(r"^\| (.+?) \| (\d+) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert rows, f"no table of {first_column}"
    return {what: int(size) for what, size in rows}


def frame(query: str) -> bytes:
    """What a stream with that query is sent of an event of the benchmark."""
    history = History(max_events=9, max_age_seconds=9.0, max_bytes=10**9, id_aliases={})
    history.open(EPOCH, Position(NOW_MS - 1, 0))
    given = sized_event(NOBODY, 0, 1234, NOW_MS * 1_000_000, EVENT_BYTES)
    assert len(orjson.dumps(given)) == EVENT_BYTES
    events: list[Event] = []
    for _ in parsing_events([given], events, now_ms=NOW_MS, max_event_bytes=65_536, batch=False):
        pass
    history.append(a_record(Position(NOW_MS, 0), events[0]), 0.0)
    (entry,) = history.latest(1)
    asked = URL(query).query
    delivery = DeliveryOptions(
        named=asked.get("format") != "message", fields=parse_fields(MultiDict(asked), {})
    )
    return Group(Selector(), delivery, fan_in=50).frame(entry, Match.DELIVER, history)


def test_the_parts_of_a_delivery_are_all_that_is_sent() -> None:
    name, cursor, data, _, _ = frame("").decode().split("\n")
    members = orjson.loads(data.removeprefix("data: "))
    expected = {f"`{line.split(':')[0]}:`": len(line) + 1 for line in (name, cursor)}
    expected["`data:` and the blank line"] = len("data: \n\n")
    expected["braces and commas"] = len("{}") + len(members) - 1
    expected |= {f"`{member}`": len(orjson.dumps({member: members[member]})) - 2 for member in members}
    told = figures("of a delivery")
    assert told == expected
    assert sum(told.values()) == len(frame(""))


def test_what_is_left_of_a_delivery_is_what_is_sent() -> None:
    told = figures("asked for")
    assert {what: len(frame("" if what == "nothing" else f"?{what.strip('`')}")) for what in told} == told
    for what, size in told.items():
        assert f"| {what} | {size} | {size / len(frame('')):.2f} |" in SECTION
