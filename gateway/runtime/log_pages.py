"""Reads a log page by page, and each page small enough to be decoded without holding the event loop."""

from collections.abc import AsyncGenerator, Sequence

from gateway.core.events import Position, Record, json_size
from gateway.ports.log import EventLog

PAGE_BYTES = 262_144
"""About how much JSON a page has. What a log gives at once is decoded at once: a few milliseconds."""
FIRST_RECORDS = 16
"""A page of which nothing is known: not much, also where events are as large as they may be."""
MAX_RECORDS = 512
GROWTH = 4
"""How many times what the last page had a tail takes at once: it may be larger than that was."""
_SAMPLES = 8


class PageSize:
    """How many records are read at once, judged by how large those before them were."""

    def __init__(self) -> None:
        self.records = FIRST_RECORDS

    def learn(self, page: Sequence[Record]) -> int:
        """Takes in what a page had; gives about how many bytes of JSON that was."""
        if not page:
            return 0
        samples = page[:: max(1, len(page) // _SAMPLES)]
        mean_bytes = sum(json_size(record.event) for record in samples) // len(samples)
        self.records = max(1, min(MAX_RECORDS, PAGE_BYTES // mean_bytes))
        return mean_bytes * len(page)


class TailSize(PageSize):
    """The same for a reader that follows the log: after a short page, what comes next may be large."""

    def learn(self, page: Sequence[Record]) -> int:
        page_bytes = super().learn(page)
        self.records = min(self.records, max(FIRST_RECORDS, GROWTH * len(page)))
        return page_bytes


async def newest_first(
    log: EventLog, count: int, before: Position | None = None
) -> AsyncGenerator[tuple[list[Record], int]]:
    """The newest records, at most `count`, from those right before `before` backwards.

    Page by page, each with its records oldest first, and about how many bytes of JSON they are. Raises
    LogError. Where the log starts over meanwhile, what is given is of no use: ask for its epoch afterwards.
    """
    size = PageSize()
    left = count
    while left > 0:
        limit = min(left, size.records)
        page = await log.latest(limit, before)
        if page:
            yield page, size.learn(page)
            before = page[0].position
        if len(page) < limit:
            return
        left -= limit
