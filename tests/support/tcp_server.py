"""A server on a free port of 127.0.0.1 that leaves no connection behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.runtime.listening import stop_accepting
from tests.support.loop import let_others_run

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def accepting(serve: Serve) -> AsyncIterator[int]:
    """Runs `serve` for each connection; gives the port. At the end none is open, and no `serve` runs."""
    connections: dict[asyncio.Future[None], asyncio.StreamWriter] = {}

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        # Not at the end of the task: one that is cancelled before its first step comes to no end.
        task.add_done_callback(lambda _: writer.close())
        connections[task] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await stop_accepting(server)
        server.close()
        # uvloop says a turn later what it has accepted.
        await let_others_run()
        for task in connections:
            task.cancel()
        for ended in await asyncio.gather(*connections, return_exceptions=True):
            if not isinstance(ended, OSError | EOFError | asyncio.CancelledError | None):
                raise ended
        for writer in connections.values():
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await server.wait_closed()
