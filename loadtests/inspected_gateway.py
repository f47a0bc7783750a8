#!/usr/bin/env python3
"""The gateway, which says by itself what its open streams keep in Python's memory.

    python loadtests/inspected_gateway.py KEPT CONFIG [--transports]

serves as `tidegate serve --config CONFIG --port 0` does, with one process. At each SIGUSR1 it writes into the
file KEPT how many bytes the objects of each type take that are reached from its open streams, as JSON. With
`--transports` every stream has asyncio's transport, as where sockets can't be taken out of them.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import time
import weakref
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

# The script's directory is on the path, not that of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests.crowd import RunFailedError
from loadtests.dialect import GATEWAY, Dialect
from loadtests.measure import PATIENCE_SECONDS
from loadtests.server import Kind, Launch, Server

if TYPE_CHECKING:
    from aiohttp import web

_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType)
ALIGNMENT = 16
"""What CPython's allocator rounds an object's bytes up to."""


class Kept(NamedTuple):
    """How many streams are open, and how many bytes the objects of each type take that they keep."""

    streams: int
    object_bytes: dict[str, int]


def ask(server: Server, kept: Path, streams: int) -> Kept:
    """What the streams of a server keep, once there are so many. RunFailedError where there never are."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        kept.unlink(missing_ok=True)
        os.kill(server.pid, signal.SIGUSR1)
        while not kept.exists() and time.monotonic() < deadline:
            server.refuse_fallen()
            time.sleep(0.02)
        if kept.exists() and (said := Kept(**json.loads(kept.read_text()))).streams == streams:
            return said
    raise RunFailedError(f"the server never had {streams:,} streams")


def inspected(config: str, kept: Path, dialect: Dialect = GATEWAY, *, transports: bool = False) -> Kind:
    """The gateway with that configuration (TOML); `kept` is the file for what its streams keep."""

    def launch(folder: Path) -> Launch:
        path = folder / "tidegate.toml"
        path.write_text(config)
        script = str(Path(__file__).resolve())
        return Launch([sys.executable, script, str(kept), str(path), *["--transports"] * transports])

    return Kind("gateway", launch, dialect)


def kept_by(roots: Sequence[object], shared: tuple[type, ...]) -> dict[str, int]:
    """The bytes of all objects that are reached from `roots`, each counted once, by the name of their type.

    What is of `shared` types is not looked into, nor are types, modules and functions: these are there
    without the roots.
    """
    left, seen, found = list(roots), {id(root) for root in roots}, Counter[str]()
    while left:
        one = left.pop()
        found[type(one).__qualname__] += -(-sys.getsizeof(one) // ALIGNMENT) * ALIGNMENT
        for other in (*gc.get_referents(one), *_weak_references(one)):
            if id(other) not in seen and not isinstance(other, shared):
                seen.add(id(other))
                left.append(other)
    return dict(found)


def _weak_references(one: object) -> Sequence[object]:
    # uvloop's loop has one to each of its transports, which are no asyncio.Transport.
    return weakref.getweakrefs(one) if hasattr(one, "get_extra_info") else ()


def _write_kept(app: "web.Application", path: Path) -> None:
    from gateway.delivery.hub import Hub
    from gateway.delivery.sockets import StreamSockets
    from gateway.service import app as service

    delivery = app[service.GATEWAY].delivery
    servers = {type(server) for server in gc.get_objects() if type(server).__name__ == "Server"}
    shared = (*_CODE, *servers, Hub, StreamSockets, type(asyncio.get_running_loop()))
    # The tables are private to those who keep them; what they take is asked for here alone.
    tables: list[Any] = [delivery.hub._streams._subscribers, delivery.sockets._open]
    kept = Kept(delivery.hub.connections, kept_by(tables, shared))
    new = path.with_suffix(".new")
    new.write_text(json.dumps(kept._asdict()))
    new.rename(path)


async def _serve(kept: Path, config: Path) -> None:
    from gateway.cli.options import settings_of
    from gateway.service.serve import serve

    def extend(app: "web.Application") -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, partial(_write_kept, app, kept))

    await serve(
        settings_of(config, port=0, workers=1),
        announce=lambda address: print(f"Inspected gateway on {address}", flush=True),
        extend=extend,
    )


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    from gateway.cli.loop import run
    from gateway.delivery.sockets import StreamSockets
    from gateway.runtime import logs

    kept, config, *flags = arguments
    if flags:
        StreamSockets.start = lambda sockets: None  # type: ignore[method-assign]
    logs.configure("info")
    run(_serve(Path(kept), Path(config)))


if __name__ == "__main__":
    main(sys.argv[1:])
