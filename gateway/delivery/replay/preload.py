"""Fills an empty history from the end of the log."""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain

from gateway.core.errors import EpochChanged
from gateway.core.events import Record
from gateway.core.history import History
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog
from gateway.runtime.log_pages import newest_first
from gateway.runtime.slices import Slices


async def warm(log: EventLog, history: History, clock: Clock) -> None:
    """Opens `history`, which is new, with the newest events of the log that its bounds allow.

    Its floor is exact then: the position of the newest event before them, or the log's own floor where the
    log holds no more. They count as having come now: when they came to another node is not known here.
    Raises LogError, and EpochChanged where the log starts over meanwhile; `history` is of no use then.
    """
    epoch = log.epoch
    pages: list[list[Record]] = []
    size_bytes = count = 0
    wanted = history.max_events + 1
    async with contextlib.aclosing(newest_first(log, wanted)) as found:
        async for page, page_bytes in found:
            pages.append(page)
            count += len(page)
            size_bytes += page_bytes
            if size_bytes > history.max_bytes:
                break
    is_all = count < wanted and size_bytes <= history.max_bytes
    # After the records: what the log dropped since is not held here either.
    floor = (await log.bounds()).floor
    if log.epoch != epoch:
        raise EpochChanged("The log started over while its newest events were read.")
    if not is_all:
        floor = max(floor, pages[-1][0].position)
    history.open(epoch, floor)
    records = chain.from_iterable(reversed(pages))
    await Slices(clock).run(_fill(history, records, clock.monotonic()))


def _fill(history: History, records: Iterable[Record], now: float) -> Iterator[None]:
    for record in records:
        if record.position > history.floor_position:
            history.append(record, now)
            history.trim(now, history.head)
        yield
