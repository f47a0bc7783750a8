"""The gateway as it runs: in a thread with an event loop of its own, or as the command that it is."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import psutil
import pytest
import uvloop
from aiohttp import web

from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.sockets import StreamSocket
from gateway.http.json_body import BODY_SECONDS
from gateway.http.server import KEEPALIVE_SECONDS, GatewayRunner, GatewaySite
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog
from gateway.runtime.half_close import HALF_CLOSED_SECONDS
from gateway.service.app import GATEWAY, create_app
from gateway.service.settings import Settings
from gateway.service.wiring.http import Way
from tests.support.http import DEADLINE_SECONDS

ADDRESS_LINE = "tidegate serving on http://127.0.0.1:"

WAYS: tuple[Way, ...] = get_args(Way)
EVERY_WAY = pytest.mark.parametrize("way", WAYS)
"""For modules whose tests have to hold however a connection becomes a stream."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Value = TypeVar("Value")

LOOPS: Mapping[str, LoopFactory] = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def make_settings(**sections: Any) -> Settings:
    """Settings of the sections that a test cares about; a drain is short, so that no test waits for one."""
    given: dict[str, Any] = {"server": {"drain_seconds": 1.0}}
    return Settings.model_validate(given | sections)


class GatewayThread:
    """A gateway on a free port of 127.0.0.1, in a thread: its tasks and errors are its own.

    `errors` collects what the event loop had no better place for; a healthy gateway leaves it empty.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        way: Way = "front_door",
        loop: str = "uvloop",
        clock: Clock | None = None,
        extend: Callable[[web.Application], None] = lambda app: None,
        log: EventLog | None = None,
        half_closed_seconds: float = HALF_CLOSED_SECONDS,
        pace: Pace = USUAL,
        body_seconds: float = BODY_SECONDS,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
    ) -> None:
        self._settings = settings
        self._body_seconds = body_seconds
        self._keepalive_seconds = keepalive_seconds
        self._log = log
        self._pace = pace
        self._half_closed_seconds = half_closed_seconds
        self._extend = extend
        self._way = way
        self._clock = clock
        self._loop_factory = LOOPS[loop]
        self._thread = threading.Thread(target=self._main, name="gateway", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self.errors: list[dict[str, Any]] = []
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(DEADLINE_SECONDS):
            raise TimeoutError("the gateway did not start")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Drains and ends it. Stopping twice does nothing."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(DEADLINE_SECONDS)
            if self._thread.is_alive():
                raise TimeoutError(f"the gateway did not stop: {self._what_it_waits_for()}")

    def _what_it_waits_for(self) -> str:
        return "\n".join(f"{task!r} {task.get_stack()}" for task in asyncio.all_tasks(self.loop))

    def call(self, function: Callable[[], Value]) -> Value:
        """What `function` gives when it runs in the gateway's thread."""

        async def run() -> Value:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE_SECONDS)

    def stream_options(self, level: int, name: int) -> list[int]:
        """An option of the open streams' sockets (getsockopt(2)), in the order in which they were opened."""
        streams = self.call(self.parts.delivery.hub.open_streams)
        return [self.call(partial(_option, stream.transport, level, name)) for stream in streams]

    def keep_transports(self) -> None:
        """Streams have asyncio's transports from now on, as where sockets can't be taken out of them."""
        self.call(self.parts.delivery.sockets.close)

    def task_count(self) -> int:
        """How many tasks the gateway has, without the one that counts."""
        return self.call(lambda: len(asyncio.all_tasks(self.loop))) - 1

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - it is raised in the thread that waits for `start`
            self._failure = failure
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self._stop = asyncio.Event()
        self.app = create_app(
            self._settings,
            clock=self._clock,
            way=self._way,
            log=self._log,
            pace=self._pace,
            body_seconds=self._body_seconds,
        )
        self._extend(self.app)
        self.parts = self.app[GATEWAY]
        runner = GatewayRunner(
            self.app,
            half_closed_seconds=self._half_closed_seconds,
            keepalive_seconds=self._keepalive_seconds,
        )
        await runner.setup()
        assert isinstance(runner.server, web.Server)
        self.server = runner.server
        try:
            await GatewaySite(runner, "127.0.0.1", 0, self._settings.stream.stall_seconds).start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()


def _option(transport: Any, level: int, name: int) -> int:
    if not isinstance(transport, StreamSocket):
        transport = getattr(transport, "_transport", transport).get_extra_info("socket")
    with socket.socket(fileno=os.dup(transport.fileno())) as known:
        return known.getsockopt(level, name)


class ServedGateway:
    """`tidegate serve` as a process of its own, with a configuration file in `directory`."""

    def __init__(self, directory: Path, config: str, port: int = 0) -> None:
        self.directory = directory
        self._log = directory / "stderr.log"
        file = directory / "tidegate.toml"
        file.write_text(config)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--config", str(file), "--port", str(port)],
                stdout=subprocess.PIPE,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith(ADDRESS_LINE):
            self.kill()
            raise AssertionError(f"no address line, but {line!r} and the log {self.log()}")
        self.port = int(line.removeprefix(ADDRESS_LINE))

    def log(self) -> str:
        """What it wrote to standard error so far."""
        return self._log.read_text()

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def descriptors(self) -> int:
        return int(psutil.Process(self.process.pid).num_fds())

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        """Waits until it ended."""
        return await asyncio.to_thread(self.process.wait, DEADLINE_SECONDS)

    def kill(self) -> None:
        """Ends it at once, if it still runs, and closes its pipe."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
