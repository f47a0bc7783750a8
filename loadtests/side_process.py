"""A process beside that of a benchmark, and what it says through its pipe."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from loadtests.crowd import RunFailedError
from loadtests.measure import LossError

END_SECONDS = 90.0


class Failed(NamedTuple):
    """Why a process has nothing else to say: what went wrong."""

    problems: tuple[str, ...]


def failed(error: Exception) -> Failed:
    """What a process says of an error."""
    return Failed((str(error), *getattr(error, "problems", ())))


@contextmanager
def beside(work: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A process that does `work`, which gets its end of a pipe as its last argument; the other end.

    It is to end by itself, and is killed where it does not, or where the block is left by an error.
    """
    own, other = multiprocessing.Pipe()
    process = multiprocessing.Process(target=work, args=(*arguments, other), daemon=True)
    process.start()
    # So that the end of the process ends the pipe.
    other.close()
    try:
        yield own
        process.join(END_SECONDS)
    finally:
        process.kill()
        process.join()
        own.close()


def heard(pipe: Connection, seconds: float, tick: Callable[[str], None]) -> Any:
    """What the process says next. Raises LossError where it failed, RunFailedError where it says nothing."""
    deadline = time.monotonic() + seconds
    while not pipe.poll(1.0):
        tick("under way")
        if time.monotonic() > deadline:
            raise RunFailedError(f"a process of the clients said nothing for {seconds:.0f} s")
    try:
        said = pipe.recv()
    except EOFError as error:
        raise RunFailedError("a process of the clients has fallen") from error
    if isinstance(said, Failed):
        raise LossError("clients", len(said.problems), said.problems)
    return said
