"""Appends to the stream: each call once, however often it has to be sent, and never into another history."""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from adapters.redis import stream
from adapters.redis.connection import RedisConnection
from adapters.redis.epochs import Epochs
from adapters.redis.faults import Unreachable
from gateway.core.backoff import Backoff
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Cursor, Position
from gateway.ports.clock import Clock
from gateway.ports.log import ONCE_SECONDS, Appended
from gateway.runtime.idempotency import conflict
from gateway.runtime.outage import Outage

REMEMBERED_SECONDS = round(ONCE_SECONDS) + 60
"""How long Redis remembers a call: as long as a key holds, and a minute for servers whose clocks differ."""
_TOKENS = 1 << 24


class Sender:
    """Sends a node's appends, `max_events` of which the log keeps.

    One that found Redis out of reach is tried again for `append_seconds`, and Redis knows it then. `outage`
    tells of a server that is there and takes nothing; that none is there the readers tell.
    """

    def __init__(
        self,
        connection: RedisConnection,
        epochs: Epochs,
        clock: Clock,
        outage: Outage,
        *,
        max_events: int,
        append_seconds: float,
    ) -> None:
        self._connection = connection
        self._epochs = epochs
        self._clock = clock
        self._outage = outage
        self._max_events = max_events
        self._append_seconds = append_seconds
        self._name = secrets.token_hex(8)
        self._calls = 0
        self.counts: Counter[str] = Counter()
        self.trouble: str | None = None
        """Why Redis, which answered, did not take what came last; None where it did."""

    async def send(self, batch: Sequence[Sequence[bytes]]) -> list[Appended]:
        """Appends all payloads of `batch` or none; one call at a time. Raises LogError."""
        # Numbered, so that a call that is made again is known.
        self._calls += 1
        payloads = [payload for each in batch for payload in each]
        (epoch, (major, minor), _), _ = await self._send(str(self._calls), payloads, ("writer", self._name))
        starts = accumulate(map(len, batch), initial=minor)
        return [
            _appended(Cursor(epoch, Position(major, start)), len(each))
            for start, each in zip(starts, batch, strict=False)
        ]

    async def send_once(self, payloads: Sequence[bytes], key: str, digest: bytes) -> Appended:
        """Appends under an idempotency key, as EventLog says. Raises IdempotencyConflict and LogError."""
        # Who calls: its own append, of which the answer was lost, is no repetition.
        call = f"{digest.hex()}/{secrets.token_hex(8)}"
        name = hashlib.sha256(key.encode()).hexdigest()
        first, is_own = await self._send(call, payloads, ("once", name))
        return _appended(first, len(payloads), replayed=not is_own)

    async def _send(
        self, call: str, payloads: Sequence[bytes], record: tuple[str, str]
    ) -> tuple[Cursor, bool]:
        """Where the first event stands, and whether it was this call that appended."""
        backoff = Backoff(0.05, 1.0)
        deadline = self._clock.monotonic() + self._append_seconds
        while True:
            try:
                sent = await self._try_to_send(call, payloads, record)
            except Unreachable:
                if self._clock.monotonic() >= deadline:
                    raise
                self.counts["retries"] += 1
                await asyncio.sleep(backoff.next())
            else:
                self._outage.over()
                self.trouble = None
                return sent

    async def _try_to_send(
        self, call: str, payloads: Sequence[bytes], record: tuple[str, str]
    ) -> tuple[Cursor, bool]:
        while True:
            epoch = self._epochs.name
            answer = await self._ask(epoch, call, payloads, record)
            if answer[0] in (b"done", b"again"):
                first = stream.to_position(answer[1])
                is_own = answer[0] == b"done"
                # The same request may have been written with another time in it.
                if is_own:
                    last = Position(first.major, first.minor + len(payloads) - 1)
                    self._epochs.learn(epoch, last, int(answer[2]), payloads[-1])
                return Cursor(epoch, first), is_own
            if answer[0] == b"conflict":
                raise conflict()
            if answer[0] == b"relayed":
                raise LogError("This log is filled by a relay: publish to the relay's source.")
            if answer[0] == b"late":
                raise LogError("A later append was quicker than this one, of which nothing is known.")
            if answer[0] == b"epoch":
                await self._epochs.look()
            else:
                await self._epochs.renew(epoch, "inherited" if answer[0] == b"inherited" else "lost")

    async def _ask(
        self, epoch: str, call: str, payloads: Sequence[bytes], record: tuple[str, str]
    ) -> list[bytes]:
        kind, name = record
        epochs, token = self._epochs, secrets.randbelow(_TOKENS)
        known = epochs.known
        position, number = (ORIGIN, 0) if known is None else (known.position, known.number)
        try:
            answer: list[bytes] = await self._connection.script(
                "append",
                # The record is of the log's origin: it holds for as long as the events do that it stands for.
                (epochs.state_key, epochs.stream_key(epoch), self._connection.key(kind, epochs.origin, name)),
                [epoch, call, str(position), number, self._max_events, REMEMBERED_SECONDS, token, *payloads],
            )
        except Unreachable:
            raise
        except LogError as error:
            self._outage.failed(error=error)
            self.trouble = error.detail
            raise
        return answer


def _appended(first: Cursor, count: int, *, replayed: bool = False) -> Appended:
    """So many events that stand one after the other."""
    major, minor = first.position
    return Appended(first.epoch, [Position(major, minor + index) for index in range(count)], replayed)
