"""The client of the tests leaves nothing behind, whenever it is stopped."""

import asyncio
import contextlib
import socket

import psutil
import pytest

from tests.support.http import Connection
from tests.support.loop import let_others_run


async def test_a_connection_whose_opening_is_cancelled_leaves_no_socket() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # As many as it takes for the next one to wait: the kernel keeps one more than it is told to.
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        before = psutil.Process().num_fds()
        opening = asyncio.create_task(Connection.open(listener.getsockname()[1]))
        await let_others_run()
        assert not opening.done()

        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

        assert psutil.Process().num_fds() <= before
