"""Fills an empty history from the end of the log."""

import asyncio

from gateway.clock import Clock
from gateway.errors import EpochChanged
from gateway.events import Record, event_json
from gateway.history import History
from gateway.log import EventLog

SAMPLE_RECORDS = 1000
"""How many records are read to learn how large they are."""
RECORDS_A_STEP = 250
"""How many records become entries before the event loop gets its turn: some milliseconds."""


async def warm(log: EventLog, history: History, clock: Clock) -> None:
    """Opens `history`, which is new, with the newest events of the log that its bounds allow.

    Its floor is exact then: the position of the newest event before them, or the log's own floor where the
    log holds no more. They count as having come now: when they came to another node is not known here.
    Raises LogError, and EpochChanged where the log starts over meanwhile; `history` is of no use then.
    """
    epoch = log.epoch
    records, is_all = await newest(log, history.max_events + 1, history.max_bytes)
    # After the records: what the log let go of since is not held here either.
    floor = (await log.bounds()).floor
    if log.epoch != epoch:
        raise EpochChanged("The log started over while its newest events were read.")
    if not is_all:
        floor = max(floor, records[0].position)
    history.open(epoch, floor)
    now = clock.monotonic()
    for count, record in enumerate(records, 1):
        if record.position > floor:
            history.append(record, now)
        if count % RECORDS_A_STEP == 0:
            history.trim(now, history.head)
            await asyncio.sleep(0)
    history.trim(now, history.head)


async def newest(log: EventLog, count: int, max_bytes: int) -> tuple[list[Record], bool]:
    """The newest records, at most `count` and about `max_bytes` of JSON, and whether the log holds no more.

    Raises LogError. The size is told by a sample: a log of large events would else not fit into memory.
    """
    first = min(count, SAMPLE_RECORDS)
    records = await log.latest(first)
    if len(records) < first or first == count:
        return records, len(records) < first
    size = sum(len(event_json(record.event, "", {})) for record in records)
    wanted = min(count, max_bytes * len(records) // size + 1)
    if wanted <= len(records):
        return records[-wanted:], False
    records = await log.latest(wanted)
    return records, len(records) < wanted
