"""The revocations that hold, as this node knows them: from the log, and from what is kept beside it.

A revocation holds for longer than its entry is in the log. So every node that comes upon one keeps it beside
the log, where others find it when they start. Several buckets, so that no write is long.
"""

import asyncio
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import orjson

from gateway.core.access_errors import RevocationsUnknown, TooManyRevocations
from gateway.core.credentials import Credentials
from gateway.core.errors import LogError
from gateway.core.events import Cursor, Event
from gateway.core.revocations import Held, Revocation, Revocations, Whom
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedEntry

BUCKETS = 16
MOST = 20_000
"""How many subjects, token ids and keys may be revoked at a time."""
HELD_SECONDS = 400 * 86_400.0
"""How long after it was made a revocation of tokens holds: when they expire is not known here. Those of keys
stay."""
ATTEMPTS = 20
"""How often a bucket is written anew because another node wrote it meanwhile."""


class Values(Protocol):
    """Where revocations are kept: what is needed of a gateway.ports.shared.SharedStore."""

    async def get(self, key: str) -> SharedEntry | None: ...

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int | None: ...

    async def close(self) -> None: ...


class RevokedTokens:
    """Takes revocations in as the log gives them, and keeps them in `values`.

    `malformed` counts events of their type that are none. At most `most` are taken from operators.
    """

    def __init__(
        self, values: Values, clock: Clock, most: int = MOST, held_seconds: float = HELD_SECONDS
    ) -> None:
        self._values = values
        self._clock = clock
        self._most = most
        self._held_seconds = held_seconds
        self.revocations = Revocations()
        self.malformed = 0
        self._is_known = False
        self._unkept: dict[Whom, None] = {}
        self._wanted = asyncio.Event()

    async def start(self) -> None:
        """Reads what is kept; before that nobody is let in. Raises LogError where that can't be read."""
        for number in range(BUCKETS):
            for held in _parsed(await self._values.get(_key(number))):
                self.revocations.add(*held)
        self._expire()
        self._is_known = True

    async def close(self) -> None:
        """Nothing is kept any more."""
        await self._values.close()

    def check(self, credentials: Credentials) -> None:
        """Raises InvalidToken where these credentials are revoked, RevocationsUnknown before `start`."""
        if not self._is_known:
            raise RevocationsUnknown("Which tokens were revoked is not known yet. Try again later.")
        self.revocations.check(credentials)

    def check_room(self, whom: Whom) -> None:
        """Raises TooManyRevocations where there is no room for one more."""
        self._expire()
        if len(self.revocations) >= self._most and whom not in self.revocations:
            raise TooManyRevocations(
                f"{self._most} subjects, tokens and keys are revoked already, and nothing was added. If you"
                " revoke tokens one by one, revoke their subject; a new signing key ends all tokens at once."
            )

    def take(self, event: Event, cursor: Cursor) -> None:
        """An event of the type REVOCATION has come out of the log, or was appended to it.

        It holds from now on, and is kept in the background. One that is malformed is counted, no more.
        """
        revocation = Revocation.of(event)
        if revocation is None:
            self.malformed += 1
        elif self.revocations.add(revocation, cursor):
            self._unkept[revocation.whom] = None
            self._wanted.set()

    async def run(self) -> None:
        """Keeps what is taken, for ever. Raises LogError where it can't be kept: run it again then."""
        while True:
            self._wanted.clear()
            await self.keep()
            await self._wanted.wait()

    async def keep(self) -> None:
        """Returns once all that was taken before is kept. Raises LogError where it can't be."""
        self._expire()
        for whom in tuple(self._unkept):
            held = self.revocations.get(whom)
            if held is not None:
                await self._keep(held)
            if held is self.revocations.get(whom):
                self._unkept.pop(whom, None)

    async def _keep(self, held: Held) -> None:
        key = _key(_bucket(held.revocation.whom))
        for _ in range(ATTEMPTS):
            found = await self._values.get(key)
            kept = Revocations()
            for one in _parsed(found):
                kept.add(*one)
            kept.expire(self._now(), self._held_seconds)
            if not kept.add(*held):
                return
            version = 0 if found is None else found.version
            if await self._values.put(key, orjson.dumps([_wire(one) for one in kept]), expected=version):
                return
        raise LogError("The revocation could not be kept: too many are made at once. Send it again.")

    def _expire(self) -> None:
        self.revocations.expire(self._now(), self._held_seconds)

    def _now(self) -> float:
        return self._clock.wall_ms() / 1000


def _key(number: int) -> str:
    return f"revocations:{number}"


def _bucket(whom: Whom) -> int:
    kind, name = whom
    return zlib.crc32(f"{kind}:{name}".encode("utf-8", "surrogatepass")) % BUCKETS


def _wire(held: Held) -> dict[str, Any]:
    return {**held.revocation.members(), "cursor": str(held.cursor)}


def _parsed(found: SharedEntry | None) -> Iterator[Held]:
    """What a bucket holds. Raises LogError where it is damaged: nobody is to be let in for that."""
    if found is None:
        return
    try:
        values = orjson.loads(found.value)
    except orjson.JSONDecodeError as error:
        raise _damaged() from error
    for value in values if isinstance(values, list) else [None]:
        revocation = Revocation.parse(value)
        cursor = Cursor.parse(str(value.get("cursor"))) if isinstance(value, dict) else None
        if revocation is None or cursor is None:
            raise _damaged()
        yield Held(revocation, cursor)


def _damaged() -> LogError:
    return LogError(
        "The revocations that are kept beside the log are damaged, and nobody is let in without them: put"
        " them back from a copy, or remove them and revoke anew."
    )
