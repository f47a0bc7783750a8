"""What an upstream said last that gave no list, for the nodes that do not ask it themselves."""

from base64 import b64decode, b64encode
from typing import Any

import orjson
from multidict import CIMultiDict

from adapters.upstream.failures import BadAnswer, OtherStatus
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedStore
from gateway.ports.upstreams import GivenAnswer


class SharedWord:
    """The word of the upstream of one list, named `name` among all, in the store that nodes share.

    It stays for `seconds`, or for as long as the upstream wants to be left alone, if that is longer. All
    methods raise LogError.
    """

    def __init__(self, store: SharedStore, name: str, clock: Clock, seconds: float) -> None:
        self._store = store
        self._key = f"word:{name}"
        self._clock = clock
        self._seconds = seconds
        self._is_known = False

    async def tell(self, error: BadAnswer) -> None:
        """Tells the other nodes what the upstream said now."""
        self._is_known = True
        members: dict[str, Any] = {"kind": error.kind, "detail": error.detail}
        seconds = self._seconds
        if isinstance(error, OtherStatus):
            answer = error.answer
            left = answer.retry_after_seconds
            members |= {
                "status": answer.status,
                "headers": [*answer.headers.items()],
                "body": b64encode(answer.body).decode(),
                "until_ms": None if left is None else self._clock.wall_ms() + round(left * 1000),
            }
            seconds = max(seconds, left or 0.0)
        await self._store.put(self._key, orjson.dumps(members), ttl_seconds=seconds)

    async def heard(self) -> BadAnswer | None:
        """What the upstream said to whichever node asked, with what is left of how long it is left alone."""
        entry = await self._store.get(self._key)
        self._is_known = entry is not None
        if entry is None:
            return None
        members = orjson.loads(entry.value)
        if "status" not in members:
            return BadAnswer(members["kind"], members["detail"])
        until_ms = members["until_ms"]
        left = None if until_ms is None else max(0, until_ms - self._clock.wall_ms()) / 1000
        headers = CIMultiDict((name, value) for name, value in members["headers"])
        return OtherStatus(GivenAnswer(members["status"], headers, b64decode(members["body"]), left))

    async def take_back(self) -> None:
        """Says that the upstream answers with its list again."""
        if self._is_known:
            await self._store.remove(self._key)
            self._is_known = False
