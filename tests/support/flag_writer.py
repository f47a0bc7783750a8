"""A program that changes a flag, for tests of several programs, and of programs that die.

`python -m tests.support.flag_writer PATH WHO CHANGES` makes so many changes, and prints each revision once it
was acknowledged. With line numbers after that, a fork of the program for each of them makes changes until so
many lines of flags_file.py have run, and dies right there by SIGKILL; what then lies in the file is printed
as one JSON object.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from flags.errors import StaleRevision
from flags.store import flags_file
from flags.store.file_store import file_flag_store
from tests.support.flags import Told, stored


async def write(path: Path, who: str, changes: int, acknowledge: Callable[[int], None]) -> None:
    """Makes the flag where it is not there, and `changes` changes of it."""
    store = file_flag_store(path, tell=Told())
    await store.start()
    with contextlib.suppress(StaleRevision):
        await store.change("orders", {}, expected_revision=0, who=who, reason="start")
    for number in range(1, changes + 1):
        # No two changes are alike, for one that changes nothing is no revision.
        fields = {"group": f"{who}-{os.getpid()}-{number}"}
        flag = await store.change("orders", fields, expected_revision=None, who=who, reason="go on")
        acknowledge(flag.revision)
    await store.close()


def die_at(line: int) -> None:
    """Ends this process by SIGKILL when so many lines of flags_file.py have run in threads yet to start."""
    left = line

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        return count if frame.f_code.co_filename == flags_file.__file__ else None

    threading.settrace(trace)


def die(path: Path, who: str, changes: int, line: int) -> None:
    """One fork that dies, and what it leaves behind."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        die_at(line)
        asyncio.run(write(path, who, changes, lambda revision: os.write(writer, b"%d\n" % revision)))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as acknowledged:
        revisions = [int(revision) for revision in acknowledged]
    _, status = os.waitpid(child, 0)
    found = stored(path).flags if path.exists() else {}
    report = {
        "killed": os.WIFSIGNALED(status),
        "acknowledged": revisions[-1] if revisions else 0,
        "found": found["orders"].revision if found else 0,
        "files": sorted(entry.name for entry in path.parent.iterdir()),
    }
    print(orjson.dumps(report).decode(), flush=True)


def main() -> None:
    path, who, changes, *lines = sys.argv[1:]
    for line in lines:
        die(Path(path), who, int(changes), int(line))
    if not lines:
        asyncio.run(write(Path(path), who, int(changes), lambda revision: print(revision, flush=True)))


if __name__ == "__main__":
    main()
