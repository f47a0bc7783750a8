import asyncio
import socket

import pytest

from adapters.redis.faults import Unreachable, translated
from tests.support.gateway import LOOPS
from tests.support.loop import let_others_run


async def write_to_what_ended() -> None:
    """Writes, as redis-py does, on a connection that ended since it was looked at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.transport.abort()
        await let_others_run()
        with translated("redis.example:6379"):
            writer.writelines([b"PING\r\n"])


def test_a_connection_that_ends_as_it_is_written_to_is_a_server_out_of_reach() -> None:
    with (
        asyncio.Runner(loop_factory=LOOPS["uvloop"]) as runner,
        pytest.raises(Unreachable, match="closed the connection"),
    ):
        runner.run(write_to_what_ended())


def test_what_is_a_defect_stays_one() -> None:
    with pytest.raises(RuntimeError, match="dictionary changed"), translated("redis.example:6379"):
        raise RuntimeError("dictionary changed")
