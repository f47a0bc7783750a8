"""`python -m gateway.cli.worker`: one of several processes that serve one address.

gateway/cli/workers.py starts it.

It reads its order, one line of JSON, from standard input, and says on standard output, again in one line of
JSON, that it serves or why it can't. The end of standard input is the end of whoever gave the order: it
drains then, as on SIGTERM.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import BaseModel

from gateway.cli import CommandError
from gateway.cli.loop import run
from gateway.cli.serving import serving
from gateway.runtime import logs
from gateway.service.serve import serve
from gateway.service.settings import Settings
from gateway.service.worker_metrics import OtherWorkers

_STDIN = 0


class Order(BaseModel):
    """What worker `number` of `count` is to do.

    `settings` are the gateway's as JSON, `base_dir` what their files are relative to, and `directory` is
    where the workers' sockets are.
    """

    number: int
    count: int
    settings: str
    base_dir: Path
    directory: Path
    log_level: str


class Answer(BaseModel):
    """Where the worker serves, or in one sentence why it doesn't, with the exit code for that."""

    address: str | None = None
    failure: str | None = None
    exit_code: int = 0


def main(serving_by: Callable[..., Awaitable[None]] = serve) -> int:
    """Serves as ordered until it is told to stop, by `serve` or what does as it. Gives the exit code."""
    order = Order.model_validate_json(_line())
    logs.configure(order.log_level, worker=order.number)
    settings = Settings.model_validate_json(order.settings, context={"base_dir": order.base_dir})
    try:
        with serving(settings):
            run(_work(order, settings, serving_by))
    except CommandError as error:
        _say(Answer(failure=error.message, exit_code=error.exit_code))
        return error.exit_code
    return 0


async def _work(order: Order, settings: Settings, serving_by: Callable[..., Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(_STDIN, 4096):
            loop.remove_reader(_STDIN)
            stop.set()

    loop.add_reader(_STDIN, read)
    other_workers = OtherWorkers(order.directory, order.number, order.count)
    await serving_by(
        settings,
        announce=lambda address: _say(Answer(address=address)),
        others=other_workers,
        extend=other_workers.join,
        stop=stop,
        reuse_port=True,
    )


def _line() -> bytes:
    """The order. Read without a buffer, in which the end of standard input would go unnoticed."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(_STDIN, 65_536)
        if not part:
            break
        line += part
    return line


def _say(answer: Answer) -> None:
    sys.stdout.write(answer.model_dump_json() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
