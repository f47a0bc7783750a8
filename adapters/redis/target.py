"""What a relay writes into: a log on Redis whose events keep the positions that they have elsewhere."""

import secrets
from collections.abc import Sequence

from adapters.redis import stream
from adapters.redis.connection import RedisConnection
from adapters.redis.trimmer import Trimmer
from gateway.core.errors import LogError, TargetMoved
from gateway.core.events import Cursor, Record
from gateway.core.log_payload import to_payload
from gateway.runtime.supervisor import Supervisor


class RedisTarget:
    """A RelayTarget (gateway/service/relay.py) in the Redis behind `connection`, which it starts and closes.

    Gateways read it as a RedisLog with the same address. Nobody but relays can append to it then.
    """

    def __init__(self, connection: RedisConnection, *, max_events: int, max_age_seconds: float) -> None:
        self._connection = connection
        self._trimmer = Trimmer(connection, max_events=max_events, max_age_seconds=max_age_seconds)
        self._tasks = Supervisor()
        self._holder = secrets.token_hex(8)
        self._epoch = ""

    async def start(self) -> None:
        try:
            await self._connection.start()
        except BaseException:
            await self.close()
            raise
        self._tasks.run("redis_trimmer", lambda: self._trimmer.run(lambda: self._epoch))

    async def close(self) -> None:
        await self._tasks.close()
        await self._connection.close()

    async def end(self) -> Cursor | None:
        state = stream.to_state(
            await self._connection.execute("HMGET", self._state_key, *stream.STATE_FIELDS)
        )
        if state is None:
            return None
        self._epoch = state.epoch
        return Cursor(state.epoch, state.last)

    async def newest(self, limit: int) -> list[Record]:
        raw = await self._connection.execute(
            *("XREVRANGE", self._stream(self._epoch), "+", "-", "COUNT", limit)
        )
        return [stream.to_record(entry) for entry in reversed(stream.to_entries(raw))]

    async def begin(self, found: Cursor | None, start: Cursor) -> None:
        expected = ("", "") if found is None else (found.epoch, str(found.position))
        answer = await self._connection.script(
            "begin",
            (self._state_key, self._stream(found.epoch if found is not None else start.epoch)),
            (*expected, start.epoch, str(start.position)),
        )
        if answer[0] == b"own":
            raise LogError(
                f"The log in Redis at {self._connection.address} has events that no relay brought: "
                "relay to another prefix."
            )
        if answer[0] == b"moved":
            raise TargetMoved("Another relay began this log anew.")
        self._epoch = start.epoch

    async def append_at(self, records: Sequence[Record], after: Cursor) -> None:
        entries = [text for record in records for text in (str(record.position), to_payload(record.event))]
        is_done = await self._connection.script(
            "append_at",
            (self._state_key, self._stream(after.epoch)),
            (after.epoch, str(after.position), self._trimmer.max_events, *entries),
        )
        if not is_done:
            raise TargetMoved(f"The log does not end at {after}.")

    async def lead(self, seconds: float) -> bool:
        milliseconds = round(seconds * 1000)
        return bool(await self._connection.script("hold", (self._lock_key,), (self._holder, milliseconds)))

    async def resign(self) -> None:
        await self._connection.script("release", (self._lock_key,), (self._holder,))

    @property
    def _state_key(self) -> str:
        return self._connection.key("state")

    @property
    def _lock_key(self) -> str:
        return self._connection.key("relay")

    def _stream(self, epoch: str) -> str:
        return stream.stream_key(self._connection.address.prefix, epoch)
