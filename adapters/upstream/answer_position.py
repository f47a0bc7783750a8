"""Up to which position the log holds nothing that an answer lacks: its caller can stream on from there."""

import logging

from gateway.core.errors import LogError
from gateway.core.events import Cursor, Position
from gateway.ports.log import Appended, EventLog
from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

_READ_BATCH = 1000


async def head_of(log: EventLog) -> Cursor:
    """The log's head, and the epoch that it is of. Raises LogError."""
    while True:
        epoch = log.epoch
        head = (await log.bounds()).head
        if epoch == log.epoch:
            return Cursor(epoch, head)


class Shown:
    """The last position up to which the log holds nothing of an entity type that an answer may lack.

    It begins `before` the upstream was asked and goes on over the events that the answer gave, as those are
    appended, unless somebody else published an event of the type meanwhile: the answer may be older than
    that event, so a stream has to resume before it. Such a stream may repeat some events; it misses none.
    """

    def __init__(self, log: EventLog, entity: str, before: Cursor, fields: dict[str, object]) -> None:
        self.cursor = before
        """Of a position that the log gave: an event's, or its head before the upstream was asked."""
        self._log = log
        self._entity = entity
        self._fields = fields
        self._is_kept_back = False
        # Of those that were appended, the ones that could not be passed yet: a log may hold them back.
        self._own: set[Position] = set()

    async def append(self, appended: Appended) -> None:
        """These events of the answer stand in the log, after all that were told of before."""
        self._own.update(appended.positions)
        last = appended.positions[-1]
        try:
            while not self._is_kept_back and self.cursor.position < last:
                if not self.cursor.epoch == appended.epoch == self._log.epoch:
                    # The log has started over: what stands between there and here can't be told.
                    self._is_kept_back = True
                    break
                records = await self._log.read(self.cursor.position, _READ_BATCH)
                if not records:
                    break
                for record in records:
                    if record.position not in self._own and record.event.entity_type == self._entity:
                        self._is_kept_back = True
                        break
                    self._own.discard(record.position)
                    self.cursor = Cursor(self.cursor.epoch, record.position)
                    if record.position == last:
                        break
        except LogError as error:
            self._is_kept_back = True
            log_event(_log, logging.WARNING, "upstream_cursor_kept_back", **self._fields, detail=error.detail)
