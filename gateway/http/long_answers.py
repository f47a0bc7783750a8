"""Long answers in pieces: who reads slowly has one in memory, and nobody holds the loop with them."""

import asyncio
from collections.abc import Iterable

from aiohttp import web

PIECE_BYTES = 65_536
"""How long an answer is that is written in one piece, and the pieces of a longer one."""


class LongAnswers:
    """Writes the answers of all callers. Of those that have something to write one goes on in each turn of
    the loop: a thousand that come at once would else write a piece each in one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def send(self, response: web.StreamResponse, pieces: Iterable[bytes | memoryview]) -> None:
        """Writes to an answer that is prepared, each piece once there is room for it, and ends it."""
        for piece in pieces:
            await response.write(piece)
            # To wait for room is to wait for nothing where the caller reads as fast as this writes.
            async with self._turn:
                await asyncio.sleep(0)
        await response.write_eof()


def pieces_of(body: bytes) -> Iterable[memoryview]:
    """A long body, cut without a copy: in one piece aiohttp would copy it for each caller."""
    whole = memoryview(body)
    return (whole[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))
