"""Numbered events, published however the gateway fares, and what a tab may have got of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.support.api import Client, event
from tests.support.http import DEADLINE_SECONDS
from tests.support.tokens import mint

PACE_SECONDS = 0.02


class Publisher:
    """Publishes events with the numbers 1, 2, … to the gateway at `port()`; `last` is the last one taken.

    A gateway that is not there is asked again with the same idempotency key, so that no number comes twice.
    """

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._publishing = asyncio.Lock()
        self.token: str | None = None
        self.last = 0

    def authenticate(self) -> None:
        """Presents a token that may publish anything."""
        self.token = mint("publisher", publish=["*"])

    async def publish(self, count: int = 1, **members: Any) -> None:
        """The next `count` events, all or none of them."""
        async with self._publishing:
            numbers = range(self.last + 1, self.last + count + 1)
            await self._publish([event(number, **members) for number in numbers])
            self.last = numbers[-1]

    @asynccontextmanager
    async def steadily(self, count: int = 1, **members: Any) -> AsyncIterator[None]:
        """Publishes `count` events every PACE_SECONDS meanwhile, and another one at the end."""

        async def go_on() -> None:
            while True:
                # One that has begun is waited for: its number would else be known to nobody.
                await asyncio.shield(asyncio.ensure_future(self.publish(count, **members)))
                await asyncio.sleep(PACE_SECONDS)

        going_on = asyncio.ensure_future(go_on())
        try:
            yield
        finally:
            going_on.cancel()
            await asyncio.gather(going_on, return_exceptions=True)
        await self.publish(**members)

    async def _publish(self, events: list[dict[str, Any]]) -> None:
        key = ("Idempotency-Key", uuid.uuid4().hex)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    answer = await Client(self._port(), self.token).post(
                        body=orjson.dumps(events), headers=[key]
                    )
                except (OSError, EOFError):
                    await asyncio.sleep(PACE_SECONDS)
                    continue
                assert answer.status in (200, 201), answer.body
                return


def lost(got: Iterable[Mapping[str, Any]], *, first: int, last: int) -> list[int]:
    """The numbers from `first` to `last` that never came, and of which no `reset` said that they could not.

    `got` is what came, in that order: of an event `n` is its number.
    """
    missing: list[int] = []
    newest, is_told = first - 1, False
    for given in [*got, {"type": "end", "n": last + 1}]:
        if given["type"] == "reset":
            is_told = True
        elif given["n"] is not None and given["n"] > newest:
            missing += [] if is_told else range(newest + 1, given["n"])
            newest, is_told = given["n"], False
    return missing


def doubled(got: Iterable[Mapping[str, Any]]) -> list[int]:
    """The numbers that came again, or after a later one."""
    again: list[int] = []
    newest = 0
    for given in got:
        if given["n"] is not None:
            again += [given["n"]] if given["n"] <= newest else []
            newest = max(newest, given["n"])
    return again
