"""Ends listening so that no connection is accepted and then served by nobody."""

import asyncio

_BEGINS_WITHIN_TURNS = 3
"""From accepting a connection to the protocol's `connection_made`; more do no harm."""


async def stop_accepting(server: asyncio.AbstractServer | None) -> None:
    """Accepts no more, and returns once what was accepted has begun: then `server` can be closed.

    asyncio makes a transport one turn of the loop after it has accepted. Closed in between, it forgets the
    socket and leaves it open (github.com/python/cpython/issues/109564). uvloop has no such turn.
    """
    if isinstance(server, asyncio.Server):
        loop = asyncio.get_running_loop()
        for listener in server.sockets:
            loop.remove_reader(listener)
        for _ in range(_BEGINS_WITHIN_TURNS):
            await asyncio.sleep(0)
