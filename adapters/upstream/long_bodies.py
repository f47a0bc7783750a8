"""Joins the parts in which a long body came, in a thread where that would hold the event loop."""

import asyncio
from collections.abc import Sequence

_OFFLOAD_BYTES = 1024 * 1024


async def joined(parts: Sequence[bytes]) -> bytes:
    """The parts as one body. They are held until then, so it takes twice the body's memory.

    That is a millisecond for each two megabytes: a thread does it where it is more, and lets the interpreter
    go meanwhile, as it does while it joins bytes.
    """
    if sum(map(len, parts)) <= _OFFLOAD_BYTES:
        return b"".join(parts)
    return await asyncio.to_thread(b"".join, parts)
