"""Events in batches, as the log takes them."""

from collections.abc import Iterator, Sequence

from adapters.upstream.reading.comparison import Told
from adapters.upstream.reading.event_batches import BATCH_BYTES, EventBatch
from gateway.core.events import Event
from tests.support.steps import finish


def told(*items: int, size: int = 10, cut: str = "") -> Iterator[Sequence[Told]]:
    """So many events of each item, which are A, B and so on."""
    for number, count in enumerate(items):
        key = chr(ord("A") + number)
        event = Event("note", "order", key, "update", "2026-11-20T10:30:00.123Z")
        yield [Told(event, size, is_cut=key in cut)] * count


def batches(events: Iterator[Sequence[Told]], skipped: int = 0, most: int = 2) -> list[str]:
    batch, made = EventBatch(events, skipped, most), []
    while not batch.is_over:
        finish(batch.filling())
        made.append("".join(str(event.entity_id) for event in batch.events))
    return made


def test_a_batch_ends_where_it_is_full_and_never_within_an_item() -> None:
    assert batches(told(1, 0, 2, 1, 3)) == ["ACC", "DEEE", ""]
    assert batches(told(1, 1, size=BATCH_BYTES), most=9) == ["A", "B", ""]


def test_the_first_events_are_left_out() -> None:
    assert batches(told(1, 2, 1), skipped=2) == ["BC", ""]


def test_items_whose_events_were_cut_are_counted_once() -> None:
    batch = EventBatch(told(1, 2, 2, cut="BC"), 0, 9)
    finish(batch.filling())
    assert (batch.cut_items, batch.first_cut, batch.is_over) == (2, "B", True)
