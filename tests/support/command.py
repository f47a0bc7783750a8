"""The command `tidegate` as a process: its lines as they come, its end, and a network that can be cut."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.http import DEADLINE_SECONDS
from tests.support.tcp_server import accepting


class Command:
    """A running `tidegate`. Everything that waits gives up after DEADLINE_SECONDS."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line on standard output, without its end; "" once there are no more."""
        return await _line(self._process.stdout)

    async def note(self, text: str) -> str:
        """The next line on standard error that holds `text`; others are passed over."""
        while True:
            line = await _line(self._process.stderr)
            assert line, f"standard error ended without {text!r}"
            if text in line:
                return line

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self, text: str | None = None) -> tuple[int, str, str]:
        """Gives it `text` to read, waits for its end: the exit code, and what it still wrote."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            out, err = await self._process.communicate(None if text is None else text.encode())
        assert self._process.returncode is not None
        return self._process.returncode, out.decode(), err.decode()


async def _line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None, "started with a pipe"
    async with asyncio.timeout(DEADLINE_SECONDS):
        return (await stream.readline()).decode().removesuffix("\n")


@asynccontextmanager
async def command(*arguments: str, **environ: str) -> AsyncIterator[Command]:
    """Runs `tidegate` with `arguments`, and `environ` beside the environment without settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | environ,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Reads the pipes to their ends, so that their transports are closed.
        await process.communicate()


async def run(*arguments: str, text: str | None = None) -> tuple[int, str, str]:
    """Runs `tidegate` to its end with `text` as standard input: exit code, standard output and error."""
    async with command(*arguments) as running:
        return await running.end(text)


class Relay:
    """A TCP relay on a free port, whose connections a test cuts and whose target it changes."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._answers = asyncio.Event()
        self._answers.set()

    def hold_answers(self) -> None:
        """Lets nothing through any more of what the target sends."""
        self._answers.clear()

    def let_answers_through(self) -> None:
        self._answers.set()

    def cut(self) -> None:
        """Resets every connection, without a word to either side."""
        for writer in self._writers:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One accepted connection, until either side ends it."""
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except ConnectionError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        always = asyncio.Event()
        always.set()
        try:
            await asyncio.gather(_copy(reader, far_writer, always), _copy(far_reader, writer, self._answers))
        finally:
            far_writer.close()
            self._writers -= ends


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: asyncio.Event) -> None:
    try:
        while data := await reader.read(65_536):
            await may.wait()
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # Cut, by the test or by one side: the other one is told below.
    finally:
        writer.close()


@asynccontextmanager
async def relay(target_port: int) -> AsyncIterator[Relay]:
    """A relay to 127.0.0.1:`target_port` that ends, with its connections, at the end."""
    running = Relay(target_port)
    async with accepting(running.carry) as running.port:
        try:
            yield running
        finally:
            running.cut()
            running.let_answers_through()
