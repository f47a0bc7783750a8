"""A log read as a gateway reads it."""

import asyncio

from gateway.core.errors import EpochChanged, LogError, TrimmedError, UnknownPosition
from gateway.core.events import Position, Record
from gateway.ports.log import EventLog
from tests.support.loop import let_others_run

DEADLINE_SECONDS = 60.0


async def follow(log: EventLog, after: Position, count: int) -> list[Record]:
    """The next so many records, as a gateway follows: again from the last wherever the log was lost."""
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                async for batch in log.tail(records[-1].position if records else after):
                    records += batch
                    if len(records) >= count:
                        return records
            except (TrimmedError, EpochChanged, UnknownPosition):
                raise
            except LogError:
                await let_others_run()
