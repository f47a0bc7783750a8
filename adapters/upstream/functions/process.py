"""The process of an operator's functions, as the gateway holds it. Its methods block, within bounds."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from adapters.upstream.failures import BadAnswer
from adapters.upstream.functions import worker
from adapters.upstream.functions.worker import MOST_BYTES, Order, Reply, Start, read_frame, write_frame
from gateway.ports.legacy_route import Functions, LegacyRoute

START_SECONDS = 30.0
"""How long importing the functions, with all that they import, may take."""


class Made(NamedTuple):
    """The JSON that the functions made of a list, and how many items have null in their place, and why."""

    text: bytes
    failed: int
    first: str


class FunctionProcess:
    """One process. Its methods are for one thread at a time, but for `kill`, and its maker ends it.

    `path` is the directory that modules are looked for in first.
    """

    def __init__(self, functions: Functions, path: str) -> None:
        self._functions = functions
        self._path = path
        # A session of its own: what is typed at the gateway's terminal, such as Ctrl-C, is not for it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None, "it was asked for"
        assert self._process.stdout is not None, "it was asked for"
        self._given, self._told = self._process.stdin, self._process.stdout
        self._ending = threading.Lock()
        self._turn = ""
        self._timed_out = False
        self.is_over = False
        """It can't be asked any more: what is left is to end it."""

    def start(self, seconds: float = START_SECONDS) -> None:
        """Imports the functions. Raises ValueError where one can't be, or where that takes too long."""
        start = Start(path=self._path, decode=self._functions.decode, map=self._functions.map)
        with self._bounded(seconds):
            reply = self._reply(orjson.dumps(start))
        if reply is None:
            names = " and ".join(filter(None, (start["decode"], start["map"])))
            raise ValueError(f"decode, map: importing {names} {self._end_of(seconds)}")
        if reply["kind"] is not None:
            self.is_over = True
            raise ValueError(reply["detail"])

    def ask(self, route: LegacyRoute, bodies: Sequence[bytes], content_type: str, seconds: float) -> Made:
        """What the functions make of the bodies of a list. Ends the process where that takes over `seconds`.

        Raises BadAnswer: `decode` or `map`, by the function that failed, hung, ended the process or gave no
        JSON; `not_json` and `no_list`.
        """
        order = Order(
            bodies=len(bodies),
            content_type=content_type,
            items=route.items,
            shape=route.shape,
            empty=route.empty,
            seconds=seconds,
        )
        text = None
        with self._bounded(seconds):
            reply = self._reply(orjson.dumps(order), *bodies)
            if reply is not None and reply["kind"] is None:
                text = read_frame(self._told, MOST_BYTES)
        if reply is not None and reply["kind"] is not None:
            raise BadAnswer(reply["kind"], reply["detail"])
        if reply is None or text is None:
            kind = self._turn or "decode"
            raise BadAnswer(kind, f"The function of {kind} {self._end_of(seconds)}.")
        return Made(text, reply["failed"], reply["first"])

    def _reply(self, *frames: bytes) -> Reply | None:
        """What it says to these; None where it has ended, or something else is written where it answers."""
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            for frame in frames:
                write_frame(self._given, frame)
            self._given.flush()
            while (told := read_frame(self._told, MOST_BYTES)) is not None:
                if told not in (worker.DECODING, worker.MAPPING):
                    reply: Reply = orjson.loads(told)
                    return reply
                self._turn = told.decode()
        return None

    def _end_of(self, seconds: float) -> str:
        self.is_over = True
        return f"took over {seconds:g} s" if self._timed_out else "ended its process"

    def kill(self) -> None:
        """Has whoever waits for it wait no more. From any thread."""
        self.is_over = True
        with self._ending:
            # With whatever it has started: that would hold its streams open.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends it, whatever it does, once nobody waits for it. Ending twice does nothing."""
        self.kill()
        with self._ending:
            self._process.wait()
        for stream in (self._given, self._told):
            with contextlib.suppress(OSError):
                stream.close()

    @contextlib.contextmanager
    def _bounded(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _time_out(self) -> None:
        self._timed_out = True
        self.kill()
