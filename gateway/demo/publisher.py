"""The orders application's own publishing: each change goes to the gateway, in order, until it has it.

What is in the outbox stays there until the gateway has answered, and a request is repeated as it was, under
the same Idempotency-Key. So a gateway that restarts, or whose answer is lost, costs no event and doubles
none (docs/protocol.md, section 6).
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from enum import StrEnum

import aiohttp
import orjson

from gateway.core.backoff import Backoff
from gateway.demo.changes import OrderChange, correction_of, events_of, stale_events_of
from gateway.demo.orders import Order
from gateway.demo.outbox import Event, Outbox
from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

EVENTS_PATH = "/api/v1/sync/events"
MAX_BATCH = 100
REQUEST_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0

_WORTH_A_RETRY = frozenset({408, 425, 429})


class Fault(StrEnum):
    """What can be wrong with publishing. STALE_PUSH: an update carries the state from before the change."""

    NONE = "none"
    STALE_PUSH = "stale-push"


class Publisher:
    """Records changes and publishes them to `gateway`, as soon as that is known.

    `published` counts events that the gateway has taken, `retries` requests that had to be repeated,
    `refused` events that the gateway would not have: those are dropped, counted and logged, or nothing would
    ever follow them.
    """

    def __init__(self, outbox: Outbox, backoff: Backoff) -> None:
        self._outbox = outbox
        self._backoff = backoff
        self._run = secrets.token_hex(8)
        self._gateway: str | None = None
        self._known = asyncio.Event()
        self._misled: dict[str, tuple[Order, Order]] = {}
        self.fault = Fault.NONE
        self.published = 0
        self.retries = 0
        self.refused = 0

    @property
    def gateway(self) -> str | None:
        """The gateway's address, without a path; None until somebody has said it."""
        return self._gateway

    @gateway.setter
    def gateway(self, address: str) -> None:
        self._gateway = address
        self._known.set()

    @property
    def waiting(self) -> int:
        """How many events are still to be published."""
        return len(self._outbox)

    def record(self, change: OrderChange) -> None:
        """Puts what tells the change into the outbox. Raises OutboxFull; the change must not be made then."""
        if self.fault is Fault.NONE:
            self._outbox.put(events_of(change))
            return
        events = stale_events_of(change)
        self._outbox.put(events)
        if change.after is None and change.before is not None:
            self._misled.pop(change.before.order_id, None)
        elif change.before is not None and change.after is not None and events:
            self._misled[change.after.order_id] = (change.before, change.after)

    def set_fault(self, fault: Fault) -> None:
        """Breaks publishing, or mends it; then the true state of what was told wrongly is published.

        Raises OutboxFull, and leaves the fault as it is, where the corrections have no room.
        """
        if fault is Fault.NONE:
            self._outbox.put([correction_of(told, true) for told, true in self._misled.values()])
            self._misled.clear()
        self.fault = fault

    async def run(self) -> None:
        """Publishes until it is cancelled."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                batch = await self._outbox.first(MAX_BATCH)
                await self._known.wait()
                await self._deliver(session, batch)
                self._outbox.drop(len(batch))

    async def _deliver(self, session: aiohttp.ClientSession, batch: Sequence[Event]) -> None:
        body = orjson.dumps(batch)
        key = f"{self._run}-{self._outbox.dropped}"
        while (status := await self._send(session, body, key)) is None:
            self.retries += 1
            await asyncio.sleep(self._backoff.next())
        self._backoff.reset()
        if status in (200, 201):
            self.published += len(batch)
        else:
            self.refused += len(batch)
            log_event(_log, logging.ERROR, "events_refused", status=status, events=len(batch))

    async def _send(self, session: aiohttp.ClientSession, body: bytes, key: str) -> int | None:
        """The status of the gateway's answer; None where the same request is to be sent again."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            async with session.post(f"{self._gateway}{EVENTS_PATH}", data=body, headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return None
        return None if response.status >= 500 or response.status in _WORTH_A_RETRY else response.status
