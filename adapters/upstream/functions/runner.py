"""An operator's own functions between what an upstream answers and what is compared: `decode` and `map`."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from adapters.upstream.failures import BadAnswer
from adapters.upstream.functions.process import FunctionProcess, Made
from gateway.ports.legacy_route import Functions, LegacyRoute
from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

SECONDS = 2.0
"""How long the functions may take for one answer, all of its pages together."""


class FunctionRunner:
    """Runs the functions of one or more routes, which are the same functions, in a process of their own.

    The process is started when it is first needed, and again after it has ended: a function that hangs, or
    ends it, costs one answer. One answer is worked on at a time. `path` is the directory that modules are
    looked for in first. `seconds` bounds one answer.
    """

    def __init__(self, functions: Functions, path: str, seconds: float = SECONDS) -> None:
        self._functions = functions
        self._path = path
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "functions")
        self._process: FunctionProcess | None = None
        self._is_closed = False
        self._last_failure = ""

    async def text_of(self, route: LegacyRoute, bodies: Sequence[bytes], content_type: str) -> bytes:
        """The items of `bodies`, decoded and mapped, as JSON: a list, an object, an entity, by `route.shape`.

        Of several bodies it is a JSON text sequence (RFC 7464), one text for each. What is at `route.items`
        is found in what `decode` gave. An item that `map` raised for has null in its place; that is told in
        a log line, once for each reason. Null is also what stands for a single entity that is not there.

        Raises BadAnswer: `decode` or `map`, by the function that raised, took too long, ended the process or
        gave no JSON, or too much; `not_json` and `no_list` of what is to be read. Nothing of this holds the
        event loop.
        """
        async with self._turn:
            given_up = threading.Event()
            try:
                made = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._ask, route, bodies, content_type, given_up
                )
            except asyncio.CancelledError:
                # What it would say is for nobody, and must not be taken for what comes of the next answer.
                given_up.set()
                self._kill()
                raise
        self._tell(route, made)
        return made.text

    async def close(self) -> None:
        """Ends the process. Closing twice does nothing."""
        self._is_closed = True
        self._kill()
        await asyncio.to_thread(self._thread.shutdown)
        self._end()

    def _ask(
        self, route: LegacyRoute, bodies: Sequence[bytes], content_type: str, given_up: threading.Event
    ) -> Made:
        process = self._process
        if process is None or process.is_over:
            self._end()
            process = self._process = FunctionProcess(self._functions, self._path)
            self._begin(process)
        if given_up.is_set():
            process.kill()
        return process.ask(route, bodies, content_type, self._seconds)

    def _begin(self, process: FunctionProcess) -> None:
        if self._is_closed:
            process.kill()
        try:
            process.start()
        except ValueError as error:
            kind = "map" if self._functions.decode is None else "decode"
            raise BadAnswer(kind, f"The functions could not be started: {error}.") from error

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _tell(self, route: LegacyRoute, made: Made) -> None:
        if made.first and made.first != self._last_failure:
            log_event(
                _log,
                logging.WARNING,
                "upstream_items_not_mapped",
                component=route.component,
                path=route.path,
                items=made.failed,
                detail=made.first,
            )
        self._last_failure = made.first


class FunctionRunners:
    """What runs the functions of all routes: one runner for the same functions. `path` is as a runner's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._runners: dict[Functions, FunctionRunner] = {}

    def of(self, route: LegacyRoute) -> Callable[[Sequence[bytes], str], Awaitable[bytes]] | None:
        """What makes a text of the bodies of that route, given their content type: its runner's `text_of`.

        None where the route has no functions.
        """
        if not route.functions:
            return None
        runner = self._runners.get(route.functions)
        if runner is None:
            runner = self._runners[route.functions] = FunctionRunner(route.functions, self._path)
        return partial(runner.text_of, route)

    async def close(self) -> None:
        """Ends all of their processes."""
        for runner in self._runners.values():
            await runner.close()


def check_functions(functions: Functions, path: str) -> None:
    """Imports the functions in a process of their own, and ends it.

    Raises ValueError, which names the function and what was looked for, where one can't be. Blocks for as
    long as importing takes.
    """
    if functions:
        process = FunctionProcess(functions, path)
        try:
            process.start()
        finally:
            process.end()
