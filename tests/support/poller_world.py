"""A poller, and what may happen to it."""

import asyncio
from collections.abc import Callable

from adapters.upstream.failures import BadAnswer, NoAnswer
from adapters.upstream.poller_states import PollerSignal, PollerState
from gateway.core.errors import LogError
from gateway.ports.upstreams import Snapshot
from tests.support.clock import ManualClock
from tests.support.loop import let_others_run
from tests.support.polled import ROUTE, Answered, Polled, Unusable

OUTCOMES: dict[str, bool | Exception] = {
    "taken": True,
    "kept back": False,
    "no answer": NoAnswer("refused"),
    "unusable": Unusable(),
    "left alone": Answered(retry_after_seconds=3600.0),
    "bad answer": BadAnswer("status", "The upstream answered with status 500."),
    "log": LogError("The log is out of reach."),
    "defect": ValueError("nobody foresaw this"),
}
STEPS = [*OUTCOMES, "write", "get", "wait", "leave", "wake", "hours", "due", "not due", "broken off", "deaf"]


class Broken:
    """A listener that raises, which none may."""

    def polled(self, snapshot: Snapshot) -> None:
        raise ValueError("nobody foresaw this")

    def served(self, snapshot: Snapshot) -> None:
        pass


class World:
    """One poller, run again wherever its task ends, and callers who wait for it."""

    def __init__(self, seen: Callable[[PollerState, PollerSignal], None]) -> None:
        self.clock = ManualClock()
        self.polled = Polled(self.clock)
        self.callers: list[asyncio.Task[object]] = []
        self.ends: list[BaseException | None] = []
        poller, move = self.polled.poller, self.polled.poller._signal

        def signal(signal: PollerSignal) -> None:
            seen(poller._state, signal)
            move(signal)

        poller._signal = signal  # type: ignore[method-assign]
        self.task = asyncio.create_task(poller.run())

    async def step(self, step: str) -> None:
        polled = self.polled
        match step:
            case "write":
                polled.poller.written()
            case "get":
                polled.poller.at_once()
            case "wait":
                self.callers.append(asyncio.create_task(polled.poller.answer()))
            case "leave" if self.callers:
                self.callers.pop().cancel()
            case "wake":
                polled.poller.wake()
            case "hours":
                self.clock.advance(10 * ROUTE.interval_seconds)
                polled.poller.wake()
            case "due" | "not due":
                polled.answers.pace_seconds = -1.0 if step == "due" else ROUTE.interval_seconds
            case "deaf":
                polled.poller.listener = None if polled.poller.listener else Broken()
            case "broken off":
                self.task.cancel()
            case outcome if outcome in OUTCOMES and polled.answers.is_asked:
                await polled.answers.end(OUTCOMES[outcome])
        await let_others_run()
        if self.task.done():
            await self.begin_again()

    async def begin_again(self) -> None:
        (end,) = await asyncio.gather(self.task, return_exceptions=True)
        self.ends.append(end)
        self.task = asyncio.create_task(self.polled.poller.run())
        await let_others_run()

    async def close(self) -> None:
        self.task.cancel()
        self.ends += await asyncio.gather(self.task, return_exceptions=True)
        self.polled.poller.close()
        self.polled.poller.close()
        ends = await asyncio.wait_for(asyncio.gather(*self.callers, return_exceptions=True), 60)
        self.ends += [end for end in ends if isinstance(end, BaseException)]
